#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Kills and stops popauth at random while several of them change one database: every acknowledged change must be there afterwards.

Usage: accounts.py [--trials N | --minutes N] [--seed S] [--workers N]      one trial: a kill -9, or a stop of up to 0.3 s
Each worker owns some names and is alone in changing them, so that it knows what must stand: the last acknowledged state, or, when the last
call was killed, the state before or after it. A reader lists and backs up meanwhile. Every now and then all stop and the whole database is
compared. lost: an acknowledged change is missing. torn: a damaged entry, or a database that does not open. hung: a call took more than 8 s.
"""
import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import program  # noqa: E402

HUNG_S = 8
NAMES = 6  # of each worker


class Counts(dict):
    def __init__(self):
        super().__init__(kills=0, stops=0, calls=0, acknowledged=0, lost=0, torn=0, hung=0, refused=0, rounds=0)
        self.lock = threading.Lock()

    def add(self, name, number=1):
        with self.lock:
            self[name] += number

    def trials(self):
        return self["kills"] + self["stops"]


class Call:
    """One popauth under attack: None, killed or stopped after a random time."""

    def __init__(self, database, arguments, counts, rng, text=b""):
        self.counts = counts
        self.process = subprocess.Popen([program("popauth"), "-db", database, *arguments], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE)
        self.began = time.monotonic()
        try:
            self.process.stdin.write(text)
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        counts.add("calls")
        fate = rng.random()
        time.sleep(rng.random() ** 2 * 0.05)
        if fate < 0.5:
            self.process.kill()
            counts.add("kills")
        elif fate < 0.65:
            self.process.send_signal(signal.SIGSTOP)
            counts.add("stops")
            time.sleep(rng.random() * 0.3)
            self.process.send_signal(signal.SIGCONT)

    def code(self):
        """Exit code; None when it was killed."""
        error = self.process.stderr.read().decode(errors="replace")
        code = self.process.wait()
        if time.monotonic() - self.began > HUNG_S:
            self.counts.add("hung")
        if code == 0:
            self.counts.add("acknowledged")
        elif code > 0 and "no entry for" not in error:
            # Waiting for its lock it may see the file replaced by a compaction; nothing else may go wrong.
            if "try again" not in error:
                print("refused:", error.strip().splitlines()[-1] if error.strip() else code, flush=True)
            self.counts.add("refused")
        return None if code < 0 else code


class Worker(threading.Thread):
    """`state`: name -> the kinds listed; `open`: the state that a killed call may have left as well."""

    def __init__(self, number, database, counts, seed):
        super().__init__()
        self.number, self.database, self.counts = number, database, counts
        self.rng = random.Random(f"{seed}.{number}")
        self.state, self.open = {}, {}
        self.calls = 0

    def run(self):
        for _ in range(self.calls):
            self.change()

    def change(self):
        name = f"w{self.number}n{self.rng.randrange(NAMES)}"
        # What stands is not known for sure after a kill: no further change until it is looked at.
        if name in self.open:
            return
        before = self.state.get(name)
        verb = self.rng.choice(("-user", "-user", "-delete", "-disable", "-enable"))
        after, text = before, b""
        if verb == "-user":
            after, text = ("APOP SCRAM" + (" disabled" if before and "disabled" in before else "")), b"tanstaaf"
        elif verb == "-delete":
            after = None
        elif before:
            after = "APOP SCRAM" + (" disabled" if verb == "-disable" else "")
        code = Call(self.database, [verb, name] + (["-stdin"] if text else []), self.counts, self.rng, text).code()
        if code == 0:
            self.state[name] = after
        elif code is None:
            self.open[name] = after


def listed(database):
    done = subprocess.run([program("popauth"), "-db", database, "-list", "ALL"], capture_output=True, text=True, timeout=30, check=False)
    if done.returncode != 0:
        return None, done.stderr
    return {line.split(":")[0].strip(): line.split(":")[1].strip() for line in done.stdout.splitlines()}, ""


def compare(database, workers, counts):
    there, error = listed(database)
    if there is None:
        print("the database does not open:", error, flush=True)
        counts.add("torn")
        return
    for name, kinds in there.items():
        if "damaged" in kinds:
            counts.add("torn")
    for worker in workers:
        for number in range(NAMES):
            name = f"w{worker.number}n{number}"
            allowed = [worker.state.get(name)] + ([worker.open[name]] if name in worker.open else [])
            if there.get(name) not in allowed:
                print(f"{name}: want one of {allowed}, got {there.get(name)}", flush=True)
                counts.add("lost")
            worker.state[name] = there.get(name)
        worker.open.clear()


def meddle(database, counts, rng, done):
    """Lists, backs up and compacts under the same attack."""
    number = 0
    while not done.is_set():
        number += 1
        backup = f"{database}.backup{number % 5}"
        if os.path.exists(backup):
            os.unlink(backup)
        for arguments in (["-list", "ALL"], ["-backup", backup], ["-compact"]):
            Call(database, arguments, counts, rng).code()
        if number % 20 == 0 and os.path.exists(backup):
            there, error = restored(backup)
            if there is None:
                print("a backup is not whole:", error, flush=True)
                counts.add("torn")


def restored(backup):
    folder = tempfile.mkdtemp(prefix="qpop.")
    try:
        database = os.path.join(folder, "pop.auth")
        popauth = [program("popauth"), "-db", database]
        subprocess.run([*popauth, "-init"], check=True, stderr=subprocess.DEVNULL)
        done = subprocess.run([*popauth, "-restore", backup], capture_output=True, text=True, check=False)
        return listed(database) if done.returncode == 0 else (None, done.stderr)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()
    if os.geteuid() == 0:
        # As root the database would belong to `pop`; a user's own is the same code.
        os.setgroups([])
        os.setgid(64321)
        os.setuid(64321)
    folder = tempfile.mkdtemp(prefix="qpop.", dir=os.environ.get("QPOP_SOAK_DIR", "/var/tmp"))
    database = os.path.join(folder, "pop.auth")
    subprocess.run([program("popauth"), "-db", database, "-init", "-iterations", "4096"], check=True, stderr=subprocess.DEVNULL)
    counts = Counts()
    workers = [Worker(n, database, counts, options.seed) for n in range(options.workers)]
    end = time.monotonic() + options.minutes * 60 if options.minutes else None
    rng = random.Random(options.seed)
    while (time.monotonic() < end) if end else (counts.trials() < options.trials):
        done = threading.Event()
        threads = []
        for worker in workers:
            threads.append(threading.Thread(target=worker.run))
            worker.calls = 25
        meddler = threading.Thread(target=meddle, args=(database, counts, rng, done))
        for thread in (*threads, meddler):
            thread.start()
        for thread in threads:
            thread.join()
        done.set()
        meddler.join()
        compare(database, workers, counts)
        counts.add("rounds")
        print(" ".join(f"{name}={value}" for name, value in counts.items()), f"trials={counts.trials()}", flush=True)
    faults = counts["lost"] or counts["torn"] or counts["hung"]
    left = [name for name in os.listdir(folder) if name.startswith(".pop.auth-")]
    print(f"left behind by killed compactions and backups: {len(left)} folders")
    print(" ".join(f"{name}={value}" for name, value in counts.items()), f"trials={counts.trials()}", flush=True)
    if faults:
        print("kept:", folder)
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
