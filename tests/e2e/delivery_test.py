#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Delivery agents write while clients read and delete: every message is delivered once and fetched once. Usage: delivery_test.py AGENT."""
import os
import re
import shutil
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import Pop, Site, named_uid, skip, unstuff  # noqa: E402

PER_THREAD = 40
THREADS = 2


def mail(number):
    body = "".join(f"line {number} {i}\n" for i in range(number % 50))
    return f"From: a@example.org\nSubject: n\nMessage-ID: <{number}@example.org>\n\n{body}".encode()


def procmail(site, box):
    rc = os.path.join(site.home, "procmailrc")
    open(rc, "w").close()
    os.chmod(rc, 0o600)
    site.own(site.home)
    # -f makes procmail write the From_ line.
    return ["procmail", "-f", "a@example.org", "-m", f"DEFAULT={box}", "LOCKEXT=.lock", "LOCKSLEEP=1", rc]


def maildrop(site, box):
    filter_file = os.path.join(site.home, "filter")
    with open(filter_file, "w") as file:
        file.write(f'to "{box}"\n')
    os.chmod(filter_file, 0o600)
    site.own(site.home)
    return ["maildrop", "-V", "1", "-f", "a@example.org", filter_file]


def deliver(site, argv, first, failures):
    for number in range(first, first + PER_THREAD):
        done = site.run(argv, input=mail(number), check=False)
        if done.returncode != 0:
            failures.append((number, done.returncode, done.stderr))


def fetch_some(site, seen):
    """One session: everything that is there is read and deleted, apart from every fifth, which stays for later."""
    client = Pop(site.connect())
    answer = client.login()
    count = int(re.search(rb"has (\d+) visible", answer).group(1))
    taken = []
    for number in range(1, count + 1):
        _, body = client.multi(f"RETR {number}")
        name = re.search(rb"Message-ID: <(\d+)@", unstuff(body)).group(1)
        want = mail(int(name)).replace(b"\n", b"\r\n")
        assert unstuff(body).endswith(want.split(b"\r\n\r\n", 1)[1]), (name, body)
        if number % 5 != 0 or len(seen) > THREADS * PER_THREAD * 3 // 4:
            client.ok(f"DELE {number}")
            taken.append(int(name))
    client.ok("QUIT")
    client.close()
    seen.extend(taken)


def main():
    agent = sys.argv[1]
    if shutil.which(agent) is None:
        skip(f"{agent} is not installed")
    with Site(uid=named_uid()) as site:
        box = site.put_spool("ada", b"")
        argv = {"procmail": procmail, "maildrop": maildrop}[agent](site, box)
        site.start()
        failures, seen = [], []
        threads = [threading.Thread(target=deliver, args=(site, argv, 1000 * (t + 1), failures)) for t in range(THREADS)]
        for thread in threads:
            thread.start()
        rounds = 0
        while any(thread.is_alive() for thread in threads) or len(seen) < THREADS * PER_THREAD - len(failures):
            fetch_some(site, seen)
            rounds += 1
            time.sleep(0.05)
            assert rounds < 2000, (len(seen), failures)
        assert not failures, failures
        assert sorted(seen) == sorted(1000 * (t + 1) + i for t in range(THREADS) for i in range(PER_THREAD)), sorted(seen)
        assert site.read_spool() == b"", site.read_spool()
        left = [name for name in os.listdir(site.spool) if name != "ada"]
        assert not left, f"left in the spool folder: {left}"
        assert site.stop() == 0
        print(f"{agent}: {len(seen)} messages, {rounds} sessions")


if __name__ == "__main__":
    main()
