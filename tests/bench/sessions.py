#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures popper while 10, 1,000 and 5,000 sessions are held: memory of each (proportional set size of all processes), and a login beside them.

Usage: sessions.py [--sessions N,N,...] [--rounds N]
"""
import argparse
import base64
import hashlib
import hmac
import os
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Site, mailbox, program  # noqa: E402
import accounts  # noqa: E402
import peers  # noqa: E402


def verifier(password, iterations=4096, salt=b"the same for all"):
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    return f"{{SCRAM-SHA-256}}{iterations}," + ",".join(base64.b64encode(part).decode() for part in (salt, stored, server))


def add_users(site, count):
    site.run([program("popauth"), "-db", site.database, "-init", "-iterations", "4096"])
    source = os.path.join(site.root, "users")
    line = verifier(site.password)
    with open(source, "w") as file:
        file.writelines(f"user{number}:{line}\n" for number in range(count))
    os.chmod(source, 0o644)
    site.run([program("popauth"), "-db", site.database, "-import", source], timeout=300)
    for number in range(count):
        site.put_spool(f"user{number}", mailbox(2))
    site.add_user("ada", site.password)
    site.put_spool("ada", mailbox(2))


def measure(count, rounds):
    """KiB a session, milliseconds of logins beside them."""
    limits = {name: str(count + 100) for name in ("max-sessions-per-address", "max-sessions", "max-unauthenticated")}
    with Site(users=(), options=limits) as site:
        add_users(site, count)
        site.start()
        accounts.login(site)
        before = peers.proportional_kib(peers.tree(site.process.pid))
        holder = subprocess.Popen([program("pop3_load"), str(site.port), "user", site.password, "hold", "--users", str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            if holder.stdout.readline() != b"ready\n":
                raise SystemExit("the sessions did not come: " + site.log()[-2000:])
            time.sleep(1)
            each = (peers.proportional_kib(peers.tree(site.process.pid)) - before) / count
            values = [accounts.timed(lambda: accounts.login(site)) for _ in range(rounds)]
        finally:
            holder.stdin.close()
            holder.wait()
    return each, values


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", default="10,1000,5000")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    print(f"{'sessions':>9} {'KiB each':>9} {'login ms':>9}")
    for count in options.sessions.split(","):
        each, values = measure(int(count), options.rounds)
        print(f"{count:>9} {each:>9.0f} {statistics.median(values):>9.1f}", flush=True)


if __name__ == "__main__":
    main()
