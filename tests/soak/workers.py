# SPDX-License-Identifier: MIT
"""Processes of deliveries.py: deliverers, POP clients, and a foreign writer, each a child under the mail's uid with a file of what it did."""
import encodings.idna  # noqa: F401  a child may not be able to read the interpreter's files
import fcntl
import os
import pty
import random
import re
import signal
import sys
import time
import traceback

from harness import PASSWORD, Pop, unstuff
from mailbox import START, check_mail, mail, rng_for


def as_child(site, work, *arguments):
    """Runs `work` in a child under the site's uid; returns its pid."""
    sys.stdout.flush()
    pid = os.fork()
    if pid != 0:
        return pid
    code = 1
    try:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(site.uid)
            os.setuid(site.uid)
        os.environ.clear()
        os.environ.update(site.environment(), USER="soak", LOGNAME="soak")
        os.chdir(site.home)
        work(site, *arguments)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def run_command(argv, source, out=None):
    """Exit code of a command that reads `source` and says nothing (or into `out`)."""
    actions = [(os.POSIX_SPAWN_OPEN, 0, source, os.O_RDONLY, 0),
               (os.POSIX_SPAWN_OPEN, 1, out or "/dev/null", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), (os.POSIX_SPAWN_DUP2, 1, 2)]
    pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=actions)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def deliverer(site, argv, number, last, stop_file, seed, journal):
    """Sends messages until it has sent `last`, or `stop_file` exists. A line for each: accepted or refused."""
    rng = rng_for(seed, "deliverer", number)
    path = os.path.join(site.home, f"message.{number}")
    with open(journal, "wb", buffering=0) as done:
        for i in range(last):
            if os.path.exists(stop_file):
                break
            name = b"%d.%d" % (number, i)
            # Some are for the foreign writer to file away, some for it to flag.
            subject = rng.choice(("soak", "soak", "soak", "soak", "flag", "file"))
            with open(path, "wb") as file:
                file.write(mail(name, int(rng.choice((100, 1000, 4000, 20000)) * rng.random()), rng, subject))
            code = run_command(argv, path, os.path.join(site.home, f"agent.{number}.out"))
            done.write(b"%s %s\n" % (b"accepted" if code == 0 else b"refused:%d" % code, name))


def session(site, user, rng, done, kept):
    """Fetches and deletes. Only what +OK to QUIT confirmed counts as deleted; without an answer nothing is known and nothing assumed."""
    client = Pop(site.connect())
    client.socket.settimeout(90)  # an update may wait for locks
    client.command(f"USER {user}")
    answer = client.command(f"PASS {PASSWORD}")
    if not answer.startswith(b"+OK"):
        client.close()
        time.sleep(0.5 * rng.random())
        return answer
    count = int(client.ok("STAT").split()[1])
    taken = []
    for number in range(1, count + 1):
        if rng.random() < kept:
            continue
        answer = client.command(f"RETR {number}")
        if not answer.startswith(b"+OK"):
            client.close()  # another program rewrote the spool: without QUIT nothing is deleted
            done.write(b"not-updated %s" % answer.replace(b"\r\n", b"\n"))
            return answer
        body = client.body()
        name, fault = check_mail(unstuff(body).replace(b"\r\n", b"\n"))
        if fault:
            done.write(b"torn %s %s\n" % (name, fault.replace("\n", " ").encode()))
        client.ok(f"DELE {number}")
        taken.append(name)
    answer = client.command("QUIT")
    client.close()
    if answer.startswith(b"+OK"):
        done.write(b"".join(b"deleted %s\n" % name for name in taken))
    else:
        done.write(b"not-updated %s" % answer.replace(b"\r\n", b"\n"))
    return answer


def client(site, user, number, stop_file, seed, journal):
    rng = rng_for(seed, "client", number)
    with open(journal, "wb", buffering=0) as done:
        while not os.path.exists(stop_file):
            session(site, user, rng, done, rng.choice((0.0, 0.2, 0.6)))
            time.sleep(2 * rng.random())


