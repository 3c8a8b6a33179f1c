#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""popauth -check, -disable, -enable, -export, -backup, -restore, -compact, -trace, -iterations and the name scramauth."""
import os
import resource
import signal
import stat
import subprocess
import sys
import time

from popauth_support import Own, become, run_cases


def octets(path):
    with open(path, "rb") as file:
        return file.read()


class Verbs(Own):
    def test_check_says_by_its_exit_code_whether_a_password_is_right(self):
        self.init()
        self.set("ada")
        self.check(self.popauth("-check", "ada", "-stdin", stdin=b"tanstaaf\n"), 0, 'the password of "ada" is right', "stdout")
        self.check(self.popauth("-check", "ada", "-stdin", stdin=b"tanstaaF\n"), 1, "Sorry, password entered incorrectly")
        self.check(self.popauth("-check", "eve", "-stdin", stdin=b"tanstaaf\n"), 1, 'no entry for "eve"')
        self.check(self.popauth("-check", "ada", "-stdin", stdin=b""), 1, "end of input")
        session = self.session("-check", "ada")
        session.answer("Password:", "tanstaaf")
        self.assertEqual(session.end()[0], 0)

    def test_both_forms_of_an_umlaut_are_one_password(self):
        self.init()
        self.set("ada", "Gr\u00fc\u00dfe!\n".encode())
        self.assertTrue(self.right("ada", "Gru\u0308\u00dfe!"))
        self.assertFalse(self.right("ada", "Grusse!"))

    def test_disable_and_enable(self):
        self.init()
        self.set("ada")
        self.check(self.popauth("-disable", "ada"), 0, 'Disabling user "ada"')
        self.assertEqual(self.entries(), ["ada             : APOP SCRAM disabled"])
        self.check(self.popauth("-check", "ada", "-stdin", stdin=b"tanstaaf\n"), 1, "is disabled")
        self.set("ada", b"second\n")
        self.assertEqual(self.entries(), ["ada             : APOP SCRAM disabled"], "a new password does not enable")
        self.check(self.popauth("-enable", "ada"), 0, 'Enabling user "ada"')
        self.assertEqual(self.entries(), ["ada             : APOP SCRAM"])
        for verb in ("-disable", "-enable"):
            self.check(self.popauth(verb, "eve"), 1, 'no entry for "eve"')
        self.assertEqual(len(self.entries()), 1)

    def test_an_empty_file_is_named_as_such(self):
        self.file("pop.auth", b"")
        for verb in (("-user", "ada", "-stdin"), ("-list", "ALL")):
            self.check(self.popauth(*verb, stdin=b"tanstaaf\n"), 1, "is empty; initialise it: popauth -init")

    def test_output_that_cannot_be_written_is_a_failure(self):
        self.init()
        self.set("ada")
        for verb in (("-list", "ALL"), ("-list", "ada"), ("-export", "-")):
            full = os.open("/dev/full", os.O_WRONLY)
            result = subprocess.run([self.bin, *self.database(), *verb], stdout=full, stderr=subprocess.PIPE, preexec_fn=lambda: become(self.uid),
                                    timeout=60, check=False)
            os.close(full)
            self.assertEqual(result.returncode, 1, verb)
            self.assertIn(b"standard output: ", result.stderr)
            self.assertIn(b"No space left", result.stderr)

    def test_a_failed_export_leaves_no_file_and_names_it(self):
        self.init()
        self.set("ada")

        def small():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (16, 16))
            become(self.uid)
        out = self.file("export")
        result = subprocess.run([self.bin, *self.database(), "-export", out], stderr=subprocess.PIPE, preexec_fn=small, timeout=60, check=False)
        self.assertNotEqual(result.returncode, 0, result.stderr)
        self.assertIn(out.encode(), result.stderr)
        self.assertFalse(os.path.exists(out))

    def export(self, *args):
        path = self.file("export")
        if os.path.exists(path):
            os.unlink(path)
        result = self.popauth("-export", path, *args)
        self.check(result, 0)
        self.assertEqual(stat.S_IMODE(os.lstat(path).st_mode), 0o600)
        return octets(path).decode(), result.stderr.decode()

    def test_export_holds_no_secret_unless_asked(self):
        self.init("-iterations", "5000")
        self.set("ada")
        self.set("bob", b"*other*\n")
        self.check(self.popauth("-disable", "bob"), 0)
        plain, warning = self.export()
        self.assertRegex(plain, r"(?m)^ada:APOP,SCRAM,enabled:\d+:\d+$")
        self.assertRegex(plain, r"(?m)^bob:APOP,SCRAM,disabled:\d+:\d+$")
        self.assertEqual(warning, "")
        with_verifiers, warning = self.export("-with-verifiers")
        self.assertIn("passwords can be guessed", warning)
        self.assertRegex(with_verifiers, r"(?m)^ada:\{SCRAM-SHA-256\}5000,[^,]{24},[^,]{44},[^,]{44}::::::$")
        self.assertRegex(with_verifiers, r"(?m)^bob:\{SCRAM-SHA-256\}.*::::::nologin$")
        for verifier in with_verifiers.split("}")[1].split(":")[0].split(",")[1:]:
            self.assertNotIn(verifier, plain)
        for text in (plain, with_verifiers):
            self.assertNotIn("tanstaaf", text)
        # Back again: the same passwords, the same state.
        path = self.file("export")
        self.path = self.file("second.auth")
        self.init()
        self.check(self.popauth("-import", path), 0, "2 entries imported")
        self.assertEqual(self.entries(), ["ada             : SCRAM", "bob             : SCRAM disabled"])
        self.assertTrue(self.right("ada", "tanstaaf"))

    def test_files_that_exist_are_not_written_over(self):
        self.init()
        self.set("ada")
        target = self.file("target", b"precious")
        link = self.file("link")
        os.symlink(target, link)
        for verb in ("-export", "-backup"):
            for path in (target, link):
                self.check(self.popauth(verb, path), 1, "File exists")
        self.assertEqual(octets(target), b"precious")
        self.check(self.popauth("-export", "-"), 0, "ada:", "stdout")
        self.assertEqual(sorted(n for n in os.listdir(self.folder) if n.startswith(".")), [])

    def test_iterations(self):
        self.init("-iterations", "4096")
        self.set("ada")
        self.check(self.popauth("-user", "bob", "-iterations", "9999", "-stdin", stdin=b"x\n"), 0)
        text, _ = self.export("-with-verifiers")
        self.assertIn("ada:{SCRAM-SHA-256}4096,", text)
        self.assertIn("bob:{SCRAM-SHA-256}9999,", text)
        for number in ("4095", "1000001", "-1", "x", ""):
            self.check(self.popauth("-init", "-iterations", number), 1, "needs a number from 4096 to 1000000")
        self.check(self.popauth("-list", "ALL", "-iterations", "5000"), 1, "goes with -init and -user")

    def test_scramauth_keeps_no_apop_secret(self):
        self.init()
        self.set("ada")
        self.set("bob")
        scramauth = os.path.join(self.folder, "scramauth")
        os.symlink("popauth", scramauth)
        self.bin = scramauth
        self.check(self.popauth("-user", "ada", "-stdin", stdin=b"second\n"), 0, "Changing only SCRAM password for ada.")
        self.check(self.popauth("-user", "bob", "-only", "-stdin", stdin=b"second\n"), 0)
        self.assertEqual(self.entries(), ["ada             : SCRAM", "bob             : APOP SCRAM"])
        session = self.session("-user", "ada")
        session.expect("New pass phrase:")
        session.send("")
        session.end()
        self.bin = os.path.join(self.folder, "sudo")
        os.symlink("popauth", self.bin)
        self.check(self.popauth("-list", "ALL"), 1, "Unknown mode")

    def test_trace_tells_steps_and_no_secret(self):
        self.init()
        path = self.file("trace")
        self.check(self.popauth("-trace", path, "-user", "ada", "-stdin", stdin=b"tanstaaf\n"), 0)
        text = octets(path).decode()
        self.assertIn(f"{self.name} uses {self.path}", text)
        self.assertIn("looking up", text)
        self.assertNotIn("tanstaaf", text)
        self.assertEqual(stat.S_IMODE(os.lstat(path).st_mode), 0o600)
        self.assertEqual(os.lstat(path).st_uid, self.uid)
        before = len(text)
        self.check(self.popauth("-debug", "-trace", path, "-list", "ALL"), 0)
        self.assertGreater(len(octets(path)), before, "appended")
        os.symlink(self.file("elsewhere"), self.file("link"))
        os.link(path, self.file("second"))
        for bad in (self.file("link"), self.file("second"), self.folder):
            self.check(self.popauth("-trace", bad, "-list", "ALL"), 1, "trace file")
        self.assertFalse(os.path.exists(self.file("elsewhere")))


