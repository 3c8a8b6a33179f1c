# SPDX-License-Identifier: MIT
"""What is measured. Each case takes the run, interleaves the servers round by round, and reports rows."""
import os
import re
import subprocess
import time

import accounts
import peers
import sessions
from harness import program

# Other ways to run popper, each for one case alone.
VARIANTS = ("popper-pam", "popper-deferred")


def interleaved(run, one, rounds=None, only=None):
    """{server: [values]}; one(server) gives a value, or None where the server cannot do it."""
    figures = {name: [] for name in run.servers if (name not in VARIANTS if only is None else name in only)}
    for _ in range(rounds or run.rounds):
        for name in figures:
            value = one(run.servers[name])
            if value is not None:
                figures[name].append(value)
    return {name: values for name, values in figures.items() if values}


def load(run, server, mode, *options, tls=False):
    port = server.tls if tls else server.plain
    if port is None:
        return None
    return peers.load(port, peers.user_of(server.name), run.password, mode, *(["--tls"] if tls else []), *options)


def settle(run):
    """Young time stamps are not trusted by those who keep an index."""
    time.sleep(0 if run.options.smoke else 2.1)


def first(run):
    """First open of a maildrop that nobody has seen: connect to STAT."""
    run.restore()
    settle(run)

    def one(server):
        if hasattr(server, "forget"):
            server.forget(peers.user_of(server.name))
        return load(run, server, "open")[0]

    figures = interleaved(run, one)
    figures["limit"] = [memchr_pass(run)]
    run.report("first open", figures, note="limit: one pass of memchr over every line")


def memchr_pass(run):
    done = subprocess.run([program("bench_scan"), "--memchr", run.original], capture_output=True, text=True, check=True)
    found = re.search(r"memchr\D*([\d.]+)", done.stdout)
    return float(found.group(1)) if found else 0.0


def again(run):
    """Opening an unchanged maildrop: connect to STAT."""
    settle(run)
    interleaved(run, lambda server: load(run, server, "open")[0], rounds=2)
    run.report("open unchanged", interleaved(run, lambda server: load(run, server, "open")[0]))


def open_grown(run, count):
    """A session after one new message: connect to the answer of STAT."""
    settle(run)
    number = [count]

    def one(server):
        load(run, server, "open")
        number[0] += 1
        run.append(server.name, number[0])
        settle(run)
        return load(run, server, "open")[0]

    return interleaved(run, one)


def grown(run):
    """Opening a maildrop after one new message."""
    run.report("open after one new message", open_grown(run, run.options.messages))
    run.restore()


def leave(run):
    """A client that leaves its mail: UIDL, the last ten, QUIT."""
    settle(run)
    interleaved(run, lambda server: load(run, server, "leave")[0], rounds=1)
    run.report("leave on server: UIDL, last 10, QUIT", interleaved(run, lambda server: load(run, server, "leave")[0]))


def rate(result):
    return None if result is None else result[2] / 1e6 / (result[0] / 1000)


