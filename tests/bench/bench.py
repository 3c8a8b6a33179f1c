#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures popper beside popa3d in one run: first open, second open, RETR of all messages, memory of a session.

Usage: bench.py [--messages N] [--octets N] [--rounds N] [--smoke]     needs root (private mount namespace; nothing outside it changes)
Pairs are interleaved; figures are medians in milliseconds, ratios are popa3d / popper. popa3d checks the password by PAM with an
MD5-crypt hash, popper by a SCRAM record, so that neither pays for a slow hash; --smoke is a small run for the tests.
"""
import argparse
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import Site, enter_private_namespace, program, skip  # noqa: E402

PASSWORD = "benchpassword"
# Made by: openssl passwd -1 -salt bench benchpassword
UID = 64399


def add_account(site, spool):
    """A system user "bench" in copies of the account files, and its spool under /var/mail, visible in this namespace only."""
    hashed = subprocess.run(["openssl", "passwd", "-1", "-salt", "bench", PASSWORD], capture_output=True, text=True, check=True).stdout.strip()
    for name, line in (("passwd", f"bench:x:{UID}:{UID}::/nonexistent:/bin/sh\n"), ("shadow", f"bench:{hashed}:19000:0:99999:7:::\n"),
                       ("group", f"bench:x:{UID}:\n")):
        copy = os.path.join(site.root, name)
        shutil.copy(f"/etc/{name}", copy)
        with open(copy, "a") as file:
            file.write(line)
        subprocess.run(["mount", "--bind", copy, f"/etc/{name}"], check=True)
    subprocess.run(["mount", "--bind", spool, "/var/mail"], check=True)


def generate(path, count, octets, seed=1):
    """A spool of `count` messages of about `octets` octets, the same for the same seed."""
    rng = random.Random(seed)
    words = [bytes(rng.choice(b"abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(2, 11))) for _ in range(2000)]
    text = b"\n".join(b" ".join(rng.choice(words) for _ in range(rng.randint(6, 12))) for _ in range(4 * octets // 60))
    with open(path, "wb") as file:
        for number in range(count):
            at = rng.randrange(len(text) - octets)
            file.write(b"From sender%d@example.org Thu Nov 29 %02d:%02d:%02d 2012\n" % (number, number // 3600 % 24, number // 60 % 60, number % 60)
                       + b"Return-Path: <sender%d@example.org>\nReceived: from a.example.org (a.example.org [192.0.2.7])\n" % number
                       + b"\tby mx.example.org (Postfix) with ESMTPS id %08X\n\tfor <bench@example.org>; Thu, 29 Nov 2012 23:33:09 +0000 (UTC)\n" % rng.getrandbits(32)
                       + b"Date: Thu, 29 Nov 2012 23:33:09 +0000\nFrom: Sender %d <sender%d@example.org>\nTo: bench@example.org\n" % (number, number)
                       + b"Subject: message number %d of the benchmark\nMessage-ID: <%d.%d@example.org>\n" % (number, number, rng.getrandbits(60))
                       + b"MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n" + text[at:at + octets - 600] + b"\n\n")


class Popa3d:
    """popa3d as inetd would start it: its own port is fixed when it is built."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            subprocess.Popen(["/usr/sbin/popa3d"], stdin=client, stdout=client, stderr=subprocess.DEVNULL)
            client.close()


