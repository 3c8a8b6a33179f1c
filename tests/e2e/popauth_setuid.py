#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The set-uid cases of popauth, in a mount namespace with a copy of /etc; started by popauth_test.py."""
import importlib
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import unittest

from popauth_support import BIN, ROOT, Base, become, caller

SET_UID_OWNER = 54321  # no such user: the number alone counts


class SetUidBase(Base):
    """Set-uid to a throw-away uid, /etc/pop.auth in a private copy of /etc. Runs inside the namespace only."""

    folder = os.environ.get("QPOP_INSIDE", "")

    def setUp(self):
        self.bin = os.path.join(self.folder, "popauth")
        self.uid, self.name = caller().pw_uid, caller().pw_name
        for name in ("", "-lock", ".key"):
            if os.path.exists("/etc/pop.auth" + name):
                os.unlink("/etc/pop.auth" + name)
        self.log = None
        if os.environ.get("QPOP_INSIDE_LOG"):
            if os.path.exists("/dev/log"):
                os.unlink("/dev/log")
            self.log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.log.bind("/dev/log")
            os.chmod("/dev/log", 0o666)
            self.log.setblocking(False)
            self.addCleanup(self.log.close)
        self.check(self.popauth("-init", uid=0), 0)

    def database(self):
        return []

    def lines(self):
        """Audit lines since the last call."""
        lines = []
        try:
            while True:
                lines.append(self.log.recv(4096).decode())
        except BlockingIOError:
            return lines

    def set_own(self, password, old=None):
        session = self.session()
        if old is not None:
            session.answer("Old password:", old)
        session.answer("New password:", password)
        session.answer("Retype new password:", password)
        return session.end()