def drive_on_terminal(argv, seconds):
    """Runs a program that wants a terminal; True when it ended by itself. When it waits for a key it is told to leave: an error message (an
    empty or locked mailbox) makes mutt forget the keys it was given."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "vt100"
        os.execv(argv[0], argv)
    end = time.monotonic() + seconds
    said, screen = time.monotonic(), b""
    os.set_blocking(terminal, False)
    try:
        while time.monotonic() < end:
            try:
                screen = (screen + os.read(terminal, 65536))[-2000:]
                said = time.monotonic()
            except BlockingIOError:
                time.sleep(0.005)
                if time.monotonic() - said > 0.7:
                    os.write(terminal, b"\x07x")
                    said = time.monotonic()
            except OSError:
                pass  # its end of the terminal is closed
            if os.waitpid(pid, os.WNOHANG)[0] == pid:
                return True
        print(f"{argv[0]} did not end: {screen!r}", flush=True)
        os.kill(pid, signal.SIGTERM)
        time.sleep(0.2)
        if os.waitpid(pid, os.WNOHANG)[0] == 0:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        return False
    finally:
        os.close(terminal)


def mutt(site, box, number, stop_file, seed, journal):
    """A mail reader that flags messages and takes flags off again, and so rewrites the spool each time."""
    rc = os.path.join(site.home, f"muttrc.{number}")
    locker = os.path.join(site.home, "dotlock")
    with open(locker, "w") as file:
        # Of itself mutt asks after five seconds whether to break a lock, and takes what comes next from the keyboard for a yes. It holds
        # the fcntl lock while it waits, and the agents wait for that with the lock file in their hands: so it must not wait long.
        file.write('#!/bin/sh\ncase " $*" in *" -f"*) exit 1;; *" -r"*) ;; *) exec /usr/bin/mutt_dotlock "$@";; esac\n'
                   'for box; do :; done\n/usr/bin/mutt_dotlock -p -r 0 "$box" && exit 0\nexit 1\n')
    os.chmod(locker, 0o700)
    with open(rc, "w") as file:
        file.write(f'set dotlock_program="{locker}"\nset move=no quit=yes delete=yes check_new=no header_cache="" mail_check=0 timeout=1\n'
                   f'set sleep_time=0 wait_key=no beep=no tmpdir="{site.home}" sort=mailbox-order folder="{site.home}" record=""\n'
                   f'set mbox_type=mbox spoolfile="{box}" mark_old=yes auto_tag=no flag_safe=no\n')
    rng = random.Random(f"{seed} mutt {number}")
    with open(journal, "wb", buffering=0) as done:
        while not os.path.exists(stop_file):
            size = os.path.getsize(box)
            if size == 0:
                time.sleep(0.05)
                continue
            change = rng.choice(("<set-flag>!", "<clear-flag>!", "<set-flag>r", "<clear-flag>r"))
            keys = f'push "<tag-pattern>~s ^flag<enter><tag-prefix-cond>{change}<end-cond><sync-mailbox><exit>"'
            ended = drive_on_terminal(["/usr/bin/mutt", "-n", "-F", rc, "-f", box, "-e", keys], 30)
            done.write(b"%s %d %d\n" % (b"ended" if ended else b"killed", size, os.path.getsize(box)))
            time.sleep(3 * rng.random())


def lock_all(file, lock, kinds):
    """Takes the named locks without waiting: all or none."""
    if "dotlock" in kinds:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            return False
    try:
        if "fcntl" in kinds:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if "flock" in kinds:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError:
        if "dotlock" in kinds:
            os.unlink(lock)
        return False


def rewritten(spool, rng, done):
    """The spool without some of the messages for "file", and with a field more in some for "flag"."""
    out = []
    starts = [match.start() for match in START.finditer(spool)] + [len(spool)]
    for first, last in zip(starts, starts[1:]):
        text = spool[first:last]
        subject = re.search(rb"^Subject: (\w+) (\S+)$", text, re.M)
        kind = subject.group(1) if subject else b""
        if kind == b"file" and rng.random() < 0.7:
            done.append(subject.group(2))
            continue
        if kind == b"flag" and b"\nStatus: RO\n" not in text.split(b"\n\n", 1)[0]:
            text = text.replace(b"\n\n", b"\nStatus: RO\n\n", 1)
        out.append(text)
    return b"".join(out)


def writer(site, box, kinds, stop_file, seed, journal):
    """A mail program that removes and flags messages in place, under the locks it shares with all others."""
    rng = rng_for(seed, "writer")
    with open(journal, "wb", buffering=0) as record:
        while not os.path.exists(stop_file):
            with open(box, "r+b") as file:
                if lock_all(file, box + ".lock", kinds):
                    try:
                        removed = []
                        text = rewritten(file.read(), rng, removed)
                        # All of it is in the page cache by one write, then cut; we are not killed here.
                        file.seek(0)
                        file.write(text)
                        file.truncate()
                        file.flush()
                        record.write(b"".join(b"removed %s\n" % name for name in removed) + b"ended\n")
                    finally:
                        if "dotlock" in kinds:
                            os.unlink(box + ".lock")
            time.sleep(1.5 * rng.random())
