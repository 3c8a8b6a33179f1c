#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""No password stays where it has no business: memory, environment and arguments of session and monitor, the log; no cores."""
import base64
import hashlib
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import PASSWORD, Pop, Site, mailbox, skip, wait_until  # noqa: E402
from interrupted import children, name_of  # noqa: E402

WRONG = "not the secret of anybody"


def memory(pid):
    """Everything that is mapped and readable."""
    out = b""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            found = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
            if not found or "[v" in line:
                continue
            begin, end = (int(part, 16) for part in found.groups())
            try:
                mem.seek(begin)
                out += mem.read(end - begin)
            except OSError:
                pass
    return out


def forms(password, user):
    plain = base64.b64encode(f"\0{user}\0{password}".encode())
    return [password.encode(), base64.b64encode(password.encode()), plain, plain[8:40]]


def check_process(pid, what, stamp=b""):
    content = memory(pid)
    assert b"Qpopper" in content, f"{what}: the scan itself must see something"
    for password in (PASSWORD, WRONG):
        for form in forms(password, "ada"):
            assert form not in content, f"{form!r} in the memory of the {what}"
    for name in ("environ", "cmdline"):
        with open(f"/proc/{pid}/{name}", "rb") as file:
            data = file.read()
        assert PASSWORD.encode() not in data and WRONG.encode() not in data
    with open(f"/proc/{pid}/limits") as file:
        core = re.search(r"Max core file size\s+(\S+)", file.read()).group(1)
    return core


def log_in(site, how):
    client = Pop(site.connect())
    client.ok("USER ada")
    assert client.command(f"PASS {WRONG}").startswith(b"-ERR [AUTH]")
    if how == "PASS":
        client.login()
    elif how == "PLAIN":
        assert client.command("AUTH PLAIN " + forms(WRONG, "ada")[2].decode()).startswith(b"-ERR [AUTH]")
        client.ok("AUTH PLAIN " + forms(PASSWORD, "ada")[2].decode())
    elif how == "LOGIN":
        assert client.command("AUTH LOGIN YWRh").startswith(b"+ ")
        client.ok(forms(PASSWORD, "ada")[1].decode())
    else:
        stamp = re.search(rb"<.*>", client.greeting).group(0)
        client.ok("APOP ada " + hashlib.md5(stamp + PASSWORD.encode()).hexdigest())
    return client


def main():
    if os.geteuid() != 0:
        skip("needs root to read the memory of processes that are not dumpable")
    if os.environ.get("QPOP_SANITIZED") == "1":
        skip("sanitizers keep freed memory")
    with Site() as site:
        site.put_spool("ada", mailbox(3))
        site.start()
        try:
            for how in ("PASS", "PLAIN", "LOGIN", "APOP"):
                client = log_in(site, how)
                client.ok("STAT")
                pids = children(site.process.pid)
                names = {pid: name_of(pid) for pid in pids}
                sessions = [pid for pid in pids if names[pid] == "popper-session"]
                assert sessions
                for pid in sessions:
                    assert check_process(pid, f"session after {how}") == "0"
                check_process(site.process.pid, f"monitor after {how}")
                authenticator, = (pid for pid in pids if names[pid] == "popper-auth")
                with open(f"/proc/{authenticator}/limits") as file:
                    assert re.search(r"Max core file size\s+0\s+0\s", file.read()), "no core of the process that checks passwords"
                # Not dumpable: its files in /proc are root's, so nobody of its uid can look into it.
                assert os.stat(f"/proc/{authenticator}/mem").st_uid == 0
                client.ok("QUIT")
                client.close()
                wait_until(lambda: "POP login" in site.log(), what="log")
        except BaseException:
            print(site.log())
            raise
        for password in (PASSWORD, WRONG):
            for form in forms(password, "ada"):
                assert form.decode() not in site.log()
        assert site.stop() == 0
    print("secrets: ok")


if __name__ == "__main__":
    main()
