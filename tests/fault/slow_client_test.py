#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The spool is not locked while a client downloads: delivery goes on at once during a RETR that is read octet by octet."""
import os
import shutil
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import Pop, Site, message, named_uid, skip  # noqa: E402

LARGE = b"a line of a message that no socket buffer holds as a whole, however much the kernel gives it\n" * 200_000


def main():
    if shutil.which("procmail") is None or shutil.which("lockfile") is None:
        skip("procmail is not installed")
    with Site(uid=named_uid()) as site:
        box = site.put_spool("ada", message(1, body=LARGE))
        rc = os.path.join(site.home, "procmailrc")
        open(rc, "w").close()
        os.chmod(rc, 0o600)
        site.own(site.home)
        site.start()
        client = Pop(site.connect())
        client.login()
        client.send(b"RETR 1\r\n")
        slowest = 0.0
        for number in range(2, 12):
            for _ in range(10):  # no more than this is read of it
                assert client.socket.recv(1)
            started = time.monotonic()
            # Waits for the lock file, and would wait 8 s after the first refusal.
            site.run(["lockfile", "-r", "0", box + ".lock"])
            os.unlink(box + ".lock")
            site.run(["procmail", "-f", "a@example.org", "-m", f"DEFAULT={box}", "LOCKEXT=.lock", "LOCKSLEEP=8", rc],
                     input=b"Message-ID: <%d@example.org>\n\nshort\n" % number)
            slowest = max(slowest, time.monotonic() - started)
        client.close()
        assert site.read_spool().count(b"\nshort\n") == 10
        assert slowest < 5, f"a delivery took {slowest:.1f} s"
        print(f"10 deliveries while a message was read octet by octet, the slowest took {slowest * 1000:.0f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
