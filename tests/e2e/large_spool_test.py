#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The first opening of a large spool: two processes scan it, and what the client sees is right. The next ones scan nothing."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import Site, named_uid, skip  # noqa: E402
from tracing import TracedSession, need_strace  # noqa: E402

MESSAGES = 800
LINE = b"a line of a message that is not short\n"


def make(number):
    """One message of 50 to 60 KB, without its postmark and the empty line behind it."""
    return b"From: a@example.org\nSubject: message %d\n\n" % number + LINE * (1300 + number % 270) + b"end of %d\n" % number


def traced_session(site, wanted):
    """(answer to STAT, {number: content}, octets read by each kind of process)."""
    session = TracedSession(site, "prctl,pread64")
    stat = session.client.ok("STAT")
    contents = {number: session.client.multi(f"RETR {number}")[1] for number in wanted}
    lines = session.quit()
    names = {match[1]: match[2] for match in (re.match(r'(\d+) +prctl\(PR_SET_NAME, "([^"]*)"', line) for line in lines) if match}
    # Its name cannot be read: it is a child of one that cannot be looked into.
    names.update({line.split()[0]: "popper-scan" for line in lines if "PR_SET_PDEATHSIG" in line})
    octets = {}
    for line in lines:
        match = re.match(r"(\d+) .*(?:pread64\(|pread64 resumed>).*\) = (\d+)", line)
        if match:
            name = names.get(match[1], "")
            octets[name] = octets.get(name, 0) + int(match[2])
    return stat, contents, octets


def main():
    need_strace()
    if len(os.sched_getaffinity(0)) < 2:
        skip("one processor: the spool is scanned by one process")
    messages = [make(number) for number in range(1, MESSAGES + 1)]
    spool = b"".join(b"From a@example.org Thu Nov 29 23:33:09 1973\n" + text + b"\n" for text in messages)
    assert len(spool) > 40_000_000
    with Site(uid=named_uid()) as site:
        site.put_spool("ada", spool)
        site.write_config()
        wanted = [1, MESSAGES // 2 - 1, MESSAGES // 2, MESSAGES // 2 + 1, MESSAGES // 2 + 2, MESSAGES]
        stat, contents, octets = traced_session(site, wanted)
        sent = [text.replace(b"\n", b"\r\n") for text in messages]
        assert stat.split()[1:3] == [b"%d" % MESSAGES, b"%d" % sum(map(len, sent))], stat
        for number in wanted:
            assert contents[number] == sent[number - 1], f"message {number} differs"
        half = len(spool) // 2
        assert half - 1_000_000 < octets.get("popper-scan", 0) < half + 1_000_000, octets
        assert half - 1_000_000 < octets["popper-maildrop"] < half + 8_000_000, octets
        again, _, octets = traced_session(site, [])
        assert again == stat
        assert "popper-scan" not in octets and octets["popper-maildrop"] < 1_000_000, octets


main()
