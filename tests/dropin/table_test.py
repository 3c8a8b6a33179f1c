#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every option and flag of Qpopper 4.1: what happens with it today, and the test that proves it. Writes options.md with --write, otherwise compares.

Each option is given to the real program: it must be known, and answered with a warning when, and only when, the table says that it does nothing.
"""
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import TOP, program  # noqa: E402

EMPTY = os.path.join(TOP, "tests", "dropin", "empty.config")
PAGE = os.path.join(TOP, "tests", "dropin", "options.md")
UNIT = "tests/unit/config/config_test.cc"
FILES = "tests/unit/config/option_file_test.cc"
TLS = "tests/e2e/tls_test.py"
DROPIN = "tests/e2e/dropin_test.py"
HERE = "tests/dropin/table_test.py"


def transcript(name):
    return f"tests/transcripts/{name}.pop3"


# Option of the original: class (its own, but for announce-login-delay: a limit that is kept to is not the user's to lift), a value as its configurations have it, the test that proves what it does today.
OPTIONS = {
    "announce-expire": ("N", "30", transcript("announce-per-user")),
    "announce-login-delay": ("U", "60", transcript("login-delay")),
    "auth-file": ("I", "/etc/pop.allow", "tests/e2e/system_accounts_test.py"),
    "auto-delete": ("U", "true", transcript("auto-delete")),
    "bulldb-max-tries": ("N", "10", HERE),
    "bulldb-nonfatal": ("N", "true", HERE),
    "bulldir": ("N", "/var/spool/bulls", DROPIN),
    "cache-dir": ("U", "/var/mail", HERE),
    "cache-name": ("U", ".%s.cache", HERE),
    "check-hash-dir": ("N", "true", DROPIN),
    "check-old-spool-loc": ("N", "true", FILES),
    "check-password-expired": ("I", "true", "tests/e2e/system_accounts_test.py"),
    "chunky-writes": ("N", "tls", HERE),
    "clear-text-password": ("U", "tls", transcript("clear-text-local")),
    "config-file": ("N", "@EMPTY@", UNIT),
    "debug": ("N", "false", transcript("debug")),
    "downcase-user": ("U", "true", transcript("user-names")),
    "drac-host": ("N", "localhost", HERE),
    "fast-update": ("N", "true", HERE),
    "group-bulletins": ("U", "true", DROPIN),
    "group-no-server-mode": ("U", "staff", HERE),
    "group-server-mode": ("U", "staff", HERE),
    "hash-spool": ("U", "2", DROPIN),
    "home-dir-mail": ("U", ".mail", DROPIN),
    "keep-temp-drop": ("U", "true", HERE),
    "kerberos": ("U", "true", HERE),
    "kerberos-service": ("U", "pop", HERE),
    "log-facility": ("I", "local0", UNIT),
    "log-login": ("I", "login of %1", transcript("log-login")),
    "mail-command": ("U", "/usr/sbin/sendmail", DROPIN),
    "mail-lock-check": ("N", "1000", HERE),
    "max-bulletins": ("N", "3", DROPIN),
    "no-atomic-open": ("U", "true", DROPIN),
    "nonauth-file": ("I", "/etc/ftpusers", "tests/e2e/system_accounts_test.py"),
    "old-style-uid": ("N", "true", transcript("old-style-uid")),
    "reverse-lookup": ("U", "false", DROPIN),
    "server-mode": ("N", "true", HERE),
    "shy": ("I", "true", transcript("greeting-shy")),
    "spool-dir": ("U", "/var/mail", DROPIN),
    "spool-options": ("U", "true", DROPIN),
    "statistics": ("N", "true", transcript("statistics")),
    "temp-dir": ("U", "/var/mail", FILES),
    "temp-name": ("U", ".%s.pop", FILES),
    "timeout": ("N", "120", transcript("timeout")),
    "timing": ("N", "true", transcript("timing")),
    "tls-cipher-list": ("I", "DEFAULT", TLS),
    "tls-identity-file": ("I", "/etc/mail/certs/identity.crt", HERE),
    "tls-options": ("U", "0x00000800", HERE),
    "tls-passphrase": ("I", "word", HERE),
    "tls-private-key-file": ("I", "/etc/mail/certs/cert.pem", TLS),
    "tls-server-cert-file": ("I", "/etc/mail/certs/cert.pem", TLS),
    "tls-support": ("I", "stls", TLS),
    "tls-version": ("I", "default", TLS),
    "tls-workarounds": ("U", "true", HERE),
    "tracefile": ("I", "/var/log/pop.trace", DROPIN),
    "trim-domain": ("U", "true", transcript("user-names")),
    "update-on-abort": ("N", "true", transcript("update-on-abort")),
    "update-status-headers": ("N", "false", transcript("status-not-honoured")),
    "user-options": ("U", "true", DROPIN),
    "UW-kludge": ("N", "true", transcript("uw-kludge")),
    "UW-kluge": ("N", "true", transcript("uw-kludge")),
}
# What stands in a test in place of the option's name.
SPELLED = {"log-facility": "log_facility"}
# Flag, its value, the option it sets.
FLAGS = [("-b", "/var/spool/bulls", "bulldir"), ("-B", None, "bulldb-nonfatal"), ("-c", None, "downcase-user"), ("-C", None, "trim-domain"), ("-d", None, "debug"),
         ("-D", "localhost", "drac-host"), ("-e", "login_delay=60,expire=30", "announce-login-delay, announce-expire"), ("-f", "@EMPTY@", "config-file"),
         ("-F", None, "fast-update"), ("-k", None, "kerberos"), ("-K", "pop", "kerberos-service"), ("-l", "1", "tls-support"), ("-L", "1000", "mail-lock-check"),
         ("-p", "4", "clear-text-password"), ("-R", None, "reverse-lookup, off"), ("-s", None, "statistics"), ("-S", None, "server-mode"),
         ("-t", "/var/log/pop.trace", "tracefile, debug"), ("-T", "120", "timeout"), ("-u", None, "user-options"), ("-U", None, "spool-options"), ("-V", None, "unknown"),
         ("-x", None, "unknown"), ("-y", "local0", "log-facility")]


def rows():
    """The option table: name -> (class, obsolete, summary)."""
    found = {}
    folder = os.path.join(TOP, "common", "config")
    for name in sorted(os.listdir(folder)):
        if not name.startswith("rows_"):
            continue
        with open(os.path.join(folder, name)) as file:
            text = re.sub(r'"\s*\n\s*"', "", file.read())
        row = r'Option\{Opt::\w+, "([^"]+)", (?:\'.\'|0), Type::\w+, Scope::(\w), "(?:[^"\\]|\\.)*", [^"]*"[^"]*",\s*"([^"]*)",\s*"((?:[^"\\]|\\.)*)",\s*(true|false)\}'
        for option, scope, summary, manual, obsolete in re.findall(row, text):
            found[option] = (scope, obsolete == "true", summary, manual)
    found["UW-kluge"] = found["UW-kludge"]
    return found


def of_one_user():
    """The options that may stand in option files of users, by what the sample says of each."""
    with open(os.path.join(TOP, "conf", "qpopper.config")) as file:
        parts = file.read().split("\n\n")
    return {part.split(":")[0][2:] for part in parts if re.search(r"(?m)^# (Users may set it|May stand in spool-options files)\.$", part)}


def answer(arguments):
    """What the program says of a configuration: its complaints."""
    done = subprocess.run([program("popper"), *arguments, "--print-config"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    return done.returncode, done.stderr


def check_option(table, option, value, faults):
    with tempfile.NamedTemporaryFile("w", suffix=".config") as file:
        file.write(f'set {option} = "{value.replace("@EMPTY@", EMPTY)}"\n')
        file.flush()
        code, said = answer(["-f", file.name])
    if code != 0:
        return faults.append(f"{option} = {value}: refused: {said}")
    warned = "is obsolete and does nothing" in said
    if warned != table[option][1]:
        faults.append(f"{option}: {'answered with' if warned else 'without'} a warning that it does nothing")
    if said and not warned:
        faults.append(f"{option} = {value}: {said}")


def check_proof(option, proof, faults):
    with open(os.path.join(TOP, proof)) as file:
        if SPELLED.get(option, option) not in file.read():
            faults.append(f"{option}: {proof} does not mention it")


def main():
    table, faults, lines, per_user = rows(), [], [], of_one_user()
    for option, (wanted, value, proof) in sorted(OPTIONS.items(), key=lambda item: item[0].lower()):
        if option not in table:
            faults.append(f"{option} is not in the table")
            continue
        scope, obsolete, summary, manual = table[option]
        if scope != wanted:
            faults.append(f"{option}: class {scope}, want {wanted}")
        check_option(table, option, value, faults)
        check_proof(option, proof, faults)
        today = f"accepted with a warning. {manual}" if obsolete else summary
        if not obsolete and wanted != "I" and option.replace("UW-kluge", "UW-kludge") not in per_user:
            today += "; settled before option files of users are read"
        lines.append(f"| `{option}` | {wanted} | {today} | `{proof}` |")
    flags = []
    for flag, value, option in FLAGS:
        if option.split(",")[0] not in table and option != "unknown":
            continue
        code, said = answer([flag] + ([value.replace("@EMPTY@", EMPTY)] if value else []))
        if code != 0:
            faults.append(f"{flag}: refused: {said}")
        if option == "unknown" and "has no known meaning" not in said:
            faults.append(f"{flag}: no warning")
        flags.append(f"| `{flag}{' ' + value if value and value[0] != '@' else ''}` | {option} |")
    text = ("# Options of Qpopper 4.1 today\n\nWritten by `tests/dropin/table_test.py --write` from the option table, compared by the test `dropin.table`; every option below is given to\n"
            "the program there. Class: N, users may set it; U, the administrator for one user; I, neither.\nWhat each does in full: qpopper.config(5).\n\n"
            "| option | class | today | test |\n| --- | --- | --- | --- |\n" + "\n".join(lines) +
            "\n\n| flag | option |\n| --- | --- |\n" + "\n".join(flags) + "\n")
    if "--write" in sys.argv:
        with open(PAGE, "w") as file:
            file.write(text)
    else:
        with open(PAGE) as file:
            if file.read() != text:
                faults.append("tests/dropin/options.md is out of step: run tests/dropin/table_test.py --write")
    print("\n".join(faults) if faults else f"{len(lines)} options, {len(flags)} flags: as the page says")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
