#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the tests of popauth share: the caller, the terminal, the way to run it."""
import os
import pwd
import select
import signal
import subprocess
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
