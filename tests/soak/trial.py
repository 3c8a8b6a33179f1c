# SPDX-License-Identifier: MIT
"""One mailbox, one session, one killer."""
import fcntl
import os
import threading
import time

from harness import PASSWORD, Pop
from interrupted import children, kill, name_of
from mailbox import in_mbox, in_mmdf, mail

ROLES = {"maildrop": "popper-maildrop", "session": "popper-session", "authenticator": "popper-auth"}
WRITER_NAMES = {"popper-maildrop"}
WAIT_FOR_PROCESS_S = 0.2
MOST_DELIVERIES = 5
AT_ONCE = 200
LARGEST = (200, 2000, 4000, 8000, 30000)
COUNTS = (1, 2, 20, 60, 100, 200, 400, 600)


def make_pools(rng, sizes=LARGEST):
    """Messages of up to so many octets, made once: (name, text)."""
    def pool(largest):
        names = [b"%d.%d" % (largest, i) for i in range(max(COUNTS) + MOST_DELIVERIES)]
        return [(name, mail(name, rng.randrange(largest), rng)) for name in names]
    return {largest: pool(largest) for largest in sizes}


def in_pieces(client, commands):
    """Sends them, some at a time, or both ends would wait for room; yields once for each answer that is then to be read."""
    for first in range(0, len(commands), AT_ONCE):
        some = commands[first:first + AT_ONCE]
        client.send(b"".join(some))
        yield from some


class Plan:
    """What is killed, when: around QUIT, once the journal stands, while the maildrop is opened or read."""

    def __init__(self, rng, phases):
        self.phase = rng.choices(("journal", "quit", "open", "retr"), phases)[0]
        # A monitor takes all other trials of its round with it: seldom.
        self.victim = rng.choices(("maildrop", "maildrop again", "session", "monitor", "monitor and maildrop", "authenticator"),
                                  (46, 22, 14, 0.8, 0.8, 0.8))[0]
        # Most updates are over within some milliseconds; a few are hit much later.
        self.delay_s = rng.choice((0.0, 0.0, 0.001, 0.002, 0.004, 0.010, 0.050)) * rng.random()
        self.again = rng.randrange(1, 5)
        self.again_delay_s = 0.012 * rng.random()

    def __str__(self):
        return f"{self.victim} {1000 * self.delay_s:.1f} ms after {self.phase}, {self.again} times"


