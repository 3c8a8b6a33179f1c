#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""expunge = deferred beside other programs: deliveries, a mail reader on the spool, a server that is killed, popcheck. Usage: deferred_test.py CASE."""
import fcntl
import os
import shutil
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import PASSWORD, Pop, Site, message, named_uid, program, skip, wait_until  # noqa: E402

COUNT = 6


def bodies(client):
    """The subjects that a client sees, in order."""
    count = int(client.ok("STAT").split()[1])
    seen = []
    for number in range(1, count + 1):
        _, header = client.multi(f"TOP {number} 0")
        seen += [int(line.split()[-1]) for line in header.splitlines() if line.startswith(b"Subject:")]
    assert len(seen) == count, (seen, count)
    assert client.command(f"RETR {count + 1}").startswith(b"-ERR")
    return seen


def session(site, delete=()):
    """What is seen; then messages are deleted by their subjects."""
    def attempt():
        client = Pop(site.connect())
        client.ok("USER ada")
        if client.command(f"PASS {PASSWORD}").startswith(b"+OK"):
            return client
        client.close()
        return None
    client = wait_until(attempt, what="login")
    seen = bodies(client)
    for number in delete:
        client.ok(f"DELE {seen.index(number) + 1}")
    client.ok("QUIT")
    client.close()
    return seen


def spool_of(numbers):
    return b"".join(message(number) for number in numbers)


def state_path(site, name):
    for folder, _, names in os.walk(site.state):
        if name in names:
            return os.path.join(folder, name)
    return None


