#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Deleting mail on a file system of 64 MiB that is full to the last octet: through the library, and by real POP3 sessions."""
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import Pop, Site, enter_private_namespace, message, program, skip  # noqa: E402

LARGE = b"a line of a large message that is here to take room\n" * 150_000


def fill(folder):
    """Takes all the room that is left."""
    path = os.path.join(folder, "filler")
    with open(path, "wb", buffering=0) as file:
        size = 1 << 20
        while size:
            try:
                file.write(b"f" * size)
            except OSError:
                size //= 2
    return path


def session(folder, name, units, deleted, must_work, options=None):
    """One POP3 session on a full disk; the client is told what happened to its mail."""
    with Site(options) as site:
        site.put_spool("ada", b"".join(units))
        site.start()
        client = Pop(site.connect())
        client.login()
        for number in deleted:
            client.ok(f"DELE {number + 1}")
        filler = fill(folder)
        try:
            answer = client.command("QUIT")
            client.close()
            after = site.read_spool()
        finally:
            os.unlink(filler)
        kept = b"".join(unit for number, unit in enumerate(units) if number not in deleted)
        print(f"{name}: {answer.decode().strip()}")
        if answer.startswith(b"+OK"):
            site.stop()  # an answer may come before the move is over
            assert site.read_spool() == kept, f"{name}: +OK, and the spool is not what is kept"
            return
        assert answer.startswith(b"-ERR [SYS/TEMP]"), answer
        assert not must_work, f"{name}: refused"
        assert after == b"".join(units), f"{name}: refused, and the spool was touched"


def main():
    enter_private_namespace()
    folder = tempfile.mkdtemp(prefix="qpop-full.", dir="/tmp")
    os.chmod(folder, 0o755)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m,mode=0755", "tmpfs", folder], check=False)
    if mounted.returncode != 0:
        os.rmdir(folder)
        skip("mount is not permitted here")
    try:
        library = subprocess.run([program("full_disk_run"), folder], check=False)
        tempfile.tempdir = folder
        large = [message(i + 1, body=LARGE) for i in range(6)]
        session(folder, "all", large, {0, 1, 2, 3, 4, 5}, True)
        session(folder, "a tail", large, {4, 5}, True)
        session(folder, "the first half", large, {0, 1, 2}, True)
        session(folder, "every second", large, {0, 2, 4}, True)
        # There is no room to write down what is deleted, so that it goes at once.
        session(folder, "the first half, deferred", large, {0, 1, 2}, True, {"expunge": "deferred", "expunge-share": "100"})
        session(folder, "one large of few", large, {1}, True)
        small = [message(i + 1, body=b"a line of it\n" * 600) for i in range(3000)]
        session(folder, "one of many", small, {1500}, True)
        session(folder, "the first of many", small, {0}, False)
    finally:
        tempfile.tempdir = None
        subprocess.run(["umount", folder], check=False)
        os.rmdir(folder)
    return library.returncode


if __name__ == "__main__":
    sys.exit(main())
