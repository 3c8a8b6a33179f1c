#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What six programs write into an mbox, and what UW and Dovecot leave in one, is clean to popcheck. Usage: popcheck_producers_test.py."""
import json
import mailbox as python_mailbox
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import delivery_test  # noqa: E402
from harness import Site, message, named_uid  # noqa: E402
from popcheck_test import CLEAN, Case, without_first_line  # noqa: E402


class Missing(Exception):
    """The program is not here, or did not do its part; the text says which."""


def need(path):
    if shutil.which(path) is None:
        raise Missing("it is not installed")


def from_python(_site, path):
    box = python_mailbox.mbox(path)
    for i in range(20):
        mail = python_mailbox.mboxMessage(without_first_line(message(i)).rstrip(b"\n") + b"\n\nFrom here on.\n")
        mail.set_from(f"ada{i}@example.org", True)
        box.add(mail)
    box.close()


def delivered(site, path, agent):
    need(agent)
    argv = getattr(delivery_test, agent)(site, path)
    for i in range(20):
        site.run(argv, input=delivery_test.mail(i))


def from_procmail(site, path):
    delivered(site, path, "procmail")


def from_maildrop(site, path):
    delivered(site, path, "maildrop")


def copies(path):
    if not os.path.exists(path):
        return 0
    with open(path, "rb") as file:
        return file.read().count(b"\nSubject: ")


def from_mutt(site, path):
    need("mutt")
    source = os.path.join(site.home, "source")
    rc = os.path.join(site.home, "muttrc")
    with open(rc, "w") as file:
        file.write("set confirmappend=no confirmcreate=no save_empty=yes quit=yes copy=no\n")
    # It wants a terminal whose other side does not hang up; each run appends one message.
    keys = f"push '<copy-message>{path}<enter><exit>'"
    kept, other = os.pipe()
    for i in range(10):
        # On a busy machine it may leave before it has seen the keys.
        if copies(path) >= 3:
            break
        with open(source, "wb") as file:
            file.write(message(i + 1))
        site.own(site.home)
        site.run(["timeout", "10", "env", "TERM=xterm", "script", "-qec", f'mutt -n -F {rc} -f {source} -e "{keys}"', "/dev/null"], check=False, timeout=60,
                 stdin=kept)
    os.close(kept)
    os.close(other)
    if copies(path) < 2:
        raise Missing("it saw no terminal")


def from_nmh(site, path):
    need("/usr/bin/mh/packf")
    folder = os.path.join(site.home, "Mail", "inbox")
    os.makedirs(folder)
    with open(os.path.join(site.home, ".mh_profile"), "w") as file:
        file.write("Path: Mail\n")
    for i in range(1, 6):
        with open(os.path.join(folder, str(i)), "wb") as file:
            file.write(without_first_line(message(i)))
    site.own(site.home)
    site.run(["/usr/bin/mh/packf", "+inbox", "-file", path])


def from_git(site, path):
    need("git")
    top = os.path.join(site.home, "repository")
    os.mkdir(top)
    site.own(site.home)
    git = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-C", top]
    site.run([*git, "init", "-q"])
    for i in range(5):
        with open(os.path.join(top, "file"), "a") as file:
            file.write(f"From line {i}\n")
        site.own(top)
        site.run([*git, "add", "file"])
        site.run([*git, "commit", "-q", "-m", f"area: change {i}\n\nFrom now on\n"])
    with open(path, "wb") as file:
        file.write(site.run([*git, "format-patch", "--stdout", "--root"]).stdout)


def as_uw(_site, path):
    first = (b"From MAILER-DAEMON Thu Nov 29 10:11:12 2024\nDate: 29 Nov 2024 10:11:12 +0000\nFrom: Mail System Internal Data <MAILER-DAEMON@example.net>\n"
             b"Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nMessage-ID: <1732874000@example.net>\nX-IMAP: 1732874000 0000000003\nStatus: RO\n\n"
             b"This text is part of the internal format of your mail folder.\n\n")
    with open(path, "wb") as file:
        file.write(first + b"".join(message(i, extra=b"Status: RO\nX-Status: A\nX-Keywords:\nX-UID: %d\n" % i) for i in range(1, 6)))


def as_dovecot(_site, path):
    first = message(1, extra=b"X-IMAPbase: 1732874000 0000000003\nX-UID: 1\nStatus: O\nContent-Length: 7\n")
    with open(path, "wb") as file:
        file.write(first + b"".join(message(i, extra=b"X-UID: %d\nStatus: O\nContent-Length: 7\n" % i) for i in range(2, 6)))


MAKERS = {"Python mailbox": from_python, "procmail": from_procmail, "maildrop": from_maildrop, "mutt": from_mutt, "nmh": from_nmh, "git format-patch": from_git,
          "UW": as_uw, "Dovecot": as_dovecot}


def main():
    with Site(uid=named_uid()) as site:
        case = Case(site)
        done = []
        for name, make in MAKERS.items():
            path = os.path.join(site.home, name.split()[0].lower())
            try:
                make(site, path)
            except Missing as why:
                print(f"not {name}: {why}")
                continue
            os.chmod(path, 0o600)
            site.own(site.home)
            report = json.loads(case.run("--json", path, "--ledger-dir", site.home, code=CLEAN))[0]
            assert report["messages"] == report["served"] > 1, (name, report)
            assert all(f["severity"] == "note" for f in report["findings"]), (name, report["findings"])
            done.append(f"{name} ({report['messages']})")
    print("clean: " + ", ".join(done))
    assert len(done) >= 6, done


if __name__ == "__main__":
    main()
