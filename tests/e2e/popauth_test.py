#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""popauth as its users meet it: command line, terminal, files, and the set-uid bit.

QPOP_BIN_DIR names the folder of the binary. Exit code 77: skipped as a whole. As root, the ordinary cases run as `nobody`, and the
set-uid cases (popauth_setuid.py) in a mount namespace of their own; elsewhere the latter are skipped loudly.
"""
import os
import resource
import signal
import stat
import subprocess
import sys
import time
import unittest

from popauth_setuid import set_uid_cases
from popauth_support import BIN, ROOT, Own, become


class OwnDatabase(Own):
    """Not set-uid: the database belongs to the caller."""

    def test_help_and_version(self):
        self.check(self.popauth("-help"), 1, "usage: popauth")
        self.check(self.popauth("--help"), 1, "-init [-safe]")
        self.assertRegex(self.popauth("-version").stdout.decode(), r"^popauth v\d+\.\d+\.\d+\n$")

    def test_database_named_by_a_configuration(self):
        self.init()
        self.set("ada")
        configuration = os.path.join(self.folder, "qpopper.config")
        with open(configuration, "w") as file:
            file.write(f'set auth-db = "{self.path}"\n')
        os.chmod(configuration, 0o644)
        self.database = lambda: ["-f", configuration]
        self.assertEqual([line.split()[0] for line in self.entries()], ["ada"])
        with open(configuration, "a") as file:
            file.write("set nonsense\n")
        self.check(self.popauth("-list", "ALL"), 1, "line 2")

    def test_wrong_use(self):
        for args in (["-nonsense"], ["-user"], ["-delete"], ["-user", "-stdin"], ["a"], ["-safe"], ["-list", "-stdin"],
                     ["-user", "a", "-delete", "a"]):
            done = self.popauth(*args)
            self.check(done, 1, "usage: popauth")
            lines = done.stderr.decode().splitlines()
            self.assertEqual(len(lines), 2)  # what is wrong is not pushed off the screen
            self.assertTrue(lines[0].startswith("popauth: ") and lines[1].endswith("popauth -help lists the options"), lines)
        self.check(self.popauth("x" * 2000), 1, "argument too long")
        self.check(self.popauth(*["-safe"] * 30), 1, "too many arguments")

    def test_init_makes_three_files_with_tight_modes(self):
        os.umask(0)
        self.init()
        for name, mode in (("", 0o600), ("-lock", 0o600), (".key", 0o400)):
            status = os.lstat(self.path + name)
            self.assertEqual(stat.S_IMODE(status.st_mode), mode, name)
            self.assertEqual(status.st_uid, self.uid, name)
        self.assertEqual(sorted(os.listdir(self.folder)), ["pop.auth", "pop.auth-lock", "pop.auth.key", "popauth"])
        self.assertEqual(self.entries(), [])

    def test_init_asks_before_it_replaces(self):
        self.init()
        self.set("ada")
        question = "Really initialize POP authentication DB? "
        for answer in (b"n\n", b"", b"\n", b" y\n", b"no\n"):
            self.check(self.popauth("-init", stdin=answer), 1, question)
        self.assertEqual(len(self.entries()), 1)
        result = self.popauth("-init", "-safe", stdin=b"y\n")
        self.check(result, 0, f"POP authentication DB not initialized (exists): {self.path}", "stdout")
        self.assertEqual(len(self.entries()), 1)
        self.check(self.popauth("-init", stdin=b"yes\n"), 0, question)
        self.assertEqual(self.entries(), [])

    def test_init_takes_an_empty_file_without_a_question(self):
        open(self.path, "w").close()
        result = self.popauth("-init")
        self.check(result, 0)
        self.assertNotIn(b"Really", result.stderr)
        self.assertEqual(self.entries(), [])

    def test_init_does_not_replace_a_link_or_folder(self):
        target = os.path.join(self.folder, "target")
        open(target, "w").close()
        os.symlink(target, self.path)
        self.check(self.popauth("-init"), 1, "not a regular file")
        self.assertTrue(os.path.islink(self.path))

    def test_init_repairs_a_damaged_database(self):
        self.init()
        with open(self.path, "r+b") as file:
            file.write(os.urandom(6000))
        self.check(self.popauth("-list", "ALL"), 1, "POP authentication DB")
        self.check(self.popauth("-init", stdin=b"y\n"), 0)
        self.assertEqual(self.entries(), [])

    def test_user_list_delete(self):
        self.init()
        self.check(self.popauth("-user", "ada", "-stdin", stdin=b"tanstaaf\n"), 0, "Adding only APOP password for ada.")
        self.check(self.popauth("-user", "ada", "-stdin", stdin=b"second"), 0, "Changing only APOP password for ada.")
        self.set("bob")
        self.assertEqual(self.entries(), ["ada             : APOP SCRAM", "bob             : APOP SCRAM"])
        self.check(self.popauth("-list", "ada"), 0, "ada             : APOP SCRAM", "stdout")
        self.check(self.popauth("-list"), 1, f'no entry for "{self.name}" in POP authentication DB')
        self.check(self.popauth("-delete", "ada"), 0, 'Warning: deleting user "ada"')
        self.check(self.popauth("-delete", "ada"), 1, 'no entry for "ada" in POP authentication DB')
        self.assertEqual(self.entries(), ["bob             : APOP SCRAM"])

    def test_star_takes_the_apop_secret_away(self):
        self.init()
        self.check(self.popauth("-user", "ada", "-stdin", stdin=b"*\n"), 1, 'no entry for "ada"')
        self.set("ada")
        self.set("ada", b"*\n")
        self.assertEqual(self.entries(), ["ada             : SCRAM"])
        self.set("ada")
        self.assertEqual(self.entries(), ["ada             : APOP SCRAM"])

    def test_warns_about_a_name_the_system_does_not_know(self):
        self.init()
        self.check(self.popauth("-user", "qpop-virtual", "-stdin", stdin=b"x\n"), 0, "mail-user")
        self.assertNotIn(b"Warning", self.popauth("-user", self.name, "-stdin", stdin=b"x\n").stderr)

    def test_stdin_limits(self):
        self.init()
        self.set("ada", b"p" * 255 + b"\n")
        self.check(self.popauth("-user", "bob", "-stdin", stdin=b"p" * 256 + b"\n"), 1, "password longer than 255 octets")
        self.check(self.popauth("-user", "bob", "-stdin", stdin=b"p" * 100_000), 1, "password longer than 255 octets")
        self.check(self.popauth("-user", "bob", "-stdin", stdin=b"a\0b\n"), 1, "NUL or CR")
        self.check(self.popauth("-user", "bob", "-stdin", stdin=b"ab\r\n"), 1, "NUL or CR")
        self.check(self.popauth("-user", "bob", "-stdin", stdin=b"\n"), 1, "Password unchanged.")
        self.check(self.popauth("-user", "bob", "-stdin", stdin=b""), 1, "end of input")
        self.assertEqual(len(self.entries()), 1)

    def test_names_that_are_refused(self):
        self.init()
        for name in ("../ada", ".ada", "a/b", "ada.lock", "a b", "x" * 65, "\u00e4da"):
            self.check(self.popauth("-user", name, "-stdin", stdin=b"x\n"), 1, "cannot be a user name here")
        self.check(self.popauth("-delete", ".meta"), 1, "no entry for")
        self.assertEqual(self.entries(), [])

    def test_typed_twice_without_echo(self):
        self.init()
        session = self.session("-user", "ada")
        session.expect("Adding only APOP password for ada.")
        session.answer("New password:", "tanstaaf")
        session.answer("Retype new password:", "tanstaaf")
        status, text = session.end()
        self.assertEqual(status, 0, text)
        self.assertNotIn("tanstaaf", text)
        self.assertEqual(session.after, session.before)
        self.assertEqual(len(self.entries()), 1)

    def test_mismatch_and_empty(self):
        self.init()
        session = self.session("-user", "ada")
        session.answer("New password:", "tanstaaf")
        session.answer("Retype new password:", "tanstaff")
        status, text = session.end()
        self.assertEqual(os.waitstatus_to_exitcode(status), 1)
        self.assertIn("Mismatch -- password unchanged.", text)
        session = self.session("-user", "ada")
        session.answer("New password:", "")
        status, text = session.end()
        self.assertEqual(os.waitstatus_to_exitcode(status), 1)
        self.assertIn("Password unchanged.", text)
        self.assertEqual(self.entries(), [])

    def test_interrupt_puts_the_terminal_back(self):
        self.init()
        for number, key in ((signal.SIGINT, b"\x03"), (signal.SIGQUIT, b"\x1c"), (signal.SIGTERM, None), (signal.SIGHUP, None)):
            session = self.session("-user", "ada")
            session.expect("New password:")
            self.assertTrue(session.echo_is_off())
            if key:
                os.write(session.master, key)
            else:
                os.kill(session.pid, number)
            status, _ = session.end()
            self.assertTrue(os.WIFSIGNALED(status) and os.WTERMSIG(status) == number, (number, status))
            self.assertEqual(session.after, session.before)
        self.assertEqual(self.entries(), [])

    def test_cannot_be_stopped_from_the_keyboard(self):
        self.init()
        session = self.session("-user", "ada")
        session.expect("New password:")
        os.write(session.master, b"\x1a")
        session.send("tanstaaf")
        session.answer("Retype new password:", "tanstaaf")
        status, _ = session.end()
        self.assertEqual(status, 0)

    def test_own_password_asks_for_the_old_one(self):
        self.init()
        session = self.session()
        session.expect(f"Adding only APOP password for {self.name}.")
        session.answer("New password:", "first1")
        session.answer("Retype new password:", "first1")
        self.assertEqual(session.end()[0], 0)
        session = self.session()
        session.answer("Old password:", "wrong")
        begin = time.monotonic()
        status, text = session.end()
        self.assertEqual(os.waitstatus_to_exitcode(status), 1)
        self.assertIn("Sorry, password entered incorrectly", text)
        self.assertGreater(time.monotonic() - begin, 0.8)
        session = self.session()
        session.expect(f"Changing only APOP password for {self.name}.")
        session.answer("Old password:", "first1")
        session.answer("New password:", "first1")
        status, text = session.end()
        self.assertIn("Password unchanged.", text)
        session = self.session()
        session.answer("Old password:", "first1")
        session.answer("New password:", "second2")
        session.answer("Retype new password:", "second2")
        self.assertEqual(session.end()[0], 0)

    def test_no_terminal(self):
        self.init()
        result = self.popauth("-user", "ada", start_new_session=True)
        self.check(result, 1, "use -stdin")

    def test_password_in_argv_is_wiped(self):
        self.init()
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        try:
            while True:
                os.write(writer, b"x" * 4096)
        except BlockingIOError:
            os.set_blocking(writer, True)
        # Standard error is full, so that popauth waits at its first warning and can be looked at.
        process = subprocess.Popen([self.bin, *self.database(), "-user", "ada", "verysecret"], stdin=subprocess.DEVNULL, stderr=writer,
                                   preexec_fn=lambda: become(self.uid))
        os.close(writer)
        time.sleep(0.5)
        self.assertIsNone(process.poll())
        with open(f"/proc/{process.pid}/cmdline", "rb") as file:
            line = file.read()
        self.assertIn(b"ada", line)
        self.assertNotIn(b"secret", line)
        with os.fdopen(reader, "rb") as file:
            text = file.read().decode()
        self.assertEqual(process.wait(), 0)
        self.assertIn("use -stdin", text)
        self.assertEqual(len(self.entries()), 1)

    def test_wrong_mode_and_missing_files(self):
        self.check(self.popauth("-list", "ALL"), 1, "does not exist; create it: popauth -init")
        self.init()
        os.chmod(self.path, 0o644)
        self.check(self.popauth("-list", "ALL"), 1, "has wrong mode (0644); chmod 600 it")
        os.chmod(self.path, 0o600)
        os.unlink(self.path + "-lock")
        self.check(self.popauth("-list", "ALL"), 1, "has no lock file; create it")

    def test_low_limits_are_refused_before_a_write(self):
        self.init()
        before = open(self.path, "rb").read() if ROOT or os.getuid() == self.uid else b""
        for which, value in ((resource.RLIMIT_FSIZE, 4096), (resource.RLIMIT_NOFILE, 6), (resource.RLIMIT_CPU, 1)):
            def limited(which=which, value=value):
                resource.setrlimit(which, (value, value))
                become(self.uid)
            result = subprocess.run([self.bin, *self.database(), "-user", "ada", "-stdin"], input=b"x\n", capture_output=True,
                                    preexec_fn=limited, check=False)
            self.check(result, 2, "resource limit too low")
        self.assertEqual(open(self.path, "rb").read(), before)

    def test_closed_descriptors_do_not_reach_the_database(self):
        self.init()
        for closed in ((0,), (1,), (2,), (0, 1, 2)):
            def close(closed=closed):
                become(self.uid)
                for fd in closed:
                    os.close(fd)
            subprocess.run([self.bin, *self.database(), "-delete", "nobody-here"], preexec_fn=close, check=False, timeout=30, stderr=subprocess.DEVNULL)
            subprocess.run([self.bin, *self.database(), "-user", "ada", "x"], preexec_fn=close, check=False, timeout=30, stderr=subprocess.DEVNULL)
        self.assertEqual(len(self.entries()), 1)

    def test_ignored_and_blocked_signals_of_the_caller(self):
        self.init()

        def hostile():
            become(self.uid)
            signal.pthread_sigmask(signal.SIG_BLOCK, set(range(1, 32)) - {signal.SIGALRM})
            signal.setitimer(signal.ITIMER_REAL, 0.5)
        process = subprocess.Popen([self.bin, *self.database(), "-user", "ada", "-stdin"], stdin=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, preexec_fn=hostile)
        time.sleep(1)
        process.communicate(b"x\n")
        self.assertEqual(process.returncode, 0)

    def test_gives_up_when_the_database_stays_locked(self):
        self.init()
        # Holds LMDB's write lock until its standard input ends.
        holder_code = """
