#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the parts of scripts/soak, two at a time, and prints the table. Their output is kept in build/soak.

Usage: soak.py [--minutes N] [--seed S] [--only PART,PART]
"""
import argparse
import os
import re
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
RELEASE = os.path.join(TOP, "build", "release", "bin")
FUZZ = os.path.join(TOP, "build", "fuzz", "bin")
LOGS = os.path.join(TOP, "build", "soak")
COLUMNS = ("lost", "torn", "duplicated", "hung")
OTHERS = ("resurrected", "wrong", "left")
SPARE_S = 300  # a part that has not ended so long after its time hangs


def script(name, *arguments):
    return [sys.executable, os.path.join(HERE, name), *arguments]


class Part:
    """`share`: of the whole time, in one of the two lanes. `trials`: the key of its last line that counts them."""

    def __init__(self, name, lane, share, trials, command):
        self.name, self.lane, self.share, self.trials, self.command = name, lane, share, trials, command
        self.result = None
        self.started = None

    def log(self):
        return os.path.join(LOGS, f"{self.name}.log")

    def run(self, minutes, seed):
        self.started = time.monotonic()
        argv = self.command(minutes, seed)
        if not os.path.exists(argv[0]):
            self.result = {"note": f"SKIPPED: {os.path.relpath(argv[0], TOP)} is not built"}
            return
        with open(self.log(), "w") as log:
            try:
                code = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, timeout=minutes * 60 + SPARE_S,
                                      env=dict(os.environ, QPOP_BIN_DIR=RELEASE, PYTHONDONTWRITEBYTECODE="1"), cwd=LOGS, check=False).returncode
            except subprocess.TimeoutExpired:
                code = "time is over"
        self.result = self.read(code)

    def read(self, code):
        with open(self.log(), errors="replace") as log:
            text = log.read()
        if code == 77 or re.search(r"^\S+: SKIPPED", text, re.M):
            return {"note": "SKIPPED: " + text.split("SKIPPED:", 1)[1].splitlines()[0].strip()}
        lines = [line for line in text.splitlines() if re.search(rf"\b{self.trials}=\d", line)]
        counts = {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", lines[-1])} if lines else {}
        counts["trials"] = counts.get(self.trials, 0)
        counts["other"] = sum(counts.get(name, 0) for name in OTHERS)
        faults = any(counts.get(name) for name in (*COLUMNS, "other"))
        counts["note"] = "" if code == 0 and lines else f"FAILED ({code}), see {os.path.relpath(self.log(), TOP)}"
        counts["failed"] = faults or code != 0 or not lines
        return counts

    def last_line(self):
        try:
            with open(self.log(), errors="replace") as log:
                return (log.read()[-400:].splitlines() or [""])[-1].strip()[:150]
        except FileNotFoundError:
            return ""


def deliveries(agent):
    # They would take both processors from the other lane.
    deliverers = "4" if agent == "maildrop" else "8"
    return lambda minutes, seed: ["/usr/bin/nice", "-n", "5", *script("deliveries.py", "--agents", agent, "--locks", "all", "--minutes",
                                                                       f"{minutes:.2f}", "--seed", str(seed), "--deliverers", deliverers)]


PARTS = [
    # maildrop spins while it waits for a lock: more of it would only be slower.
    Part("procmail", 0, 0.32, "accepted", deliveries("procmail")),
    Part("exim4", 0, 0.28, "accepted", deliveries("exim4")),
    Part("dovecot", 0, 0.28, "accepted", deliveries("dovecot")),
    Part("maildrop", 0, 0.12, "accepted", deliveries("maildrop")),
    Part("kills", 1, 0.31, "kills", lambda minutes, seed: script("kills.py", "--minutes", f"{minutes:.2f}", "--seed", str(seed), "--mailboxes", "24")),
    Part("deferred", 1, 0.1, "kills", lambda minutes, seed: script("deferred.py", "--minutes", f"{minutes:.2f}", "--seed", str(seed), "--mailboxes", "16")),
    Part("long", 1, 0.06, "kills", lambda minutes, seed: script("long.py", "--minutes", f"{minutes:.2f}", "--seed", str(seed), "--mailboxes", "6")),
    Part("power-loss", 1, 0.11, "states",
         lambda minutes, seed: [os.path.join(RELEASE, "soak_power_loss"), "--minutes", f"{minutes:.2f}", "--seed", str(seed)]),
    # A million in some five minutes.
    Part("popcheck", 1, 0.24, "trials",
         lambda minutes, seed: [os.path.join(RELEASE, "soak_popcheck"), "--minutes", f"{minutes:.2f}", "--seed", str(seed)]),
    Part("certificates", 1, 0.05, "exchanges", lambda minutes, seed: script("certificates.py", "--minutes", f"{minutes:.2f}", "--seed", str(seed))),
    Part("accounts", 1, 0.05, "trials", lambda minutes, seed: script("accounts.py", "--minutes", f"{minutes:.2f}", "--seed", str(seed))),
    Part("fuzz", 1, 0.08, "inputs", lambda minutes, seed: script("fuzz.py", "--minutes", f"{minutes:.2f}", "--seed", str(seed), "--bin", FUZZ)),
]


def run_lane(parts, options):
    for part in parts:
        part.run(options.minutes * part.share, options.seed)


def table(parts):
    print(f"{'part':<12} {'trials':>9} " + " ".join(f"{name:>10}" for name in (*COLUMNS, "other")))
    for part in parts:
        result = part.result
        if "trials" not in result:
            print(f"{part.name:<12} {result['note']}")
            continue
        cells = " ".join(f"{result.get(name, 0) if name in result or name == 'hung' else '-':>10}" for name in (*COLUMNS, "other"))
        print(f"{part.name:<12} {result['trials']:>9} {cells} {result['note']}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", default=",".join(part.name for part in PARTS))
    options = parser.parse_args()
    parts = [part for part in PARTS if part.name in options.only.split(",")]
    if not parts:
        parser.error("no such part")
    # A selection gets the whole time.
    for lane in (0, 1):
        total = sum(part.share for part in parts if part.lane == lane)
        for part in parts:
            part.share = part.share / total if part.lane == lane else part.share
    os.makedirs(LOGS, exist_ok=True)
    print(f"soak: {options.minutes:g} minutes, seed {options.seed}", flush=True)
    start = time.monotonic()
    lanes = [threading.Thread(target=run_lane, args=([part for part in parts if part.lane == lane], options)) for lane in (0, 1)]
    for lane in lanes:
        lane.start()
    said = start
    while any(lane.is_alive() for lane in lanes):
        time.sleep(0.2)
        if time.monotonic() - said > 30:
            said = time.monotonic()
            for part in parts:
                if part.started and part.result is None:
                    print(f"{said - start:5.0f} s  {part.name}: {part.last_line()}", flush=True)
    table(parts)
    return 1 if any(part.result.get("failed") for part in parts) else 0


if __name__ == "__main__":
    sys.exit(main())