class SetUid(SetUidBase):
    def test_owner_of_the_files(self):
        for name, owner, mode in (("", SET_UID_OWNER, 0o600), ("-lock", SET_UID_OWNER, 0o600), (".key", 0, 0o400)):
            status = os.lstat("/etc/pop.auth" + name)
            self.assertEqual((status.st_uid, stat.S_IMODE(status.st_mode)), (owner, mode), name)

    def test_root_manages_others(self):
        self.check(self.popauth("-user", "ada", "-stdin", stdin=b"x\n", uid=0), 0, "Adding only APOP password for ada.")
        self.check(self.popauth("-user", "bob", "-stdin", stdin=b"x\n", uid=SET_UID_OWNER), 0)
        self.check(self.popauth("-list", "ALL", uid=0), 0, "ada", "stdout")
        self.check(self.popauth("-delete", "ada", uid=SET_UID_OWNER), 0)
        self.check(self.popauth("-init", uid=SET_UID_OWNER, stdin=b"n\n"), 1)
        self.check(self.popauth("-init", "-safe", uid=0), 0, "not initialized (exists)", "stdout")

    def test_ordinary_user_is_refused_the_rest(self):
        both = 'Only superuser or user "pop" can perform the requested function'
        for args in (["-user", "ada"], ["-user", "ada", "secret"], ["-delete", "ada"], ["-delete", self.name], ["-list", "ALL"],
                     ["-list", "ada"], ["-stdin"], ["-user", self.name, "secret"]):
            self.check(self.popauth(*args), 1, both)
        self.check(self.popauth("-init", stdin=b"y\n"), 1, "Only superuser can perform the requested function")
        self.check(self.popauth("-init", "-safe"), 1, "Only superuser can perform the requested function")
        for args in (["-list"], ["-init"], []):
            self.check(self.popauth("-db", os.path.join(self.folder, "x"), *args), 1, "Only superuser can perform")
        self.assertFalse(os.path.exists(os.path.join(self.folder, "x")))

    def test_own_password(self):
        self.check(self.popauth("-list"), 1, "no entry for")
        self.assertEqual(self.set_own("first1")[0], 0)
        self.check(self.popauth("-list"), 0, f"{self.name:<16}: APOP SCRAM", "stdout")
        self.check(self.popauth("-list", self.name), 0, "APOP SCRAM", "stdout")
        session = self.session()
        session.answer("Old password:", "wrong")
        status, text = session.end()
        self.assertIn("Sorry, password entered incorrectly", text)
        self.assertEqual(self.set_own("second2", "first1")[0], 0)
        self.assertEqual(self.set_own("third3", "second2")[0], 0)
        self.assertEqual(os.lstat("/etc/pop.auth").st_uid, SET_UID_OWNER)

    def test_weak_password_needs_insistence(self):
        session = self.session()
        session.answer("New password:", "1234")
        session.expect("Please use at least one non-numeric character.")
        session.answer("New password:", "abc")
        session.answer("Retype new password:", "abc")
        self.assertEqual(session.end()[0], 0)

    def test_rights_while_a_user_types(self):
        session = self.session()
        session.expect("New password:")
        with open(f"/proc/{session.pid}/status") as file:
            status = file.read()
        uids = re.search(r"^Uid:\t(\d+)\t(\d+)\t(\d+)\t(\d+)$", status, re.M).groups()
        self.assertEqual([int(uid) for uid in uids], [self.uid, self.uid, SET_UID_OWNER, self.uid])
        self.assertEqual(os.stat(f"/proc/{session.pid}/fd").st_uid, 0, "dumpable")
        with open(f"/proc/{session.pid}/limits") as file:
            self.assertRegex(file.read(), r"Max core file size +0 +0 ")
        # Nothing of the database, its lock file or the log of others is open; the terminal and the log socket are.
        names = [os.readlink(f"/proc/{session.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{session.pid}/fd")]
        self.assertFalse([name for name in names if "pop.auth" in name], names)
        os.kill(session.pid, signal.SIGKILL)
        session.end()

    def test_inherited_descriptors_are_closed(self):
        with open("/etc/passwd") as file:
            os.set_inheritable(file.fileno(), True)
            session = self.session()
            session.expect("New password:")
            names = [os.readlink(f"/proc/{session.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{session.pid}/fd")]
            self.assertFalse([name for name in names if "passwd" in name], names)
            os.kill(session.pid, signal.SIGKILL)
            session.end()

    def test_audit_line(self):
        if not self.log:
            print("SKIPPED loudly: audit line, /dev/log cannot be made here", file=sys.stderr)
            return
        self.lines()
        self.popauth("-user", "ada", "-stdin", stdin=b"x\n", uid=0)
        self.popauth("-delete", "ada")
        self.popauth("-delete", "ada", uid=0)
        lines = self.lines()
        self.assertEqual(len(lines), 3, lines)
        self.assertIn("root added only APOP password for ada [uid=0 tty=none verb=set target=ada result=ok]", lines[0])
        self.assertIn(f"[uid={self.uid} tty=none verb=delete target=ada result=refused]", lines[1])
        self.assertIn('user "ada" deleted by "root" from db "/etc/pop.auth"', lines[2])
        self.assertTrue(lines[0].startswith("<37>"), "auth.notice")

    def test_root_with_the_bare_binary_does_the_same(self):
        os.mkdir(os.path.join(self.folder, "bare"))
        path = os.path.join(self.folder, "bare", "popauth")
        shutil.copy(BIN, path)

        def bare(*args, stdin=b""):
            return subprocess.run([path, *args], input=stdin, capture_output=True, check=False)
        with open("/etc/passwd") as file:
            before = file.read()
        others = "".join(line + "\n" for line in before.splitlines() if not line.startswith("pop:"))

        def set_passwd(text):
            with open("/etc/passwd", "w") as file:
                file.write(text)
        try:
            set_passwd(others)
            self.check(bare("-list", "ALL"), 1, 'the system has no user "pop"; create it')
            set_passwd(others + f"pop:x:{SET_UID_OWNER}:65534::/nonexistent:/usr/sbin/nologin\n")
            self.check(bare("-init", stdin=b"y\n"), 0)
            self.test_owner_of_the_files()
            self.check(bare("-user", "ada", "-stdin", stdin=b"x\n"), 0, "Adding")
            self.check(bare("-list", "ALL"), 0, "ada             : APOP SCRAM", "stdout")
            self.assertEqual(self.set_own("first1")[0], 0)
            self.check(bare("-delete", "ada"), 0)
        finally:
            set_passwd(before)

    def test_the_steps_of_the_old_install_file(self):
        for name in ("", "-lock", ".key"):
            os.unlink("/etc/pop.auth" + name)
        # touch, chown pop, chmod 600, popauth -init: an empty file is no reason to ask.
        open("/etc/pop.auth", "w").close()
        os.chown("/etc/pop.auth", SET_UID_OWNER, -1)
        os.chmod("/etc/pop.auth", 0o600)
        result = self.popauth("-init", uid=0)
        self.check(result, 0)
        self.assertEqual((result.stdout, result.stderr), (b"", b""))
        session = self.session("-user", self.name, uid=0)
        session.answer("New password:", "byroot1")
        session.answer("Retype new password:", "byroot1")
        self.assertEqual(session.end()[0], 0)
        self.assertEqual(self.set_own("byuser2", "byroot1")[0], 0)
        self.check(self.popauth("-check", self.name, "-stdin", stdin=b"byuser2\n", uid=0), 0)
        self.check(self.popauth("-check", self.name, "-stdin", stdin=b"byroot1\n", uid=0), 1)

    def test_disable_and_files_are_for_the_owner_too(self):
        self.check(self.popauth("-user", "ada", "-stdin", stdin=b"x\n", uid=SET_UID_OWNER), 0)
        self.check(self.popauth("-disable", "ada", uid=SET_UID_OWNER), 0)
        self.check(self.popauth("-export", "-", uid=SET_UID_OWNER), 0, "ada:APOP,SCRAM,disabled:", "stdout")
        self.check(self.popauth("-import", "-", uid=SET_UID_OWNER, stdin=b"bob:x\n"), 0, "1 entries imported")
        for uid in (0, SET_UID_OWNER):
            path = f"/tmp/qpop-test-backup.{os.getpid()}.{uid}"
            self.addCleanup(os.unlink, path)
            self.check(self.popauth("-backup", path, uid=uid), 0)
            self.assertEqual(os.stat(path).st_uid, uid)
        self.check(self.popauth("-delete", "ada", uid=0), 0)
        self.check(self.popauth("-restore", path, uid=0), 0, "2 entries restored")
        self.check(self.popauth("-compact", uid=0), 0)
        self.assertEqual(os.lstat("/etc/pop.auth").st_uid, SET_UID_OWNER)
        self.assertEqual(os.lstat("/etc/pop.auth-lock").st_uid, SET_UID_OWNER)
        self.check(self.popauth("-list", "ALL", uid=SET_UID_OWNER), 0, "ada             : APOP SCRAM disabled", "stdout")

    def test_root_is_told_of_a_folder_that_the_owner_may_not_search(self):
        folder = os.path.join(self.folder, "closed")
        path = os.path.join(folder, "sub", "pop.auth")
        os.makedirs(os.path.dirname(path))
        # Open to a group of root, which is none of the owner's.
        os.chmod(folder, 0o750)
        for args in (["-init"], ["-init", "-safe"], ["-list", "ALL"], ["-user", "ada", "-stdin"], ["-check", "ada", "-stdin"], ["-delete", "ada"], ["-disable", "ada"],
                     ["-export", "-"], ["-import", "-"], ["-backup", path + ".old"], ["-compact"]):
            self.check(self.popauth("-db", path, *args, stdin=b"x\n", uid=0), 1, f"may not search the folder {folder};")
            self.assertEqual(os.listdir(os.path.dirname(path)), [], args)
        os.chmod(folder, 0o711)
        os.chmod(os.path.dirname(path), 0o755)
        self.check(self.popauth("-db", path, "-init", uid=0), 0)
        self.check(self.popauth("-db", path, "-user", "ada", "-stdin", stdin=b"x\n", uid=0), 0)
        self.check(self.popauth("-db", path, "-list", "ALL", uid=0), 0, "ada", "stdout")
        # A name without a folder.
        os.chmod(os.path.dirname(path), 0o700)
        self.check(self.popauth("-db", "pop.auth", "-list", "ALL", uid=0, cwd=os.path.dirname(path)), 1, "may not search the folder .;")

    def test_set_uid_to_root_is_refused(self):
        os.mkdir(os.path.join(self.folder, "rooted"))
        path = os.path.join(self.folder, "rooted", "popauth")
        shutil.copy(BIN, path)
        os.chown(path, 0, 0)
        os.chmod(path, 0o4711)
        result = subprocess.run([path, "-list"], capture_output=True, preexec_fn=lambda: become(self.uid), check=False)
        os.unlink(path)
        self.check(result, 2, "must not be set-uid to root")


