#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""System accounts by PAM and by the shadow file, with the rules that keep users out. Usage: system_accounts_test.py CASE."""
import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import Pop, Site, enter_private_namespace, mailbox, program, skip, wait_until  # noqa: E402
from interrupted import children, name_of  # noqa: E402
from private_etc import bind_etc, hash_of  # noqa: E402

WORD = "system password"
POP_WORD = "another word for POP"


def accounts():
    good = hash_of(WORD)
    today = int(time.time() // 86400)
    shell = "/bin/sh"
    return {
        "popnet": (64401, "/usr/sbin/nologin", "*:19000:0:99999:7:::"), "pop": (64402, "/usr/sbin/nologin", "*:19000:0:99999:7:::"),
        "ada": (64403, shell, f"{good}:{today}:0:99999:7:::"), "bob": (64404, shell, f"{good}:{today}:0:99999:7:::"),
        "expired": (64405, shell, f"{good}:{today}:0:99999:7::{today - 2}:"), "oldword": (64406, shell, f"{good}:{today - 50}:0:30:7:::"),
        "mustchange": (64407, shell, f"{good}:0:0:99999:7:::"), "locked": (64408, shell, f"!{good}:{today}:0:99999:7:::"),
        "nologin": (64409, "/usr/sbin/nologin", f"{good}:{today}:0:99999:7:::"), "nopassword": (64410, shell, f":{today}:0:99999:7:::"),
        "both": (64411, shell, f"{good}:{today}:0:99999:7:::"), "barred": (64412, shell, f"{good}:{today}:0:99999:7:::"),
        "lowuid": (7, shell, f"{good}:{today}:0:99999:7:::"), "zero": (0, shell, f"{good}:{today}:0:99999:7:::"),
    }


def pam(lines):
    with open("/etc/pam.d/qpopper", "w") as file:
        file.write(lines)


UNIX = "auth required pam_unix.so\naccount required pam_unix.so\n"


def prepare(site):
    people = accounts()
    bind_etc(site, people)
    for name in ("ada", "both", "nologin"):
        path = f"/var/mail/{name}"
        with open(path, "wb") as file:
            file.write(mailbox(3))
        os.chown(path, people[name][0], 8)
        os.chmod(path, 0o660)
    os.chmod(site.state, 0o711)
    site.options.update({"spool-dir": "/var/mail"})
    site.database = "/etc/pop.auth"
    pam(UNIX)


def make_database():
    subprocess.run([program("popauth"), "-init"], check=True, stderr=subprocess.DEVNULL)
    subprocess.run([program("popauth"), "-user", "both", "-stdin"], input=POP_WORD.encode() + b"\n", check=True, stderr=subprocess.DEVNULL)


def attempt(site, user, word, connect=None):
    """The answer to PASS."""
    client = Pop((connect or site.connect)())
    client.ok(f"USER {user}")
    answer = client.command(f"PASS {word}")
    if answer.startswith(b"+OK"):
        client.ok("QUIT")
    client.close()
    return answer


def refused(site, user, reason, word=WORD):
    """Answered as any wrong password, logged once with the reason."""
    before = len(site.log())
    answer = attempt(site, user, word)
    assert answer == f'-ERR [AUTH] Password supplied for "{user}" is incorrect.\r\n'.encode(), (user, answer, site.log()[before:])
    line = f"[AUTH] Failed attempted login to {user} from host (127.0.0.1) 127.0.0.1 [{reason} (USER/PASS)]"
    wait_until(lambda: line in site.log()[before:], what=line)
    lines = site.log()[before:]
    assert lines.count(line) == 1, (line, lines)
    assert WORD not in lines and POP_WORD not in lines
    about = [entry for entry in lines.splitlines() if user in entry and "qpopper:" not in entry and "POP session of user" not in entry]
    assert len(about) == 1, ("one event, one line", about)


def check_accounts(site, names):
    for user in ("ada", "nologin"):
        assert b"3 visible" in attempt(site, user, WORD), site.log()
    refused(site, "ada", names["wrong"], "wrong")
    refused(site, "eve", names["unknown"])
    refused(site, "expired", "account expired")
    refused(site, "oldword", "password expired")
    refused(site, "mustchange", "password expired")
    refused(site, "locked", names["locked"])
    refused(site, "nopassword", names["empty"], "")
    refused(site, "nopassword", names["empty"], "x")
    refused(site, "lowuid", "access is blocked for uid 7 (option block-uid is 10)")
    refused(site, "zero", "access is blocked for uid 0 (option block-uid is 10)")


def pam_case(site):
    """No database at all: what an installation has that knew system passwords only."""
    site.start()
    assert "system accounts alone can log in" in site.log()
    client = Pop(site.connect())
    assert b"<" not in client.greeting, "no stamp without a database"
    _, capabilities = client.multi("CAPA")
    assert b"SASL PLAIN LOGIN\r\n" in capabilities, capabilities
    client.close()
    check_accounts(site, {"wrong": "PAM: Authentication failure", "unknown": "PAM: no such user", "locked": "PAM: Authentication failure",
                          "empty": "PAM: Authentication failure"})


def shadow_case(site):
    site.options.update({"auth-backends": "shadow"})
    site.start()
    check_accounts(site, {"wrong": "wrong password", "unknown": "no such system user", "locked": "account locked", "empty": "no password is set"})
    assert site.stop() == 0
    site.start(**{"check-password-expired": "false"})
    client = Pop(site.connect())
    client.ok("USER oldword")
    assert client.command(f"PASS {WORD}").startswith(b"+OK"), site.log()


def both_case(site):
    """An account of the database is checked there only; APOP and SCRAM are for it, PAM for the others."""
    make_database()
    site.start()
    assert b"3 visible" in attempt(site, "both", POP_WORD), site.log()
    refused(site, "both", "wrong password", WORD)
    assert b"3 visible" in attempt(site, "ada", WORD), site.log()
    refused(site, "ada", "PAM: Authentication failure", POP_WORD)
    subprocess.run([program("popauth"), "-disable", "both"], check=False, stderr=subprocess.DEVNULL)
    client = Pop(site.connect())
    stamp = re.search(rb"<.*>", client.greeting).group(0)
    digest = hashlib.md5(stamp + WORD.encode()).hexdigest()
    assert client.command(f"APOP ada {digest}").startswith(b"-ERR [AUTH]"), "a system password is not known in plain"
    # A database that cannot be used: nobody can tell who has an account in it.
    os.rename("/etc/pop.auth", "/etc/pop.auth.away")
    with open("/etc/pop.auth", "w"):
        os.chown("/etc/pop.auth", 64402, 64402)
        os.chmod("/etc/pop.auth", 0o600)
    for user, word in (("ada", WORD), ("both", WORD), ("both", POP_WORD)):
        assert attempt(site, user, word).startswith(b"-ERR [SYS/TEMP]"), site.log()
    wait_until(lambda: "is empty; initialise it" in site.log(), what="log line")


def rules_case(site):
    make_database()
    allowed, barred = os.path.join(site.root, "allowed"), os.path.join(site.root, "barred")

    def write(path, text):
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, 0o600)

    write(allowed, "ada\nbob\nboth\nbarred\nnologin")  # the last line has no line end
    write(barred, "barred")
    site.start(**{"auth-file": allowed, "nonauth-file": barred, "check-shell": "true"})
    assert b"3 visible" in attempt(site, "ada", WORD), site.log()
    assert b"3 visible" in attempt(site, "both", POP_WORD), site.log()
    refused(site, "barred", "is in nonauth-file")
    refused(site, "expired", "account expired")
    refused(site, "nologin", "the shell is not in /etc/shells")
    write(allowed, "both\n")
    refused(site, "ada", "is not in auth-file")
    with open("/etc/shells", "a") as file:
        file.write("/POPPER/ANY/SHELL/\n")
    write(allowed, "nologin\nADA\nboth \n")
    assert b"3 visible" in attempt(site, "nologin", WORD), site.log()
    refused(site, "ada", "is not in auth-file")
    refused(site, "both", "is not in auth-file", POP_WORD)
    os.unlink(barred)
    refused(site, "nologin", "nonauth-file cannot be read")
    write(barred, "")
    os.chmod(allowed, 0o666)
    refused(site, "nologin", "auth-file cannot be read")
    os.chmod(allowed, 0o600)
    assert b"3 visible" in attempt(site, "nologin", WORD), site.log()


