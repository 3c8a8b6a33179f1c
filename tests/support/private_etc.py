# SPDX-License-Identifier: MIT
"""Accounts, /etc and /var/mail that exist in the private mount namespace of a test only."""
import os
import shutil
import subprocess


def hash_of(password):
    return subprocess.run(["openssl", "passwd", "-6", "-stdin"], input=password + "\n", capture_output=True, text=True, check=True).stdout.strip()


def edit(path, drop, add):
    """Lines whose first field is in `drop` go, `add` comes."""
    with open(path) as file:
        lines = [line for line in file if line.split(":")[0] not in drop]
    with open(path, "w") as file:
        file.writelines(lines + add)


def bind_etc(site, accounts):
    """accounts: name -> (uid, shell, shadow fields behind the name). A copy of /etc takes its place."""
    etc = os.path.join(site.root, "etc")
    shutil.copytree("/etc", etc, symlinks=True, ignore_dangling_symlinks=True, ignore=shutil.ignore_patterns("pop.auth*", "shadow-", "gshadow-"))
    edit(os.path.join(etc, "passwd"), accounts, [f"{name}:x:{uid}:{uid}::/nonexistent:{shell}\n" for name, (uid, shell, _) in accounts.items()])
    edit(os.path.join(etc, "group"), accounts, [f"{name}:x:{uid}:\n" for name, (uid, _, _) in accounts.items() if uid > 100])
    edit(os.path.join(etc, "shadow"), accounts, [f"{name}:{shadow}\n" for name, (_, _, shadow) in accounts.items()])
    os.chmod(os.path.join(etc, "shadow"), 0o600)
    subprocess.run(["mount", "--bind", etc, "/etc"], check=True)
    mail = os.path.join(site.root, "mail")
    os.mkdir(mail)
    shutil.chown(mail, "root", "mail")
    os.chmod(mail, 0o2775)
    subprocess.run(["mount", "--bind", mail, "/var/mail"], check=True)
