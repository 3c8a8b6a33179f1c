#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures the database with 1, 100, 10,000 and 100,000 accounts: -list ALL, a look-up by -list NAME, a login, a change.

Usage: accounts.py [--accounts N,N,...] [--rounds N]
Medians in milliseconds of the whole program or login, start of the process included. The accounts are imported from verifiers, which needs
no hashing. The login goes through a running server (USER, PASS; 4096 iterations), so that its growth is that of the look-up.
"""
import argparse
import base64
import os
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import Pop, Site, program  # noqa: E402


def timed(work):
    begin = time.monotonic()
    work()
    return (time.monotonic() - begin) * 1000


def login(site):
    pop = Pop(site.connect())
    pop.login("ada")
    pop.close()


def measure(count, rounds):
    with Site(users=(), options={"max-sessions-per-address": "1000"}) as site:
        popauth = [program("popauth"), "-db", site.database]
        site.run([*popauth, "-init", "-iterations", "4096"])
        # Verifiers that match nothing.
        key = base64.b64encode(bytes(32)).decode()
        source = os.path.join(site.root, "users")
        with open(source, "w") as file:
            for number in range(count - 1):
                salt = base64.b64encode(b"%016d" % number).decode()
                file.write(f"user{number}:{{SCRAM-SHA-256}}4096,{salt},{key},{key}\n")
        os.chmod(source, 0o644)
        imported = timed(lambda: site.run([*popauth, "-import", source], timeout=300)) if count > 1 else 0
        site.add_user("ada", site.password)
        site.put_spool("ada", b"")
        site.start()
        login(site)
        rows = {
            "list ALL": [timed(lambda: site.run([*popauth, "-list", "ALL"])) for _ in range(rounds)],
            "list NAME": [timed(lambda: site.run([*popauth, "-list", "ada"])) for _ in range(rounds)],
            "login": [timed(lambda: login(site)) for _ in range(rounds)],
            "change": [timed(lambda: site.add_user("ada", site.password)) for _ in range(rounds)],
        }
        size = os.path.getsize(site.database)
        entries = site.run([*popauth, "-list", "ALL"]).stdout.count(b"\n")
        assert entries == count, (entries, count)
    cells = " ".join(f"{statistics.median(values):>10.1f}" for values in rows.values())
    print(f"{count:>9} {size / 1e6:>8.1f} {imported / 1000:>9.2f} {cells}", flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--accounts", default="1,100,10000,100000")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    print(f"{'accounts':>9} {'MB':>8} {'import s':>9} {'list ALL':>10} {'list NAME':>10} {'login':>10} {'change':>10}   medians in ms")
    for count in options.accounts.split(","):
        measure(int(count), options.rounds)


if __name__ == "__main__":
    main()
