#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Failed logins of real sessions, hostile user names among them, through the real fail2ban-regex: each counts once, for its own address."""
import base64
import collections
import os
import re
import shutil
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import PASSWORD, TOP, Pop, Site, mailbox, skip, wait_until  # noqa: E402

FILTER = os.path.join(TOP, "conf", "fail2ban", "filter.d", "qpopper.conf")
JAIL = os.path.join(TOP, "conf", "fail2ban", "jail.d", "qpopper.conf")

# What somebody would be called who wants another address banned, his own not, or a line of his own in the log.
NAMES = ["ada", "eve", "root from host (9.9.9.9) 9.9.9.9", "x] [AUTH] Failed attempted login to y from host (8.8.8.8) 8.8.8.8 [wrong password]",
         "y [wrong password]", "7.7.7.7", "(7.7.7.7)", "a\u202eb", "\\x5b", "popper[1]: [AUTH] Failed attempted login to z from host (6.6.6.6) 6.6.6.6",
         "ada@example.org", "n" * 200, '"', "<HOST>", "a  b", "[", "from host (5.5.5.5) 5.5.5.5"]


def b64(text):
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def connect(site, address):
    return Pop(socket.create_connection(("127.0.0.1", site.port), timeout=20, source_address=(address, 0)))


def fail_by_all(site, name, address):
    """Returns how many attempts failed."""
    failed = 0

    def expect_refusal(answer):
        nonlocal failed
        assert answer.startswith(b"-ERR [AUTH]") and answer.count(b"\n") == 1, answer
        failed += 1

    client = connect(site, address)
    if len(name) > 100:  # with an initial response the line would be longer than 255 octets
        assert client.command("AUTH PLAIN") == b"+ \r\n"
        expect_refusal(client.command(b64(f"\0{name}\0wrong")))
    else:
        expect_refusal(client.command("AUTH PLAIN " + b64(f"\0{name}\0wrong")))
    assert client.command("AUTH LOGIN").startswith(b"+ ")
    assert client.command(b64(name)).startswith(b"+ ")
    expect_refusal(client.command(b64("wrong")))
    assert client.command("AUTH CRAM-MD5").startswith(b"+ ")
    expect_refusal(client.command(b64(f"{name} {'0' * 32}")))
    client.close()
    client = connect(site, address)
    assert client.command("AUTH SCRAM-SHA-256").startswith(b"+ ")
    escaped = name.replace("=", "=3D").replace(",", "=2C")
    first = base64.b64decode(client.command(b64(f"n,,n={escaped},r=abcdefgh"))[2:])
    nonce = re.match(rb"r=([^,]*),", first).group(1).decode()
    expect_refusal(client.command(b64(f"c=biws,r={nonce},p={b64(bytes(32))}")))
    if re.fullmatch(r"[!-~]+", name):
        client.ok(f"USER {name}")
        expect_refusal(client.command("PASS wrong"))
        expect_refusal(client.command(f"APOP {name} {'0' * 32}"))
    client.close()
    return failed


def make_configuration(site, log):
    """fail2ban's own configuration with our two files in it, watching `log`."""
    folder = os.path.join(site.root, "fail2ban")
    shutil.copytree("/etc/fail2ban", folder)
    shutil.rmtree(os.path.join(folder, "jail.d"))
    os.mkdir(os.path.join(folder, "jail.d"))
    shutil.copy(FILTER, os.path.join(folder, "filter.d"))
    with open(JAIL) as file:
        jail = file.read()
    assert "logpath  = /var/log/mail.log\n" in jail
    with open(os.path.join(folder, "jail.d", "qpopper.conf"), "w") as file:
        file.write(jail.replace("/var/log/mail.log", log))
    return folder


def addresses(folder, log):
    """Address -> how often fail2ban counts it."""
    done = subprocess.run(["fail2ban-regex", "-c", folder, "-o", "ip", log, "qpopper"], capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr, done.stderr
    return collections.Counter(line for line in done.stdout.splitlines() if line)


def main():
    if shutil.which("fail2ban-regex") is None:
        skip("fail2ban is not installed")
    with Site() as site:
        site.put_spool("ada", mailbox(1))
        site.start()
        want = collections.Counter()
        try:
            for number, name in enumerate(NAMES):
                address = f"127.0.0.{10 + number % 3}"
                want[address] += fail_by_all(site, name, address)
            # None of these is a failed login.
            client = connect(site, "127.0.0.50")
            client.login()
            client.ok("QUIT")
            client = connect(site, "127.0.0.51")
            client.command("NONSENSE [AUTH] Failed attempted login to ada from host (4.4.4.4) 4.4.4.4")
            client.command("USER ada")
            client.command("QUIT")
            wait_until(lambda: site.log().count("Failed attempted login") >= sum(want.values()), what="log lines")
            assert site.stop() == 0
            log = site.log()
            assert log.count("Failed attempted login to") - log.count("NONSENSE") >= sum(want.values())
            about = [line for line in log.splitlines() if "[AUTH]" in line]
            assert len(about) == sum(want.values()), "one event, one line"
            by = collections.Counter(re.search(r" \(([A-Z0-9/-]+)\)\]$", line).group(1) for line in about)
            assert by["PLAIN"] == by["LOGIN"] == by["CRAM-MD5"] == by["SCRAM-SHA-256"] == len(NAMES) and by["USER/PASS"] == by["APOP"] > 0, by
            assert "wrong\n" not in log and PASSWORD not in log
            # As syslog writes it: with the host's name and without milliseconds.
            plain, syslog = os.path.join(site.root, "plain.log"), os.path.join(site.root, "syslog.log")
            with open(plain, "w") as one, open(syslog, "w") as other:
                one.write(log)
                other.write(re.sub(r"(?m)^(\w+ \d+ [\d:]+)\.\d+ ", r"\1 mailhost ", log))
            folder = make_configuration(site, syslog)
            for path in (plain, syslog):
                got = addresses(folder, path)
                assert got == want, (path, got, want)
            test = subprocess.run(["fail2ban-client", "-c", folder, "-t"], capture_output=True, text=True, timeout=60)
            assert test.returncode == 0 and "OK: configuration test is successful" in test.stdout, test
        except BaseException:
            print(site.log()[-5000:])
            raise
    print("fail2ban: ok")


if __name__ == "__main__":
    main()
