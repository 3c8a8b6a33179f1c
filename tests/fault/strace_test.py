#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Counts the system calls of a real session that change or sync something: none for a QUIT without DELE, six syncs at most with one."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import Site, mailbox, named_uid  # noqa: E402
from tracing import TracedSession, need_strace  # noqa: E402

CALLS = "pwrite64,write,ftruncate,fallocate,rename,renameat,renameat2,unlink,unlinkat,link,linkat,fsync,fdatasync,openat"


def traced_session(site, deleted):
    """The calls of one session on files of spool and state between the last command and the end."""
    session = TracedSession(site, CALLS)
    for number in deleted:
        session.client.ok(f"DELE {number}")
    before = len(session.lines())
    return session.quit()[before:]


def count(lines, pattern):
    return sum(1 for line in lines if re.search(pattern, line) and "= -1 " not in line)


def main():
    need_strace()
    with Site(uid=named_uid()) as site:
        site.put_spool("ada", mailbox(50, body=b"a line\n" * 100))
        site.write_config()
        traced_session(site, [])  # the index is made
        lines = traced_session(site, [])
        changes = count(lines, r"(pwrite64|ftruncate|fallocate|rename|link|unlink|fsync|fdatasync)\w*\(")
        assert changes == 0, f"QUIT without DELE changes something: {[line for line in lines if '(' in line]}"
        before = len(site.read_spool())
        lines = traced_session(site, [10, 20])
        syncs = count(lines, r"\b(fsync|fdatasync)\(")
        written = sum(int(match.group(1)) for line in lines if (match := re.search(r"pwrite64\(.*= (\d+)$", line)))
        after = len(site.read_spool())
        assert after < before, "nothing was removed"
        moved = after - 9 * (before // 50)
        assert 1 <= syncs <= 6, f"{syncs} syncs: {lines}"
        assert written <= 2.02 * moved + 2048 + 128 + 96 * 48 + 64, f"{written} octets written, {moved} moved"
        print(f"without DELE: no change; with two: {syncs} syncs, {written} octets written for {moved} that move")
    return 0


if __name__ == "__main__":
    sys.exit(main())