class Copies(Own):
    def backup(self):
        path = self.file("backup")
        self.check(self.popauth("-backup", path), 0, "holds no key")
        self.assertEqual(stat.S_IMODE(os.lstat(path).st_mode), 0o600)
        self.assertEqual(sorted(n for n in os.listdir(self.folder) if "lock" in n), ["pop.auth-lock"])
        return path

    def test_restore_brings_back_what_was_backed_up(self):
        self.init()
        self.set("ada")
        path = self.backup()
        self.set("ada", b"second\n")
        self.set("bob")
        result = self.popauth("-restore", path)
        self.check(result, 0, "1 entries restored")
        self.assertNotIn(b"Warning", result.stderr)
        self.assertEqual(self.entries(), ["ada             : APOP SCRAM"])
        self.assertTrue(self.right("ada", "tanstaaf"))
        for name, mode in (("", 0o600), ("-lock", 0o600), (".key", 0o400)):
            self.assertEqual(stat.S_IMODE(os.lstat(self.path + name).st_mode), mode)
        self.set("bob")

    def test_restore_warns_when_the_key_is_another(self):
        self.init()
        self.set("ada")
        path = self.backup()
        self.check(self.popauth("-init", stdin=b"y\n"), 0)
        self.check(self.popauth("-restore", path), 0, "does not belong to this backup")
        self.assertTrue(self.right("ada", "tanstaaf"))

    def test_restore_into_an_empty_place(self):
        self.init()
        self.set("ada")
        path = self.backup()
        for name in ("", "-lock"):
            os.unlink(self.path + name)
        self.check(self.popauth("-restore", path), 0, "1 entries restored")
        self.assertTrue(self.right("ada", "tanstaaf"))

    def test_a_bad_backup_changes_nothing(self):
        self.init()
        for i in range(30):
            self.set(f"user{i}")
        good = octets(self.backup())
        os.unlink(self.file("backup"))
        self.check(self.popauth("-delete", "user0"), 0)
        before = octets(self.path)
        swapped = good.replace(b"user11", b"user99")  # a value under another name: its checksum is wrong
        self.assertNotEqual(swapped, good)
        torn = bytearray(good)
        torn[3 * 4096 + 10] ^= 0xFF
        for bad in (b"", b"x" * 5000, good[:len(good) // 2], good[:4096 * 2], swapped, bytes(torn)):
            path = self.file("bad", bad)
            self.check(self.popauth("-restore", path), 1, "popauth: ")
            self.assertEqual(octets(self.path), before)
            self.assertEqual(len(self.entries()), 29)
        for missing in (self.file("none"), self.folder, "-"):
            self.check(self.popauth("-restore", missing), 1)
        self.assertEqual([n for n in os.listdir(self.folder) if n.startswith(".")], [])

    def test_compact_drops_old_values(self):
        self.init()
        for i in range(40):
            self.set(f"user{i}")
        for i in range(39):
            self.check(self.popauth("-delete", f"user{i}"), 0)
        before = os.path.getsize(self.path)
        inode = os.stat(self.path).st_ino
        self.check(self.popauth("-compact"), 0, f"{before} octets before")
        self.assertLess(os.path.getsize(self.path), before / 2)
        self.assertNotEqual(os.stat(self.path).st_ino, inode)
        self.assertNotIn(b"user20", octets(self.path), "a deleted name stays in no free page")
        self.assertEqual(self.entries(), ["user39          : APOP SCRAM"])
        self.assertTrue(self.right("user39", "tanstaaf"))
        self.set("new")

    def test_folders_that_killed_calls_left_are_removed(self):
        self.init()
        old, young, other = (self.file(f".pop.auth-{name}") for name in ("abc123", "def456", "longer-name"))
        for path in (old, young, other):
            os.mkdir(path, 0o700)
            with open(os.path.join(path, "db"), "w") as file:
                file.write("secret")
            os.chown(path, self.uid, -1)
        for path in (old, other):
            os.utime(path, (1, 1))
        self.check(self.popauth("-compact"), 0)
        self.assertEqual([os.path.exists(path) for path in (old, young, other)], [False, True, True])

    def test_backups_and_compactions_while_others_write(self):
        """No acknowledged change is lost, every backup is whole."""
        self.init("-iterations", "4096")
        writers = [subprocess.Popen(["sh", "-c", WRITER, "sh", self.bin, self.path, str(w)], stdout=subprocess.PIPE, text=True,
                                    preexec_fn=lambda: become(self.uid)) for w in range(3)]
        backups = 0
        end = time.monotonic() + 20
        while any(w.poll() is None for w in writers) and time.monotonic() < end:
            result = self.popauth("-compact")
            self.assertEqual(result.returncode, 0, result.stderr)
            path = self.file(f"backup{backups}")
            self.check(self.popauth("-backup", path), 0)
            backups += 1
        answers = [line.split(" ", 2) for w in writers for line in w.communicate()[0].splitlines()]
        self.assertGreater(backups, 1)
        names = {line.split()[0] for line in self.entries()}
        self.assertEqual(len(answers), 45)
        self.assertEqual(names, {name for name, code, _ in answers if code == "0"})
        # A writer that came between the two files was told so, and nothing else went wrong.
        for name, code, text in answers:
            self.assertTrue(code == "0" or "try again" in text, (name, code, text))
        whole = self.file(f"backup{backups - 1}")
        self.path = self.file("other.auth")
        self.init()
        self.check(self.popauth("-restore", whole), 0, "entries restored")
        self.assertLessEqual({line.split()[0] for line in self.entries()}, names)


WRITER = """
i=0
while [ $i -lt 15 ]; do
  text=$(printf tanstaaf | "$1" -db "$2" -user user$3x$i -stdin 2>&1)
  echo "user$3x$i $? $(echo "$text" | tail -n 1)"
  i=$((i+1))
done
"""


if __name__ == "__main__":
    sys.exit(run_cases(Verbs, Copies))
