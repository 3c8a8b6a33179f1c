#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The server as root with a system user's spool: who runs as whom, confined how, holding what. In a private mount namespace."""
import os
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import PASSWORD, Pop, Site, enter_private_namespace, mailbox, message, program, wait_until  # noqa: E402
from interrupted import children, name_of  # noqa: E402

UIDS = {"popnet": 64401, "pop": 64402, "ada": 64403, "popkey": 64404, "toor": 5}


def prepare(site):
    """Accounts, /var/mail and /etc/pop.auth that exist in this namespace only."""
    etc = os.path.join(site.root, "etc")
    shutil.copytree("/etc", etc, symlinks=True, ignore_dangling_symlinks=True, ignore=shutil.ignore_patterns("pop.auth*", "shadow-", "gshadow-"))
    with open(os.path.join(etc, "passwd")) as file:
        lines = [line for line in file if line.split(":")[0] not in UIDS]
    lines += [f"{name}:x:{uid}:{uid}::/nonexistent:/usr/sbin/nologin\n" for name, uid in UIDS.items()]
    with open(os.path.join(etc, "passwd"), "w") as file:
        file.writelines(lines)
    with open(os.path.join(etc, "group"), "a") as file:
        file.writelines(f"{name}:x:{uid}:\n" for name, uid in UIDS.items() if name != "toor")
    subprocess.run(["mount", "--bind", etc, "/etc"], check=True)
    mail = os.path.join(site.root, "mail")
    os.mkdir(mail)
    shutil.chown(mail, "root", "mail")
    os.chmod(mail, 0o2775)
    subprocess.run(["mount", "--bind", mail, "/var/mail"], check=True)
    for name in ("ada", "toor"):
        path = f"/var/mail/{name}"
        with open(path, "wb") as file:
            file.write(mailbox(5))
        os.chown(path, UIDS[name], 8)
        os.chmod(path, 0o660)
    for argv, text in ((["-init"], None), (["-user", "ada", "-stdin"], PASSWORD), (["-user", "toor", "-stdin"], PASSWORD)):
        subprocess.run([program("popauth"), *argv], input=(text or "").encode() + b"\n", check=True, stderr=subprocess.DEVNULL)
    certificate = os.path.join(site.root, "cert.pem")
    subprocess.run([program("popcert"), "init", "--host", "pop.example.org", "--file", certificate], check=True, stdout=subprocess.DEVNULL)
    site.options.update({"tls-support": "stls", "tls-server-cert-file": certificate})
    os.chmod(site.state, 0o711)
    site.options.update({"spool-dir": "/var/mail"})
    site.database = "/etc/pop.auth"