def environment_case(site):
    """A module sees host and terminal before it is asked, runs in a process of its own, and hanging or dying hurts one login."""
    dump, script = os.path.join(site.root, "dump"), os.path.join(site.root, "script")
    with open(script, "w") as file:
        file.write(f"#!/bin/sh\necho \"$PAM_TYPE $PAM_SERVICE $PAM_USER $PAM_RHOST $PAM_TTY\" >> {dump}\n"
                   f"[ \"$PAM_USER\" = bob ] && sleep 100\nexit 0\n")
    os.chmod(script, 0o755)
    pam(f"auth required pam_exec.so quiet {script}\n{UNIX}")
    make_database()
    site.start()
    assert b"3 visible" in attempt(site, "ada", WORD), site.log()
    with open(dump) as file:
        assert file.read() == "auth qpopper ada 127.0.0.1 127.0.0.1\n"
    # bob's module hangs: others are served meanwhile, by both back ends.
    client = Pop(site.connect())
    client.ok("USER bob")
    start = time.monotonic()
    client.send(f"PASS {WORD}\r\n".encode())
    pid, = wait_until(lambda: checkers(site), what="checker process")
    assert b"3 visible" in attempt(site, "ada", WORD) and b"3 visible" in attempt(site, "both", POP_WORD)
    with open(f"/proc/{pid}/limits") as file:
        assert re.search(r"Max core file size\s+0\s+0\s", file.read()), "no core of a process that sees a password"
    client.socket.settimeout(60)
    answer = client.line()
    assert answer.startswith(b"-ERR [SYS/TEMP]") and 25 < time.monotonic() - start < 40, answer
    wait_until(lambda: not checkers(site), what="end of the checker process")
    wait_until(lambda: "asked the system about a login ended: killed by signal 9" in site.log(), what="log line")
    # With the process that starts checkers its checkers end; another takes its place.
    client = Pop(site.connect())
    client.ok("USER bob")
    client.send(f"PASS {WORD}\r\n".encode())
    pid, = wait_until(lambda: checkers(site), what="checker process")
    starter, = starters(site)
    os.kill(starter, signal.SIGKILL)
    answer = client.line()
    assert answer.startswith(b"-ERR [SYS/TEMP]"), answer
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), what="end of the checker process")
    assert b"3 visible" in attempt(site, "ada", WORD), site.log()
    assert "starts those who ask the system about logins ended: killed by signal 9" in site.log()
    # A reload has one of its own; the one before goes when its last checker has gone.
    before, = starters(site)
    os.kill(site.process.pid, signal.SIGHUP)
    wait_until(lambda: not os.path.exists(f"/proc/{before}"), what="end of the one before")
    assert b"3 visible" in attempt(site, "ada", WORD), site.log()
    last, = starters(site)
    site.stop()
    wait_until(lambda: name_of(last) != "popper-checks", what="end of the one after")


