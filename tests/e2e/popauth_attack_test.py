#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A user of the host attacks set-uid popauth: environment, descriptors, limits, signals, links, guesses. Needs root, see popauth_setuid.py."""
import os
import random
import re
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time

from popauth_setuid import SET_UID_OWNER, SetUidBase, set_uid_cases
from popauth_support import Session, become

SPY = """
#include <fcntl.h>
#include <stdlib.h>
__attribute__((constructor)) static void spy(void) { open(getenv("SPY_FILE") ? getenv("SPY_FILE") : "/tmp/none/none", O_CREAT | O_WRONLY, 0666); }
"""


def octets(path):
    with open(path, "rb") as file:
        return file.read()


class Attacks(SetUidBase):
    def setUp(self):
        super().setUp()
        # A folder where the attacker may do what he likes.
        self.home = tempfile.mkdtemp(prefix="attack", dir=self.folder)
        os.chmod(self.home, 0o777)
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)

    def as_attacker(self, work):
        """Exit code of `work` run as the attacker."""
        pid = os.fork()
        if pid == 0:
            become(self.uid)
            try:
                os._exit(work() or 0)
            except BaseException:  # noqa: B902 a child of the test must not go on
                os._exit(99)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def send(self, pid, number):
        """Sends a signal as the attacker; whether the kernel let him."""
        return self.as_attacker(lambda: os.kill(pid, number)) == 0

    def root_writes(self, seconds):
        if self.log:
            self.lines()  # who does not read the log stops those who write to it
        begin = time.monotonic()
        self.check(self.popauth("-user", "ada", "-stdin", stdin=b"x\n", uid=0), 0)
        self.assertLess(time.monotonic() - begin, seconds, "a writer was blocked")

    # 1, 2: what the caller hands over

    def test_environment_counts_for_nothing(self):
        self.set_own("first1")
        marker = os.path.join(self.home, "spied")
        library = os.path.join(self.home, "spy.so")
        source = os.path.join(self.home, "spy.c")
        with open(source, "w") as file:
            file.write(SPY)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
        os.chmod(library, 0o755)
        hostile = {"LD_PRELOAD": library, "LD_AUDIT": library, "LD_LIBRARY_PATH": self.home, "GCONV_PATH": self.home, "SPY_FILE": marker,
                   "LOCPATH": self.home, "LANG": "xx_XX", "LC_ALL": "../../..", "TZ": "/etc/shadow", "PATH": self.home, "IFS": "/",
                   "MALLOC_PERTURB_": "255", "GLIBC_TUNABLES": "glibc.malloc.check=3", "HOME": self.home, "USER": "root", "LOGNAME": "root",
                   "OPENSSL_CONF": os.path.join(self.home, "openssl.cnf"), "HOSTALIASES": "/etc/shadow", "TMPDIR": self.home}
        # The library does what it is meant to when rights are the caller's own: the test can see.
        subprocess.run(["/bin/true"], env={"LD_PRELOAD": library, "SPY_FILE": marker}, check=True)
        self.assertTrue(os.path.exists(marker))
        os.unlink(marker)
        result = self.popauth("-list", env=hostile)
        self.check(result, 0, f"{self.name:<16}: APOP SCRAM", "stdout")
        self.assertFalse(os.path.exists(marker), "loaded a library of the caller")

    def test_runs_no_program_and_opens_nothing_of_the_caller(self):
        strace = shutil.which("strace")
        if not strace:
            self.skipTest("strace is not installed")
        trace = os.path.join(self.home, "strace")
        # Root's strace with -u keeps the set-uid bit in force.
        done = subprocess.run([strace, "-f", "-u", self.name, "-o", trace, "-e", "trace=execve,execveat,openat,open,socket", self.bin, "-list"],
                              env={"PATH": self.home, "TZ": f"{self.home}/tz", "LANG": "de_DE.UTF-8", "OPENSSL_CONF": f"{self.home}/c"},
                              capture_output=True, check=False)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        text = octets(trace).decode()
        if "execve(" not in text:
            self.skipTest("strace traces nothing here")
        self.assertEqual(len(re.findall(r"execve(?:at)?\(", text)), 1, text)
        self.assertNotIn(self.home + "/", text)

    def test_no_core_and_no_look_at_the_memory(self):
        self.set_own("first1")

        def preexec():
            resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        for number in (signal.SIGABRT, signal.SIGSEGV, signal.SIGQUIT):
            old, here = resource.getrlimit(resource.RLIMIT_CORE), os.getcwd()
            preexec()
            os.chdir(self.home)
            try:
                session = self.session()
            finally:
                os.chdir(here)
                resource.setrlimit(resource.RLIMIT_CORE, old)
            session.answer("Old password:", "first1")
            session.expect("New password:")
            for name in ("mem", "environ", "maps", "stack", "auxv"):
                self.assertNotEqual(self.as_attacker(lambda n=name, p=session.pid: os.close(os.open(f"/proc/{p}/{n}", os.O_RDONLY))), 0, name)
            for name in ("cmdline", "environ", "comm"):
                self.assertNotIn(b"first1", octets(f"/proc/{session.pid}/{name}"))
            os.kill(session.pid, number)
            status, text = session.end()
            self.assertFalse(os.WCOREDUMP(status))
            self.assertNotIn("first1", text)
        self.assertEqual(os.listdir(self.home), [])

    def test_descriptors_of_the_caller(self):
        self.set_own("first1")
        for closed in ((0,), (1,), (2,), (0, 1, 2)):
            def close(closed=closed):
                become(self.uid)
                os.umask(0)
                for fd in closed:
                    os.close(fd)
            before = octets("/etc/pop.auth")
            subprocess.run([self.bin, "-list"], preexec_fn=close, stderr=subprocess.DEVNULL, check=False, timeout=20)
            subprocess.run([self.bin, "-user", "root", "x"], preexec_fn=close, stderr=subprocess.DEVNULL, check=False, timeout=20)
            self.assertEqual(octets("/etc/pop.auth"), before)
        self.check(self.popauth("-list"), 0, "APOP SCRAM", "stdout")

    # 3, 5, 6, 13: names and files of the caller

    def test_files_named_by_the_caller(self):
        secret = "/etc/attack-victim"
        with open(secret, "w") as file:
            file.write("precious")
        os.chmod(secret, 0o600)
        link = os.path.join(self.home, "link")
        os.symlink("/etc/pop.auth", link)
        before = octets("/etc/pop.auth")
        for path in ("/etc/pop.auth", "/etc/pop.auth.key", "/etc/new-trace", secret, link, self.home, "/dev/zero", "/proc/self/mem"):
            self.check(self.popauth("-trace", path, "-list"), 1, "trace file")
        self.assertEqual(octets("/etc/pop.auth"), before)
        self.assertEqual(octets(secret), b"precious")
        self.assertFalse(os.path.exists("/etc/new-trace"))
        own = os.path.join(self.home, "trace")
        self.popauth("-trace", own, "-list")
        self.assertEqual((os.stat(own).st_uid, stat.S_IMODE(os.stat(own).st_mode)), (self.uid, 0o600))
        both, root = 'Only superuser or user "pop"', "Only superuser can perform"
        for verb, words in (("-import", both), ("-export", both), ("-backup", both), ("-restore", root)):
            self.check(self.popauth(verb, os.path.join(self.home, "x")), 1, words)
        self.check(self.popauth("-export", "-", "-with-verifiers"), 1, both)
        self.check(self.popauth("-compact"), 1, root)
        for verb in ("-disable", "-enable", "-check"):
            self.check(self.popauth(verb, "ada"), 1, both)
        self.check(self.popauth("-check", self.name, "-stdin", stdin=b"x\n"), 1, both)
        for option in ("-f", "-db"):
            self.check(self.popauth(option, secret, "-list"), 1, root)
        self.assertEqual(sorted(os.listdir(self.home)), ["link", "trace"])

    def test_nothing_is_learnt_about_others(self):
        self.check(self.popauth("-user", "ada", "-stdin", stdin=b"x\n", uid=0), 0)
        for verb in ("-list", "-check", "-disable", "-delete", "-user"):
            answers = {(r.returncode, r.stdout, r.stderr) for r in (self.popauth(verb, name) for name in ("ada", "nobody-of-that-name"))}
            self.assertEqual(len(answers), 1, answers)

    # 7, 15: links in the place of the files

    def test_links_are_neither_followed_nor_kept(self):
        victim = os.path.join(self.home, "victim")
        for name in ("", "-lock", ".key"):
            with open(victim, "w") as file:
                file.write("precious")
            os.unlink("/etc/pop.auth" + name)
            os.symlink(victim, "/etc/pop.auth" + name)
            result = self.popauth("-user", "ada", "-stdin", stdin=b"x\n", uid=0)
            if name != ".key":
                self.check(result, 1, "is a symbolic link")
            self.popauth("-list")
            self.popauth("-init", stdin=b"y\n", uid=0)
            self.assertEqual(octets(victim), b"precious")
            if os.path.islink("/etc/pop.auth"):
                os.unlink("/etc/pop.auth")
                self.check(self.popauth("-init", stdin=b"y\n", uid=0), 0)
            self.assertFalse(os.path.islink("/etc/pop.auth" + name))

    # 8: limits

    def test_limits_are_refused_before_a_write(self):
        self.set_own("first1")
        before = octets("/etc/pop.auth")
        for which, value in ((resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_FSIZE, 8192), (resource.RLIMIT_NOFILE, 8), (resource.RLIMIT_CPU, 1),
                             (resource.RLIMIT_AS, 64 << 20), (resource.RLIMIT_DATA, 1 << 20), (resource.RLIMIT_STACK, 256 << 10),
                             (resource.RLIMIT_NPROC, 0)):
            old = resource.getrlimit(which)
            self.addCleanup(resource.setrlimit, which, old)
            master, slave = os.openpty()

            def limited(which=which, value=value):
                Session.own_terminal(slave)
                become(self.uid)
                resource.setrlimit(which, (value, value))
            process = subprocess.Popen([self.bin], preexec_fn=limited)
            os.close(slave)
            self.assertIn(process.wait(20), (1, 2, 127, -signal.SIGKILL, -signal.SIGSEGV), (which, value))
            os.close(master)
            self.assertEqual(octets("/etc/pop.auth"), before, which)
        self.assertEqual(self.set_own("second2", "first1")[0], 0)

    # 9, 11: signals

    def test_stopped_at_any_moment_it_blocks_nobody(self):
        self.set_own("pass-0")
        rng = random.Random(9)
        refused = 0
        for trial in range(1, 25):
            session = self.session()
            session.answer("Old password:", f"pass-{trial - 1}")
            session.answer("New password:", f"pass-{trial}")
            session.answer("Retype new password:", f"pass-{trial}")
            time.sleep(rng.random() * 0.1)
            stopped = self.send(session.pid, signal.SIGSTOP)
            refused += not stopped
            self.root_writes(3)
            # By root: stopped just as it took the owner's uid, it is beyond the attacker's reach.
            os.kill(session.pid, signal.SIGCONT)
            self.assertEqual(session.end()[0], 0)
        # Stopped while it looks things up: the work is a child's that the attacker cannot signal.
        for _ in range(20):
            process = subprocess.Popen([self.bin, "-list"], preexec_fn=lambda: become(self.uid), stdout=subprocess.DEVNULL)
            time.sleep(rng.random() * 0.01)
            self.send(process.pid, signal.SIGSTOP)
            self.root_writes(3)
            process.send_signal(signal.SIGCONT)
            self.assertEqual(process.wait(20), 0)
        self.assertGreater(refused, 0, "never came while the owner's uid was in force for good")

    def test_killed_at_any_moment_it_leaves_a_usable_database(self):
        self.set_own("first1")
        rng = random.Random(10)
        for _ in range(150):
            process = subprocess.Popen([self.bin, "-list"], preexec_fn=lambda: become(self.uid), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(rng.random() * 0.008)
            self.send(process.pid, signal.SIGKILL)
            process.wait(20)
        # More than there are reader slots.
        self.check(self.popauth("-list"), 0, "APOP SCRAM", "stdout")
        self.root_writes(3)

    # 10: guesses

    def guess(self, password):
        session = self.session()
        session.answer("Old password:", password)
        status, text = session.end()
        self.assertNotEqual(status, 0)
        return text

    def test_guesses_are_counted(self):
        self.set_own("first1")
        for i in range(5):
            self.assertIn("Sorry, password entered incorrectly", self.guess(f"wrong{i}"))
        self.assertRegex(self.guess("first1"), r"too many wrong passwords; try again in [1-4] s")
        time.sleep(4.1)
        self.assertEqual(self.set_own("second2", "first1")[0], 0)
        self.assertIn("Sorry", self.guess("wrong"))  # forgiven: counting began anew

    def test_guesses_at_the_same_time_gain_nothing(self):
        self.set_own("first1")
        sessions = [self.session() for _ in range(14)]
        for session in sessions:
            session.expect("Old password:")
        for session in sessions:
            session.send("wrong")
        texts = []
        threads = [threading.Thread(target=lambda s=s: texts.append(s.end()[1])) for s in sessions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertLessEqual(sum("Sorry" in text for text in texts), 6, texts)
        self.assertGreaterEqual(sum("too many" in text for text in texts), 8, texts)
        self.check(self.popauth("-list", "ALL", uid=0), 0, self.name, "stdout")

    def test_a_killed_guess_counts(self):
        self.set_own("first1")
        for _ in range(5):
            session = self.session()
            session.answer("Old password:", "wrong")
            time.sleep(0.5)  # the answer comes after one second
            self.send(session.pid, signal.SIGKILL)
            session.end()
        self.assertIn("too many", self.guess("wrong"))
        self.check(self.popauth("-check", self.name), 1)

    # 14: how it is installed

    def test_owner_may_not_write_the_program(self):
        status = os.stat(self.bin)
        self.assertEqual((status.st_uid, stat.S_IMODE(status.st_mode)), (SET_UID_OWNER, 0o4711))


if __name__ == "__main__":
    if not os.access(os.path.join(os.environ.get("QPOP_BIN_DIR", "."), "popauth"), os.X_OK):
        print("SKIPPED: no popauth; set QPOP_BIN_DIR")
        sys.exit(77)
    fine = set_uid_cases("popauth_attack_test:Attacks")
    sys.exit(77 if fine is None else 0 if fine else 1)