def status(pid):
    with open(f"/proc/{pid}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def by_name(site, name):
    return [pid for pid in children(site.process.pid) if name_of(pid) == name]


def descriptors(pid):
    folder = f"/proc/{pid}/fd"
    out = []
    for fd in os.listdir(folder):
        try:
            out.append(os.readlink(os.path.join(folder, fd)))
        except FileNotFoundError:
            pass
    return out


def client_socket(connection):
    """The inode of the server's end of a loopback connection, as /proc/PID/fd shows it."""
    ours, theirs = connection.getsockname()[1], connection.getpeername()[1]
    with open("/proc/net/tcp") as file:
        for line in file.readlines()[1:]:
            words = line.split()
            if int(words[1].split(":")[1], 16) == theirs and int(words[2].split(":")[1], 16) == ours and words[3] == "01":
                return f"socket:[{words[9]}]"
    raise AssertionError("connection not found")


def check_sessions(site):
    for pid in by_name(site, "popper-session"):
        facts = status(pid)
        assert facts["Uid"].split() == [str(UIDS["popnet"])] * 4, facts["Uid"]
        assert facts["Gid"].split() == [str(UIDS["popnet"])] * 4
        assert facts["Groups"].split() == [str(UIDS["popnet"])], facts["Groups"]
        assert facts["NoNewPrivs"] == "1" and facts["Seccomp"] == "2", facts
        assert int(facts["CapEff"], 16) == 0 and int(facts["CapPrm"], 16) == 0
        assert os.path.realpath(os.readlink(f"/proc/{pid}/root")) == os.path.join(site.state, "empty")
        assert os.listdir(f"/proc/{pid}/root/") == []


def check_signer(site):
    signer, = by_name(site, "popper-signer")
    facts = status(signer)
    assert facts["Uid"].split() == [str(UIDS["popkey"])] * 4 and facts["Groups"].split() == [str(UIDS["popkey"])], facts
    assert facts["NoNewPrivs"] == "1" and facts["Seccomp"] == "2" and int(facts["CapEff"], 16) == 0
    assert os.listdir(f"/proc/{signer}/root/") == [], "an empty root"
    assert not [name for name in descriptors(signer) if name.endswith(".pem")], "files are read once"


def check_waiting(site):
    """It is to become the maildrop process of whoever comes next: nothing of the monitor's is open in it."""
    waiting, = wait_until(lambda: by_name(site, "popper-waiting"), what="process that waits for work")
    wait_until(lambda: sorted(set(descriptors(waiting)))[:-1] == ["/dev/null"], what="closed descriptors")
    held, = [name for name in descriptors(waiting) if name != "/dev/null"]
    assert held.startswith("socket:") and not [pid for pid in by_name(site, "popper-session") if held in descriptors(pid)], "a channel of its own"


def check_login(site):
    connection = site.connect()
    client = Pop(connection)
    inode = client_socket(connection)
    holders = [pid for pid in [site.process.pid, *children(site.process.pid)] if inode in descriptors(pid)]
    assert len(holders) == 1 and holders[0] in by_name(site, "popper-session"), "only the session may hold the client's socket"
    client.login()
    session = holders[0]
    # Spool and listing are there, read-only; the authenticator's channel is gone.
    open_files = [name for name in descriptors(session) if name.startswith("/") and "null" not in name]
    assert sorted(os.path.basename(name) for name in open_files) == ["ada", "index", "session"], open_files
    # With the uid alone a second login name of ada's would share her journal.
    assert os.listdir(os.path.join(site.state, "u")) == [f"{UIDS['ada']}.ada"], "state folder of uid and name"
    for fd in os.listdir(f"/proc/{session}/fd"):
        if os.readlink(f"/proc/{session}/fd/{fd}") == "/var/mail/ada":
            with open(f"/proc/{session}/fdinfo/{fd}") as file:
                flags = int(re.search(r"flags:\s*(\d+)", file.read()).group(1), 8)
            assert flags & os.O_ACCMODE == os.O_RDONLY, "the session's spool descriptor must be read-only"
    authenticator, = by_name(site, "popper-auth")
    facts = status(authenticator)
    assert facts["Uid"].split() == [str(UIDS["pop"])] * 4 and facts["NoNewPrivs"] == "1" and facts["Seccomp"] == "2"
    assert inode not in descriptors(authenticator)
    with open(f"/proc/{session}/environ", "rb") as file:
        assert PASSWORD.encode() not in file.read()
    check_sessions(site)
    client.ok("DELE 1")
    return client


def check_maildrop_process(site, client):
    """Holds the spool's lock, so that the maildrop process of the update can be looked at while it waits."""
    with open("/var/mail/ada.lock", "x") as file:
        file.write(f"{os.getpid()}\n")
    client.send(b"QUIT\r\n")
    pid, = wait_until(lambda: by_name(site, "popper-maildrop"), what="maildrop process")
    # Not before it has given up its rights.
    wait_until(lambda: status(pid)["Seccomp"] == "2", what="confinement")
    facts = status(pid)
    assert facts["Uid"].split() == [str(UIDS["ada"])] * 4, facts["Uid"]
    assert facts["Groups"].split() == [str(UIDS["ada"])], "never in group mail"
    assert facts["NoNewPrivs"] == "1" and int(facts["CapEff"], 16) == 0
    assert not [name for name in descriptors(pid) if name.startswith("socket:") and name == client_socket(client.socket)]
    os.unlink("/var/mail/ada.lock")
    assert client.line().startswith(b"+OK"), site.log()
    client.close()
    with open("/var/mail/ada", "rb") as file:
        assert file.read() == mailbox(5)[len(message(1)):]
    facts = os.stat("/var/mail/ada")
    assert (facts.st_uid, facts.st_gid, facts.st_mode & 0o7777) == (UIDS["ada"], 8, 0o660), "owner, group and mode stay"
    wait_until(lambda: sorted(os.listdir("/var/mail")) == ["ada", "toor"], what="lock file removed")


def check_refusals(site):
    client = Pop(site.connect())
    client.ok("USER toor")
    assert client.command(f"PASS {PASSWORD}").startswith(b"-ERR [AUTH]"), "uids up to block-uid may not log in"
    client.close()
    os.rename("/var/mail/ada", "/var/mail/saved")
    for what, make in (("symbolic link", lambda: os.symlink("/var/mail/toor", "/var/mail/ada")),
                       ("fifo", lambda: os.mkfifo("/var/mail/ada")),
                       ("directory", lambda: os.mkdir("/var/mail/ada")),
                       ("belongs to uid", lambda: shutil.copy("/var/mail/saved", "/var/mail/ada")),
                       ("has 2 links", lambda: os.link("/var/mail/saved", "/var/mail/ada"))):
        make()
        client = Pop(site.connect())
        client.ok("USER ada")
        answer = client.command(f"PASS {PASSWORD}")
        assert answer.startswith(b"-ERR [SYS/PERM]"), (what, answer)
        client.close()
        if os.path.isdir("/var/mail/ada"):
            os.rmdir("/var/mail/ada")
        else:
            os.unlink("/var/mail/ada")
        wait_until(lambda: what in site.log(), what=f"log line with {what}")
    os.rename("/var/mail/saved", "/var/mail/ada")


def main():
    enter_private_namespace()
    with Site(users=(), uid=0) as site:
        prepare(site)
        site.start()
        try:
            wait_until(lambda: len(by_name(site, "popper-session")) >= 4, what="waiting sessions")
            time.sleep(0.2)
            check_sessions(site)
            check_signer(site)
            check_waiting(site)
            client = check_login(site)
            check_maildrop_process(site, client)
            check_refusals(site)
        except BaseException:
            print(site.log())
            raise
        assert site.stop() == 0
    print("privileges: ok")


if __name__ == "__main__":
    main()
