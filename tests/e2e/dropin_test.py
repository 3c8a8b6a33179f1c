#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""An installation of the original's that goes on: option files, places of mail, temporary drops, bulletins, programs. Usage: dropin_test.py CASE."""
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import Pop, Site, enter_private_namespace, mailbox, message, program, wait_until  # noqa: E402
from created_names import CreatedNames  # noqa: E402
from private_etc import bind_etc, edit, hash_of  # noqa: E402

WORD = "system password"
ADA, BOB = 64403, 64404


def prepare(site):
    """root serves system users with homes, by the shadow file."""
    day = int(time.time() // 86400)
    good = f"{hash_of(WORD)}:{day}:0:99999:7:::"
    shut = "*:19000:0:99999:7:::"
    bind_etc(site, {"popnet": (64401, "/usr/sbin/nologin", shut), "pop": (64402, "/usr/sbin/nologin", shut),
                    "popkey": (64400, "/usr/sbin/nologin", shut), "ada": (ADA, "/bin/sh", good),
                    "bob": (BOB, "/bin/sh", good)})
    lines = []
    for name, uid in (("ada", ADA), ("bob", BOB)):
        home = os.path.join(site.root, f"home-{name}")
        os.mkdir(home, 0o755)
        os.chown(home, uid, uid)
        lines.append(f"{name}:x:{uid}:{uid}::{home}:/bin/sh\n")
    edit("/etc/passwd", {"ada", "bob"}, lines)
    edit("/etc/group", {"staff-of-test"}, ["staff-of-test:x:64500:bob\n"])
    os.chmod(site.state, 0o711)
    site.options.update({"spool-dir": "/var/mail", "auth-backends": "shadow"})


def put(path, text, uid=0, mode=0o600):
    with open(path, "wb") as file:
        file.write(text if isinstance(text, bytes) else text.encode())
    os.chown(path, uid, 8 if path.startswith("/var/mail/") else uid)
    os.chmod(path, mode)
    return path


def read(path):
    with open(path, "rb") as file:
        return file.read()


def login(site, user="ada", word=WORD):
    client = Pop(site.connect())
    client.ok(f"USER {user}")
    return client, client.command(f"PASS {word}")


def logged(site, text):
    """A line of another process may come a moment after the answer."""
    wait_until(lambda: text in site.log(), what=text)
    return True


def quit_(client):
    client.ok("QUIT")
    assert client.line() == b""
    client.close()


def capabilities(client):
    return client.multi("CAPA")[1].decode().splitlines()


def options_case(site):
    """Both files of one user are read in their order, each with its own rights."""
    home = os.path.join(site.root, "home-ada")
    put("/var/mail/ada", mailbox(2), ADA, 0o660)
    own = put(os.path.join(home, ".qpopper-options"), "set announce-expire = 7\nset announce-login-delay = 3\nset statistics\nset auto-delete\n"
              "set tracefile = /etc/shadow-trace\nset config-file = more\nset nonsense = 1\n", ADA)
    put(os.path.join(home, "more"), "set timing\n", ADA)
    admin = put("/var/mail/.ada.qpopper-options", "set announce-login-delay = 1\nset auto-delete\nset log-facility = local3\n", 0, 0o644)
    site.start(**{"user-options": "true", "spool-options": "true"})
    client, answer = login(site)
    assert answer.startswith(b"+OK"), (answer, site.log())
    seen = capabilities(client)
    assert "EXPIRE 7" in seen and "LOGIN-DELAY 1" in seen, seen
    assert client.command("RETR 1").startswith(b"+OK")
    client.body()
    quit_(client)
    wait_until(lambda: logged(site, "Stats: ada 1 "), what="statistics by the user's file: " + site.log())
    wait_until(lambda: re.search(r"Timing for ada@127.0.0.1 \(normal\)", site.log()), what="timing by an included file")
    assert read("/var/mail/ada") == message(2), "auto-delete by the administrator's file"
    log = site.log()
    for text in ("line 2: announce-login-delay may not be set in this file", "user options file for ada: " + own + " line 4: auto-delete may not be set in this file", "line 5: tracefile may not be set",
                 'line 7: unknown option "nonsense"', "spool options file for ada: " + admin + " line 3: log-facility may not be set"):
        assert logged(site, text)
    assert not os.path.exists("/etc/shadow-trace")
    time.sleep(1)
    # A spool options file of the user's own sets what his own may set; one that others can write sets nothing; links are not followed.
    os.chown(admin, ADA, ADA)
    os.chmod(own, 0o622)
    client, answer = login(site)
    assert answer.startswith(b"+OK"), answer
    client.ok("RETR 1")
    client.body()
    assert "EXPIRE NEVER" in capabilities(client)
    quit_(client)
    assert read("/var/mail/ada") == message(2)
    wait_until(lambda: "others can write it" in site.log()[len(log):], what="warning")
    secret = put(os.path.join(site.root, "secret"), "set announce-expire = 5\n", 0, 0o600)
    os.unlink(own)
    os.symlink(secret, own)
    client, answer = login(site)
    assert answer.startswith(b"+OK") and "EXPIRE NEVER" in capabilities(client), site.log()
    quit_(client)
    # A user who has no file, while another has: nothing of it is his.
    put("/var/mail/bob", mailbox(1), BOB, 0o660)
    client, answer = login(site, "bob")
    assert answer.startswith(b"+OK") and "EXPIRE NEVER" in capabilities(client)
    quit_(client)
    assert "Stats: bob" not in site.log()


def both_files_off_case(site):
    """Without the options nobody's file is read."""
    put(os.path.join(site.root, "home-ada", ".qpopper-options"), "set announce-expire = 7\n", ADA)
    put("/var/mail/.ada.qpopper-options", "set announce-expire = 8\n")
    put("/var/mail/ada", mailbox(1), ADA, 0o660)
    site.start()
    client, _ = login(site)
    assert "EXPIRE NEVER" in capabilities(client)
    quit_(client)


def hash_case(site):
    """hash-spool 1 and 2; the folders are made like the spool folder; left-over mail from before the change is found."""
    site.start(**{"hash-spool": "2"})
    client, answer = login(site)
    assert b"0 visible" in answer, answer
    quit_(client)
    model, made = os.stat("/var/mail"), os.stat("/var/mail/a/d")
    assert (made.st_uid, made.st_gid, made.st_mode) == (model.st_uid, model.st_gid, model.st_mode)
    put("/var/mail/a/d/ada", mailbox(2), ADA, 0o660)
    put("/var/mail/.ada.pop", message(7), ADA, 0o660)
    client, answer = login(site)
    assert b"3 visible" in answer, (answer, site.log())
    client.ok("DELE 2")
    quit_(client)
    assert read("/var/mail/a/d/ada") == message(7) + message(2)
    assert not os.path.exists("/var/mail/a/d/ada.lock") and os.path.getsize("/var/mail/.ada.pop") == 0
    assert site.stop() == 0
    site.start(**{"hash-spool": "1", "check-hash-dir": "false"})
    client, answer = login(site)
    assert answer.startswith(b"-ERR [SYS/TEMP]"), "there is no folder i"
    client.close()
    os.mkdir("/var/mail/i")
    os.chown("/var/mail/i", BOB, 8)
    client, answer = login(site)
    assert answer.startswith(b"-ERR [SYS/TEMP]") and logged(site, "must belong to uid 0"), "a folder that somebody put there"
    client.close()
    os.chown("/var/mail/i", 0, 8)
    os.chmod("/var/mail/i", 0o2775)
    put("/var/mail/i/ada", mailbox(1), ADA, 0o660)
    client, answer = login(site)
    assert b"1 visible" in answer, (answer, site.log())
    quit_(client)


def home_case(site):
    """home-dir-mail for all, and for one by the administrator's file; updates and locks work there."""
    home = os.path.join(site.root, "home-ada")
    put(os.path.join(home, "Mailbox"), mailbox(3), ADA)
    put("/var/mail/ada", mailbox(1), ADA, 0o660)
    site.start(**{"home-dir-mail": "Mailbox"})
    client, answer = login(site)
    assert b"3 visible" in answer, (answer, site.log())
    client.ok("DELE 1")
    quit_(client)
    assert read(os.path.join(home, "Mailbox")) == message(2) + message(3)
    assert not os.path.exists(os.path.join(home, "Mailbox.lock"))
    assert site.stop() == 0
    put("/var/mail/.ada.qpopper-options", "set home-dir-mail = Mailbox\n", 0, 0o644)
    site.start(**{"spool-options": "true"})
    client, answer = login(site)
    assert b"2 visible" in answer, (answer, site.log())
    client.ok("DELE 1")
    quit_(client)
    assert read(os.path.join(home, "Mailbox")) == message(3) and read("/var/mail/ada") == mailbox(1)
    # One of the user's own may not move his spool.
    os.chown("/var/mail/.ada.qpopper-options", ADA, ADA)
    client, answer = login(site)
    assert b"1 visible" in answer, (answer, site.log())
    quit_(client)


def lock_files_case(site):
    """no-atomic-open: every lock file is linked to its name, whoever makes it: the monitor, the maildrop process, a comparison, popcheck."""
    home = os.path.join(site.root, "home-ada")
    answer_there = put(os.path.join(site.root, "answer"), "1 one\n", 0, 0o644)

    def log_in():
        client, answer = login(site)
        assert b"1 visible" in answer, (answer, site.log())
        quit_(client)

    def compare():
        done = subprocess.run([program("popper"), "-f", site.config, "--compare-uidl", "ada", "--against", answer_there], capture_output=True, text=True, check=False)
        assert "a client would download 1 again" in done.stdout, done

    def repair():
        put(os.path.join(folder, where), mailbox(1).split(b"\n", 1)[1], ADA)
        done = subprocess.run([program("popcheck"), "-f", site.config, "--repair", "ada"], capture_output=True, text=True, check=False)
        assert done.returncode == 2, done

    def test_locks():
        done = subprocess.run([program("popcheck"), "-f", site.config, "--locks", "ada"], capture_output=True, text=True, check=False)
        assert "lock file  seen both ways" in done.stdout, done

    for where, folder, options in (("ada", "/var/mail", {}), ("Mailbox", home, {"home-dir-mail": "Mailbox"})):
        for by_link in (False, True):
            site.start(**options, **{"no-atomic-open": str(by_link).lower()})
            for work in (log_in, compare, repair, test_locks):
                if work is compare and folder != home:
                    continue  # the folder of the others' mail is not ours to write into
                put(os.path.join(folder, where), mailbox(1), ADA)  # an unchanged spool is opened without a lock
                with CreatedNames(folder) as created:
                    work()
                    names = created.take()
                other = [name for name in names if re.fullmatch(rf"\.{where}\.lock\.\d+\.\d+", name)]
                assert f"{where}.lock" in names and bool(other) == by_link, (folder, by_link, work, names)
            assert site.stop() == 0


def temporary_drop_case(site):
    """Mail that a crash of Qpopper left in .ada.pop comes in front of what has arrived since; a Qpopper at work is another session."""
    put("/var/mail/ada", message(3), ADA, 0o660)
    drop = put("/var/mail/.ada.pop", mailbox(2), ADA, 0o660)
    site.start()
    with open(drop) as held:
        import fcntl
        fcntl.flock(held, fcntl.LOCK_EX)
        client, answer = login(site)
        assert answer.startswith(b"-ERR [IN-USE]"), (answer, site.log())
        client.close()
    client, answer = login(site)
    assert b"3 visible" in answer, (answer, site.log())
    quit_(client)
    assert read("/var/mail/ada") == mailbox(3) and os.path.getsize(drop) == 0
    assert logged(site, "2 messages of the left-over temporary drop .ada.pop were taken over")
    # One that somebody else put there keeps nobody from his mail.
    put(drop, message(9), BOB, 0o666)
    client, answer = login(site)
    assert b"3 visible" in answer and logged(site, ".ada.pop is no temporary drop of uid"), answer
    quit_(client)
    assert read(drop) == message(9)


def bulletins_case(site):
    bulls = os.path.join(site.root, "bulls")
    os.mkdir(bulls, 0o755)
    home = os.path.join(site.root, "home-ada")

    def bulletin(name, subject):
        put(os.path.join(bulls, name), f"From root@example.org Thu Nov 29 23:33:09 2012\nFrom: root\nTo: all\nSubject: {subject}\nStatus: RO\nX-UIDL: 123456789012\n\nText.\n", 0, 0o644)

    for number in ("1.ALL.first", "2.staff-of-test.second", "3.nobody-knows.third", "10.plain", "11", "README"):
        bulletin(number, f"bulletin {number}")
    put("/var/mail/ada", mailbox(1), ADA, 0o660)
    put("/var/mail/bob", b"", BOB, 0o660)
    put(os.path.join(home, ".popbull"), "1\n", ADA)
    site.start(**{"bulldir": bulls, "max-bulletins": "2"})
    client, answer = login(site)
    assert b"5 visible" in answer, (answer, site.log())
    _, body = client.multi("RETR 2")
    assert body == b"From: root\r\nTo: ada@pop.example.org\r\nSubject: bulletin 2.staff-of-test.second\r\n\r\nText.\r\n", body
    subjects = client.multi("XTND XLST Subject")[1].decode().splitlines()
    assert [line.split()[-1] for line in subjects[1:]] == ["2.staff-of-test.second", "3.nobody-knows.third", "10.plain", "11"], subjects
    for number in (2, 3, 4, 5):
        client.ok(f"DELE {number}")
    quit_(client)
    client, answer = login(site)
    assert b"1 visible" in answer, "each comes once: " + repr(answer)
    quit_(client)
    client, answer = login(site, "bob")
    assert b"2 visible" in answer, ("a new user gets the last two numbers", answer)
    quit_(client)
    assert site.stop() == 0
    # Groups: bob is a member; of a bulletin for nobody and of a torn one nothing comes.
    for number in ("20.ALL.a", "21.staff-of-test.b", "22.nobody-knows.c"):
        bulletin(number, number)
    site.start(**{"bulldir": bulls, "max-bulletins": "2", "group-bulletins": "true"})
    client, answer = login(site)
    assert b"2 visible" in answer, (answer, site.log())
    quit_(client)
    client, answer = login(site, "bob")
    assert b"4 visible" in answer, (answer, site.log())
    quit_(client)
    assert logged(site, "there is no group nobody-knows; it is for nobody")
    put(os.path.join(bulls, "30.ALL.bad"), "Subject: no postmark\n\nText.\n", 0, 0o644)
    client, answer = login(site)
    assert b"2 visible" in answer and logged(site, 'Bulletin 30.ALL.bad does not start with a valid "From " separator'), site.log()
    quit_(client)
    os.unlink(os.path.join(bulls, "30.ALL.bad"))
    os.mkdir(os.path.join(bulls, "30.ALL.bad"))
    client, answer = login(site)
    assert b"2 visible" in answer and logged(site, "Bulletin 30.ALL.bad cannot be read: not a regular file; no bulletins for ada"), site.log()
    quit_(client)
    os.rmdir(os.path.join(bulls, "30.ALL.bad"))
    bulletin("30.ALL.bad", "mended")
    # A number that cannot be read is not a new user's: nothing comes twice.
    kept = os.path.join(site.state, "u", f"{ADA}.ada", "bulletin")
    os.chmod(kept, 0)
    client, answer = login(site)
    assert b"2 visible" in answer and logged(site, "maildrop of ada: number of the last bulletin: open: Permission denied; no bulletins"), (answer, site.log())
    quit_(client)
    os.chmod(kept, 0o600)
    client, answer = login(site)
    assert b"3 visible" in answer, answer
    quit_(client)
    os.rename(bulls, bulls + ".away")
    client, answer = login(site)
    assert b"3 visible" in answer and logged(site, "Unable to open bulletin directory")
    quit_(client)


def programs_case(site):
    """login-command and mail-command: as whom, with what, and that nobody waits for the first."""
    trail = os.path.join(site.root, "trail")
    os.mkdir(trail)
    os.chmod(trail, 0o1777)
    hook = put(os.path.join(site.root, "hook"), f"#!/bin/sh\necho \"$POP_USER $POP_CLIENT $POP_SERVER $1 $(id -u) $(ls /proc/self/fd | wc -l)\" >{trail}/login\nsleep 3\n", 0, 0o755)
    mailer = put(os.path.join(site.root, "mailer"), f"#!/bin/sh\n{{ echo \"$* $USER $(id -u) $(id -G)\"; cat; }} >{trail}/sent.$$\ngrep -q fail {trail}/sent.$$ && exit 75\nexit 0\n", 0, 0o755)
    put("/var/mail/ada", mailbox(1), ADA, 0o660)
    site.start(**{"login-command": f"{hook} argument", "mail-command": mailer})
    begun = time.monotonic()
    client, answer = login(site)
    assert answer.startswith(b"+OK") and time.monotonic() - begun < 2.5, "the login waits for nobody"
    wait_until(lambda: os.path.exists(trail + "/login") and read(trail + "/login"), what="login-command")
    assert read(trail + "/login") == b"ada 127.0.0.1 pop.example.org argument 64401 4\n", read(trail + "/login")
    client.ok("XTND XMIT")
    client.send(b"From: ada\r\nTo: bob\r\n\r\n..one dot\r\nno dot\r\n.\r\n")
    assert client.line() == b"+OK Message sent successfully\r\n", site.log()
    sent = [name for name in os.listdir(trail) if name.startswith("sent")]
    assert len(sent) == 1
    assert read(os.path.join(trail, sent[0])) == f"-t -i -oem ada {ADA} {ADA}\nFrom: ada\nTo: bob\n\n.one dot\nno dot\n".encode()
    assert os.stat(os.path.join(trail, sent[0])).st_uid == ADA
    client.ok("XTND XMIT")
    client.send(b"To: fail\r\n\r\n.\r\n")
    assert client.line() == b"-ERR Unable to send message\r\n"
    client.ok("XTND XMIT")
    client.send(b"To: x\r\n\r\n" + b"x" * 10000 + b"\r\n.\r\n")
    assert client.line().startswith(b"-ERR Unable to send message: too long")
    client.ok("NOOP")
    # A client that goes away in the middle sends nothing.
    before = len(os.listdir(trail))
    client.ok("XTND XMIT")
    client.send(b"To: nobody\r\n\r\nhalf")
    client.close()
    time.sleep(0.7)
    assert len(os.listdir(trail)) == before
    assert logged(site, 'Pop transmit from "ada" on "127.0.0.1"')


def trace_case(site):
    """-t FILE: debug, all lines to the file and to the log as well, no password; a file of somebody else's is not written."""
    put("/var/mail/ada", mailbox(1), ADA, 0o660)
    trace = os.path.join(site.root, "trace")
    site.start(arguments=("-t", trace, "-s"))
    client, _ = login(site)
    quit_(client)
    wait_until(lambda: b"Stats: ada" in read(trace), what="trace file")
    text = read(trace).decode()
    assert re.search(r"(?m)^[A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d\.\d{3} \d{4} \[\d+\] .*POP login by user \"ada\"", text), text
    assert "command USER ada" in text and WORD not in text and os.stat(trace).st_mode & 0o777 == 0o600
    assert logged(site, 'POP login by user "ada"')
    os.rename(trace, trace + ".1")
    site.process.send_signal(1)
    wait_until(lambda: os.path.exists(trace) and b"configuration reloaded" in read(trace), what="a new file after SIGHUP")
    assert site.stop() == 0
    victim = put(os.path.join(site.root, "victim"), "mine\n", BOB)
    for name in ("link", "victim"):
        path = os.path.join(site.root, name)
        if name == "link":
            os.symlink(victim, path)
        site.start(arguments=("-t", path))
        client, answer = login(site)
        assert answer.startswith(b"+OK")
        quit_(client)
        assert site.stop() == 0
        assert read(victim) == b"mine\n" and logged(site, f"trace file {path}"), site.log()


def popcheck_case(site):
    """popcheck USER looks where popper does, and keeps its ledger in popper's state folder."""
    os.makedirs("/var/mail/a/d")
    bad = mailbox(2) + b"From ada@example.org Thu Nov 29 23:33:09 2012\nSubject: torn\n\nno end"
    places = {"hash-spool": ("2", put("/var/mail/a/d/ada", bad, ADA, 0o660)), "home-dir-mail": (".mail", put(os.path.join(site.root, "home-ada", ".mail"), bad, ADA))}
    for option, (value, path) in places.items():
        site.write_config(**{option: value})
        done = subprocess.run([program("popcheck"), "--config", site.config, "ada"], capture_output=True, text=True, check=False)
        assert path in done.stdout + done.stderr and "not the name of a spool" not in done.stdout + done.stderr, done
        done = subprocess.run([program("popcheck"), "--config", site.config, "--repair", "ada"], capture_output=True, text=True, check=False)
        made = [name for folder, _, names in os.walk(os.path.join(site.state, "u", f"{ADA}.ada")) for name in names]
        assert any(name.endswith(".ledger") for name in made), (option, made, done)
        assert read(path).startswith(mailbox(2)) and read(path) != bad, done
        for name in os.listdir(os.path.join(site.state, "u", f"{ADA}.ada")):
            os.unlink(os.path.join(site.state, "u", f"{ADA}.ada", name))


def names_case(site):
    """reverse-lookup: the name stands in the log, and a client does not wait for it."""
    edit("/etc/hosts", set(), ["127.0.0.1 client.example.org\n"])
    lines = [line for line in open("/etc/hosts") if not line.startswith("127.0.0.1")]
    put("/etc/hosts", "127.0.0.1 client.example.org\n" + "".join(lines), 0, 0o644)
    put("/etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files\n", 0, 0o644)
    put("/var/mail/ada", mailbox(1), ADA, 0o660)
    site.start(**{"reverse-lookup": "true", "log-login": "%1 at (%2) %3"})
    for attempt in range(1, 9):
        client = Pop(site.connect())
        time.sleep(0.2 * attempt)  # the answer may come later than the login on a busy machine
        client.ok("USER ada")
        assert client.command(f"PASS {WORD}").startswith(b"+OK")
        quit_(client)
        if "ada at (client.example.org) 127.0.0.1" in site.log():
            break
    assert logged(site, "ada at (client.example.org) 127.0.0.1"), site.log()
    client, _ = login(site, "ada", "wrong")
    client.close()
    wait_until(lambda: logged(site, "Failed attempted login to ada from host ("), what="log line")
    assert site.stop() == 0
    site.start(arguments=("-R",), **{"reverse-lookup": "true", "log-login": "%1 at (%2) %3"})
    client, _ = login(site)
    time.sleep(0.3)
    quit_(client)
    assert logged(site, "ada at (127.0.0.1) 127.0.0.1")


def drop_is_spool_case(site):
    """temp-name and temp-dir that lead to the spool itself, whatever the locks: no message is lost, and nobody is kept out."""
    for options in ({"temp-name": "%s"}, {"temp-name": "%s", "mail-locks": "dotlock fcntl"}, {"temp-name": "%s", "temp-dir": "/var/linked", "mail-locks": "dotlock fcntl"}):
        if "temp-dir" in options and not os.path.islink("/var/linked"):
            options["temp-dir"] = os.path.join(site.root, "linked")
            os.symlink("/var/mail", options["temp-dir"])
        put("/var/mail/ada", mailbox(3), ADA, 0o660)
        site.start(**options)
        client, answer = login(site)
        assert b"3 visible" in answer, (options, answer, site.log())
        quit_(client)
        assert read("/var/mail/ada") == mailbox(3), options
        assert logged(site, "which is the spool itself; left alone")
        site.stop()


CASES = {name[:-5].replace("_", "-"): function for name, function in list(globals().items()) if name.endswith("_case")}


def main():
    enter_private_namespace()
    with Site(users=(), uid=0) as site:
        prepare(site)
        try:
            CASES[sys.argv[1]](site)
        except AssertionError:
            print(site.log())
            raise
        log = site.log()
        for line in log.splitlines():
            assert not re.search(r"\]: (fatal|panic): |signal 31", line), line
        assert "AddressSanitizer" not in log and "runtime error" not in log, log
    print(f"{sys.argv[1]}: passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
