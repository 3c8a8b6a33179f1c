#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the tests of popauth share: the caller, the terminal, the way to run it."""
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time
import unittest

BIN = os.path.join(os.environ.get("QPOP_BIN_DIR", "."), "popauth")
ROOT = os.getuid() == 0


def caller():
    """The unprivileged account the cases run as."""
    return pwd.getpwnam("nobody") if ROOT else pwd.getpwuid(os.getuid())


def become(uid):
    if os.getuid() == 0 and uid != 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(uid)


class Session:
    """popauth on a terminal of its own."""

    def __init__(self, argv, uid):
        self.master, slave = os.openpty()
        self.before = termios.tcgetattr(self.master)
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.master)
            os.login_tty(slave) if hasattr(os, "login_tty") else self.own_terminal(slave)
            become(uid)
            os.execv(argv[0], argv)
        os.close(slave)
        self.text = ""

    @staticmethod
    def own_terminal(slave):
        os.setsid()
        for fd in range(3):
            os.dup2(slave, fd)
        os.close(os.open(os.ttyname(0), os.O_RDWR))  # becomes the controlling terminal

    def expect(self, words, seconds=20):
        end = time.monotonic() + seconds
        while words not in self.text:
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            try:
                data = os.read(self.master, 4096) if ready else b""
            except OSError:
                data = b""
            if not data:
                raise AssertionError(f"waited for {words!r}, got {self.text!r}")
            self.text += data.decode(errors="replace")
        seen, self.text = self.text.split(words, 1)
        return seen + words

    def echo_is_off(self):
        # The prompt is written after the echo is off.
        return not termios.tcgetattr(self.master)[3] & termios.ECHO

    def send(self, line):
        os.write(self.master, line.encode() + b"\n")

    def answer(self, prompt, line):
        self.expect(prompt)
        if not self.echo_is_off():
            raise AssertionError("echo is on at " + prompt)
        self.send(line)

    def end(self):
        """Exit status and what was printed last. A process that still waits after 20 s is killed."""
        while True:
            if not select.select([self.master], [], [], 20)[0]:
                os.kill(self.pid, signal.SIGKILL)
            try:
                data = os.read(self.master, 4096)
            except OSError:
                break
            if not data:
                break
            self.text += data.decode(errors="replace")
        _, status = os.waitpid(self.pid, 0)
        self.after = termios.tcgetattr(self.master)
        os.close(self.master)
        return status, self.text


class Base(unittest.TestCase):
    uid = None

    def popauth(self, *args, stdin=b"", uid=None, **more):
        uid = self.uid if uid is None else uid
        return subprocess.run([self.bin, *self.database(), *args], input=stdin, capture_output=True, timeout=60,
                              preexec_fn=lambda: become(uid), check=False, **more)

    def session(self, *args, uid=None):
        return Session([self.bin, *self.database(), *args], self.uid if uid is None else uid)

    def check(self, result, code, words="", stream="stderr"):
        text = getattr(result, stream).decode()
        self.assertEqual(result.returncode, code, (result.stdout, result.stderr))
        self.assertIn(words, text)


class Own(Base):
    """Not set-uid: the database belongs to the caller."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="qpop")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.bin = os.path.join(self.folder, "popauth")
        shutil.copy(BIN, self.bin)
        os.chmod(self.bin, 0o755)
        self.uid, self.name = caller().pw_uid, caller().pw_name
        os.chmod(self.folder, 0o755)
        os.chown(self.folder, self.uid, -1)
        self.path = os.path.join(self.folder, "pop.auth")

    def database(self):
        return ["-db", self.path]

    def init(self, *args):
        self.check(self.popauth("-init", *args), 0)

    def set(self, name, password=b"tanstaaf\n"):
        self.check(self.popauth("-user", name, "-stdin", stdin=password), 0)

    def right(self, name, password):
        """Whether the database takes this password."""
        result = self.popauth("-check", name, "-stdin", stdin=password.encode() + b"\n")
        self.assertIn(result.returncode, (0, 1), result.stderr)
        return result.returncode == 0

    def entries(self):
        result = self.popauth("-list", "ALL")
        self.check(result, 0)
        return result.stdout.decode().splitlines()

    def file(self, name, content=None):
        """A file in the folder that belongs to the caller; its path."""
        path = os.path.join(self.folder, name)
        if content is not None:
            with open(path, "wb") as file:
                file.write(content)
            os.chmod(path, 0o600)
            os.chown(path, self.uid, -1)
        return path


def run_cases(*cases):
    """Exit code of a script: 77 when there is nothing to test."""
    if not os.access(BIN, os.X_OK):
        print(f"SKIPPED: no popauth at {BIN}; set QPOP_BIN_DIR", file=sys.stderr)
        return 77
    suite = unittest.TestSuite(unittest.defaultTestLoader.loadTestsFromTestCase(case) for case in cases)
    return 0 if unittest.TextTestRunner(verbosity=1).run(suite).wasSuccessful() else 1