def client(port, *mode):
    done = subprocess.run([program("pop3_load"), str(port), "bench", PASSWORD, *mode], capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise SystemExit(f"port {port} {mode}: {done.stderr}")
    elapsed, count, octets = done.stdout.split()
    return float(elapsed), int(count), int(octets)


def process_tree(pid):
    pids, todo = [], [pid]
    while todo:
        one = todo.pop()
        pids.append(one)
        with open(f"/proc/{one}/task/{one}/children") as file:
            todo.extend(int(child) for child in file.read().split())
    return pids


def proportional_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:"))


def holds_spool(pid):
    folder = f"/proc/{pid}/fd"
    try:
        return any(os.readlink(os.path.join(folder, fd)).endswith("/bench") for fd in os.listdir(folder))
    except OSError:
        return False


def memory_of_session(site):
    """Proportional set size of the process that serves one held session, in KiB."""
    holder = subprocess.Popen([program("pop3_load"), str(site.port), "bench", PASSWORD, "hold"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    holder.stdout.readline()
    time.sleep(0.3)
    size = max(proportional_kib(pid) for pid in process_tree(site.process.pid) if holds_spool(pid))
    holder.communicate()
    return size


def row(name, ours, theirs):
    a, b = statistics.median(ours), statistics.median(theirs)
    print(f"{name:<52} {a:>10.2f} {b:>10.2f} {b / a:>8.2f}", flush=True)
    return b / a


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=20000)
    parser.add_argument("--octets", type=int, default=20150)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    if not os.path.exists("/usr/sbin/popa3d"):
        skip("popa3d is not installed")
    enter_private_namespace()
    if options.smoke:
        options.messages, options.rounds = 200, 2
    with Site(users=(), uid=0, options={"max-sessions-per-address": "1000"}) as site:
        os.chmod(site.spool, 0o1777)
        spool = os.path.join(site.spool, "bench")
        generate(spool, options.messages, options.octets)
        os.chown(spool, UID, UID)
        os.chmod(spool, 0o600)
        add_account(site, site.spool)
        os.chmod(site.state, 0o711)
        keeper = {"user": UID, "group": UID, "extra_groups": []}
        folder = os.path.join(site.root, "db")
        os.mkdir(folder, 0o755)
        os.chown(folder, UID, UID)
        site.database = os.path.join(folder, "pop.auth")
        for argv, text in ((["-init"], b""), (["-user", "bench", "-stdin"], PASSWORD.encode() + b"\n")):
            subprocess.run([program("popauth"), "-db", site.database, *argv], input=text, check=True, stderr=subprocess.DEVNULL, **keeper)
        site.options.update({"spool-dir": "/var/mail", "auth-user": "bench", "session-user": "nobody"})
        site.start()
        peer = Popa3d()
        size = os.path.getsize(spool)
        print(f"{options.messages} messages, {size / 1e6:.0f} MB, {options.rounds} rounds, medians in ms; ratio = popa3d / popper")
        print(f"{'':<52} {'popper':>10} {'popa3d':>10} {'ratio':>8}")
        measure(site, peer, options)


def measure(site, peer, options):
    index = os.path.join(site.state, "u", f"{UID}.bench", "index")
    first, second, theirs = [], [], []
    client(peer.port, "open")
    for _ in range(options.rounds):
        if os.path.exists(index):
            os.unlink(index)
        first.append(client(site.port, "open")[0])
        theirs.append(client(peer.port, "open")[0])
    time.sleep(2.1)
    client(site.port, "open")
    again = []
    for _ in range(options.rounds):
        second.append(client(site.port, "open")[0])
        again.append(client(peer.port, "open")[0])
    row("first open, connect to STAT", first, theirs)
    row("second open, spool unchanged", second, again)
    print(f"{'first open / second open of popper':<52} {statistics.median(first) / statistics.median(second):>10.2f}")
    ours, theirs = [], []
    for _ in range(max(1, options.rounds // 2)):
        ours.append(client(site.port, "retr", "--ack-now"))
        theirs.append(client(peer.port, "retr", "--ack-now"))
    assert ours[0][1] == theirs[0][1] == options.messages, (ours[0], theirs[0])
    row("RETR of all, lockstep, acknowledged at once", [o[0] for o in ours], [t[0] for t in theirs])
    ours = [client(site.port, "retr") for _ in range(max(1, options.rounds // 2))]
    few = min(options.messages, 100)
    theirs_ms = ordinary_peer(peer, few)
    row("RETR lockstep, ordinary client, ms a message", [o[0] / options.messages for o in ours], [theirs_ms])
    print(f"{'memory of one held session, KiB (proportional)':<52} {memory_of_session(site):>10}")


def ordinary_peer(peer, few):
    """popa3d waits for each delayed acknowledgement; a hundred messages tell enough."""
    connection = socket.create_connection(("127.0.0.1", peer.port), timeout=60)
    stream = connection.makefile("rb")
    stream.readline()
    for command in (b"USER bench\r\n", b"PASS " + PASSWORD.encode() + b"\r\n"):
        connection.sendall(command)
        stream.readline()
    start = time.monotonic()
    for number in range(1, few + 1):
        connection.sendall(b"RETR %d\r\n" % number)
        while stream.readline() != b".\r\n":
            pass
    elapsed = (time.monotonic() - start) * 1000 / few
    connection.close()
    return elapsed


if __name__ == "__main__":
    main()
