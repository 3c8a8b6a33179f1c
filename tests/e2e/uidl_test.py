#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""--compare-uidl and --import-uidl against files and against a live server. Usage: uidl_test.py [root] (in a private mount namespace)."""
import fcntl
import hashlib
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import PASSWORD, Pop, Site, enter_private_namespace, mailbox, message, program, wait_until  # noqa: E402
import privilege_test  # noqa: E402


def run(site, action, against, password=None):
    kwargs = {"input": password.encode() + b"\n"} if password else {}
    done = site.run([program("popper"), "-f", site.config, action, "ada", "--against", against], check=False, **kwargs)
    return done.returncode, done.stdout.decode() + done.stderr.decode()


def write(site, name, text):
    path = os.path.join(site.root, name)
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, 0o644)
    return path


def listing(site):
    client = Pop(site.connect())
    client.login()
    answer, body = client.multi("UIDL")
    client.ok("QUIT")
    client.close()
    return [line.split()[1] for line in body.decode().splitlines()]


def state(site):
    """Everything below the state folder, by content."""
    found = {}
    for folder, _, files in os.walk(site.state):
        for name in files:
            path = os.path.join(folder, name)
            if not os.path.isfile(path):  # the control socket
                continue
            with open(path, "rb") as file:
                found[path] = hashlib.sha256(file.read()).hexdigest()
    return found


def spool_of(site):
    """What stands in the spool folder, and whether anybody wrote to it."""
    path = os.path.join(site.spool, "ada")
    status = os.stat(path)
    return os.listdir(site.spool), status.st_ino, status.st_mtime_ns, status.st_ctime_ns, site.read_spool()


def qpoppers_unique_id(text):
    """By the description of the 20-character form, independent of the code under test."""
    lines = text.split(b"\n\n")[0].split(b"\n")
    wanted = [line for line in lines[1:] if re.match(rb"(?i)(received|date|message-id|subject):", line)]
    digest = hashlib.md5(b"".join(line + b"\n" for line in [lines[0], *wanted, lines[0]])).digest()
    out = ""
    for group in range(0, 16, 4):
        number = 0
        for octet in digest[group:group + 4]:
            number = (number << 4) + octet
        for _ in range(5):
            out += chr(33 + number % 80).replace(".", "~")
            number //= 80
    return out


