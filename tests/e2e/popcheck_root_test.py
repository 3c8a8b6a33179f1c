#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""popcheck started by root, in a private mount namespace. Usage: popcheck_root_test.py CASE."""
import os
import re
import stat
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import Site, enter_private_namespace, mailbox, program  # noqa: E402
import private_etc  # noqa: E402
from popcheck_test import CLEAN, FAILED, FINDINGS, REPAIRED, Case, damaged, put_left_lock  # noqa: E402


def root_case(site):
    """ada and bob are system users with damaged spools in /var/mail, a folder that only the group mail may write."""
    private_etc.bind_etc(site, {"ada": (64331, "/bin/sh", "*:19000:0:99999:7:::"), "bob": (64332, "/bin/sh", "*:19000:0:99999:7:::")})
    state = os.path.join(site.root, "state")
    site.options.update({"spool-dir": "/var/mail", "state-dir": state})
    os.chmod(state, 0o755)
    os.chmod(site.root, 0o755)
    case = Case(site)
    import grp
    for name, uid in (("ada", 64331), ("bob", 64332)):
        path = os.path.join("/var/mail", name)
        with open(path, "wb") as file:
            file.write(damaged())
        os.chmod(path, 0o660)
        os.chown(path, uid, grp.getgrnam("mail").gr_gid)
    return case


def run_traced(case, *arguments, code):
    """Runs popcheck as root. Every spool and every ledger is opened with the rights of the owner of the mail. Returns what it says and how many spools
    were opened, lock files made and processes put into a sandbox; None without strace."""
    trace = os.path.join(case.site.root, "trace")
    command = [program("popcheck"), "--config", case.site.config, *arguments]
    traced = os.path.exists("/usr/bin/strace") and os.environ.get("QPOP_SANITIZED") != "1"
    if traced:
        command = ["strace", "-f", "-o", trace, "-e", "trace=openat,linkat,setresuid,seccomp,prctl", *command]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == code, (done.stdout, done.stderr)
    if not traced:
        return done.stdout.decode(), None
    dropped, opened, locks, filtered = set(), 0, 0, set()
    with open(trace) as file:
        for line in file:
            pid = line.split()[0]
            if "setresuid(643" in line:
                dropped.add(pid)
            if re.search(r'"(ada|bob)"|\.ledger"', line) and "openat" in line:
                assert pid in dropped, "opened with the rights of root: " + line
                opened += 1
            if re.search(r'"(ada|bob)\.lock"(.*O_CREAT|, AT_)', line) and " = -1" not in line:  # the result may stand in a later line
                locks += 1
            if "SECCOMP_SET_MODE_FILTER" in line or "PR_SET_SECCOMP" in line:
                filtered.add(pid)
    return done.stdout.decode(), (opened, locks, len(filtered))


def root():
    """Root drops to each owner; the lock file is made in a folder that only the group mail may write."""
    enter_private_namespace()
    with Site(uid=0, users=()) as site:
        case = root_case(site)
        _, seen = run_traced(case, "--repair", "--all", code=REPAIRED)
        for name, uid in (("ada", 64331), ("bob", 64332)):
            status = os.stat(os.path.join("/var/mail", name))
            assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (uid, 0o660)
            folder = os.path.join(site.state, "u", f"{uid}.{name}")
            assert os.stat(folder).st_uid == uid and stat.S_IMODE(os.stat(folder).st_mode) == 0o700
            assert [n for n in os.listdir(folder) if n.endswith(".ledger")], os.listdir(folder)
            assert not os.path.exists(f"/var/mail/{name}.lock")
        if seen is not None:
            opened, locks, _ = seen
            assert opened >= 2 and locks >= 2, seen
        assert case.run("--all", "--quiet", code=CLEAN) == ""
        # Seen from the sandbox too, in which /proc is out of reach.
        put_left_lock("/var/mail/ada.lock")
        assert "warning stale-lock" in case.run("ada", code=FINDINGS)
        os.unlink("/var/mail/ada.lock")
        with open("/var/mail/root", "wb") as file:
            file.write(mailbox(1))
        assert "rights of root" in case.run("--all", code=FAILED)


def root_ledger():
    """Root takes a ledger for no more than its owner could do himself, and works on its spool as on one that was named."""
    enter_private_namespace()
    with Site(uid=0, users=()) as site:
        case = root_case(site)
        case.run("--repair", "--all", code=REPAIRED)
        folder = os.path.join(site.state, "u", "64331.ada")
        (name,) = [n for n in os.listdir(folder) if n.endswith(".ledger")]
        path = os.path.join(folder, name)
        text, seen = run_traced(case, "--verify", path, code=CLEAN)
        assert "proven: " in text
        assert seen is None or (seen[0] >= 2 and seen[2] == 1), seen
        # Whatever else is done with a ledger, nothing is undone.
        repaired = open("/var/mail/ada", "rb").read()
        case.run(path)
        assert open("/var/mail/ada", "rb").read() == repaired
        # A ledger that leads to somebody else's spool, in proper form.
        import hashlib
        with open(path) as file:
            good = file.read()
        bobs = open("/var/mail/bob", "rb").read()
        for target, want in (("/var/mail/bob", "uid 64332"), ("/etc/shadow", "rights of root"), ("/var/mail/nobody-of-this-name", "rights of root"),
                             ("/var/mail/.ada", "not the name of a spool"), ("relative", "names no spool")):
            lines = good.replace("spool /var/mail/ada\n", f"spool {target}\n").rsplit("end ", 1)[0]
            with open(path, "w") as file:
                file.write(lines + "end " + hashlib.sha256(lines.encode()).hexdigest() + "\n")
            for verb in ("--undo", "--verify"):
                text, seen = run_traced(case, verb, path, code=FAILED)
                assert want in text, text
                assert seen is None or (seen[0] == 1 and seen[1] == 0), seen
        assert open("/var/mail/bob", "rb").read() == bobs
        with open(path, "w") as file:
            file.write(good)
        os.chmod(folder, 0o770)
        assert "others may change it" in case.run("--undo", path, code=FAILED)
        os.chmod(folder, 0o700)
        text, seen = run_traced(case, "--undo", path, code=REPAIRED)
        assert "warning" not in text, text
        assert seen is None or (seen[0] >= 2 and seen[1] >= 1 and seen[2] == 1), seen
        assert open("/var/mail/ada", "rb").read() == damaged()
        assert not os.path.exists("/var/mail/ada.lock")


if __name__ == "__main__":
    {"root": root, "root-ledger": root_ledger}[sys.argv[1]]()