def mount(*args):
    subprocess.run(["mount", *args], check=True)


def private_dev(folder):
    """A /dev that a log socket can be made in."""
    old = os.path.join(folder, "dev")
    os.mkdir(old)
    mount("--rbind", "/dev", old)
    mount("-t", "tmpfs", "tmpfs", "/dev")
    for name in ("null", "zero", "tty", "random", "urandom"):
        open(os.path.join("/dev", name), "w").close()
        mount("--bind", os.path.join(old, name), os.path.join("/dev", name))
    os.mkdir("/dev/pts")
    mount("--bind", os.path.join(old, "pts"), "/dev/pts")
    os.symlink("pts/ptmx", "/dev/ptmx")


def inside(folder):
    """In the new mount namespace: a copy of /etc over /etc, then the set-uid cases."""
    mount("--make-rprivate", "/")
    copy = os.path.join(folder, "etc")
    shutil.copytree("/etc", copy, symlinks=True)
    mount("--bind", copy, "/etc")
    try:
        private_dev(folder)
        os.environ["QPOP_INSIDE_LOG"] = "1"
    except (OSError, subprocess.CalledProcessError) as error:
        print("no private /dev:", error, file=sys.stderr)
    module, cases = os.environ["QPOP_INSIDE_CASES"].split(":")
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(getattr(importlib.import_module(module), cases))
    return 0 if unittest.TextTestRunner(verbosity=1).run(suite).wasSuccessful() else 1


def set_uid_cases(cases="popauth_setuid:SetUid"):
    """Runs a class of cases in the namespace. None: skipped, and said so."""
    folder = tempfile.mkdtemp(prefix="qpop")
    try:
        why = None if ROOT else "needs root"
        if not why and subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0:
            why = "no mount namespace to be had here"
        if not why and os.statvfs(folder).f_flag & os.ST_NOSUID:
            why = f"{folder} is mounted nosuid"
        if why:
            print(f"SKIPPED loudly: set-uid cases of popauth: {why}", file=sys.stderr)
            return None
        os.chmod(folder, 0o755)
        path = os.path.join(folder, "popauth")
        shutil.copy(BIN, path)
        os.chown(path, SET_UID_OWNER, 0)
        os.chmod(path, 0o4711)
        return subprocess.run(["unshare", "-m", sys.executable, os.path.abspath(__file__), folder],
                              env={**os.environ, "QPOP_INSIDE": folder, "QPOP_INSIDE_CASES": cases}, check=False).returncode == 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(inside(sys.argv[1]))