def main():
    with Site() as site:
        site.write_config()
        mail = b"".join(message(i, body=b"x" * i + b"\n") for i in (1, 2, 3))
        site.put_spool("ada", mail)
        before, places = site.read_spool(), spool_of(site)
        code, text = run(site, "--compare-uidl", write(site, "answer", "+OK\r\n1 a-unique-id\r\n2 another-one\r\n3 the-third\r\n.\r\n"))
        assert code == 6 and "3 messages here, 3 there; a client would download 3 again" in text, (code, text)
        assert state(site) == {} and spool_of(site) == places, "a comparison leaves no file, and the spool as it is"
        assert sorted(os.listdir(site.state)) == ["v"] and os.listdir(os.path.join(site.state, "v")) == ["ada"], "but the folders of a login"
        # What Qpopper without stored unique-ids would have said.
        answer = "".join(f"{i} {qpoppers_unique_id(message(i, body=b'x' * i + chr(10).encode()))}\n" for i in (1, 2, 3))
        code, text = run(site, "--compare-uidl", write(site, "qpopper", answer))
        assert code == 6, text
        site.write_config(**{"unique-id-form": "md5-base80"})
        code, text = run(site, "--compare-uidl", os.path.join(site.root, "qpopper"))
        assert code == 0 and "a client would download 0 again" in text, (code, text)
        # Import of a saved answer: the unique-ids stay, also when the index goes and mail comes.
        site.write_config()
        code, text = run(site, "--import-uidl", os.path.join(site.root, "answer"))
        assert code == 0 and "3 have the unique-id of the other server now" in text, (code, text)
        site.start()
        assert listing(site) == ["a-unique-id", "another-one", "the-third"]
        for path in state(site):
            if path.endswith("/index"):
                os.unlink(path)
        with open(os.path.join(site.spool, "ada"), "ab") as file:
            file.write(message(4))
        known = listing(site)
        assert known[:3] == ["a-unique-id", "another-one", "the-third"] and len(known) == 4, known
        # A live server: this one. Nothing is downloaded twice; the password comes from standard input.
        kept, places = state(site), spool_of(site)
        code, text = run(site, "--compare-uidl", os.path.join(site.root, "answer"))
        assert code == 6 and state(site) == kept and spool_of(site) == places, (code, text)
        code, text = run(site, "--compare-uidl", f"127.0.0.1:{site.port}", PASSWORD)
        assert code == 0 and "4 messages here, 4 there; a client would download 0 again" in text, (code, text)
        code, text = run(site, "--compare-uidl", f"127.0.0.1:{site.port}", "wrong")
        assert code == 3 and "the server says: -ERR [AUTH]" in text, (code, text)
        # Not while a session is open.
        client = Pop(site.connect())
        client.login()
        code, text = run(site, "--import-uidl", os.path.join(site.root, "answer"))
        assert code == 3 and "session" in text, (code, text)
        client.ok("QUIT")
        client.close()
        # Dovecot's and Courier's files: by octets, whatever their order.
        octets = [len(m.split(b"\n", 1)[1]) - 1 + m.split(b"\n", 1)[1].count(b"\n") - 1 for m in (message(i, body=b"x" * i + b"\n") for i in (1, 2, 3))]
        code, text = run(site, "--import-uidl", write(site, "dovecot-uidlist", f"3 V1275660208 N9\n3 W{octets[2]} :c\n1 W{octets[0]} :a\n2 Pkept-uidl W{octets[1]} :b\n"))
        assert code == 6 and "3 have the unique-id" in text, (code, text)
        assert listing(site)[:3] == ["000000014c0907b0", "kept-uidl", "000000034c0907b0"]
        run(site, "--import-uidl", write(site, "courierpop3dsizelist", f"/2 9 77\nb {octets[1]} 2:77\na {octets[0]} 1:77\nc {octets[2]} 3:77\n"))
        assert listing(site)[:3] == ["UID1-77", "UID2-77", "UID3-77"]
        code, text = run(site, "--import-uidl", write(site, "nonsense", "what is this\n"))
        assert code == 3 and "neither a UIDL answer" in text, (code, text)
        assert listing(site)[:3] == ["UID1-77", "UID2-77", "UID3-77"]
        # Unique-ids that cannot be read are not taken for none: nothing is given anew.
        kept, = [path for path in state(site) if path.endswith("/unique-ids")]
        os.chmod(kept, 0)
        for action in ("--compare-uidl", "--import-uidl"):
            code, text = run(site, action, os.path.join(site.root, "answer"))
            assert code == 3 and "copy unique-ids" in text, (code, text)
        os.chmod(kept, 0o600)
        assert listing(site)[:3] == ["UID1-77", "UID2-77", "UID3-77"]
        # Nor is a spool listed whose update was interrupted.
        open(os.path.join(os.path.dirname(kept), "journal"), "w").close()
        site.own(site.state)
        for action in ("--compare-uidl", "--import-uidl"):
            code, text = run(site, action, os.path.join(site.root, "answer"))
            assert code == 3 and "complete it first with popper --recover" in text, (code, text)
        os.unlink(os.path.join(os.path.dirname(kept), "journal"))
        assert site.read_spool() == before + message(4)
        assert not [name for name in os.listdir("/tmp") if name.startswith("popper-compare.")]
        code, text = run(site, "--compare-uidl", "127.0.0.1:1", PASSWORD)
        assert code == 3 and "connect" in text, (code, text)
        done = site.run([program("popper"), "-f", site.config, "--compare-uidl", "ada"], check=False)
        assert done.returncode == 1 and b"--against" in done.stderr, done
    return 0


def as_root():
    """A spool folder that belongs to root and the group mail: the lock file is made as for a login, and nothing that stands there is followed."""
    enter_private_namespace()
    with Site(users=(), uid=0) as site:
        privilege_test.prepare(site)
        site.write_config(**{"mail-lock-timeout": "1"})
        known = write(site, "answer", "".join(f"{i} known-{i}\n" for i in range(1, 6)))
        lock = "/var/mail/ada.lock"
        for action, want in (("--compare-uidl", 6), ("--import-uidl", 0), ("--compare-uidl", 0)):
            before = os.stat("/var/mail").st_mtime_ns
            code, text = run(site, action, known)
            assert code == want and "warning" not in text and "alone" not in text, (action, code, text)
            assert os.stat("/var/mail").st_mtime_ns != before, "a lock file was made"
            assert sorted(os.listdir("/var/mail")) == ["ada", "toor"], "and removed"
        target = os.path.join(site.root, "target")
        os.symlink(target, lock)
        code, text = run(site, "--compare-uidl", known)
        assert code == 3 and "lock" in text and not os.path.lexists(target) and os.path.islink(lock), (code, text)
        os.unlink(lock)
        # Who ends us ends the work; its lock file does not stay.
        site.write_config(**{"mail-lock-timeout": "100"})
        with open("/var/mail/ada", "rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            work = subprocess.Popen([program("popper"), "-f", site.config, "--compare-uidl", "ada", "--against", known], stderr=subprocess.PIPE)
            before = os.stat("/var/mail").st_mtime_ns
            wait_until(lambda: os.stat("/var/mail").st_mtime_ns != before, what="a lock file")
            time.sleep(0.2)
            work.send_signal(signal.SIGTERM)
            _, said = work.communicate(timeout=20)
            assert work.returncode == 3 and b"killed by signal 15" in said, (work.returncode, said)
        assert sorted(os.listdir("/var/mail")) == ["ada", "toor"]
        assert not [name for name in os.listdir("/tmp") if name.startswith("popper-compare.")]
        with open("/var/mail/ada", "rb") as file:
            assert file.read() == mailbox(5)
    return 0


if __name__ == "__main__":
    sys.exit(as_root() if sys.argv[1:] == ["root"] else main())
