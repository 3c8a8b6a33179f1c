#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Running the server: who is there, sending somebody away, counters, one log line for each login, failure and end. Usage: operation_test.py CASE."""
import os
import re
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import PASSWORD, Pop, Site, free_port, mailbox, message, program, wait_until  # noqa: E402
from interrupted import interrupt, large_mailbox  # noqa: E402
from tls_site import TlsSite, context_for, secure  # noqa: E402


def ask(site, *words, code=0):
    done = site.run([program("popper"), *words, "-f", site.config], check=False)
    assert done.returncode == code, (words, done)
    return done.stdout.decode()


def metrics(text):
    """{sample: value}; the form is checked on the way."""
    assert text.endswith("# EOF\n"), text
    out, family = {}, None
    for line in text.splitlines()[:-1]:
        if line.startswith("# "):
            family = line.split()[2]
            continue
        name, value = line.rsplit(" ", 1)
        assert re.fullmatch(r"[a-z_]+(\{[a-z]+=\"[a-z0-9-]+\"(,[a-z]+=\"[a-z0-9-]+\")*\})?", name), line
        assert name.startswith(family), (family, line)
        out[name] = float(value)
    return out


def fetch(address):
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as connection:
        connection.settimeout(10)
        connection.connect(address)
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    head, _, body = answer.decode().partition("\r\n\r\n")
    assert head.startswith("HTTP/1.0 200 OK\r\n") and "application/openmetrics-text; version=1.0.0" in head, head
    return metrics(body)


def try_fetch(address):
    try:
        return fetch(address)
    except OSError:
        return None


def who(site):
    wait_until(lambda: os.path.exists(os.path.join(site.state, "control")), what="the server")
    empty = ask(site, "--who")
    assert empty.splitlines()[0].split() == ["USER", "CLIENT", "SECONDS", "STATE", "PID"] and len(empty.splitlines()) == 1
    first, waiting = Pop(site.connect()), Pop(site.connect())
    first.login("ada")
    rows = [line.split() for line in ask(site, "--who").splitlines()[1:]]
    assert sorted(row[0] + " " + row[3] for row in rows) == ["- authorization", "ada transaction"] and all(row[1] == "127.0.0.1" for row in rows), rows
    first.ok("DELE 1")
    nobody = site.run([program("popper"), "--kick", "bob", "-f", site.config], check=False)
    assert nobody.returncode == 7 and nobody.stdout == b"" and b"no session of user bob" in nobody.stderr, nobody
    assert "1 session told to end" in ask(site, "--kick", "ada")
    assert first.line() == b"-ERR [SYS/TEMP] Session ended by the administrator; no message was removed\r\n" and first.line() == b""
    assert site.read_spool() == mailbox(3), "nothing is deleted"
    wait_until(lambda: "ada" not in ask(site, "--who"), what="the end of the session")
    assert waiting.command("NOOP").startswith(b"-ERR"), "others stay"
    assert "1 session of ada ended by the administrator" in site.log() and " ended: kicked; 0 messages" in site.log()
    site.stop()
    assert "no server answers" in site.run([program("popper"), "--who", "-f", site.config], check=False).stderr.decode()
    assert not os.path.exists(os.path.join(site.state, "control"))


def worker_of(site):
    """The one maildrop process, or None."""
    found = subprocess.run(["ps", "-o", "pid=,comm=", "--ppid", str(site.process.pid)], capture_output=True, text=True, check=True).stdout
    pids = re.findall(r"^\s*(\d+) popper-maildrop", found, re.M)
    assert len(pids) < 2, found
    return int(pids[0]) if pids else None


def session_of(site, user):
    return wait_until(lambda: [int(line.split()[4]) for line in ask(site, "--who").splitlines() if line.startswith(user + " ")], what="session")[0]


