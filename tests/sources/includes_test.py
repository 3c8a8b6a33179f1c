#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks the sources against the folder rules: who may include whom, file length, licence line, one table of options that is read whole."""
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIMIT = 500

# Folder -> project folders it may include (its own always).
RULES = {
    "common/base": set(),
    "common/digest": {"common/base"},
    "common/listing": {"common/base", "common/digest"},
    "common/log": {"common/base"},
    "common/config": {"common/base", "common/log"},
    "common/pop3": {"common/base"},
    "common/sasl": {"common/base", "common/digest"},
    "common/mbox": {"common/base", "common/digest", "common/listing"},
    "common/check": {"common/base", "common/digest", "common/listing", "common/mbox"},
    "common/files": {"common/base", "common/listing"},
    "common/spool": {"common/base", "common/log", "common/digest", "common/listing", "common/mbox", "common/files", "common/check"},
    "common/db": {"common/base", "common/log"},
    "common/authdb": {"common/base", "common/log", "common/db", "common/digest"},
    "common/ipc": {"common/base", "common/log"},
    "common/priv": {"common/base", "common/log"},
    "common/gdbm": {"common/base", "common/priv"},
    "common/tls": {"common/base"},
    "popper/program": {"common/base", "common/log", "common/ipc", "common/priv"},
    "popper/resolver": {"common/base", "common/log", "common/ipc", "common/priv"},
    "popper/monitor": {"common/base", "common/log", "common/config", "common/ipc", "common/priv", "common/digest", "common/files"},
    "popper/session": {"common/base", "common/log", "common/config", "common/ipc", "common/priv", "common/pop3", "common/sasl",
                       "common/digest", "common/listing", "common/tls"},
    "popper/authenticator": {"common/base", "common/log", "common/config", "common/ipc", "common/priv", "common/authdb", "common/sasl",
                             "common/digest"},
    "popper/signer": {"common/base", "common/log", "common/ipc", "common/priv", "common/tls"},
    "popper/checker": {"common/base", "common/log", "common/ipc", "common/priv", "common/tls"},
    # A command of its own, not a role: it uses the maildrop's way of finding out what holds for a user.
    "popper/takeover": {"common/base", "common/log", "common/config", "common/priv", "common/mbox", "common/spool", "common/listing",
                        "common/files", "common/gdbm", "popper/maildrop"},
    "popper/maildrop": {"common/base", "common/log", "common/config", "common/ipc", "common/priv", "common/mbox", "common/spool",
                        "common/listing", "common/files", "common/digest", "common/check"},
    "popcheck": {"common/base", "common/log", "common/config", "common/priv", "common/mbox", "common/spool", "common/listing", "common/files",
                 "common/digest", "common/check"},
    "popauth": {"common/base", "common/log", "common/config", "common/priv", "common/authdb", "common/digest", "common/db", "common/gdbm"},
    "popcert": {"common/base", "common/config", "common/digest", "common/tls"},
    "cmake": set(),
    "scripts": {"common/config", "common/check"},
}
# Binds the roles to the monitor.
FREE = {"popper"}


def tracked(*patterns):
    out = subprocess.run(["git", "-c", f"safe.directory={TOP}", "-C", TOP, "ls-files", "-co", "--exclude-standard", *patterns], capture_output=True, text=True, check=True).stdout
    return [name for name in out.splitlines() if os.path.exists(os.path.join(TOP, name))]


def read(name):
    with open(os.path.join(TOP, name), encoding="utf-8") as file:
        return file.read()


def main():
    faults = []
    sources = tracked("*.cc", "*.h", "*.py", "scripts/*", "*.cmake", "*CMakeLists.txt")
    for name in sources:
        text = read(name)
        if "SPDX-License-Identifier: MIT" not in "\n".join(text.splitlines()[:3]):
            faults.append(f"{name}: no SPDX line at its top")
        if text.count("\n") > LIMIT:
            faults.append(f"{name}: {text.count(chr(10))} lines, more than {LIMIT}")
    for name in (n for n in sources if n.endswith((".cc", ".h")) and not n.startswith("tests/")):
        folder = os.path.dirname(name)
        if folder in FREE:
            continue
        if folder not in RULES:
            faults.append(f"{name}: its folder has no rule")
            continue
        for included in re.findall(r'^#include "([^"]+)"', read(name), re.M):
            other = os.path.dirname(included)
            if other != folder and other not in RULES[folder]:
                faults.append(f"{name}: may not include {included}")
    code = "".join(read(n) for n in sources if n.startswith(("popper/", "popauth/", "popcheck/", "popcert/", "common/")) and n.endswith(".cc") and (not n.startswith("common/config") or n.endswith(("placement.cc", "announced.cc"))))
    table = "".join(read(n) for n in tracked("common/config/rows_*.h"))
    per_user = "".join(read(n) for n in sources if n.startswith("popper/maildrop/") or n in ("common/config/placement.cc", "common/config/announced.cc"))
    settled = re.findall(r"Opt::(\w+)", re.search(r"kSettledFirst\{(.*?)\}", read("common/config/options.h"), re.S).group(1))
    rows = re.findall(r"Option\{Opt::(\w+), \"([^\"]+)\"", table)
    for identifier, option in rows:
        body = table[table.index(f"Option{{Opt::{identifier},"):]
        obsolete = re.search(r"(true|false)\}", body).group(1) == "true"
        used = re.search(rf"Opt::{identifier}\b", code) is not None
        if identifier == "config_file":
            continue
        if used == obsolete:
            faults.append(f"option {option}: {'obsolete but read' if obsolete else 'in the table but never read'}")
        scope = re.search(r"Scope::(\w)", body).group(1)
        if scope != "I" and not obsolete and identifier not in settled and f"Opt::{identifier}" not in per_user:
            faults.append(f"option {option}: users' files may set it, and nothing that is read for one user asks for it")
    print("\n".join(faults) if faults else f"{len(sources)} files, {len(rows)} options: in order")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
