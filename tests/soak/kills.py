#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kill -9 of a random process of a real server at a random moment, again and again, on the real file system; every message is counted after it.

Usage: kills.py [--trials N | --minutes M] [--seed S] [--mailboxes N]

A round: each mailbox gets a fresh spool; a session deletes a random choice; a killer waits for the moment and kills. When all is quiet
the spool must be the old one or the new one, octet for octet, with the mail that was delivered meanwhile behind it; after +OK to QUIT
only the new one. The last line has the counts.
"""
import argparse
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import PASSWORD, Pop, Site  # noqa: E402
from interrupted import name_of  # noqa: E402
from mailbox import file_system, folder_on_disk, inspect, rng_for  # noqa: E402
from trial import Trial, WRITER_NAMES, make_pools  # noqa: E402

HANGS_AFTER_S = 20
COUNTS = ("lost", "torn", "duplicated", "resurrected", "wrong", "hung", "left")


class Soak:
    name = "kills"
    settings = {"spare-sessions": "2", "max-sessions-per-address": "200", "mail-lock-timeout": "5"}
    counted = ("completed", "taken back")
    not_to_be_left = ("journal", "saved-", "expunged")

    def __init__(self, options):
        self.options = options
        self.users = [f"user{i}" for i in range(options.mailboxes)]
        self.site = Site(users=self.users, parent=folder_on_disk(), options=self.settings)
        self.totals = dict.fromkeys((*COUNTS, "trials", "kills", *self.counted, "dead locks", "index.tmp"), 0)
        self.kinds = {}
        self.roles = {}  # of the processes of this round, by pid
        self.faults = []
        self.lock = threading.Lock()

        self.prepare()

    def prepare(self):
        self.pools = make_pools(rng_for(self.options.seed, "pools"))

    def make_trial(self, user, number):
        return Trial(self, user, number, rng_for(self.options.seed, number, user))

    def visit(self, client, trial):
        """What a session looks at after a trial."""

    def finish(self):
        """What is looked at when no trial is left."""

    def enough(self):
        """A run whose kills miss proves nothing."""
        return self.totals["kills"] >= self.totals["trials"] // 4

    def count(self, name, number=1):
        with self.lock:
            self.totals[name] += number

    def killed(self, what):
        with self.lock:
            self.totals["kills"] += 0 if what.endswith("journal") else 1
            self.kinds[what] = self.kinds.get(what, 0) + 1

    def fault(self, kind, trial, text):
        with self.lock:
            self.totals[kind] += 1
            self.faults.append(f"{kind}: trial {trial.number} of {trial.user}: {text} ({trial.plan})")
            print(self.faults[-1], flush=True)

    def monitor(self):
        process = self.site.process
        return process.pid if process is not None and process.poll() is None else None

    def journal_stands(self):
        """Some update is between its commit point and its end."""
        return any(os.path.exists(os.path.join(self.site.state, "v", user, "journal")) for user in self.users)

    def running(self):
        """The server answers, or is started anew."""
        if self.monitor() is None:
            if self.site.process is not None:
                self.site.process.wait()
            self.site.start()

    # One mailbox after its trial.
    def drop_dead_lock(self, trial):
        """A lock file whose maker, the monitor, was killed, and that nobody has wanted since: a server breaks it when it needs the lock, which
        the login after this trial may not have done."""
        path = trial.spool + ".lock"
        try:
            with open(path) as file:
                pid = int(file.readline().strip() or 0)
            if not name_of(pid).startswith(("popper", "python")):
                os.unlink(path)
                self.count("dead locks")
        except (FileNotFoundError, ValueError):
            pass

    def login_again(self, trial):
        """A new session opens the maildrop, and so recovers what the monitor has not."""
        end = time.monotonic() + HANGS_AFTER_S
        answer = b"no answer"
        while time.monotonic() < end:
            try:
                client = Pop(self.site.connect())
                client.command(f"USER {trial.user}")
                answer = client.command(f"PASS {PASSWORD}")
                done = answer.startswith(b"+OK")
                if done:
                    self.visit(client, trial)
                    client.command("QUIT")
                client.close()
                if done:
                    return True
            except (OSError, AssertionError) as error:
                answer = str(error).encode()
            time.sleep(0.05)
        lock = trial.spool + ".lock"
        held = open(lock).read() if os.path.exists(lock) else "none"
        holder = name_of(int(held.split()[0])) if held[:1].isdigit() else ""
        self.fault("hung", trial, f"no login within {HANGS_AFTER_S} s: {answer!r}; lock file: {held!r} of {holder!r}; {self.site.log()[-1500:]}")
        return False

    def settle(self, trial):
        self.count("trials")
        if self.login_again(trial):
            self.judge(trial)
            self.look_for_left_overs(trial)

    def judge(self, trial):
        with open(trial.spool, "rb") as file:
            spool = file.read().replace(b"Status: RO\n", b"")  # what was retrieved and moved is marked as read
        arrived = b"".join(trial.wrap(trial.texts[name]) for name in trial.delivered)
        if spool == b"".join(trial.wrap(trial.texts[name]) for name in trial.names if name not in trial.deleted) + arrived:
            return self.count("completed")
        if spool == b"".join(trial.wrap(trial.texts[name]) for name in trial.names) + arrived:
            if trial.confirmed:
                return self.fault("resurrected", trial, f"+OK was read and {len(trial.deleted)} deleted messages are there")
            return self.count("taken back")
        return self.explain(trial, spool)

    def explain(self, trial, spool):
        found, faults = inspect(spool)
        keep = os.path.join(self.site.root, f"fault.{trial.user}.{trial.number}")
        with open(keep, "wb") as file:
            file.write(spool)
        before = len(self.faults)
        for name, text in faults:
            self.fault("torn", trial, f"{name!r} {text}")
        wanted = [name for name in trial.names if name not in trial.deleted] + trial.delivered
        for name in wanted:
            if name not in found:
                self.fault("lost", trial, f"{name!r}")
            if found.count(name) > 1:
                self.fault("duplicated", trial, f"{name!r}")
        if len(self.faults) == before:
            self.fault("wrong", trial, f"neither the old spool nor the new one: {len(found)} messages, {len(trial.names)} before, "
                                       f"{len(trial.deleted)} marked, {len(trial.delivered)} delivered")

    def look_for_left_overs(self, trial):
        self.drop_dead_lock(trial)
        folder = os.path.join(self.site.state, "v", trial.user)
        left = [name for name in os.listdir(folder) if name.startswith(self.not_to_be_left)]
        if "index.tmp" in os.listdir(folder):
            self.count("index.tmp")  # a cache that was not finished: the next one replaces it
        left += [name for name in os.listdir(self.site.spool) if name.startswith(trial.user + ".")]
        if left:
            self.fault("left", trial, f"left behind: {left}")
            for name in left:
                for path in (os.path.join(folder, name), os.path.join(self.site.spool, name)):
                    if os.path.exists(path):
                        os.unlink(path)

    def round(self, number):
        self.running()
        self.roles = {}
        trials = [self.make_trial(user, number) for user in self.users]
        threads = [threading.Thread(target=trial.run) for trial in trials]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for pid in self.orphans():
            # A maildrop process without its monitor goes on to its end.
            end = time.monotonic() + HANGS_AFTER_S
            while name_of(pid) in WRITER_NAMES and time.monotonic() < end:
                time.sleep(0.01)
        self.running()
        self.settle_all(trials)

    def settle_all(self, trials):
        threads = [threading.Thread(target=self.settle, args=(trial,)) for trial in trials]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def orphans(self):
        """Roles whose monitor was killed."""
        if self.monitor() is not None:
            return []
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or name_of(int(entry)) not in WRITER_NAMES:
                continue
            try:
                # A hardened process belongs to root in /proc; its real uid stands in status.
                with open(f"/proc/{entry}/status") as file:
                    if f"\nUid:\t{self.site.uid}\t" in file.read():
                        found.append(int(entry))
            except (FileNotFoundError, ProcessLookupError):
                pass
        return found

    def run(self):
        options, start, said = self.options, time.monotonic(), time.monotonic()
        number = 0
        print(f"{self.name}: seed {options.seed}, {len(self.users)} mailboxes in {self.site.root} ({file_system(self.site.root)})", flush=True)
        while self.totals["trials"] < options.trials if options.minutes is None else time.monotonic() - start < options.minutes * 60:
            self.round(number)
            number += 1
            if time.monotonic() - said > 30:
                said = time.monotonic()
                print(f"  {said - start:.0f} s: {self.totals}", flush=True)
            if self.totals["hung"] > 3 or len(self.faults) > 50:
                print("too many faults; stopped")
                break
        else:
            self.finish()
        print(f"kills by process: {dict(sorted(self.kinds.items()))}; {time.monotonic() - start:.0f} s")
        print(f"{self.name}: " + " ".join(f"{name.replace(' ', '_')}={value}" for name, value in self.totals.items()))
        bad = any(self.totals[name] for name in COUNTS)
        if not bad:
            self.site.close()
        else:
            self.site.stop()
            print(f"seed {options.seed}; the site is kept in {self.site.root}")
        return 1 if bad or not self.enough() else 0


def main(soak=Soak):
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--mailboxes", type=int, default=12)
    return soak(parser.parse_args()).run()


if __name__ == "__main__":
    sys.exit(main())