def kick(site):
    """Another program holds the lock file. A maildrop process that would open the maildrop for nobody any more ends; one that updates it does not."""
    wait_until(lambda: os.path.exists(os.path.join(site.state, "control")), what="the server")
    lock = os.path.join(site.spool, "ada.lock")

    def begin():
        client = Pop(site.connect())
        client.ok("USER ada")
        client.send(b"PASS " + site.password.encode() + b"\r\n")
        return client, wait_until(lambda: worker_of(site), what="maildrop process")

    with open(lock, "w") as file:
        file.write(f"{os.getpid()}\n")
    client, _ = begin()
    assert "1 session told to end" in ask(site, "--kick", "ada")
    assert client.line() == b"-ERR [SYS/TEMP] Session ended by the administrator; no message was removed\r\n" and client.line() == b""
    wait_until(lambda: worker_of(site) is None, 5, what="the end of the maildrop process")
    wait_until(lambda: "its session has gone; ended" in site.log() and " ended: kicked; " in site.log(), what="log lines")
    client, worker = begin()
    os.kill(session_of(site, "ada"), signal.SIGKILL)  # reaped before its maildrop process is ended
    wait_until(lambda: worker_of(site) is None, 5, what=f"the end of maildrop process {worker}")
    assert client.line() == b"" and "error: maildrop process" not in site.log()
    os.unlink(lock)
    assert os.listdir(site.spool) == ["ada"] and site.read_spool() == mailbox(3)
    # The update was asked for: it goes on, whatever becomes of the session.
    for end_it in (lambda: ask(site, "--kick", "ada"), lambda: os.kill(session_of(site, "ada"), signal.SIGKILL)):
        site.put_spool("ada", mailbox(3))
        client = Pop(site.connect())
        client.login("ada")
        client.ok("DELE 1")
        with open(lock, "w") as file:
            file.write(f"{os.getpid()}\n")
        client.send(b"QUIT\r\n")
        worker = wait_until(lambda: worker_of(site), what="maildrop process")
        end_it()
        time.sleep(0.5)
        assert worker_of(site) == worker, site.log()
        os.unlink(lock)
        wait_until(lambda: worker_of(site) is None, what="the end of the update")
        assert site.read_spool() == mailbox(3)[len(message(1)):], site.log()
        client.close()


def kick_over_journal(_):
    """An update was interrupted. Who kicks the session that would complete it gets it completed all the same."""
    with Site({"failed-login-delay": "0"}) as site:
        folder = os.path.join(site.state, "v", "ada")
        want = interrupt(site, "ada", folder, large_mailbox(300), range(1, 301, 2), lambda content: site.put_spool("ada", content))
        lock = os.path.join(site.spool, "ada.lock")
        if os.path.exists(lock):
            os.unlink(lock)
        with open(lock, "w") as file:
            file.write(f"{os.getpid()}\n")
        site.start()
        wait_until(lambda: os.path.exists(os.path.join(site.state, "control")), what="the server")
        client = Pop(site.connect())
        client.ok("USER ada")
        client.send(b"PASS " + site.password.encode() + b"\r\n")
        first = wait_until(lambda: worker_of(site), what="maildrop process")
        assert "1 session told to end" in ask(site, "--kick", "ada")
        second = wait_until(lambda: worker_of(site) if worker_of(site) != first else None, what="recovery")
        assert os.path.exists(os.path.join(folder, "journal")) and second != first
        os.unlink(lock)
        wait_until(lambda: not os.path.exists(os.path.join(folder, "journal")), what="the end of the recovery; log: " + site.log())
        assert site.read_spool() == want
        client.close()


def start_counting(site):
    """A server anew that shows its counters at the port returned."""
    site.stop()
    port = free_port()
    site.start_tls(**{"metrics-listen": f"127.0.0.1:{port}"})
    wait_until(lambda: os.path.exists(os.path.join(site.state, "control")), what="the server")
    return port


