#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a client is told when its update takes long, dies, or fails behind the commit point. Usage: update_test.py CASE."""
import fcntl
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import Pop, Site, mailbox, message, wait_until  # noqa: E402

BODY = b"Some words to move, a whole line of them, again and again.\n" * 500
COUNT = 1500
TRIES = 10


def state_path(site, name):
    for folder, _, names in os.walk(site.state):
        if name in names:
            return os.path.join(folder, name)
    return None


def journal_path(site):
    return state_path(site, "journal")


def maildrop_process(site):
    out = subprocess.run(["ps", "-o", "pid=,comm=", "--ppid", str(site.process.pid)], capture_output=True, text=True, check=True).stdout
    found = re.findall(r"^\s*(\d+) popper-maildrop", out, re.M)
    return int(found[0]) if found else None


def quit_and_catch(site, action, sign="journal"):
    """Deletes the first message of many; `action` gets the process that moves the others, once its journal stands (or another file).
    Returns the answer to QUIT, the seconds it took, and what the action returned; tries again when the move was faster."""
    for _ in range(TRIES):
        site.put_spool("ada", mailbox(COUNT, body=BODY))
        client, _ = login_again(site)
        client.ok("DELE 1")
        caught = []

        def watch():
            end = time.monotonic() + 2
            while time.monotonic() < end:
                if state_path(site, sign):
                    pid = maildrop_process(site)
                    if pid is not None:
                        caught.append(action(pid))
                    return

        watcher = threading.Thread(target=watch)
        watcher.start()
        start = time.monotonic()
        answer = client.command("QUIT")
        took = time.monotonic() - start
        watcher.join()
        client.close()
        if caught and caught[0] and (state_path(site, sign) or caught[0] is True):
            return answer, took, caught[0]
        if caught and caught[0] is not True:
            os.kill(caught[0], signal.SIGCONT)  # it was stopped behind the end of its journal
        wait_until(lambda: journal_path(site) is None, what="end of the update")
    raise AssertionError(f"the move was too fast {TRIES} times")


def expected():
    return b"".join(message(i + 1, body=BODY) for i in range(1, COUNT))


def login_again(site):
    """Waits as long as the last session's update has the maildrop."""
    def attempt():
        client = Pop(site.connect())
        client.ok("USER ada")
        answer = client.command(f"PASS {site.password}")
        if answer.startswith(b"+OK"):
            return client, answer
        assert b"[IN-USE]" in answer, answer
        client.close()
        return None
    return wait_until(attempt, 20, "login after the update")


def committed_and_slow(site):
    """The move stands still behind the commit point: the client has its answer all the same, and the next session waits its turn."""
    def stop(pid):
        os.kill(pid, signal.SIGSTOP)
        return pid

    answer, took, pid = quit_and_catch(site, stop)
    try:
        assert answer.startswith(b"+OK"), answer
        assert took < 10, took
        assert journal_path(site), "the update was not stopped in time"
        other = Pop(site.connect())
        other.ok("USER ada")
        other.send(f"PASS {site.password}\r\n".encode())
        assert not select.select([other.socket], [], [], 1)[0], "the next session did not wait"
    finally:
        os.kill(pid, signal.SIGCONT)
    answer = other.line()
    assert f"has {COUNT - 1} visible".encode() in answer, answer
    other.ok("QUIT")
    assert site.read_spool() == expected()


def killed(site):
    """The process is killed behind the commit point: removed for good, whatever the client was told, and recovered at once."""
    def kill(pid):
        os.kill(pid, signal.SIGKILL)
        return True

    answer, _, _ = quit_and_catch(site, kill)
    # The kill may come before the message that the update is committed.
    assert answer.startswith((b"+OK", b"-ERR [SYS/TEMP] The update was interrupted")), answer
    wait_until(lambda: journal_path(site) is None, what="recovery without any client")
    assert site.read_spool() == expected()
    client, answer = login_again(site)
    assert f"has {COUNT - 1} visible".encode() in answer, answer
    client.ok("QUIT")


def killed_behind_the_answer(site):
    """The process is killed when what is deleted is written down, and the spool is not yet rewritten."""
    def kill(pid):
        os.kill(pid, signal.SIGKILL)
        return True

    answer, _, _ = quit_and_catch(site, kill, "expunged")
    assert answer.startswith((b"+OK", b"-ERR [SYS/TEMP] The update was interrupted")), answer
    wait_until(lambda: state_path(site, "expunged") is None, what="recovery without any client")
    assert site.read_spool() == expected()
    client, answer = login_again(site)
    assert f"has {COUNT - 1} visible".encode() in answer, answer
    client.ok("QUIT")


def reconnects_at_once(site):
    """A client that comes back right after +OK never finds its own last session."""
    site.put_spool("ada", mailbox(60))
    for left in range(60, 0, -1):
        client = Pop(site.connect())
        answer = client.login()
        assert f"has {left} visible".encode() in answer, answer
        client.ok("DELE 1")
        client.ok("QUIT")
        client.close()
    assert site.read_spool() == b""


def unlocks_before_the_answer(site):
    """Nothing was deleted: the session lock is free when the client has its answer."""
    site.put_spool("ada", mailbox(1))
    for _ in range(40):
        client = Pop(site.connect())
        client.login("ada")
        with open(os.path.join(site.state, "v", "ada", "session"), "rb") as held:
            client.ok("QUIT")
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        client.close()


def locked(site):
    """Another program holds the lock file until the patience is over."""
    site.put_spool("ada", mailbox(3))
    client = Pop(site.connect())
    client.login()
    client.ok("DELE 1")
    lock = os.path.join(site.spool, "ada.lock")
    with open(lock, "w") as file:
        file.write(f"{os.getpid()}\n")
    answer = client.command("QUIT")
    assert answer == b"-ERR [SYS/TEMP] The maildrop is locked by another program; no message was removed\r\n", answer
    assert site.read_spool() == mailbox(3)
    assert os.path.exists(lock)
    os.unlink(lock)


def changed(site):
    """A mail reader wrote the spool anew, and equal messages cannot be told apart."""
    twin, other = message(1), message(2)
    site.put_spool("ada", twin + twin + other)
    client = Pop(site.connect())
    client.login()
    client.ok("DELE 1")
    site.put_spool("ada", other + twin + twin)
    answer = client.command("QUIT")
    assert answer == b"-ERR [SYS/TEMP] The maildrop was changed by another program; no message was removed\r\n", answer
    assert site.read_spool() == other + twin + twin


CASES = {"unlocks-before-the-answer": unlocks_before_the_answer, "locked": locked, "changed": changed, "committed-and-slow": committed_and_slow, "killed": killed,
         "killed-behind-the-answer": killed_behind_the_answer, "reconnects-at-once": reconnects_at_once}


def main():
    with Site() as site:
        site.start(**{"mail-lock-timeout": "1"} if sys.argv[1] == "locked" else {})
        CASES[sys.argv[1]](site)
        assert site.stop() == 0, site.log()


if __name__ == "__main__":
    main()
