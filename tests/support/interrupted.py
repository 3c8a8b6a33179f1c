# SPDX-License-Identifier: MIT
"""Makes updates that were really interrupted: the maildrop process and its monitor are killed while the journal stands."""
import os
import signal
import time

from harness import PASSWORD, Pop, message

BODY = b"".join(b"A line that makes the message large enough to be moved in some time, number %05d.\n" % i for i in range(700))


def large_mailbox(count):
    """Messages as a list; each is some 60 KB."""
    return [message(i + 1, body=BODY) for i in range(count)]


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(child) for child in file.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def name_of(pid):
    """Name of a process that lives; "" for one that is gone, or only waits to be reaped."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            name, rest = file.read().split("(", 1)[1].rsplit(")", 1)
            return "" if rest.split()[0] in "ZX" else name
    except (FileNotFoundError, ProcessLookupError):
        return ""


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def kill_with_maildrop(site):
    """The monitor first, so that it starts no recovery; then the maildrop process."""
    monitor = site.process.pid
    workers = [pid for pid in children(monitor) if name_of(pid) == "popper-maildrop"]
    kill(monitor)
    for pid in workers:
        kill(pid)
    site.process.wait()
    site.process = None


def try_once(site, user, password, numbers, folder):
    journal = os.path.join(folder, "journal")
    site.start()
    client = Pop(site.connect())
    client.login(user, password)
    client.send(b"".join(b"DELE %d\r\n" % number for number in numbers))
    for _ in numbers:
        assert client.line().startswith(b"+OK")
    client.send(b"QUIT\r\n")
    end = time.monotonic() + 20
    while not os.path.exists(journal) and time.monotonic() < end:
        pass
    kill_with_maildrop(site)
    client.close()
    return os.path.exists(journal)


def interrupt(site, user, folder, messages, numbers, put, password=PASSWORD):
    """`put` lays the spool. Returns the spool's content as it must be after recovery."""
    for _ in range(40):
        put(b"".join(messages))
        if try_once(site, user, password, numbers, folder):
            return b"".join(text for i, text in enumerate(messages, 1) if i not in numbers)
    raise AssertionError("no update could be interrupted")
