#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kills.py with expunge = deferred, on mailboxes that live on: what was deleted waits in the spool through sessions, kills and deliveries.

Usage: deferred.py [--trials N | --minutes M] [--seed S] [--mailboxes N]

Before each deletion and after each kill a client lists everything. It must see what nobody deleted, each message once, in the order of
delivery, under the unique-id that it always had; all of what one QUIT without an answer was about, or none of it; and nothing of what +OK
to QUIT confirmed, unless another program has changed the spool within the listing that the session had. The spool is read as well.
"""
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import unstuff  # noqa: E402
from kills import Soak, main  # noqa: E402
from mailbox import MARK, START, check_mail, in_mbox, in_mmdf, inspect, mail, rng_for  # noqa: E402
from trial import MOST_DELIVERIES, Trial, in_pieces  # noqa: E402
from workers import lock_all, rewritten  # noqa: E402

LARGEST = 8000
COUNTS = (1, 5, 20, 60, 120)
FEW, MANY = 3, 240  # messages with which a mailbox begins anew
AFTER_S = 3         # expunge-after
LOCKS = ("dotlock", "fcntl", "flock")


class Box:
    """What is known of one mailbox. Messages stand in the spool in the order in which they came; `place` is their number in it."""

    def __init__(self, user, path, rng):
        self.user, self.path, self.rng = user, path, rng
        self.generation = 0
        self.begin()

    def begin(self):
        self.generation += 1
        self.wrap = in_mmdf if self.rng.random() < 0.25 else in_mbox
        self.texts, self.place, self.unique_ids = {}, {}, {}
        self.alive = set()
        self.gone = {}       # deleted, +OK was read: how many had come by then
        self.removed = set()  # by another program
        self.changed = None  # the first place that another program changed since the spool was last looked at
        self.in_spool = set()
        self.made = 0

    def make(self, count):
        """Names of new messages."""
        names = [b"%s.%d.%d" % (self.user.encode(), self.generation, self.made + i) for i in range(count)]
        self.made += count
        for name in names:
            subject = self.rng.choice(("soak",) * 8 + ("flag", "file"))
            self.texts[name] = mail(name, int(LARGEST * self.rng.random() ** 3), self.rng, subject)
        return names

    def arrive(self, names):
        for name in names:
            self.place[name] = len(self.place)
            self.alive.add(name)

    def may_return(self, name):
        """Another program changed what was there when it was deleted."""
        return self.changed is not None and name in self.gone and self.changed < self.gone[name]


class DeferredTrial(Trial):
    phases = (20, 50, 22, 8)
    deliveries = 0.6

    def __init__(self, soak, user, number, rng):
        self.box = soak.boxes[user]
        self.seen = None
        super().__init__(soak, user, number, rng)

    def make_spool(self):
        box = self.box
        if box.made == 0:
            names = box.make(self.rng.choice(COUNTS))
            box.arrive(names)
            self.soak.site.put_spool(self.user, b"".join(box.wrap(box.texts[name]) for name in names))
        self.arriving, self.texts, self.wrap = box.make(MOST_DELIVERIES), box.texts, box.wrap
        self.deleted = []

    def choose(self, client):
        """Everything is listed; some of it is deleted, seldom much."""
        seen = self.soak.list_all(client, self)
        self.soak.compare(self, seen, self.arriving)
        self.box.changed = None  # what was void has been shown
        if not seen:
            return []
        rate = self.rng.choice((0.02, 0.05, 0.05, 0.1, 0.3, 1.0 if len(seen) > 100 else 0.0))
        numbers = [i for i in range(1, len(seen) + 1) if self.rng.random() < rate] or [self.rng.randint(1, len(seen))]
        self.deleted = [seen[number - 1] for number in numbers]
        return numbers


class DeferredSoak(Soak):
    not_to_be_left = ("journal", "saved-")
    name = "deferred"
    settings = dict(Soak.settings, **{"expunge": "deferred", "expunge-share": "30", "expunge-after": str(AFTER_S)})
    counted = ("confirmed", "unanswered", "deferrals", "rewrites", "foreign", "shown again")

    def prepare(self):
        self.ending = False
        self.boxes = {user: Box(user, os.path.join(self.site.spool, user), rng_for(self.options.seed, "box", user)) for user in self.users}

    def make_trial(self, user, number):
        return DeferredTrial(self, user, number, rng_for(self.options.seed, number, user))

    # What a client sees.
    def list_all(self, client, trial):
        """Names in their order. Each message is looked at by TOP, some are fetched."""
        box, names = trial.box, []
        count = int(client.ok("STAT").split()[1])
        listed = [line.split()[1] for line in client.multi("UIDL")[1].splitlines()]
        for _ in in_pieces(client, [b"TOP %d 0\r\n" % number for number in range(1, count + 1)]):
            assert client.line().startswith(b"+OK")
            marks = MARK.findall(client.body())
            names.append(marks[0][0] if len(marks) == 1 else b"?")
        if len(listed) != count or len(set(listed)) != count or client.command(f"RETR {count + 1}").startswith(b"+OK"):
            self.fault("wrong", trial, f"{count} messages, unique-ids {listed}")
        for name, unique_id in zip(names, listed):
            if box.unique_ids.setdefault(name, unique_id) != unique_id:
                self.fault("wrong", trial, f"{name!r} had unique-id {box.unique_ids[name]!r}, now {unique_id!r}")
        for number in trial.rng.sample(range(1, count + 1), min(count, 3)):
            name, wrong = check_mail(unstuff(client.multi(f"RETR {number}")[1]).replace(b"\r\n", b"\n"))
            if wrong or name != names[number - 1]:
                self.fault("torn", trial, f"RETR {number} is {name!r} {wrong}, TOP said {names[number - 1]!r}")
        return names

    def compare(self, trial, seen, maybe=()):
        """`maybe`: what may be seen and need not."""
        box, maybe = trial.box, set(maybe)
        for name in set(seen):
            if seen.count(name) > 1:
                self.fault("duplicated", trial, f"{name!r} is shown {seen.count(name)} times")
        for name in box.alive - maybe - set(seen):
            self.fault("lost", trial, f"{name!r} is not shown")
        for name in set(seen) - box.alive - maybe:
            if box.may_return(name):
                self.count("shown again")
                box.alive.add(name)
                del box.gone[name]
            else:
                kind = "resurrected" if name in box.gone else "wrong"
                self.fault(kind, trial, f"{name!r} is shown: place {box.place.get(name)}, deleted among {box.gone.get(name)}, changed {box.changed}")
        order = [box.place.get(name, len(box.place) + MOST_DELIVERIES) for name in seen]
        if order != sorted(order):
            self.fault("wrong", trial, f"order {order}")

    def visit(self, client, trial):
        trial.seen = self.list_all(client, trial)

    # After a trial.
    def judge(self, trial):
        box = trial.box
        box.arrive(trial.delivered)
        if trial.asked and trial.deleted:
            left = [name for name in trial.deleted if name in trial.seen]
            if trial.confirmed:
                self.count("confirmed", len(trial.deleted))
            elif left and len(left) != len(trial.deleted):
                self.fault("wrong", trial, f"half done: {len(left)} of {len(trial.deleted)} are shown")
            else:
                self.count("unanswered")
            if trial.confirmed or not left:
                # It was done; how many messages the session had is known no better.
                box.gone.update(dict.fromkeys(trial.deleted, len(box.place)))
                box.alive -= set(trial.deleted)
        self.compare(trial, trial.seen)
        box.changed = None
        self.read_spool(trial)
        if self.ending:
            return
        if not FEW < len(box.alive) < MANY or trial.rng.random() < 0.01:
            box.begin()
        elif trial.rng.random() < 0.15:
            self.change(box, trial.rng)

    def read_spool(self, trial):
        box = trial.box
        with open(box.path, "rb") as file:
            found, faults = inspect(file.read())
        for name, text in faults:
            self.fault("torn", trial, f"{name!r} {text}")
        for name in box.alive - set(found):
            self.fault("lost", trial, f"{name!r} is not in the spool")
        for name in set(found):
            if found.count(name) > 1:
                self.fault("duplicated", trial, f"{name!r} is {found.count(name)} times in the spool")
            if name in box.removed or name not in box.place:
                self.fault("wrong", trial, f"{name!r} is in the spool")
        hidden = set(found) & set(box.gone)
        self.count("deferrals", len(hidden - box.in_spool))
        self.count("rewrites", bool(box.in_spool - hidden - box.alive))
        box.in_spool = hidden

    def change(self, box, rng):
        """Another program removes and flags messages, hidden ones too."""
        if box.wrap is not in_mbox:
            return
        with open(box.path, "r+b") as file:
            if not lock_all(file, box.path + ".lock", LOCKS):
                return
            try:
                old, removed = file.read(), []
                new = rewritten(old, random.Random(rng.random()), removed)
                file.seek(0)
                file.write(new)
                file.truncate()
            finally:
                os.unlink(box.path + ".lock")
        if new == old:
            return
        self.count("foreign")
        # A message is as it was when all up to its end is.
        ends = [match.start() for match in START.finditer(old)][1:]
        same = len(os.path.commonprefix((old, new)))
        box.changed = box.place[inspect(old)[0][sum(end <= same for end in ends)]]
        box.removed |= set(removed)
        box.alive -= box.removed
        box.in_spool -= box.removed
        for name in removed:
            box.gone.pop(name, None)

    def finish(self):
        """All that is hidden leaves the spool: what is left is what was not deleted, octet for octet but for Status."""
        self.site.stop()
        self.site.options.update({"expunge-share": "1", "expunge-after": "1"})
        time.sleep(1.1)
        self.site.start()
        self.ending = True
        trials = [self.make_trial(user, -1) for user in self.users]
        self.settle_all(trials)
        for trial in trials:
            box = trial.box
            want = b"".join(box.wrap(box.texts[name]) for name in sorted(box.alive, key=box.place.get))
            if self.site.read_spool(box.user).replace(b"Status: RO\n", b"") != want:
                self.fault("wrong", trial, "the last rewrite left another spool")
            if os.path.exists(os.path.join(self.site.state, "v", box.user, "expunged")):
                self.fault("left", trial, "expunged")

    def enough(self):
        return super().enough() and all(self.totals[name] for name in ("deferrals", "rewrites"))


if __name__ == "__main__":
    sys.exit(main(DeferredSoak))
