#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""popper --recover after updates that were really interrupted. Usage: recover_test.py plain|root (the second in a private mount namespace)."""
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import PASSWORD, Pop, Site, enter_private_namespace, message, program  # noqa: E402
from interrupted import interrupt, large_mailbox  # noqa: E402
import privilege_test  # noqa: E402

NOT_RECOVERED = 5
MESSAGES = large_mailbox(300)
EVERY_SECOND = range(1, 301, 2)


class Case:
    """One site; recover() runs the program and remembers what it said."""

    def __init__(self, site, spool_dir, folder_of, owner):
        self.site = site
        self.spool_dir = spool_dir
        self.folder_of = folder_of
        self.owner = owner

    def spool(self, user):
        return os.path.join(self.spool_dir, user)

    def read(self, user):
        with open(self.spool(user), "rb") as file:
            return file.read()

    def put(self, user, content):
        with open(self.spool(user), "wb") as file:
            file.write(content)
        os.chmod(self.spool(user), 0o600)
        if os.geteuid() == 0:
            os.chown(self.spool(user), self.owner(user), self.owner(user))

    def interrupt(self, user):
        return interrupt(self.site, user, self.folder_of(user), MESSAGES, EVERY_SECOND, lambda content: self.put(user, content))

    def recover(self, *arguments, code=0):
        self.site.write_config()
        done = self.site.run([program("popper"), "-f", self.site.config, "--recover", *arguments], check=False)
        lines = done.stdout.decode().splitlines()
        assert done.returncode == code, (arguments, done.returncode, lines, done.stderr.decode())
        self.log = done.stderr.decode()
        return lines

    def files(self, user):
        return sorted(os.listdir(self.folder_of(user)))

    def journal(self, user):
        return os.path.join(self.folder_of(user), "journal")

    def completed(self, user, want):
        assert self.read(user) == want, f"{user}: the spool is not the one after the update"
        assert not {"journal", "journal.tmp"} & set(self.files(user)), self.files(user)
        assert not os.path.exists(self.spool(user) + ".lock"), "the lock file of the killed server"


def done(lines):
    """On a busy machine the kill may come behind the cut; then only the journal is left to do."""
    return [line.replace("update was complete, journal removed", "update completed") for line in lines]


def nothing(case):
    assert case.recover() == ["nothing to recover"]
    assert case.recover("all") == ["nothing to recover"]
    case.put("ada", b"".join(MESSAGES[:3]))
    assert case.recover("ada") == ["ada: nothing to recover"]
    assert case.recover("nobody-knows", code=NOT_RECOVERED) == ["nobody-knows: not recovered: no such account or maildrop"]
    assert case.recover("../ada", code=NOT_RECOVERED) == ["../ada: not recovered: no such account or maildrop"]
    assert case.recover("ada", "bob", code=1) == []
    assert case.recover("--spool-dir=/nonexistent", code=3) == []


def one_and_all(case):
    """One of two is named: the other keeps its journal until all are asked for. The server may run."""
    wants = {user: case.interrupt(user) for user in ("ada", "bob")}
    kept = case.journal("ada") + ".copy"
    shutil.copy2(case.journal("ada"), kept)
    assert done(case.recover("ada")) == ["ada: update completed"]
    case.completed("ada", wants["ada"])
    assert os.path.exists(case.journal("bob"))
    case.site.start()
    lines = case.recover()
    assert done(lines) == ["bob: update completed", "1 recovered, 0 not recovered"], lines
    assert "error" not in case.log, case.log
    case.completed("bob", wants["bob"])
    # The journal of an update that is complete already, as a crash before its removal leaves it.
    shutil.move(kept, case.journal("ada"))
    case.site.own(case.folder_of("ada")) if case.site.uid else os.chown(case.journal("ada"), case.owner("ada"), case.owner("ada"))
    open(os.path.join(case.folder_of("bob"), "journal.tmp"), "wb").close()
    lines = case.recover("all")
    assert sorted(lines[:2]) == ["ada: update was complete, journal removed", "bob: update had not been committed, taken back"], lines
    assert lines[2:] == ["2 recovered, 0 not recovered"]
    case.completed("ada", wants["ada"])
    case.completed("bob", wants["bob"])
    client = Pop(case.site.connect())
    assert b"150 visible" in client.login("bob")
    client.ok("QUIT")
    client.close()
    assert case.site.stop() == 0


def damaged(case):
    """A journal that is not whole is kept and told; the spool is not touched."""
    case.put("ada", b"".join(MESSAGES[:3]))
    with open(case.journal("ada"), "wb") as file:
        file.write(b"QPOPJRNL" + bytes(5000))
    if os.geteuid() == 0:
        os.chown(case.journal("ada"), case.owner("ada"), case.owner("ada"))
    lines = case.recover()
    assert len(lines) == 2 and re.search(r"^ada: .*kept as saved-\d+", lines[0]), lines
    assert re.search(r"1 recovered, 0 not recovered; 1 to be looked at", lines[1]), lines
    assert re.search(r"error: maildrop of ada: .*ada could not be completed: .*saved-\d+", case.log), case.log
    assert case.read("ada") == b"".join(MESSAGES[:3])
    assert [name for name in case.files("ada") if name.startswith("saved-")] and not os.path.exists(case.journal("ada"))


