#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Hostile clients: others are served, memory stays bounded, the log has one line for each event. Usage: hostile_test.py CASE."""
import os
import random
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import PASSWORD, Pop, Site, mailbox, message, wait_until  # noqa: E402
from interrupted import children  # noqa: E402

# A sanitizer multiplies memory: the bounds hold for the programs as they are installed, everything else is tested in both builds.
MEMORY_COUNTS = os.environ.get("QPOP_SANITIZED") != "1"
SMOKE = os.environ.get("QPOP_LONG") != "1"


def resident_kib(pid):
    """0 of one that has just ended."""
    try:
        with open(f"/proc/{pid}/status") as file:
            return sum(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
    except (FileNotFoundError, ProcessLookupError):
        return 0


def largest_child(site):
    return max((resident_kib(pid) for pid in children(site.process.pid)), default=0)


def from_address(site, address):
    """A connection from another loopback address, so that limits by address tell it from the attacker."""
    return socket.create_connection(("127.0.0.1", site.port), timeout=20, source_address=(address, 0))


def serve_another(site):
    start = time.monotonic()
    client = Pop(from_address(site, "127.0.0.9"))
    assert b"3 visible" in client.login(), site.log()
    client.ok("QUIT")
    client.close()
    return time.monotonic() - start


def random_bytes(site):
    rng = random.Random(7)
    site.start()
    for i in range(60 if SMOKE else 2000):
        connection = site.connect()
        try:
            connection.sendall(rng.randbytes(rng.randint(1, 4000)))
            if i % 3 == 0:
                connection.sendall(b"USER ada\r\nPASS " + rng.randbytes(rng.randint(1, 300)) + b"\r\n")
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
        except OSError:
            pass
        connection.close()
    serve_another(site)
    for line in site.log().splitlines():
        assert len(line) < 1200 and line.isprintable(), line
    assert "killed by signal" not in site.log()


def endless_line(site):
    """A line that does not end: cut off after 1 MiB, in constant memory."""
    site.start()
    connection = site.connect()
    block = b"A" * 65536
    sent = 0
    try:
        while sent < (1 << 30):
            sent += connection.send(block)
    except OSError:
        pass
    assert sent < 64 << 20, f"{sent} octets were taken"
    assert not MEMORY_COUNTS or largest_child(site) < 32 * 1024
    serve_another(site)
    wait_until(lambda: "without a line end; connection closed" in site.log(), what="log line")
    assert site.log().count("without a line end") == 1


def half_commands(site):
    site.start()
    held = []
    for i in range(40):
        connection = site.connect()
        connection.sendall([b"US", b"USER ada\r\nPA", b"\r", b"USER ada\r", b"QUI"][i % 5])
        held.append(connection)
    serve_another(site)
    for connection in held:
        connection.close()
    wait_until(lambda: site.log().count("POP EOF or I/O Error") >= 40, what="one line for each")


def silent(site):
    """2,000 silent connections from one address, and as many as are let in from many."""
    site.options.update({"login-timeout": "3"})
    site.start()
    held = []
    for _ in range(2000):
        try:
            held.append(socket.create_connection(("127.0.0.1", site.port), timeout=5))
        except OSError:
            break
    assert len(held) == 2000
    assert serve_another(site) < 10
    assert len(children(site.process.pid)) < 80, "max-sessions-per-address holds"
    assert "max-sessions-per-address reached" in site.log()
    assert site.log().count("refused") < 20, "a flood is not a line each"
    for i in range(300):
        held.append(from_address(site, f"127.0.1.{1 + i % 250}"))
    assert serve_another(site) < 10
    assert len(children(site.process.pid)) < 260, "max-unauthenticated holds"
    total = sum(resident_kib(pid) for pid in children(site.process.pid))
    assert not MEMORY_COUNTS or total < 2 * 1024 * 1024
    for connection in held:
        connection.close()
    wait_until(lambda: len(children(site.process.pid)) < 20, 30, "sessions ended")
    assert serve_another(site) < 5


def never_reads(site):
    """A client that asks for a large message again and again and reads nothing holds one buffer and goes after write-timeout."""
    site.put_spool("ada", message(1, body=b"x" * 70 + b"\n" + (b"y" * 76 + b"\n") * 200000))
    site.options.update({"write-timeout": "2"})
    site.start()
    connection = site.connect()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.sendall(b"USER ada\r\nPASS " + PASSWORD.encode() + b"\r\n" + b"RETR 1\r\n" * 20)
    wait_until(lambda: "during nw write to" in site.log(), 20, "stalled client cut off")
    assert not MEMORY_COUNTS or largest_child(site) < 32 * 1024
    connection.close()
    client = Pop(wait_until(lambda: site.connect(), what="connect"))
    client.login()


FAILED = "[AUTH] Failed attempted login to ada from host (127.0.0.1) 127.0.0.1 [wrong password (USER/PASS)]"


def guessing(site):
    """Many connections of one address guess at once: they wait for each other, longer and longer; others do not; the right password gets in."""
    site.options.update({"failed-login-delay": "1", "login-timeout": "120"})
    site.start()
    start = time.monotonic()
    attackers = []
    for i in range(20):
        connection = site.connect()
        connection.sendall(b"".join(b"USER ada\r\nPASS guess %d %d\r\n" % (i, j) for j in range(3)))
        attackers.append(connection)
    time.sleep(0.5)
    assert serve_another(site) < 5
    time.sleep(max(0.0, start + 12 - time.monotonic()))
    # Looked at after 0, 1, 3 and 7 seconds; the next would be at 15.
    assert 3 <= site.log().count(FAILED) <= 4, site.log()
    assert serve_another(site) < 5, "a block that waits holds up nobody else"
    for connection in attackers:
        connection.close()
    # Their sessions are still asking, and would be first; without them the right password has to wait for the penalty alone.
    kill_all(site, "popper-session")
    begun = time.monotonic()
    client = wait_until(lambda: logged_in(site), 60, "login after the penalty")
    assert time.monotonic() - begun < 20
    client.ok("QUIT")


def logged_in(site):
    """None for a connection that was handed to a session process that had just been killed."""
    try:
        client = Pop(site.connect())
        client.socket.settimeout(60)
        client.login()
        return client
    except (AssertionError, OSError):
        return None


def running(site, name):
    out = []
    for pid in children(site.process.pid):
        try:
            with open(f"/proc/{pid}/comm") as file:
                out += [pid] if file.read().strip() == name else []
        except (FileNotFoundError, ProcessLookupError):
            pass  # ended by itself meanwhile
    return out


def kill_all(site, name):
    for pid in running(site, name):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def killed_roles(site):
    """Session and authenticator processes die, and the one that waits to become a maildrop process: the server goes on, and the log says so."""
    site.start()
    for name in ("popper-session", "popper-auth", "popper-waiting"):
        if name == "popper-waiting":
            wait_until(lambda: running(site, "popper-waiting"), what="process that waits")
        kill_all(site, name)
        if name == "popper-waiting":
            # A login before that might give its work to one that is dying, and fail as when a maildrop process is killed.
            wait_until(lambda: "that waited for work ended: killed by signal 9" in site.log(), what="log line")
        wait_until(lambda: attempt(site), 20, f"service after the end of {name}")
    assert "killed by signal 9" in site.log()
    wait_until(lambda: running(site, "popper-waiting"), what="another process that waits")
    pid, = running(site, "popper-waiting")
    assert attempt(site)
    wait_until(lambda: running(site, "popper-waiting") not in ([], [pid]), what="the next one, because that one had work")


def attempt(site):
    try:
        serve_another(site)
        return True
    except (AssertionError, OSError):
        return False


def hole(site):
    """A spool that is one hole of four terabytes: refused at its first octet, and no process goes on reading it."""
    site.put_spool("ada", b"")
    os.truncate(os.path.join(site.spool, "ada"), 1 << 42)
    site.start()
    for _ in range(3):
        client = Pop(site.connect())
        client.ok("USER ada")
        start = time.monotonic()
        answer = client.command(f"PASS {site.password}")
        assert answer.startswith(b"-ERR [SYS/PERM] Unable to process From lines"), answer
        assert time.monotonic() - start < 10
        client.close()
    wait_until(lambda: "look at it with popcheck ada" in site.log(), what="advice in the log")
    wait_until(lambda: b"popper-maildrop" not in subprocess.run(["ps", "-o", "comm=", "--ppid", str(site.process.pid)], capture_output=True, check=True).stdout,
               what="end of the maildrop processes")


CASES = {"hole": hole, "random-bytes": random_bytes, "endless-line": endless_line, "half-commands": half_commands, "silent": silent, "never-reads": never_reads,
         "guessing": guessing, "killed-roles": killed_roles}


def main():
    with Site() as site:
        site.put_spool("ada", mailbox(3))
        try:
            CASES[sys.argv[1]](site)
        except BaseException:
            print(site.log()[-6000:])
            raise
        assert site.stop() == 0
    print(f"{sys.argv[1]}: ok")


if __name__ == "__main__":
    main()
