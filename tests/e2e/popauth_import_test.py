#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""popauth -import: files of Qpopper, GNU mailutils, solid-pop3d, Dovecot and plain text. gdbm and ndbm files are made by their own libraries."""
import base64
import hashlib
import hmac
import os
import random
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from gdbm_files import make_gdbm, make_ndbm  # noqa: E402
from harness import Pop, Site, program  # noqa: E402
from popauth_support import Own, run_cases  # noqa: E402


def hidden(secret):
    return bytes(octet ^ 0xFF for octet in secret)


def qpopper_record(name, secret, scram=b""):
    """As the original stored it: name NUL; inverted secret NUL; base64 of the SCRAM-MD5 verifier NUL."""
    return name + b"\0", hidden(secret) + b"\0" + (scram + b"\0" if scram else b"")


QPOPPER = [qpopper_record(b"ada", b"tanstaaf"), qpopper_record(b"bob", b"with blank"), qpopper_record(b"cy", b"both", b"c2NyYW0="),
           qpopper_record(b"dan", b"", b"c2NyYW0="), qpopper_record(b"bad/name", b"x"), (b"eve\0", b"unhidden\0")]


def scram_of(password, iterations=5000, salt=b"0123456789abcdef"):
    salted = hashlib.pbkdf2_hmac("sha256", password, salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    return ",".join([str(iterations)] + [base64.b64encode(part).decode() for part in (salt, stored, server)]).encode()


# Of "tanstaaf", by crypt(3).
SHA512 = b"$6$saltsalt$JfDkfKepJJ8OUWRByLbPk38gXHsXisVEzfbhJNOdQONUSHJpsMS04wE7S46k63uzhSh1G0j2QJ1gqfWqZChQE."
BCRYPT = b"$2b$04$abcdefghijklmnopqrstuumJUK7dJmoK7yMfXBMkeTJL1Y.du7qIG"
DEAR = b"$2b$14$abcdefghijklmnopqrstuumJUK7dJmoK7yMfXBMkeTJL1Y.du7qIG"


class Import(Own):
    def setUp(self):
        super().setUp()
        self.init("-iterations", "4096")

    def owned(self, *names):
        for name in names:
            os.chown(self.file(name), self.uid, -1)
        return self.file(names[0])

    def expect_qpopper(self, source):
        result = self.popauth("-import", source)
        self.check(result, 4, "6 entries in qpopper format: 4 to import, 0 already there, 2 not usable")
        self.check(result, 4, '"dan": only a SCRAM-MD5 verifier')
        self.check(result, 4, '"bad/name": not an acceptable user name')
        self.check(result, 4, "4 entries imported")
        self.assertEqual(self.entries(), [f"{name:<16}: APOP SCRAM" for name in ("ada", "bob", "cy", "eve")])
        for name, password in (("ada", "tanstaaf"), ("bob", "with blank"), ("cy", "both"), ("eve", "unhidden")):
            self.assertTrue(self.right(name, password), name)
            self.assertNotIn(password.encode(), result.stdout + result.stderr)

    def test_qpopper_gdbm(self):
        make_gdbm(self.file("old"), QPOPPER)
        self.expect_qpopper(self.owned("old"))

    def test_the_old_database_in_its_place_is_named(self):
        for name in ("", "-lock", ".key"):
            os.unlink(self.path + name)
        make_gdbm(self.path, QPOPPER[:1])
        self.owned("pop.auth")
        self.check(self.popauth("-list", "ALL"), 1, "is a gdbm file of Qpopper 4; mv ")
        self.check(self.popauth("-init", stdin=b"n\n"), 1, "holds the secrets of Qpopper 4")
        os.rename(self.path, self.path + ".old")
        self.init()
        self.check(self.popauth("-import", self.path + ".old"), 0, "1 entries imported")
        self.assertTrue(self.right("ada", "tanstaaf"))

    def test_qpopper_ndbm(self):
        make_ndbm(self.file("old"), QPOPPER)
        self.owned("old.dir", "old.pag")
        self.assertFalse(os.path.exists(self.file("old")))
        self.expect_qpopper(self.file("old"))

    def test_imported_apop_secret_logs_in(self):
        with Site(users=()) as site:
            make_gdbm(os.path.join(site.root, "old"), QPOPPER[:1])
            site.own(site.root)
            popauth = [program("popauth"), "-db", site.database]
            site.run([*popauth, "-init"])
            site.run([*popauth, "-import", os.path.join(site.root, "old")])
            site.put_spool("ada", b"")
            site.start()
            pop = Pop(site.connect())
            stamp = pop.greeting[pop.greeting.index(b"<"):pop.greeting.index(b">") + 1]
            pop.ok("APOP ada " + hashlib.md5(stamp + b"tanstaaf").hexdigest())
            pop.ok("QUIT")

    def test_mailutils_gdbm_and_text(self):
        make_gdbm(self.file("mu"), [(b"ada", b"tanstaaf"), (b"bob:", b"secret two")])  # popauth --create keeps the colon
        self.check(self.popauth("-import", self.owned("mu"), "-format", "mailutils"), 0, "2 entries imported")
        source = self.file("list", b"cy: tanstaaf\ndan: secret two\n")
        self.check(self.popauth("-import", source), 0, "2 entries in mailutils format")
        self.assertEqual(len(self.entries()), 4)
        for name in ("ada", "cy"):
            self.assertTrue(self.right(name, "tanstaaf"))
        for name in ("bob", "dan"):
            self.assertTrue(self.right(name, "secret two"))

    def test_solid_pop3d(self):
        source = self.file(".spop3d", b"MailDrop /var/mail/x mailbox\nAPOPSecret 939091989a8ddf8c9a9c8d9a8bdfcecdde \n"
                           b"MailDrop y mailbox other\nAPOPSecret 8b9e other\n")
        result = self.popauth("-import", source)
        self.check(result, 4, "a secret for a mailbox of its own")
        self.assertTrue(self.right(self.name, "longer secret 12!"))
        bad = self.file("bad", b"APOPSecret 8b9\n")
        self.check(self.popauth("-import", bad), 4, "not hexadecimal digits")

    def test_dovecot(self):
        source = self.file("users", b"\n".join([
            b"# passwd-file", b"ada:{PLAIN}tanstaaf:1000:1000::/home/ada::", b"bob:{SCRAM-SHA-256}" + scram_of(b"tanstaaf"),
            b"cy:{SHA512-CRYPT}" + SHA512 + b"::::::userdb_quota=1 nologin", b"dan:{CRYPT}" + BCRYPT, b"ed:" + SHA512,
            b"fay:{CRAM-MD5}e02d374fde0dc75a17a557039a3a5338c7743304777dccd376f332bee68d2cf", b"gus:{ARGON2ID}$argon2id$v=19$x",
            b"hal:{BLF-CRYPT}" + DEAR, b"ian:{CRYPT}!locked-account", b"jo:{SCRAM-SHA-256}1,x,y,z", b"ada:{PLAIN}again",
            b"kim:{SHA512-CRYPT}$6$", b"lea:{PLAIN}", b"no colon"]) + b"\n")
        result = self.popauth("-import", source)
        self.check(result, 4, "14 entries in dovecot format: 5 to import, 0 already there, 9 not usable")
        for words in ('line 7: "fay": CRAM-MD5 without its 64 hexadecimal digits', "{ARGON2ID}", '"hal": a crypt(3) string that takes too long',
                      '"ian": locked', '"jo": SCRAM-SHA-256 with a number of iterations', '"ada": named before',
                      '"kim": not a crypt(3) string', '"lea": no password', "line 15: "):
            self.check(result, 4, words)
        self.assertEqual(self.entries(), ["ada             : APOP SCRAM", "bob             : SCRAM", "cy              : crypt disabled",
                                          "dan             : crypt", "ed              : crypt"])
        self.check(self.popauth("-enable", "cy"), 0)
        for name in ("ada", "bob", "cy", "dan", "ed"):
            self.assertTrue(self.right(name, "tanstaaf"), name)
            self.assertFalse(self.right(name, "tanstaaF"), name)
        self.assertFalse(self.right("ada", "again"))
        # A new password replaces the crypt(3) string.
        self.set("ed", b"second\n")
        self.assertIn("ed              : APOP SCRAM", self.entries())
        self.assertFalse(self.right("ed", "tanstaaf"))

    def test_dovecot_cram_md5(self):
        if not shutil.which("doveadm"):
            self.skipTest("doveadm is not installed")
        passwords = {"ada": "tanstaaf", "bob": "with blank", "cy": "x" * 64, "dan": "y" * 65, "ed": "\u00fcml\u00e4ut"}
        lines = []
        for name, password in passwords.items():
            made = subprocess.run(["doveadm", "pw", "-s", "CRAM-MD5", "-p", password], stdout=subprocess.PIPE, check=True, timeout=20).stdout
            lines.append(name.encode() + b":" + made.strip() + b"::::::\n")
        self.assertIn(b"{CRAM-MD5}", lines[0])
        self.check(self.popauth("-import", self.file("users", b"".join(lines))), 0, "5 entries imported")
        self.assertEqual(self.entries(), [f"{name:<16}: crypt" for name in passwords])
        for name, password in passwords.items():
            self.assertTrue(self.right(name, password), name)
            self.assertFalse(self.right(name, password + "x"), name)
        exported = self.popauth("-export", "-", "-with-verifiers")
        for line in lines:
            self.assertIn(line, exported.stdout)

    def test_dear_crypt_strings_are_not_waited_for(self):
        """Each of these takes minutes to hours; the parameter counts where no hash follows it, too."""
        dear = [b"{CRYPT}$2y$31$" + BCRYPT[7:], b"{CRYPT}$6$rounds=999999999$" + SHA512[3:], b"{CRYPT}$5$rounds=999999999$saltsalt",
                b"{CRYPT}$6$rounds=999999998$saltsalt", b"{CRYPT}_zzzzsaltaaaaaaaaaaa", b"{CRYPT}$y$jFT$" + b"a" * 22 + b"$" + b"b" * 43]
        lines = [b"good:{CRYPT}" + BCRYPT, b"fine:{CRYPT}" + SHA512]
        lines += [b"dear%d:" % number + text for number, text in enumerate(dear)]
        start = time.monotonic()
        result = self.popauth("-import", self.file("users", b"\n".join(lines) + b"\n"))
        self.check(result, 4, "2 entries imported")
        self.assertLess(time.monotonic() - start, 40)
        for number in range(len(dear)):
            self.assertRegex(result.stderr.decode(), f'"dear{number}": a crypt.3. (string that takes too long|.*too much memory)')
        self.assertGreaterEqual(result.stderr.count(b"takes too long"), 5)
        self.assertEqual(self.entries(), ["fine            : crypt", "good            : crypt"])
        self.assertTrue(self.right("fine", "tanstaaf"))

    def test_replace_lets_nobody_in_again_and_names_lost_apop_secrets(self):
        for name in ("ada", "bob", "cy"):
            self.set(name, b"first\n")
        self.check(self.popauth("-disable", "ada"), 0)
        source = self.file("users", b"ada:{PLAIN}second\nbob:{SCRAM-SHA-256}" + scram_of(b"second") + b"\ncy:{PLAIN}second\n")
        result = self.popauth("-import", source, "-replace")
        self.check(result, 0, 'line 1: "ada": stays disabled')
        self.check(result, 0, "1 accounts lost their APOP secret")
        self.assertNotIn(b'"cy"', result.stderr)
        self.assertEqual(self.entries(), ["ada             : APOP SCRAM disabled", "bob             : SCRAM", "cy              : APOP SCRAM"])
        self.assertTrue(self.right("bob", "second"))
        self.check(self.popauth("-check", "ada", "-stdin", stdin=b"second\n"), 1, "the password is right, but")

    def test_text(self):
        source = self.file("list", b"ada:tanstaaf\r\nbob: leading blank:and colon\n\n# comment\ncy:last without newline")
        self.check(self.popauth("-import", source), 0, "3 entries in text format")
        self.assertTrue(self.right("ada", "tanstaaf"))
        self.assertTrue(self.right("bob", " leading blank:and colon"))
        self.assertTrue(self.right("cy", "last without newline"))
        self.check(self.popauth("-import", "-", stdin=b"dan:x\n"), 0, "1 entries imported")

    def test_dry_run_and_replace(self):
        self.set("ada", b"first\n")
        source = self.file("list", b"ada:second\nbob:x\n")
        before = open(self.path, "rb").read()
        self.check(self.popauth("-import", source, "-dry-run"), 0, "1 to import, 1 already there")
        self.assertEqual(open(self.path, "rb").read(), before)
        self.check(self.popauth("-import", source), 0, 'line 1: "ada": already there')
        self.assertTrue(self.right("ada", "first"))
        self.check(self.popauth("-import", source, "-replace"), 0, "2 entries imported")
        self.assertTrue(self.right("ada", "second"))
        self.check(self.popauth("-list", "ALL", "-dry-run"), 1, "go with -import only")

    def test_what_is_refused(self):
        make_gdbm(self.file("gdbm"), QPOPPER)
        os.symlink(self.owned("gdbm"), self.file("link"))
        for source, words in ((self.file("none"), "No such file"), (self.file("link"), "symbolic links"), (self.folder, "not a regular file"),
                              (self.file("bdb", b"\0" * 12 + b"\x61\x15\x06\0" + b"\0" * 4000), "a Berkeley DB file")):
            self.check(self.popauth("-import", source), 1, words)
        self.check(self.popauth("-import", self.file("text", b"a:b\n"), "-format", "qpopper"), 1, "not a gdbm file")
        self.check(self.popauth("-import", self.file("text"), "-format", "nonsense"), 1, "-format:")
        self.assertEqual(self.entries(), [])

    def test_damaged_gdbm_files(self):
        """Refused, or as much as libgdbm still reads; never a crash of popauth, never a hang."""
        make_gdbm(self.file("good"), [qpopper_record(b"user%d" % i, b"secret%d" % i) for i in range(60)])
        with open(self.file("good"), "rb") as file:
            good = file.read()
        rng = random.Random(5)
        refused = 0
        for trial in range(40):
            octets = bytearray(good[:rng.randrange(8, len(good))] if trial % 4 == 0 else good)
            for _ in range(rng.choice((1, 4, 64))):
                octets[rng.randrange(4, len(octets))] = rng.randrange(256)
            result = self.popauth("-import", self.file("bad", bytes(octets)), "-dry-run")
            self.assertIn(result.returncode, (0, 1, 4), (trial, result.stderr))
            refused += result.returncode == 1
        self.assertGreater(refused, 5)

    def test_hostile_text(self):
        rng = random.Random(6)
        for trial in range(30):
            octets = bytes(rng.choice(b":{}$,\n\r\0abcSCRAM-SHA256$6=\xff ") for _ in range(rng.randrange(2000)))
            for form in ("dovecot", "text", "mailutils", "solid-pop3d"):
                result = self.popauth("-import", self.file("bad", octets), "-dry-run", "-format", form)
                self.assertIn(result.returncode, (0, 4), (trial, result.stderr))
                self.assertTrue(all(32 <= octet < 127 or octet == 10 for octet in result.stderr), "escaped")


if __name__ == "__main__":
    sys.exit(run_cases(Import))