class Trial:
    phases = (40, 40, 12, 8)
    deliveries = 0.3  # how often mail arrives meanwhile

    def __init__(self, soak, user, number, rng):
        self.soak = soak
        self.user = user
        self.number = number
        self.rng = rng
        self.plan = Plan(rng, self.phases)
        self.spool = os.path.join(soak.site.spool, user)
        self.wrap = in_mmdf if rng.random() < 0.25 else in_mbox
        self.asked = False  # QUIT was sent
        self.confirmed = False
        self.delivered = []
        self.stop_delivery = threading.Event()
        self.at_phase = {phase: threading.Event() for phase in ("open", "retr", "quit")}
        self.make_spool()

    def pick_size(self):
        """How many messages, of up to how many octets."""
        count = self.rng.choice(COUNTS)
        return count, self.rng.choice((200, 2000, 8000, 30000 if count <= 100 else 4000))

    def make_spool(self):
        rng = self.rng
        count, largest = self.pick_size()
        chosen = rng.sample(self.soak.pools[largest], count + MOST_DELIVERIES)
        self.texts = dict(chosen)
        self.names = [name for name, _ in chosen[:count]]
        self.arriving = [name for name, _ in chosen[count:]]
        how = rng.choice(("random", "random", "half", "first", "last", "one", "all", "block", "most"))
        pick = {"random": lambda i: rng.random() < 0.3, "half": lambda i: i % 2 == 0, "first": lambda i: i == 0, "last": lambda i: i == count - 1,
                "one": lambda i, one=rng.randrange(count): i == one, "all": lambda i: True, "most": lambda i: rng.random() < 0.95,
                "block": lambda i, at=rng.randrange(count): at <= i < at + count // 5 + 1}[how]
        self.deleted = [name for i, name in enumerate(self.names) if pick(i)] or self.names[:1]
        self.soak.site.put_spool(self.user, b"".join(self.wrap(self.texts[name]) for name in self.names))

    def run(self):
        threads = [threading.Thread(target=self.killer)]
        if self.rng.random() < self.deliveries:
            threads.append(threading.Thread(target=self.deliver, args=(self.rng.randint(1, MOST_DELIVERIES),)))
        for thread in threads:
            thread.start()
        try:
            self.session()
        except (OSError, AssertionError):
            pass  # the connection broke: killed
        finally:
            for event in self.at_phase.values():
                event.set()
            threads[0].join()
            self.stop_delivery.set()
            for thread in threads[1:]:
                thread.join()

    def session(self):
        client = Pop(self.soak.site.connect())
        client.ok(f"USER {self.user}")
        client.send(f"PASS {PASSWORD}\r\n".encode())
        self.at_phase["open"].set()
        if not client.line().startswith(b"+OK"):
            return client.close()
        self.at_phase["retr"].set()
        numbers = self.choose(client)
        for _ in in_pieces(client, [b"DELE %d\r\n" % number for number in numbers]):
            if not client.line().startswith(b"+OK"):
                return client.close()
        self.asked = True
        client.send(b"QUIT\r\n")
        self.at_phase["quit"].set()
        self.confirmed = client.line().startswith(b"+OK")
        client.close()
        return None

    def choose(self, client):
        """Reads, and says which numbers are to be deleted."""
        if self.rng.random() < 0.3 or self.plan.phase == "retr":
            client.multi(f"RETR {self.rng.randrange(len(self.names)) + 1}")
        marked = set(self.deleted)
        return [i for i, name in enumerate(self.names, 1) if name in marked]

    # The killer.
    def find(self, monitor, role):
        """A process of the role, waited for a little; any trial's."""
        end = time.monotonic() + WAIT_FOR_PROCESS_S
        while time.monotonic() < end:
            pids = children(monitor)
            found = [pid for pid in pids if self.role_of(pid) == ROLES[role]]
            if found:
                return self.rng.choice(found)
            time.sleep(0.001)
        return None

    def role_of(self, pid):
        """As name_of(), but looked up once for the many that live long."""
        known = self.soak.roles.get(pid)
        if known is None:
            known = name_of(pid)
            if known in ROLES.values():
                self.soak.roles[pid] = known
        return known

    def wait_for_journal(self):
        """The moment in which the spool begins to be moved."""
        path = os.path.join(self.soak.site.state, "v", self.user, "journal")
        end = time.monotonic() + WAIT_FOR_PROCESS_S
        while not os.path.exists(path) and time.monotonic() < end:
            time.sleep(0.0003)

    def kill_role(self, monitor, role, delay_s):
        pid = self.find(monitor, role)
        time.sleep(delay_s)
        if pid is None or name_of(pid) != ROLES[role]:
            return False
        kill(pid)
        self.soak.killed(role)
        if role == "maildrop" and self.soak.journal_stands():
            self.soak.killed("maildrop with a journal")
        return True

    def killer(self):
        plan, monitor = self.plan, self.soak.monitor()
        self.at_phase["quit" if plan.phase == "journal" else plan.phase].wait(20)
        if plan.phase == "journal":
            self.wait_for_journal()
        if monitor is None:
            return
        if plan.victim.startswith("monitor"):
            time.sleep(plan.delay_s)
            workers = [pid for pid in children(monitor) if name_of(pid) in WRITER_NAMES]
            if name_of(monitor).startswith("popper"):
                kill(monitor)
                while name_of(monitor):  # on a loaded machine it takes a moment to be gone
                    time.sleep(0.001)
                self.soak.killed("monitor")
            for pid in workers if "maildrop" in plan.victim else ():
                kill(pid)
                self.soak.killed("maildrop")
            if self.soak.journal_stands():
                self.soak.killed("monitor with a journal")
            return
        role = plan.victim.split()[0]
        hit = self.kill_role(monitor, role, plan.delay_s)
        if not hit:  # it was too fast
            self.kill_role(monitor, "session", 0)
        for _ in range(plan.again if hit and plan.victim.endswith("again") else 0):
            # What follows is the recovery, and the recovery of the recovery.
            if not self.kill_role(monitor, role, plan.again_delay_s):
                break

    # A delivery agent that takes all locks, waits for each, and never dies.
    def deliver(self, count):
        for name in self.arriving[:count]:
            if not self.append(name, self.texts[name]):
                return
            time.sleep(0.01 * self.rng.random())

    def append(self, name, text):
        lock = self.spool + ".lock"
        while not self.stop_delivery.is_set():
            try:
                os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            except FileExistsError:
                time.sleep(0.002)
                continue
            try:
                with open(self.spool, "ab") as file:
                    try:
                        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    except OSError:
                        continue
                    file.write(self.wrap(text))
                    file.flush()
                    os.fsync(file.fileno())
                self.delivered.append(name)
                return True
            finally:
                os.unlink(lock)
        return False
