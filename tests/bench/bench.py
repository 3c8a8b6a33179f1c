#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures popper beside other POP3 servers in one run, pairs interleaved, and prints medians and ratios.

Usage: bench.py [--messages N] [--octets N] [--rounds N] [--cases A,B] [--clients 1,8] [--peers popa3d,dovecot,mailutils] [--out FOLDER] [--list] [--smoke]

Needs root: a private mount namespace holds accounts, /var/mail and every server's files; nothing outside changes. Peers are started on loopback when
their Debian packages are there or can be downloaded. Passwords are cheap to check everywhere (MD5-crypt for PAM, SCRAM or plain in databases), so that
servers are measured and not hashes. Milliseconds unless said; ratio = peer / popper, so that more than 1 means that popper is faster.
"""
import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import TOP, Site, enter_private_namespace, free_port, program, skip  # noqa: E402
import cases  # noqa: E402
import peers  # noqa: E402
import plot  # noqa: E402

PASSWORD = "benchpassword"
UID = 64399
SMALL_USERS = 200
# Each has a large maildrop of its own: what one does to a spool (times, X- fields) must not cost another one a scan.
SERVERS = ("popper", "popper-pam", "popper-deferred", "popa3d", "dovecot", "mailutils")


def generate(path, count, octets, seed=1):
    """A spool of `count` messages of about `octets` octets, the same for the same seed."""
    rng = random.Random(seed)
    words = [bytes(rng.choice(b"abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(2, 11))) for _ in range(2000)]
    text = b"\n".join(b" ".join(rng.choice(words) for _ in range(rng.randint(6, 12))) for _ in range(max(400, 4 * octets // 60)))
    with open(path, "wb") as file:
        for number in range(count):
            file.write(message(rng, number, text, octets))


def message(rng, number, text, octets):
    size = max(100, octets - 600)
    at = rng.randrange(max(1, len(text) - size))
    return (b"From sender%d@example.org Thu Nov 29 %02d:%02d:%02d 2012\n" % (number, number // 3600 % 24, number // 60 % 60, number % 60)
            + b"Return-Path: <sender%d@example.org>\nReceived: from a.example.org (a.example.org [192.0.2.7])\n" % number
            + b"\tby mx.example.org (Postfix) with ESMTPS id %08X\n\tfor <bench@example.org>; Thu, 29 Nov 2012 23:33:09 +0000 (UTC)\n" % rng.getrandbits(32)
            + b"Date: Thu, 29 Nov 2012 23:33:09 +0000\nFrom: Sender %d <sender%d@example.org>\nTo: bench@example.org\n" % (number, number)
            + b"Subject: message number %d of the benchmark\nMessage-ID: <%d.%d@example.org>\n" % (number, number, rng.getrandbits(60))
            + b"MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n" + text[at:at + size] + b"\n\n")


class Run:
    """Accounts, spools, certificate and servers of one run."""

    def __init__(self, options, folder):
        self.top, self.options, self.folder, self.uid, self.password = TOP, options, folder, UID, PASSWORD
        self.rounds = options.rounds
        self.small_users = 8 if options.smoke else SMALL_USERS
        self.users = ["bench", *(peers.user_of(name) for name in SERVERS), *(f"user{number}" for number in range(self.small_users))]
        self.results = []
        self.servers = {}
        self.add_accounts()
        self.make_spools()
        self.certificate = os.path.join(folder, "cert.pem")
        subprocess.run([program("popcert"), "init", "--host", "localhost", "--file", self.certificate], check=True, stdout=subprocess.DEVNULL)

    def add_accounts(self):
        hashed = subprocess.run(["openssl", "passwd", "-1", "-salt", "bench", PASSWORD], capture_output=True, text=True, check=True).stdout.strip()
        lines = {"passwd": "{}:x:%d:%d::/nonexistent:/bin/sh\n" % (UID, UID), "shadow": "{}:%s:19000:0:99999:7:::\n" % hashed}
        etc = os.path.join(self.folder, "etc")
        shutil.copytree("/etc", etc, symlinks=True, ignore_dangling_symlinks=True, ignore=shutil.ignore_patterns("pop.auth*"))
        for name, line in lines.items():
            with open(os.path.join(etc, name), "a") as file:
                file.writelines(line.format(user) for user in self.users)
        with open(os.path.join(etc, "group"), "a") as file:
            file.write(f"bench:x:{UID}:\n")
        for service in ("popa3d", "qpopper", "mailutils-pop3d", "pop3"):
            with open(os.path.join(etc, "pam.d", service), "w") as file:
                file.write("auth required pam_unix.so\naccount required pam_unix.so\n")
        subprocess.run(["mount", "--bind", etc, "/etc"], check=True)

    def make_spools(self):
        mail = os.path.join(self.folder, "mail")
        os.mkdir(mail)
        os.chmod(mail, 0o1777)
        subprocess.run(["mount", "--bind", mail, "/var/mail"], check=True)
        self.original = os.path.join(self.folder, "original")
        generate(self.original, self.options.messages, self.options.octets)
        small = os.path.join(self.folder, "small")
        generate(small, 5, 2000, seed=2)
        for user in self.users[1 + len(SERVERS):]:
            self.put(small, user)

    def put(self, source, user):
        path = f"/var/mail/{user}"
        shutil.copyfile(source, path)
        os.chown(path, UID, UID)
        os.chmod(path, 0o600)
        return path

    def restore(self, *servers, source=None):
        """The large maildrop of these servers, or of all, as it was; on the disk, so that who syncs does not pay for the copy."""
        for name in servers or self.servers:
            self.put(source or self.original, peers.user_of(name))
        os.sync()

    def append(self, server, number):
        rng = random.Random(number)
        with open(f"/var/mail/{peers.user_of(server)}", "ab") as file:
            file.write(message(rng, number, b"new mail " * 400, 2000))

    def start_popper(self, site, name, **options):
        site.mail_uid, site.tls_port = UID, free_port()
        site.state = os.path.join(site.root, f"state.{name}")
        os.mkdir(site.state, 0o711)
        site.options.update({"spool-dir": "/var/mail", "auth-user": "bench", "session-user": "nobody", "tls-user": "nobody", "tls-server-cert-file": self.certificate,
                             "max-sessions-per-address": "20000", "max-sessions": "20000", "max-unauthenticated": "20000", "spare-sessions": "16", **options})
        site.start([f"tls:127.0.0.1:{site.tls_port}"], **{"state-dir": site.state})
        server = peers.Popper(site)
        server.name = name
        self.servers[name] = server

    def median(self, name):
        found = [result for result in self.results if result["case"] == name]
        return found[0] if found else None

    def report(self, case, figures, unit="ms", more_is_better=False, note=""):
        """`figures`: {server: [values]}; one row of the table."""
        medians = {name: statistics.median(values) for name, values in figures.items() if values}
        own = medians.get("popper") or next(iter(medians.values()))
        ratios = {name: (own / value if more_is_better else value / own) for name, value in medians.items() if value and own}
        self.results.append({"case": case, "unit": unit, "more_is_better": more_is_better, "medians": medians, "ratios": ratios, "values": figures, "note": note})
        cells = "  ".join(f"{name} {medians[name]:.4g} ({ratios.get(name, 0):.2f})" for name in medians)
        print(f"{case:<46} {unit:<9} {cells}{'  ' + note if note else ''}", flush=True)


def make_database(site, run):
    folder = os.path.join(site.root, "db")
    os.mkdir(folder, 0o755)
    os.chown(folder, UID, UID)
    site.database = os.path.join(folder, "pop.auth")
    keeper = {"user": UID, "group": UID, "extra_groups": []}
    subprocess.run([program("popauth"), "-db", site.database, "-init"], check=True, stderr=subprocess.DEVNULL, **keeper)
    for user in run.users:
        subprocess.run([program("popauth"), "-db", site.database, "-user", user, "-stdin"], input=PASSWORD.encode() + b"\n", check=True, stderr=subprocess.DEVNULL, **keeper)
    os.chown(site.database + ".key", 0, 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=20000)
    parser.add_argument("--octets", type=int, default=20150)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cases", default="")
    parser.add_argument("--clients", default="1,8,16,64", help="of the case logins")
    parser.add_argument("--peers", default="popa3d,dovecot,mailutils")
    parser.add_argument("--out", default=os.path.join(TOP, "build", "bench"))
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--smoke", action="store_true", help="a small run for the tests")
    options = parser.parse_args()
    if options.list:
        print("\n".join(f"{name:<14} {(run.__doc__ or '').strip()}" for name, run in cases.CASES.items()))
        return 0
    wanted = options.cases.split(",") if options.cases else list(cases.CASES)
    unknown = [name for name in wanted if name not in cases.CASES]
    if unknown:
        parser.error(f"no such case: {', '.join(unknown)}")
    if options.smoke:
        options.messages, options.octets, options.rounds = 300, 5000, 1
    enter_private_namespace()
    parent = tempfile.mkdtemp(prefix="qpop.bench.")
    os.chmod(parent, 0o755)
    run = Run(options, parent)
    try:
        with Site(users=(), uid=0, parent=parent) as site, Site(users=(), uid=0, parent=parent) as by_pam, Site(users=(), uid=0, parent=parent) as defers:
            make_database(site, run)
            run.start_popper(site, "popper")
            if "logins" in wanted:
                run.start_popper(by_pam, "popper-pam", **{"auth-backends": "pam"})
            if "delete" in wanted:
                defers.database = site.database
                run.start_popper(defers, "popper-deferred", **{"expunge": "deferred", "expunge-share": "100"})
            for peer in (peers.Popa3d, peers.Dovecot, peers.Mailutils):
                server = peer.make(run) if peer.name in options.peers.split(",") else None
                if server is not None:
                    run.servers[peer.name] = server
                elif peer.name in options.peers.split(","):
                    print(f"SKIPPED: {peer.name} cannot be had here")
            if options.smoke and len(run.servers) < 2:
                skip("no peer is installed")
            run.restore()
            print(f"{options.messages} messages, {os.path.getsize(run.original) / 1e6:.0f} MB, {options.rounds} rounds; medians, in brackets peer / popper (more than 1: popper is better)")
            for name in wanted:
                cases.CASES[name](run)
            site.stop()
    finally:
        for server in run.servers.values():
            server.close()
        subprocess.run(["umount", "/var/mail"], check=False)
        subprocess.run(["umount", "-l", "/etc"], check=False)
        shutil.rmtree(parent, ignore_errors=True)
    os.makedirs(options.out, exist_ok=True)
    with open(os.path.join(options.out, "results.json"), "w") as file:
        json.dump({"messages": options.messages, "octets": options.octets, "rounds": options.rounds, "results": run.results}, file, indent=1)
    plot.write_all(options.out, run.results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
