#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""popper --import-bulldb: the numbers of a Qpopper's bulletin database. Usage: bulldb_test.py system|rights|mail-user|database|faults (the first three in a private mount namespace)."""
import os
import re
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from gdbm_files import make_gdbm, make_ndbm  # noqa: E402
from harness import Pop, Site, enter_private_namespace, mailbox, program, skip  # noqa: E402
from private_etc import edit  # noqa: E402
from tracing import need_strace  # noqa: E402
from dropin_test import ADA, BOB, login, prepare, put, quit_, read  # noqa: E402

CY, DAN, POPNET = 64405, 64406, 64401
UNKNOWN = "nobody-knows"


def record(name, number, form="l"):
    return name.encode() + b"\0", struct.pack(form, number)


def run(site, *arguments):
    """Exit code, standard output, standard error."""
    done = site.run([program("popper"), "-f", site.config, *arguments], check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def bulletins(site, *numbers):
    folder = os.path.join(site.root, "bulls")
    os.makedirs(folder, 0o755, exist_ok=True)
    for number in numbers:
        path = os.path.join(folder, str(number))
        with open(path, "w") as file:
            file.write(f"From root@example.org Thu Nov 29 23:33:09 2012\nFrom: root\nSubject: bulletin {number}\n\nText.\n")
        os.chmod(path, 0o644)
    return folder


def subjects(client):
    return [line.split()[-1] for line in client.multi("XTND XLST Subject")[1].decode().splitlines()]


def tree(folder):
    """What lies below it, with everything that a write would change."""
    found = {}
    for parent, folders, files in os.walk(folder):
        for name in folders + files:
            status = os.lstat(os.path.join(parent, name))
            found[os.path.join(parent, name)] = (status.st_ino, status.st_mode, status.st_uid, status.st_size, status.st_mtime_ns)
    return found


def state_of(site, uid, name):
    folder = os.path.join(site.state, "u", f"{uid}.{name}")
    os.makedirs(folder, 0o711, exist_ok=True)
    os.chmod(os.path.dirname(folder), 0o711)
    os.chmod(folder, 0o700)
    os.chown(folder, uid, uid)
    return folder


def system_case(site):
    prepare(site)
    shadow = [line.split(":", 1)[1] for line in read("/etc/shadow").decode().splitlines(keepends=True) if line.startswith("ada:")][0]
    for name, uid in (("cy", CY), ("dan", DAN)):
        home = os.path.join(site.root, f"home-{name}")
        os.mkdir(home, 0o755)
        os.chown(home, uid, uid)
        edit("/etc/passwd", {name}, [f"{name}:x:{uid}:{uid}::{home}:/bin/sh\n"])
        edit("/etc/shadow", {name}, [f"{name}:{shadow}"])
        put(f"/var/mail/{name}", mailbox(1), uid, 0o660)
    put("/var/mail/ada", mailbox(1), ADA, 0o660)
    put("/var/mail/bob", mailbox(1), BOB, 0o660)
    site.options.update({"bulldir": bulletins(site, 1, 2, 3), "max-bulletins": "100"})
    site.write_config()
    victim = put(os.path.join(site.root, "victim"), "1\n", 0, 0o666)
    # ada: links where Qpopper kept her number, and where ours is made. bob: a higher number here. cy: a higher one that Qpopper left.
    # dan: a link where ours lies.
    os.symlink(victim, os.path.join(site.root, "home-ada", ".popbull"))
    os.symlink(victim, os.path.join(state_of(site, ADA, "ada"), "bulletin.tmp"))
    bobs = put(os.path.join(state_of(site, BOB, "bob"), "bulletin"), "9\n", BOB)
    put(os.path.join(site.root, "home-cy", ".popbull"), "7\n", CY)
    dans = os.path.join(state_of(site, DAN, "dan"), "bulletin")
    os.symlink(victim, dans)
    records = [record("ada", 3), record("bob", 3), record("cy", 3, "i"), record(UNKNOWN, 3), record("root", 3), record("../../ada", 3), record("a/b", 3)]
    old = os.path.join(site.root, "bulldb")
    make_gdbm(old, records)
    os.chmod(old, 0o600)
    before = tree(site.state)
    code, said, errors = run(site, "--import-bulldb", old)
    assert (code, said) == (0, "7 users: 1 taken over, 2 had a number already, 4 unknown\n"), (code, said, errors)
    assert len(errors.splitlines()) == 4 and f"{UNKNOWN}: skipped: " in errors and "a\\x2fb: skipped: " in errors, errors
    adas = os.path.join(site.state, "u", f"{ADA}.ada", "bulletin")
    status = os.lstat(adas)
    assert read(adas) == b"3\n" and (status.st_uid, status.st_gid, status.st_mode) == (ADA, ADA, 0o100600), status
    assert read(bobs) == b"9\n" and read(victim) == b"1\n" and os.path.islink(dans)
    made = sorted(os.path.relpath(path, site.state) for path in set(tree(site.state)) - set(before))
    # Of cy, as of every user, the folder of his state and the session lock; no number.
    assert made == [f"u/{ADA}.ada/bulletin", f"u/{ADA}.ada/session", f"u/{BOB}.bob/session", f"u/{CY}.cy", f"u/{CY}.cy/session"], made
    before = tree(site.state)
    code, said, errors = run(site, "--import-bulldb", old)
    assert (code, said) == (0, "7 users: 0 taken over, 3 had a number already, 4 unknown\n"), (code, said, errors)
    assert tree(site.state) == before, "twice is once"
    # Values that are no numbers, and a number that may not be written, keep nobody else from his.
    make_ndbm(os.path.join(site.root, "ndbm"), [record("ada", 2), record("bob", -1), record("cy", 1 << 60), (b"cy\0x\0", struct.pack("l", 8)), (b"eve\0", b"12"),
                                                record("dan", 3)])
    code, said, errors = run(site, "--import-bulldb", os.path.join(site.root, "ndbm"))
    assert (code, said) == (3, "6 users: 0 taken over, 1 had a number already, 0 unknown, 5 not taken over\n"), (code, said, errors)
    for text in ("bob: number of the last bulletin: -1 is not", "dan: number of the last bulletin: ", "cy\\x00x: number of the last bulletin: not a user name",
                 "eve: number of the last bulletin: a value of 2 octets"):
        assert text in errors, (text, errors)
    assert set(tree(site.state)) - set(before) == {os.path.join(os.path.dirname(dans), "session")} and os.path.islink(dans), tree(site.state)
    assert read(victim) == b"1\n" and read(adas) == b"3\n", errors
    # The next login: what is new, and nothing else.
    bulletins(site, 4)
    site.start()
    client, answer = login(site)
    assert b"2 visible" in answer and subjects(client)[-1] == "4", (answer, site.log())
    # Her own session notes a number of its own.
    make_gdbm(old, [record("ada", 5)])
    code, said, errors = run(site, "--import-bulldb", old)
    assert (code, said) == (3, "1 users: 0 taken over, 0 had a number already, 0 unknown, 1 not taken over\n") and "another session" in errors, (said, errors)
    quit_(client)
    assert read(adas) == b"4\n"
    code, said, errors = run(site, "--import-bulldb", old)
    assert (code, said) == (0, "1 users: 1 taken over, 0 had a number already, 0 unknown\n") and read(adas) == b"5\n", (said, errors)
    for user in ("bob", "cy"):
        client, answer = login(site, user)
        assert b"1 visible" in answer, (user, answer)
        quit_(client)
    assert site.stop() == 0
    os.unlink(dans)
    site.start()
    client, answer = login(site, "dan")
    assert b"5 visible" in answer, ("whoever was not taken over would get all of them", answer)
    quit_(client)
    assert site.stop() == 0


def rights_case(site):
    """Who reads the database, who writes a number, and in which order."""
    if os.environ.get("QPOP_SANITIZED") == "1":
        skip("needs programs without sanitizers")
    need_strace()
    prepare(site)
    site.options.update({"bulldir": bulletins(site, 1), "session-user": "popnet"})
    site.write_config()
    old = os.path.join(site.root, "bulldb")
    make_gdbm(old, [record("ada", 3)])
    os.chmod(old, 0o600)
    trace = os.path.join(site.root, "strace")
    done = subprocess.run(["strace", "-f", "-y", "-o", trace, "-e", "trace=setresuid,read,pread64,mmap,openat,write,pwrite64,fsync,rename,renameat,renameat2,seccomp,prctl,landlock_restrict_self",
                           program("popper"), "-f", site.config, "--import-bulldb", old], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "1 taken over" in done.stdout, done
    uids, walled, readers, writes = {}, set(), set(), []
    for line in read(trace).decode(errors="replace").splitlines():
        pid, call = line.split(None, 1)
        changed = re.match(r"setresuid\((\d+), .* = 0", call)
        if changed and int(changed.group(1)) != 0:
            uids[pid] = int(changed.group(1))
        if re.match(r"(seccomp\(SECCOMP_SET_MODE_FILTER|prctl\(PR_SET_SECCOMP).* = 0", call):
            walled.add(pid)
        if f"<{old}>" in call and re.match("(read|mmap)", call):
            assert uids.get(pid) == POPNET and pid in walled, "the database is read by a process with rights: " + line
            readers.add(pid)
        if re.search("[/\"]bulletin", call) and re.match("(openat|write|pwrite64|fsync|rename)", call) or re.match(rf"fsync\(\d+<{site.state}/u/", call):
            if "O_RDONLY" in call:
                continue
            assert uids.get(pid) == ADA, "a number is written by somebody else: " + line
            writes.append(re.match(r"\w+", call).group())
    assert len(readers) == 1, readers
    assert writes in ([opened, written, "fsync", renamed, "fsync"] for opened in ("openat",) for written in ("write", "pwrite64") for renamed in ("rename", "renameat", "renameat2")), writes


def database_case(site):
    """Accounts that exist in the database alone."""
    site.options.update({"bulldir": bulletins(site, 1, 2, 3), "max-bulletins": "100"})
    site.write_config()
    old = os.path.join(site.root, "bulldb")
    make_gdbm(old, [record("ada", 3), record(UNKNOWN, 3), record("../ada", 3)])
    os.chmod(old, 0o644)
    code, said, errors = run(site, "--import-bulldb", old)
    assert (code, said) == (0, "3 users: 1 taken over, 0 had a number already, 2 unknown\n"), (code, said, errors)
    assert f"{UNKNOWN}: skipped: not in the database of accounts" in errors, errors
    assert sorted(os.listdir(os.path.join(site.state, "v"))) == ["ada"] and read(os.path.join(site.state, "v", "ada", "bulletin")) == b"3\n"
    bulletins(site, 4)
    for user in ("ada", "bob"):
        site.put_spool(user, mailbox(1))
    site.start()
    for user, want in (("ada", b"2 visible"), ("bob", b"5 visible")):
        client = Pop(site.connect())
        answer = client.login(user)
        assert want in answer and subjects(client)[-1] == "4", (user, answer)
        quit_(client)
    assert site.stop() == 0
    os.rename(site.database, site.database + ".away")
    code, said, errors = run(site, "--import-bulldb", old)
    assert (code, said) == (3, "") and "auth-db" in errors, (code, said, errors)


def mail_user_case(site):
    """Root, and one owner of all mail: a system user who is not in the database of accounts is nobody here."""
    prepare(site)
    site.run([program("popauth"), "-db", site.database, "-init"])
    site.add_user("virtual", site.password)
    for name in ("", "-lock"):
        os.chown(site.database + name, 64402, 64402)
    os.chown(site.root, 64402, 64402)
    site.options.update({"mail-user": "bob", "auth-backends": "database", "bulldir": bulletins(site, 1)})
    site.write_config()
    old = os.path.join(site.root, "bulldb")
    make_gdbm(old, [record("virtual", 3), record("ada", 3), record(UNKNOWN, 3)])
    os.chmod(old, 0o600)
    os.chown(old, 0, 0)
    code, said, errors = run(site, "--import-bulldb", old)
    assert (code, said) == (0, "3 users: 1 taken over, 0 had a number already, 2 unknown\n"), (code, said, errors)
    kept = os.path.join(site.state, "v", "virtual", "bulletin")
    assert read(kept) == b"3\n" and os.stat(kept).st_uid == BOB and os.listdir(os.path.join(site.state, "v")) == ["virtual"]
    assert not os.path.exists(os.path.join(site.state, "u"))


def faults_case(site):
    site.write_config()
    old = os.path.join(site.root, "bulldb")
    make_gdbm(old, [record("ada", 3)])
    os.chmod(old, 0o644)
    with open(old, "rb") as file:
        torn = bytearray(file.read())
    torn[8:64] = b"\xff" * 56
    files = {"berkeley": bytes(12) + struct.pack("I", 0x00061561) + bytes(4080), "text": b"ada: 3\n", "empty": b"", "torn": bytes(torn)}
    for name, content in files.items():
        with open(os.path.join(site.root, name), "wb") as file:
            file.write(content)
    for name, want in (("berkeley", "a Berkeley DB file; dump it"), ("text", "libgdbm cannot read the file"), ("empty", "libgdbm cannot read the file"), ("torn", ""),
                       ("missing", "no such file"), ("state", "not a regular file")):
        code, said, errors = run(site, "--import-bulldb", os.path.join(site.root, name))
        assert (code, said) == (3, "") and want in errors and "import the bulletin database " in errors, (name, code, said, errors)
    assert not os.path.exists(os.path.join(site.state, "v")), "no number, no folder"
    for arguments, want, text in ((("--import-bulldb", ""), 1, "name is empty"), (("--import-bulldb", old, "110"), 1, "no address"), (("--import-bulldb",), 1, "import-bulldb"),
                                  (("--import-bulldb", old, "--against", "x"), 1, "--against"), (("--import-bulldb", old, "-f", put_config(site)), 2, "nonsense")):
        code, said, errors = run(site, *arguments)
        assert (code, said) == (want, "") and text in errors, (arguments, code, said, errors)
    code, said, errors = run(site, "--import-bulldb", old)
    assert (code, said) == (0, "1 users: 1 taken over, 0 had a number already, 0 unknown\n") and "bulldir is not set" in errors, (code, said, errors)
    # Nothing but a number, as a crash of another kind leaves it, is no number; a lower one gives way.
    kept = os.path.join(site.state, "v", "ada", "bulletin")
    for text, want in (("", b"3\n"), ("nonsense\n", b"3\n"), ("2\n", b"3\n"), ("3\n", b"3\n"), ("11\n", b"11\n")):
        with open(kept, "w") as file:
            file.write(text)
        code, said, errors = run(site, "--import-bulldb", old)
        assert code == 0 and read(kept) == want, (text, said, errors)


def put_config(site):
    path = os.path.join(site.root, "bad.config")
    with open(path, "w") as file:
        file.write("set nonsense = 1\n")
    os.chmod(path, 0o644)
    return path


def main():
    case = sys.argv[1]
    as_root = case in ("system", "rights", "mail-user")
    if as_root:
        enter_private_namespace()
    with Site(users=(), uid=0) if as_root else Site(users=("ada", "bob")) as site:
        {"system": system_case, "rights": rights_case, "database": database_case, "mail-user": mail_user_case, "faults": faults_case}[case](site)
        log = site.log()
        assert "AddressSanitizer" not in log and "runtime error" not in log, log
    print(f"{case}: passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