import ctypes, sys
lmdb = ctypes.CDLL("liblmdb.so.0")
env, txn = ctypes.c_void_p(), ctypes.c_void_p()
ok = lmdb.mdb_env_create(ctypes.byref(env)) or lmdb.mdb_env_open(env, sys.argv[1].encode(), 0x4000, 0o600)
ok = ok or lmdb.mdb_txn_begin(env, None, 0, ctypes.byref(txn))
print("held" if ok == 0 else "failed", flush=True)
sys.stdin.read()
"""
        holder = subprocess.Popen([sys.executable, "-c", holder_code, self.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL)
        try:
            if holder.stdout.readline() != b"held\n":
                print("SKIPPED loudly: locked database, no liblmdb.so.0 for Python", file=sys.stderr)
                return
            begin = time.monotonic()
            self.check(self.popauth("-user", "ada", "-stdin", stdin=b"x\n"), 3, "gave up after 10 s")
            self.assertGreater(time.monotonic() - begin, 9)
            self.assertEqual(self.entries(), [])
        finally:
            holder.communicate()
        self.set("ada")

    def test_many_at_once(self):
        self.init()
        users = [f"user{i}" for i in range(12)]
        processes = [subprocess.Popen([self.bin, *self.database(), "-user", user, "-stdin"], stdin=subprocess.PIPE,
                                      stderr=subprocess.DEVNULL, preexec_fn=lambda: become(self.uid)) for user in users]
        for process in processes:
            process.communicate(b"tanstaaf\n")
            self.assertEqual(process.returncode, 0)
        self.assertEqual(len(self.entries()), len(users))


def main():
    if not os.access(BIN, os.X_OK):
        print(f"SKIPPED: no popauth at {BIN}; set QPOP_BIN_DIR", file=sys.stderr)
        return 77
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(OwnDatabase)
    fine = unittest.TextTestRunner(verbosity=1).run(suite).wasSuccessful()
    return 0 if set_uid_cases() is not False and fine else 1


if __name__ == "__main__":
    sys.exit(main())