def deliver(site, number):
    """As a delivery agent: under lock file and kernel locks."""
    path = os.path.join(site.spool, "ada")

    def lock():
        try:
            os.close(os.open(path + ".lock", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            return True
        except FileExistsError:
            return False
    wait_until(lock, what="lock file")
    with open(path, "ab") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(message(number))
    os.unlink(path + ".lock")


def deliveries(site):
    """Mail arrives before, in and after sessions that delete; in the end exactly what was not deleted is in the spool."""
    left = list(range(1, COUNT + 1))
    for number in range(COUNT + 1, COUNT + 15):
        deliver(site, number)
        left.append(number)
        client = Pop(site.connect())
        client.login()
        seen = bodies(client)
        assert seen == left, (seen, left)
        deliver(site, number + 100)
        gone = left[number % len(left)]
        client.ok(f"DELE {seen.index(gone) + 1}")
        client.ok("QUIT")
        client.close()
        left = [one for one in left if one != gone] + [number + 100]
        assert session(site) == left
    assert len(site.read_spool()) > len(spool_of(left)) and state_path(site, "expunged")
    site.stop()
    site.start(**{"expunge-share": "1"})
    assert session(site) == left
    assert site.read_spool() == spool_of(left) and not state_path(site, "expunged")
    wait_until(lambda: "messages deleted earlier left the spool (expunge)" in site.log(), what="log line")


def reader(site):
    """A reader on the host still shows what is hidden. When it removes one of them, the others are seen again, and none is lost."""
    for tool in ("mutt", "script"):
        if shutil.which(tool) is None:
            skip(f"{tool} is not installed")
    session(site, (1, 3))
    assert session(site) == [2, 4, 5, 6] and site.read_spool() == spool_of(range(1, COUNT + 1))
    rc, spool = os.path.join(site.home, "muttrc"), os.path.join(site.spool, "ada")
    with open(rc, "w") as file:
        file.write(f'set quit=yes\nset delete=yes\nset move=no\nset mark_old=no\nset folder="{site.home}"\nset mbox_type=mbox\nset sort=mailbox-order\n')
    site.own(site.home)
    # It stands on the oldest one, which the POP client deleted.
    site.run(["env", "TERM=xterm", "script", "-qec", f"mutt -n -F {rc} -f {spool} -e 'push <first-entry><delete-message><quit>'", "/dev/null"], check=False,
             timeout=60)
    now = site.read_spool()
    assert [n for n in range(1, COUNT + 1) if b"Subject: number %d\n" % n in now] == [2, 3, 4, 5, 6], now
    assert session(site) == [2, 3, 4, 5, 6]
    assert not state_path(site, "expunged")
    session(site, (3, 6))
    assert session(site) == [2, 4, 5]


def killed(site):
    """What was answered with +OK stays gone when everything dies, and comes back without the file."""
    session(site, (1, 2))
    os.kill(site.process.pid, signal.SIGKILL)
    site.process.wait()
    wait_until(lambda: not [pid for pid in os.listdir("/proc") if pid.isdigit() and is_popper(pid, site)], what="end of the processes")
    os.unlink(state_path(site, "index"))
    site.start()
    assert session(site) == [3, 4, 5, 6]
    done = site.run([program("popper"), "-f", site.config, "--recover"], check=False)
    assert done.returncode == 0, done
    assert session(site) == [3, 4, 5, 6]
    os.unlink(state_path(site, "expunged"))
    assert session(site) == [1, 2, 3, 4, 5, 6]


def is_popper(pid, site):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return site.config.encode() in file.read()
    except OSError:
        return False


def popcheck(site):
    """A look leaves hidden messages hidden. A repair moves messages: they are seen again."""
    session(site, (1,))
    done = site.run([program("popcheck"), "-f", site.config, "ada"], check=False)
    assert done.returncode == 0 and state_path(site, "expunged"), done
    assert session(site) == [2, 3, 4, 5, 6]
    with open(os.path.join(site.spool, "ada"), "ab") as file:
        file.write(message(7).replace(b"From ada@example.org Thu Nov 29", b"From ada@example.org Xhu Nov 29", 1))
    before = site.read_spool()
    done = site.run([program("popcheck"), "-f", site.config, "--repair", "ada"], check=False)
    assert site.read_spool() != before and not state_path(site, "expunged"), done
    assert session(site)[:6] == [1, 2, 3, 4, 5, 6]


def popcheck_finishes(site):
    """Where messages are to leave at once, those that a long update left hidden leave before a repair, and do not come back with it."""
    session(site, (2,))
    site.stop()
    done = site.run([program("popcheck"), "-f", site.config, "--recover", "ada"], check=False)
    assert done.returncode == 0 and state_path(site, "expunged"), done
    site.write_config(expunge="immediate")
    with open(os.path.join(site.spool, "ada"), "ab") as file:
        file.write(message(7) + message(8).replace(b"From ada@example.org Thu Nov 29", b"From ada@example.org Xhu Nov 29", 1))
    start = time.monotonic()
    done = site.run([program("popcheck"), "-f", site.config, "--repair", "ada"], check=False)
    assert time.monotonic() - start < 1.9, "it waited for its own lock"
    assert not state_path(site, "expunged"), done
    site.start(expunge="immediate")
    assert session(site) == [1, 3, 4, 5, 6, 7, 8], done
    # And without anything to repair.
    site.stop()
    site.start()
    session(site, (4,))
    site.stop()
    site.write_config(expunge="immediate")
    done = site.run([program("popcheck"), "-f", site.config, "--recover", "ada"], check=False)
    assert not state_path(site, "expunged") and b"Subject: number 4\n" not in site.read_spool(), done


def unique_ids(site):
    """A comparison does not see what is hidden; an import removes it first, because it makes another listing."""
    session(site, (1, 2))
    answer = os.path.join(site.root, "answer")
    with open(answer, "w") as file:
        file.write("".join(f"{number} theirs-{number}\n" for number in range(1, 5)))
    os.chmod(answer, 0o644)
    done = site.run([program("popper"), "-f", site.config, "--compare-uidl", "ada", "--against", answer], check=False)
    assert b"4 messages here, 4 there" in done.stdout, done
    assert site.read_spool() == spool_of(range(1, COUNT + 1)) and session(site) == [3, 4, 5, 6]
    done = site.run([program("popper"), "-f", site.config, "--import-uidl", "ada", "--against", answer], check=False)
    assert done.returncode == 0, done
    assert site.read_spool() == spool_of(range(3, COUNT + 1)) and session(site) == [3, 4, 5, 6]


def user_options(site):
    """The file of a user in the spool folder may choose, and go back: what is hidden then leaves at the next login."""
    site.stop()
    site.start(**{"expunge": "immediate", "spool-options": "true"})
    path = os.path.join(site.spool, ".ada.qpopper-options")
    with open(path, "w") as file:
        file.write("set expunge = deferred\n")
    os.chmod(path, 0o644)
    if os.geteuid() == 0:
        os.chown(path, site.uid, -1)
    session(site, (2,))
    assert site.read_spool() == spool_of(range(1, COUNT + 1))
    os.unlink(path)
    assert session(site) == [1, 3, 4, 5, 6]
    assert site.read_spool() == spool_of((1, 3, 4, 5, 6)) and not state_path(site, "expunged")


def abort(site):
    """update-on-abort and auto-delete defer as QUIT does."""
    site.stop()
    site.start(**{"update-on-abort": "true"})
    client = Pop(site.connect())
    client.login()
    client.ok("DELE 1")
    client.close()
    wait_until(lambda: state_path(site, "expunged"), what="deletion without QUIT")
    assert session(site) == [2, 3, 4, 5, 6]
    site.stop()
    site.start(**{"auto-delete": "true"})
    client = Pop(site.connect())
    client.login()
    client.multi("RETR 2")
    client.ok("QUIT")
    client.close()
    assert session(site) == [2, 4, 5, 6]
    assert site.read_spool() == spool_of(range(1, COUNT + 1))


CASES = {"deliveries": deliveries, "reader": reader, "killed": killed, "popcheck": popcheck, "popcheck-finishes": popcheck_finishes, "unique-ids": unique_ids, "user-options": user_options,
         "abort": abort}


def main():
    # mutt wants a user with a name.
    with Site({"expunge": "deferred", "expunge-share": "100"}, uid=named_uid() if sys.argv[1] == "reader" else None) as site:
        site.put_spool("ada", spool_of(range(1, COUNT + 1)))
        site.start()
        CASES[sys.argv[1]](site)


if __name__ == "__main__":
    main()