def starters(site):
    return [pid for pid in children(site.process.pid) if name_of(pid) == "popper-checks"]


def checkers(site):
    return [pid for starter in starters(site) for pid in children(starter) if name_of(pid) == "popper-check"]


def inetd_case(site):
    """The same from inetd: the started process is the monitor of one session. The address is that of a TCP connection."""
    path = shutil.which("inetd", path="/usr/sbin:/sbin")
    if path is None:
        skip("openbsd-inetd is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        site.port = probe.getsockname()[1]
    site.write_config(**{"failed-login-delay": "1", "log-target": "syslog"})
    conf = os.path.join(site.root, "inetd.conf")
    with open(conf, "w") as file:
        file.write(f"127.0.0.1:{site.port} stream tcp nowait root {program('popper')} popper -s -f {site.config}\n")
    process = subprocess.Popen([path, "-d", conf], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: listening(site.port), what="inetd")
        assert b"3 visible" in attempt(site, "ada", WORD)
        assert attempt(site, "expired", WORD).startswith(b"-ERR [AUTH]")
        assert attempt(site, "ada", "wrong").startswith(b"-ERR [AUTH]")
        # Each connection is another server; they know of each other's failures by the file.
        start = time.monotonic()
        assert attempt(site, "ada", "wrong again").startswith(b"-ERR [AUTH]")
        assert time.monotonic() - start > 3, "third failure of this address: 4 s"
        facts = os.stat(os.path.join(site.state, "penalties"))
        assert (facts.st_uid, facts.st_mode & 0o7777) == (64402, 0o600)
        # Damage is emptiness.
        with open(os.path.join(site.state, "penalties"), "wb") as file:
            file.write(os.urandom(5000))
        start = time.monotonic()
        assert b"3 visible" in attempt(site, "ada", WORD)
        assert time.monotonic() - start < 3
    finally:
        process.terminate()
        process.wait(20)


def listening(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        return True
    except OSError:
        return False


CASES = {"pam": pam_case, "shadow": shadow_case, "both": both_case, "rules": rules_case, "environment": environment_case, "inetd": inetd_case}


def main():
    enter_private_namespace()
    with Site(users=(), uid=0) as site:
        prepare(site)
        try:
            CASES[sys.argv[1]](site)
        except BaseException:
            print(site.log()[-6000:])
            raise
        assert site.stop() in (0, None)
    print(f"{sys.argv[1]}: ok")


if __name__ == "__main__":
    main()