def retr(run):
    """RETR of all in lockstep, the client acknowledging at once; then an ordinary client, per message."""
    few = ["--messages", str(min(run.options.messages, 100))]
    run.report("RETR lockstep, acknowledged at once", interleaved(run, lambda server: rate(load(run, server, "retr", "--ack-now")), rounds=max(1, run.rounds // 2)), "MB/s", True)

    def ordinary(server):
        elapsed, _, _ = load(run, server, "retr", *few)
        return elapsed / int(few[1])

    run.report("RETR lockstep, ordinary client, a message", interleaved(run, ordinary))


def pipelined(run):
    """RETR of all, pipelined; TOP n 0 of all, pipelined."""
    can = [name for name in run.servers if name in ("popper", "dovecot")]
    run.report("RETR of all, pipelined", interleaved(run, lambda server: rate(load(run, server, "pipelined")), only=can), "MB/s", True)
    run.report("TOP n 0 of all, pipelined", interleaved(run, lambda server: load(run, server, "top")[0], only=can))


def tls(run):
    """RETR of all over TLS, lockstep and pipelined, beside what one TLS stream on loopback can carry."""
    can = [name for name in run.servers if name in ("popper", "dovecot")]
    rounds = max(1, run.rounds // 2 + 1)
    run.report("RETR over TLS, lockstep", interleaved(run, lambda server: rate(load(run, server, "retr", "--ack-now", tls=True)), only=can, rounds=rounds), "MB/s", True)
    figures = interleaved(run, lambda server: rate(load(run, server, "pipelined", tls=True)), only=can, rounds=rounds)
    figures["limit"] = [tls_limit(run) for _ in range(rounds)]
    run.report("RETR over TLS, pipelined", figures, "MB/s", True, note="limit: one TLS stream of the same library over loopback")


def tls_limit(run):
    done = subprocess.run([program("bench_tls_limit"), run.certificate, "256" if not run.options.smoke else "16"], capture_output=True, text=True, check=True, timeout=120)
    return float(done.stdout)


def delete(run):
    """QUIT after deleting nothing, the last, the first, every second, all; then to the answer of STAT in the next session, which waits for what is
    still to be done. popper-deferred: with expunge = deferred, expunge-share = 100."""
    everybody = [name for name in run.servers if name != "popper-pam"]
    for pattern in ("none", "last", "first", "second", "all"):
        through = {}

        def one(server, which=pattern, through=through):
            run.restore(server.name)
            settle(run)
            if server.name == "popper-deferred":
                server.forget_deleted(peers.user_of(server.name))
            load(run, server, "open")
            os.sync()  # the index that this open wrote would be part of the first sync of QUIT
            elapsed = load(run, server, f"delete-{which}")[0]
            through.setdefault(server.name, []).append(elapsed + load(run, server, "open")[0])
            return elapsed

        name = f"QUIT after deleting {'every second' if pattern == 'second' else pattern}"
        run.report(name, interleaved(run, one, rounds=max(1, run.rounds // 2), only=everybody))
        run.report(f"{name}, and the next STAT", through)
    run.restore()


def login_rate(run, server, clients, *options, tls=False):
    port = server.tls if tls else server.plain
    if port is None:
        return None
    seconds = 0.5 if run.options.smoke else 4
    share = max(1, run.small_users // clients)
    started = []
    for number in range(clients):
        # Each client has users of its own, so that none meets another's lock.
        prefix = f"user{number}" if clients > 1 else "user"
        users = ["--users", "0"] if clients > 1 else ["--users", str(share)]
        argv = [program("pop3_load"), str(port), prefix, run.password, "logins", "--seconds", str(seconds), *users, *(["--tls"] if tls else []), *options]
        started.append(subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    total = 0.0
    for process in started:
        out, err = process.communicate(timeout=120)
        if process.returncode != 0:
            raise SystemExit(f"{server.name}: {err}")
        elapsed, count, _ = out.split()
        total += int(count) / (float(elapsed) / 1000)
    return total


def logins(run):
    """Logins a second at 1, 8, 16, 64 clients: by PASS, APOP, SCRAM, over TLS, resumed."""
    for clients in ((4,) if run.options.smoke else [int(number) for number in run.options.clients.split(",")]):
        rounds = max(1, run.rounds // 2)
        figures = interleaved(run, lambda server, n=clients: login_rate(run, server, n), rounds=rounds)
        if "popper-pam" in run.servers:
            figures["popper-pam"] = [login_rate(run, run.servers["popper-pam"], clients) for _ in range(rounds)]
        run.report(f"logins, PASS, {clients} clients", figures, "a second", True)
        can = [name for name in run.servers if name in ("popper", "dovecot")]
        run.report(f"logins, APOP, {clients} clients", interleaved(run, lambda server, n=clients: login_rate(run, server, n, "--auth", "apop"), rounds=rounds, only=can), "a second", True)
        run.report(f"logins, SCRAM, {clients} clients",
                   interleaved(run, lambda server, n=clients: login_rate(run, server, n, "--auth", "scram"), rounds=rounds, only=["popper"]), "a second", True)
        run.report(f"logins, TLS, {clients} clients", interleaved(run, lambda server, n=clients: login_rate(run, server, n, tls=True), rounds=rounds, only=can), "a second", True)
        run.report(f"logins, TLS resumed, {clients} clients",
                   interleaved(run, lambda server, n=clients: login_rate(run, server, n, "--resume", tls=True), rounds=rounds, only=can), "a second", True)


def held(run, server, users, tls_too):
    """KiB a session while one session of each user is held."""
    port = server.tls if tls_too else server.plain
    if port is None:
        return None
    time.sleep(2.2)  # processes that wait for clients are there again
    before = peers.proportional_kib(server.pids())
    holders = [subprocess.Popen([program("pop3_load"), str(port), user, run.password, "hold", *(["--tls"] if tls_too else [])], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
               for user in users]
    for holder in holders:
        holder.stdout.readline()
    time.sleep(2.2)
    after = peers.proportional_kib(server.pids())
    for holder in holders:
        holder.communicate()
    return (after - before) / len(users)


def memory(run):
    """Proportional set size of the whole server, for each held session."""
    few = [f"user{number}" for number in range(min(100, run.small_users))]
    for tls_too in (False, True):
        run.report(f"memory of a held session{', TLS' if tls_too else ''}", interleaved(run, lambda server, t=tls_too: held(run, server, few, t), rounds=1), "KiB")
    run.report("memory of a session on the large maildrop", interleaved(run, lambda server: held(run, server, [peers.user_of(server.name)], False), rounds=1), "KiB")


def accounts_too(run):
    """A login with 1, 100, 10,000 and 100,000 accounts in the database."""
    for count in ((1, 100) if run.options.smoke else (1, 100, 10000, 100000)):
        run.report(f"login, {count} accounts", {"popper": accounts.measure(count, run.rounds)["login"]})


def sessions_too(run):
    """Memory of each of 10, 1,000 and 5,000 held sessions, and a login beside them."""
    for count in ((2, 10) if run.options.smoke else (10, 1000, 5000)):
        each, values = sessions.measure(count, run.rounds)
        run.report(f"memory of each of {count} sessions", {"popper": [each]}, "KiB")
        run.report(f"login beside {count} sessions", {"popper": values})


def popcheck(run):
    """popcheck of the large maildrop."""
    os.chown(run.original, run.uid, run.uid)  # mail is read with its owner's rights, and with root's not at all

    def one():
        start = time.monotonic()
        code = subprocess.run([program("popcheck"), run.original], check=False, stdout=subprocess.DEVNULL).returncode
        if code not in (0, 1):  # 1: it has something to say, of the mode of the file for example
            raise SystemExit(f"popcheck: exit code {code}")
        return (time.monotonic() - start) * 1000

    run.report("popcheck", {"popper": [one() for _ in range(run.rounds)], "limit": [memchr_pass(run)]}, note="limit: one pass of memchr over every line")


def growth(run):
    """Opening maildrops of 1,000, 20,000 and 100,000 messages."""
    import bench  # noqa: PLC0415
    for count in ((100, 1000) if run.options.smoke else (1000, 20000, 100000)):
        path = os.path.join(run.folder, "grown")
        bench.generate(path, count, 2000 if run.options.smoke else 4000)
        run.restore(source=path)
        settle(run)
        interleaved(run, lambda server: load(run, server, "open")[0], rounds=2)
        run.report(f"open unchanged, {count} messages", interleaved(run, lambda server: load(run, server, "open")[0]))
        run.report(f"leave on server, {count} messages", interleaved(run, lambda server: load(run, server, "leave")[0]))
        run.report(f"open after one new message, {count} messages", open_grown(run, count))
    run.restore()


CASES = {"first": first, "again": again, "grown": grown, "leave": leave, "retr": retr, "pipelined": pipelined, "tls": tls, "delete": delete, "logins": logins,
         "memory": memory, "growth": growth, "accounts": accounts_too, "sessions": sessions_too, "popcheck": popcheck}