def counters(site):
    port = start_counting(site)
    before = wait_until(lambda: try_fetch(("127.0.0.1", port)), what="counters")
    assert before["popper_connections_total"] == 0 and 80 < before["popper_certificate_days"] <= 90, before
    client = secure(site.connect_tls(), context_for(site.root_certificate))
    client.login("ada")
    client.multi("RETR 1")
    client.multi("RETR 2")
    client.ok("DELE 3")
    during = metrics(ask(site, "--metrics"))
    assert during['popper_sessions{state="transaction"}'] == 1 and during['popper_logins_total{mechanism="password",result="accepted"}'] == 1, during
    client.ok("QUIT")
    wrong = Pop(site.connect())
    assert wrong.command("APOP ada 0123456789abcdef0123456789abcdef").startswith(b"-ERR")
    wrong.ok("QUIT")
    gone = Pop(site.connect())
    gone.login("ada")
    gone.close()
    wait_until(lambda: fetch(("127.0.0.1", port))['popper_ended_sessions_total{by="closed"}'] == 1, what="the end of the cut session")
    after = fetch(("127.0.0.1", port))
    want = {'popper_connections_total': 3, 'popper_tls_handshakes_total{resumed="no"}': 1, 'popper_logins_total{mechanism="password",result="accepted"}': 2,
            'popper_logins_total{mechanism="apop",result="refused"}': 1, 'popper_ended_sessions_total{by="quit"}': 1, 'popper_retrieved_messages_total': 2,
            'popper_deleted_messages_total': 1, 'popper_update_seconds_count': 1, 'popper_open_seconds_count': 2, 'popper_sessions{state="transaction"}': 0}
    assert {name: after[name] for name in want} == want, after
    assert after["popper_sent_octets_total"] > 500
    log = site.log()
    assert log.count("POP login by user") == 2 and log.count("[AUTH] Failed attempted login") == 1
    ends = re.findall(r'\(v[^)]*\) POP session of user "ada" at \(127\.0\.0\.1\) 127\.0\.0\.1 ended: (\w+); (\d+) messages in (\d+) octets sent, (\d+) deleted, \d+ seconds', log)
    assert [(why, sent, deleted) for why, sent, _, deleted in ends] == [("quit", "2", "1"), ("closed", "0", "0")], ends


def places(site):
    """Where the counters are shown: a port of this host or a socket, and nowhere else; whoever asks there keeps nobody out."""
    port = start_counting(site)
    path = os.path.join(site.root, "metrics")
    for _ in range(3):
        Pop(site.connect()).ok("QUIT")
    wait_until(lambda: fetch(("127.0.0.1", port))["popper_connections_total"] == 3, what="the counters before the reload")
    site.write_config(**{**site.listening, "metrics-listen": path})
    site.process.send_signal(signal.SIGHUP)
    wait_until(lambda: os.path.exists(path), what="the other place of the counters")
    assert fetch(path)["popper_connections_total"] == 3 and os.stat(path).st_mode & 0o777 == 0o700
    # Whoever asks nothing, or nonsense without end, holds nothing up.
    idle = socket.socket(socket.AF_UNIX)
    idle.connect(path)
    noisy = socket.socket(socket.AF_UNIX)
    noisy.connect(path)
    noisy.sendall(b"x" * 50000)
    assert fetch(path)["popper_connections_total"] == 3
    crowd = [socket.socket(socket.AF_UNIX) for _ in range(30)]
    for one in crowd:
        one.connect(path)
    assert ask(site, "--who").startswith("USER"), "who fetches counters keeps no administrator out"
    for one in (idle, noisy, *crowd):
        one.close()
    # A socket that is not ours is not removed.
    foreign = os.path.join(site.root, "foreign")
    other = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    other.bind(foreign)
    site.own(foreign)
    site.write_config(**{**site.listening, "metrics-listen": foreign})
    site.process.send_signal(signal.SIGHUP)
    wait_until(lambda: f"metrics-listen {foreign}" in site.log(), what="the refusal; log: " + site.log())
    assert os.path.exists(foreign) and not os.path.exists(path)
    other.close()
    for wrong_place in ("0.0.0.0:9110", "192.0.2.1:9110", "tls:127.0.0.1:9110", "nonsense"):
        site.write_config(**{**site.listening, "metrics-listen": wrong_place})
        assert b"metrics-listen" in site.run([program("popper"), "--check", "-f", site.config], check=False).stderr, wrong_place


CASES = {"who": who, "kick": kick, "kick-over-journal": kick_over_journal, "counters": counters, "places": places}


def main():
    case, = sys.argv[1:]
    with TlsSite({"failed-login-delay": "0"}) as site:
        assert PASSWORD
        site.put_spool("ada", mailbox(3))
        site.start_tls()
        CASES[case](site)
        site.stop()
    print(f"operation {case}: ok")


if __name__ == "__main__":
    main()