def foreign(case):
    """Another program rewrote the spool before recovery: what it wrote stays, what only the journal holds is appended."""
    case.interrupt("ada")
    late = message(9001, body=b"Delivered after the crash.\n")
    theirs = MESSAGES[1] + MESSAGES[7] + late
    case.put("ada", theirs)
    lines = case.recover("ada")
    assert len(lines) == 1 and re.search(r"^ada: .*rewritten by another program.* have been appended.*saved-\d+", lines[0]), lines
    assert re.search(r"error: maildrop of ada: .*rewritten by another program.*saved-\d+", case.log), case.log
    got = case.read("ada")
    assert got.startswith(theirs), "what the other program wrote stays as it is"
    kept = [text for i, text in enumerate(MESSAGES, 1) if i not in EVERY_SECOND]
    for text in [*kept, late]:
        assert got.count(text) == 1, "each kept message is there once"
    assert len(got) == sum(len(text) for text in kept) + len(late), "nothing else is"
    assert case.recover() == ["nothing to recover"]


def busy(case):
    """A lock that another program holds is waited for, then told; nothing is touched."""
    want = case.interrupt("ada")
    before = case.read("ada")
    with open(case.spool("ada") + ".lock", "w") as file:
        file.write(f"{os.getpid()}\n")
    lines = case.recover("ada", "--mail-lock-timeout=1", code=NOT_RECOVERED)
    assert len(lines) == 1 and lines[0].startswith("ada: not recovered: ") and "lock file is held" in lines[0], lines
    assert case.read("ada") == before and os.path.exists(case.journal("ada"))
    os.unlink(case.spool("ada") + ".lock")
    assert done(case.recover("ada")) == ["ada: update completed"]
    case.completed("ada", want)


def written_down(case):
    """What was deleted is written down and still in the spool, where it is not to stay: as the kill of a long update leaves it."""
    case.put("ada", b"".join(MESSAGES[:4]))
    case.site.start(**{"expunge": "deferred", "expunge-share": "100"})
    client = Pop(case.site.connect())
    client.login("ada")
    client.ok("DELE 2")
    client.ok("QUIT")
    client.close()
    assert case.site.stop() == 0
    assert "expunged" in case.files("ada") and case.read("ada") == b"".join(MESSAGES[:4])
    assert case.recover("--expunge=deferred") == ["nothing to recover"]
    assert case.recover() == ["ada: update completed", "1 recovered, 0 not recovered"]
    case.completed("ada", b"".join([MESSAGES[0], MESSAGES[2], MESSAGES[3]]))
    assert "expunged" not in case.files("ada")
    assert case.recover() == ["nothing to recover"]


def plain():
    with Site(users=("ada", "bob")) as site:
        case = Case(site, site.spool, lambda user: os.path.join(site.state, "v", user), lambda user: site.uid)
        for step in (nothing, one_and_all, damaged, foreign, busy, written_down):
            step(case)
            print(f"plain {step.__name__}: ok", flush=True)


def lines_of(path):
    with open(path) as file:
        return file.readlines()


def write_lines(path, lines):
    with open(path, "w") as file:
        file.writelines(lines)


def accounts(case, add=(), remove=()):
    kept = [line for line in lines_of("/etc/passwd") if line.split(":")[0] not in remove]
    kept += [f"{name}:x:{uid}:{uid}::/nonexistent:/usr/sbin/nologin\n" for name, uid in add]
    write_lines("/etc/passwd", kept)


def gone(case):
    """An account that is no more, or has another uid, is told; its journal and its spool are left alone."""
    case.interrupt("kim")
    want = case.interrupt("ada")
    before = case.read("kim")
    accounts(case, remove=("kim",))
    lines = case.recover(code=NOT_RECOVERED)
    assert len(lines) == 3 and "kim: not recovered: the account does not exist any more" in lines[0], lines
    assert done(lines[1:]) == ["ada: update completed", "1 recovered, 1 not recovered"], lines
    case.completed("ada", want)
    accounts(case, add=(("kim", 64499),))
    lines = case.recover("kim", code=NOT_RECOVERED)
    assert len(lines) == 1 and "kim: not recovered: the account has another uid now, 64499" in lines[0], lines
    assert case.read("kim") == before and os.path.exists(case.journal("kim"))
    accounts(case, add=(("kim", case.owner("kim")),), remove=("kim",))
    assert done(case.recover("kim")) == ["kim: update completed"]


def one_uid_two_names(case):
    """Two login names with one uid: each has its own spool and its own journal."""
    case.put("twin", b"".join(MESSAGES[:2]))
    want = case.interrupt("ada")
    case.site.start()
    client = Pop(case.site.connect())
    assert b"2 visible" in client.login("twin")
    client.ok("DELE 1")
    client.ok("QUIT")
    client.close()
    assert case.site.stop() == 0
    assert case.read("twin") == MESSAGES[1]
    assert os.path.exists(case.journal("ada")), "the twin's session must not touch it"
    assert done(case.recover()) == ["ada: update completed", "1 recovered, 0 not recovered"]
    case.completed("ada", want)
    assert case.read("twin") == MESSAGES[1]


def as_root():
    enter_private_namespace()
    privilege_test.UIDS.update({"bob": 64404, "kim": 64405})
    with Site(users=(), uid=0) as site:
        privilege_test.prepare(site)
        accounts(None, add=(("twin", privilege_test.UIDS["ada"]),))
        uids = dict(privilege_test.UIDS, twin=privilege_test.UIDS["ada"])
        for user in ("bob", "kim", "twin"):
            subprocess.run([program("popauth"), "-user", user, "-stdin"], input=PASSWORD.encode() + b"\n", check=True, stderr=subprocess.DEVNULL)
        case = Case(site, "/var/mail", lambda user: os.path.join(site.state, "u", f"{uids[user]}.{user}"), lambda user: uids[user])
        for step in (nothing, one_and_all, damaged, foreign, busy, written_down, gone, one_uid_two_names):
            step(case)
            print(f"root {step.__name__}: ok", flush=True)


if __name__ == "__main__":
    {"plain": plain, "root": as_root}[sys.argv[1]]()
