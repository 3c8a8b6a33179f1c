#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Real delivery agents, POP3 clients and a foreign mailbox writer on one spool at once; every accepted message is accounted for once.

Usage: deliveries.py [--messages N | --minutes M] [--agents A,B] [--locks all|default|LIST] [--seed S] [--deliverers N]

For each agent and each pair of lock settings, ours and the agent's, that share a lock: deliverers run side by side while four clients fetch
and delete in turns, mutt sets and clears flags, and a foreign writer removes messages. At the end each accepted message was deleted by one
client with +OK to QUIT, or removed by the foreign writer, or is in the spool; "both" counts those that the writer removed between a
client's RETR and its QUIT. (mutt removes none: it copies a message out of the spool
without a lock, and so files garbage when anybody else rewrites the spool meanwhile.)
"""
import argparse
import json
import os
import shutil
import signal
import sys
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import Site, named_uid, skip  # noqa: E402
from agents import AGENTS, pairs  # noqa: E402
from mailbox import folder_on_disk, inspect, rng_for  # noqa: E402
from workers import as_child, client, deliverer, mutt, run_command, session, writer  # noqa: E402

HANGS_AFTER_S = 60
REST = 0.2  # of the time of a combination is for those who still wait for locks, and for the accounts
MUTT_LOCKS = {"dotlock", "fcntl"}
COUNTS = ("lost", "torn", "duplicated", "hung", "left")


class Phase:
    """One agent under one pair of lock settings."""

    def __init__(self, options, agent, own, theirs, number):
        self.options, self.agent, self.own, self.theirs, self.number = options, agent, own, theirs, number
        self.site = Site(uid=named_uid(), parent=folder_on_disk(), options={"mail-locks": own, "mail-lock-timeout": "10", "spare-sessions": "2"})
        self.box = self.site.put_spool("ada", b"")
        # mutt takes fcntl and dotlock.
        self.mutt = options.foreign and all(MUTT_LOCKS & set(locks.split()) for locks in (own, theirs)) and shutil.which("mutt") is not None
        self.totals = dict.fromkeys((*COUNTS, "accepted", "refused", "deleted", "removed", "both", "not_updated", "rewritten", "mutt"), 0)
        self.faults = []

    def fault(self, kind, text):
        self.totals[kind] += 1
        self.faults.append(f"{kind}: {self.title()}: {text}")
        print(self.faults[-1][:400], flush=True)

    def title(self):
        return f"{self.agent.name}, our locks {self.own}, its locks {self.theirs}"

    def path(self, name):
        return os.path.join(self.site.home, name)

    def lines(self, prefix):
        for name in sorted(os.listdir(self.site.home)):
            if name.startswith(prefix + "."):
                with open(self.path(name), "rb") as file:
                    yield from file.read().splitlines()

    def reap(self, pids, seconds, what):
        """Waits for our children; one that stays longer hangs."""
        end = time.monotonic() + seconds
        for pid in pids:
            while True:
                done, status = os.waitpid(pid, os.WNOHANG)
                if done == pid:
                    if status != 0:
                        self.fault("hung", f"{what} ended with {os.waitstatus_to_exitcode(status)}")
                    break
                if time.monotonic() > end:
                    self.fault("hung", f"{what} did not end within {seconds} s: {self.site.log()[-800:]}")
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                    break
                time.sleep(0.01)

    def run(self, messages, seconds):
        site, options = self.site, self.options
        site.start()
        argv = self.agent.prepare(site.home, self.box, self.theirs)
        site.own(site.home)
        no_more, end = self.path("no-more"), self.path("end")
        seed = f"{options.seed}.{self.number}"
        each = messages // options.deliverers + 1 if messages else 10 ** 9
        deliverers = [as_child(site, deliverer, argv, i, each, no_more, seed, self.path(f"delivered.{i}")) for i in range(options.deliverers)]
        clients = [as_child(site, client, "ada", i, end, seed, self.path(f"fetched.{i}")) for i in range(options.clients)]
        shared = set(self.own.split()) & set(self.theirs.split())
        foreign = [as_child(site, writer, self.box, shared, end, seed, self.path("writer.0"))] if options.foreign else []
        if self.mutt:
            foreign.append(as_child(site, mutt, self.box, 0, end, seed, self.path("mutt.0")))
        if seconds:
            time.sleep(seconds * (1 - REST))
            open(no_more, "w").close()
        self.reap(deliverers, HANGS_AFTER_S if seconds else 3600, "deliverer")
        open(end, "w").close()
        self.reap(clients, HANGS_AFTER_S, "client")
        self.reap(foreign, HANGS_AFTER_S, "foreign writer")
        self.empty_queue(argv)
        pid = as_child(site, self.last_session)
        self.reap([pid], HANGS_AFTER_S, "last session")
        self.account()
        if site.stop() != 0:
            self.fault("hung", "the server did not stop")
        self.look_for_left_overs()

    def empty_queue(self, argv):
        """What exim accepted and could not deliver at once."""
        if self.agent.name != "exim4":
            return
        folder = self.path("exim/input")
        end = time.monotonic() + HANGS_AFTER_S

        def flush(_site):
            run_command([*argv[:3], "-qff"], "/dev/null")

        while os.path.isdir(folder) and os.listdir(folder) and time.monotonic() < end:
            self.reap([as_child(self.site, flush)], HANGS_AFTER_S, "queue run")

    def last_session(self, site):
        """Some of what is left is fetched, so that the spool that is looked at has been updated once more."""
        with open(self.path("fetched.last"), "wb", buffering=0) as done:
            for _ in range(200):
                if not session(site, "ada", rng_for("last"), done, 0.5).startswith(b"-ERR [IN-USE]"):
                    return
                time.sleep(0.05)

    def account(self):
        totals = self.totals
        sent = [line.split() for line in self.lines("delivered")]
        accepted = {name for state, name in sent if state == b"accepted"}
        totals["accepted"], totals["refused"] = len(accepted), len(sent) - len(accepted)
        taken, removed = {}, {}
        for line in self.lines("fetched"):
            state, _, rest = line.partition(b" ")
            if state == b"deleted":
                taken[rest] = taken.get(rest, 0) + 1
                totals["deleted"] += 1
            elif state == b"not-updated":
                totals["not_updated"] += 1
            else:
                self.fault("torn", f"as fetched: {rest!r}")
        totals["mutt"] = sum(1 for line in self.lines("mutt") if line.startswith(b"ended"))
        for line in self.lines("writer"):
            if line == b"ended":
                totals["rewritten"] += 1
                continue
            name = line.split()[1]
            removed[name] = removed.get(name, 0) + 1
            totals["removed"] += 1
        found, faults = inspect(self.site.read_spool())
        for name, text in faults:
            self.fault("torn", f"in the spool: {name!r} {text}")
        for name in found:
            taken[name] = taken.get(name, 0) + 1
        for name in accepted - set(taken) - set(removed):
            self.fault("lost", f"{name!r}")
        # Fetched by a client, then removed by the foreign writer before QUIT: the client's wish was met, +OK is the truth.
        totals["both"] = sum(1 for name in removed if name in taken and name not in found)
        for name, number in removed.items():
            if number > 1 or name in found:
                self.fault("duplicated", f"{name!r} was removed by the foreign writer and came back")
        for name, number in taken.items():
            if number > 1:
                self.fault("duplicated", f"{name!r} {number} times")

    def look_for_left_overs(self):
        left = [name for name in os.listdir(self.site.spool) if name != "ada"]
        folder = os.path.join(self.site.state, "v", "ada")
        left += [name for name in os.listdir(folder) if name.startswith(("journal", "saved-"))]
        if left:
            self.fault("left", f"left behind: {left}")


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=400, help="for each agent")
    parser.add_argument("--minutes", type=float, help="for each agent")
    parser.add_argument("--agents", default=",".join(AGENTS))
    parser.add_argument("--locks", default="all")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--deliverers", type=int, default=6)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--parallel", type=int, default=6, help="combinations at once, each with a server of its own")
    parser.add_argument("--foreign", type=int, default=1, help="0: no mutt and no foreign writer")
    return parser.parse_args()


def in_children(work, count, at_once):
    """work(i) for each i below `count`, each in a process of its own, since a process with threads must not fork; None where one failed."""
    results, running = [None] * count, {}
    for i in range(count):
        if len(running) == at_once:
            finish_one(results, running)
        mine, theirs = os.pipe()
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.close(mine)
                with open(theirs, "w") as out:
                    json.dump(work(i), out)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(code)
        os.close(theirs)
        running[pid] = (i, mine)
    while running:
        finish_one(results, running)
    return results


def finish_one(results, running):
    # A result fits into the pipe, so that its writer never waits for us.
    pid, status = os.wait()
    i, mine = running.pop(pid)
    with open(mine) as source:
        text = source.read()
    if status == 0:
        results[i] = json.loads(text)


def run_agent(options, agent):
    """Totals over all pairs of locks; False when something was lost."""
    combinations = pairs(agent, options.locks)
    start = time.monotonic()
    rounds = -(-len(combinations) // options.parallel)
    seconds = options.minutes * 60 / rounds if options.minutes else None

    def one(number):
        phase = Phase(options, agent, *combinations[number], number)
        try:
            phase.run(None if seconds else options.messages // len(combinations) + 1, seconds)
        finally:
            # A fault keeps its site.
            phase.site.stop()
            if phase.faults:
                print(f"the site of {phase.title()} is kept in {phase.site.root}")
            else:
                phase.site.close()
        print(f"  {time.monotonic() - start:.0f} s: {phase.title()}{'' if phase.mutt else ', without mutt'}: {phase.totals}", flush=True)
        return phase.totals

    results = in_children(one, len(combinations), options.parallel)
    if None in results:
        print(f"{agent.name}: {results.count(None)} combinations ended without a result", flush=True)
        return False
    sums = {name: sum(result[name] for result in results) for name in results[0]}
    print(f"{agent.name}: combinations={len(combinations)} " + " ".join(f"{name}={value}" for name, value in sums.items()), flush=True)
    return not any(sums[name] for name in COUNTS) and sums["accepted"] > 0


def main():
    options = parse()
    print(f"deliveries: seed {options.seed}", flush=True)
    wanted = [AGENTS[name] for name in options.agents.split(",")]
    found = [agent for agent in wanted if agent.found()]
    for agent in wanted:
        if agent not in found:
            print(f"{agent.name}: SKIPPED: not installed")
    if not found:
        skip("none of the agents is installed")
    return 0 if all([run_agent(options, agent) for agent in found]) else 1


if __name__ == "__main__":
    sys.exit(main())
