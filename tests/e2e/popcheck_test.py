#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""popcheck with real spools, a real server and real delivery agents. Usage: popcheck_test.py CASE."""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import Pop, Site, mailbox, message, named_uid, program, skip, unstuff, wait_until  # noqa: E402
import delivery_test  # noqa: E402

CLEAN, FINDINGS, REPAIRED, FAILED, USAGE = range(5)
REFUSAL = b"-ERR [SYS/PERM] Unable to process From lines (envelopes), change recognition modes or check for corrupted mail drop.\r\n"


def without_first_line(mail):
    return mail.split(b"\n", 1)[1]


def damaged():
    """The first From_ line is gone, the third message is glued to the second, the fourth has no year."""
    parts = [message(i + 1) for i in range(5)]
    parts[0] = without_first_line(parts[0])
    parts[1] = parts[1][:-1]
    parts[3] = re.sub(rb"\A(From \S+ \S+ \S+ \S+ \S+) 2012", rb"\1", parts[3])
    return b"".join(parts)


def put_left_lock(path, host=None):
    """As a popper left it that died before the host was started."""
    with open(path, "w") as file:
        file.write(f"999999\npopper {host or socket.gethostname()} 00000000-0000-0000-0000-000000000000 1\n")


class Case:
    def __init__(self, site):
        self.site = site
        site.write_config()

    def run(self, *arguments, code=None, **kwargs):
        done = self.site.run([program("popcheck"), "--config", self.site.config, *arguments], check=False, **kwargs)
        if code is not None:
            assert done.returncode == code, (arguments, done.returncode, done.stdout.decode(), done.stderr.decode())
        return done.stdout.decode()

    def ledgers(self, user="ada"):
        folder = os.path.join(self.site.state, "v", user)
        return sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".ledger"))

    def unique_ids(self, user="ada"):
        client = Pop(self.site.connect())
        client.login(user)
        out = [line.split()[1] for line in client.multi("UIDL")[1].splitlines()]
        client.ok("QUIT")
        client.close()
        return out

    def bodies(self, user="ada"):
        client = Pop(self.site.connect())
        count = int(re.search(rb"has (\d+) visible", client.login(user)).group(1))
        out = [unstuff(client.multi(f"RETR {i + 1}")[1]).replace(b"\r\n", b"\n") for i in range(count)]
        client.ok("QUIT")
        client.close()
        return out


def serve():
    """A damaged spool is refused and the log says what to type; after the repair it is served; undo brings the damage back."""
    with Site() as site:
        case = Case(site)
        site.put_spool("ada", mailbox(5))
        site.start()
        known = case.unique_ids()
        spool = site.put_spool("ada", damaged())
        case.run("--help", code=CLEAN)
        client = Pop(site.connect())
        client.ok("USER ada")
        assert client.command("PASS correct horse battery") == REFUSAL
        client.close()
        said = "missing-postmark at octet 0, line 1: the first From_ line is missing; look at it with popcheck ada, repair it with popcheck --repair ada"
        wait_until(lambda: said in site.log(), what="log: " + site.log())
        text = case.run("ada", code=FINDINGS)
        for word in ("missing-postmark at octet 0", "glued-message at octet", "damaged-postmark at octet", "to repair: popcheck --repair ada"):
            assert word in text, text
        text = case.run("--dry-run", "ada", code=FINDINGS)
        assert "+From ada@example.org" in text and "-From ada@example.org Thu Nov 29 23:33:04" in text, text
        assert site.read_spool() == damaged(), "looking changed the spool"
        before = os.stat(spool)
        case.run("--repair", "ada", code=REPAIRED)
        after = os.stat(spool)
        assert (before.st_ino, before.st_mode, before.st_uid, before.st_gid) == (after.st_ino, after.st_mode, after.st_uid, after.st_gid)
        want = [without_first_line(message(i + 1))[:-1] for i in range(5)]
        assert case.bodies() == want
        # The first and the fourth have a From_ line of another make, and with it another unique-id.
        now = case.unique_ids()
        assert len(now) == 5 and all(now[i] == known[i] for i in (1, 2, 4)), (known, now)
        case.run("--repair", "ada", code=CLEAN)
        assert "proven: " in case.run("--verify", case.ledgers()[0], code=CLEAN)
        # Mail that comes after the repair stays when it is taken back.
        with open(spool, "ab") as file:
            file.write(message(6))
        assert "proven: " in case.run("--verify", case.ledgers()[0], code=CLEAN)
        case.run("--undo", "ada", code=REPAIRED)
        assert site.read_spool() == damaged() + message(6)
        assert case.ledgers() == []
        assert "no repair of it is left to take back" in case.run("--undo", "ada", code=FAILED)
        folder = os.path.join(site.state, "v", "ada")
        (undone,) = [os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".undone")]
        for verb in ("--undo", "--verify"):
            for name in (undone, undone[:-len("undone")] + "ledger"):
                text = case.run(verb, name, code=FAILED)
                assert name + ": this repair was taken back already" in text and (name == undone or undone in text), text
        assert "taken back already" in case.run("--undo", os.path.basename(undone), code=FAILED)
        case.run("--repair", "ada", code=REPAIRED)
        assert case.bodies() == want + [without_first_line(message(6))[:-1]]
        case.run("--undo", case.ledgers()[0], code=REPAIRED)
        assert site.read_spool() == damaged() + message(6)


def ledger():
    """A ledger proves itself, spool and quarantine, and notices any change to one of them."""
    with Site() as site:
        case = Case(site)
        spool = site.put_spool("ada", damaged())
        case.run("--repair", "ada", code=REPAIRED)
        (path,) = case.ledgers()
        quarantine = path[:-len("ledger")] + "quarantine"
        repaired = site.read_spool()
        for name in (path, quarantine, spool):
            with open(name, "rb") as file:
                good = file.read()
            for at in range(0, len(good), max(1, len(good) // 40)):
                bad = bytearray(good)
                bad[at] ^= 1
                with open(name, "wb") as file:
                    file.write(bad)
                case.run("--verify", path, code=FAILED)
            with open(name, "wb") as file:
                file.write(good)
            case.run("--verify", path, code=CLEAN)
        # A ledger whose last line was made to fit: the sum and the octets tell.
        with open(path) as file:
            lines = file.read().splitlines(True)
        import hashlib
        for old, new in ((r"^sum (\d+)", "sum 1"), (r"^(edit \d+ )\d+", r"\g<1>7"), (r"^(message \d+ \d+ )[0-9a-f]", r"\1x")):
            changed = [re.sub(old, new, line) for line in lines[:-1]]
            text = "".join(changed)
            with open(path, "w") as file:
                file.write(text + "end " + hashlib.sha256(text.encode()).hexdigest() + "\n")
            case.run("--verify", path, code=FAILED)
        with open(path, "w") as file:
            file.writelines(lines)
        # A message that was deleted since: nothing is undone.
        with open(spool, "wb") as file:
            file.write(repaired[300:])
        text = case.run("--undo", "ada", code=FAILED)
        assert "changed since" in text, text
        assert site.read_spool() == repaired[300:]
        # A ledger leads to a spool of any name.
        ledgers, spool = os.path.join(site.home, "ledgers"), os.path.join(site.home, "b\u00fccher \\ alt")
        with open(spool, "wb") as file:
            file.write(damaged())
        site.own(site.home)
        case.run("--ledger-dir", ledgers, "--repair", spool, code=REPAIRED)
        (folder,) = os.listdir(ledgers)
        (path,) = [os.path.join(ledgers, folder, name) for name in os.listdir(os.path.join(ledgers, folder)) if name.endswith(".ledger")]
        assert "proven: " in case.run("--verify", path, code=CLEAN)
        case.run("--undo", path, code=REPAIRED)
        with open(spool, "rb") as file:
            assert file.read() == damaged()
        named(case, ledgers)


def named(case, ledgers):
    """JSON names a spool and its ledger as they are called; a name that is no text has its octets beside it."""
    for name, text in ((b"b\xc3\xbccher \"1\"\\", True), (b"b\xfccher", False)):
        path = os.path.join(os.fsencode(case.site.home), name)
        with open(path, "wb") as file:
            file.write(damaged())
        case.site.own(case.site.home)
        done = case.site.run([program("popcheck"), "--ledger-dir", ledgers, "--json", "--repair", path], check=False)
        (one,) = json.loads(done.stdout.decode("utf-8"))
        assert one["result"] == "repaired", one
        for member in ("spool", "ledger"):
            assert (member + "_hex" in one) != text, one
            octets = one[member].encode() if text else bytes.fromhex(one[member + "_hex"])
            assert octets == path if member == "spool" else os.path.exists(octets), (octets, one)
            assert text or one[member].count("\ufffd") == 1, one
        # In texts for people no octet goes to the terminal that it might obey.
        for verb, code in (("--undo", REPAIRED), ("--undo", FAILED), ("--repair", REPAIRED)):
            said = case.run("--ledger-dir", ledgers, verb, path, code=code)
            assert text == ("\\xfccher-" not in said), said


def killed():
    """popcheck is killed at random moments of a repair, the lock file and a journal may be left: the next login finds the old spool or the new one."""
    with Site(parent="/var/tmp") as site:
        case = Case(site)
        old = without_first_line(message(1)) + b"".join(message(i, body=b"text of some length, as mail has it\n" * 300) for i in range(2, 1200))
        site.put_spool("ada", old)
        case.run("--repair", "ada", code=REPAIRED)
        new = site.read_spool()
        site.start()
        seconds, journals, outcomes = 0.0, 0, []
        start = time.monotonic()
        case.run("--undo", "ada", code=REPAIRED)
        seconds = time.monotonic() - start
        assert site.read_spool() == old
        for trial in range(14):
            site.put_spool("ada", old)
            process = subprocess.Popen([program("popcheck"), "--config", site.config, "--repair", "ada"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                       start_new_session=True, **site.identity())
            time.sleep(seconds * (0.5 + 2 * trial / 14))
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            journal = os.path.exists(os.path.join(site.state, "v", "ada", "journal"))
            journals += journal
            mail = message(5000 + trial)
            lock = os.path.join(site.spool, "ada.lock")
            if os.path.exists(lock):
                os.unlink(lock)
            with open(os.path.join(site.spool, "ada"), "ab") as file:
                file.write(mail)
            case.run("--recover", "ada")
            now = site.read_spool()
            assert now in (old + mail, new + mail), f"neither old nor new after kill {trial}: {len(now)} octets of {len(old)} or {len(new)}"
            assert not journal or now == new + mail, "a committed repair was not completed"
            outcomes.append("new" if now == new + mail else "old")
        print(f"{outcomes.count('new')} times the new spool, {outcomes.count('old')} times the old one, {journals} journals were left")


def deliveries():
    """procmail delivers 1,000 messages while the spool is repaired again and again: each is there once."""
    if not os.path.exists("/usr/bin/procmail"):
        skip("procmail is not installed")
    with Site(uid=named_uid()) as site:
        case = Case(site)
        spool = site.put_spool("ada", damaged())
        argv = delivery_test.procmail(site, spool)
        total = 100 if os.environ.get("QPOP_SANITIZED") == "1" else 1000
        failures, stop, repairs = [], threading.Event(), []

        def deliver(first):
            for number in range(first, total, 2):
                if site.run(argv, input=delivery_test.mail(number), check=False).returncode != 0:
                    failures.append(number)

        def repair():
            turn = 0
            while not stop.is_set() or turn < 6:
                # Odd turns take the last repair back, so that there is always something to do.
                done = site.run([program("popcheck"), "--config", site.config, "--repair" if turn % 2 == 0 else "--undo", "ada"], check=False)
                repairs.append(done.returncode)
                stop.wait(0.6)  # procmail waits a whole second for a lock
                if done.returncode not in (CLEAN, REPAIRED):
                    failures.append(done.stdout + done.stderr)
                turn += 1

        workers = [threading.Thread(target=deliver, args=(i,)) for i in range(2)]
        repairer = threading.Thread(target=repair)
        for thread in [*workers, repairer]:
            thread.start()
        for thread in workers:
            thread.join()
        stop.set()
        repairer.join()
        case.run("--repair", "ada")
        assert not failures, failures[:3]
        assert repairs.count(REPAIRED) >= 4, repairs
        content = site.read_spool()
        found = [int(n) for n in re.findall(rb"(?m)^Message-ID: <(\d+)@example\.org>\n\n(?:line|$)", content)]
        names = [int(n) for n in re.findall(rb"(?m)^Subject: n\nMessage-ID: <(\d+)@example\.org>$", content)]
        assert sorted(names) == list(range(total)), (len(names), len(set(names)), len(found))
        for i in range(5):
            assert content.count(b"Message-ID: <%d@example.org>\n\nHello." % (i + 1)) == 1
        report = json.loads(case.run("--json", "ada", code=CLEAN))[0]
        assert report["messages"] == report["served"] == total + 5, report
        print(f"{total} messages delivered, {repairs.count(REPAIRED)} repairs and undos meanwhile")


def commands():
    """Exit codes, explanations, JSON, all spools, standard input."""
    with Site(users=("ada", "bob")) as site:
        case = Case(site)
        for wrong in (("--nonsense",), ("--repair", "--undo", "ada"), ("--jobs", "x")):
            done = site.run([program("popcheck"), *wrong], check=False)
            assert done.returncode == USAGE and re.fullmatch(rb"popcheck: [^\n]+; popcheck --help lists the options\n", done.stderr), done
        case.run("--explain", "no-such-thing", code=USAGE)
        assert "glued-message (error)" in case.run("--explain", "glued-message", code=CLEAN)
        assert case.run("--explain", "all", code=CLEAN).count("repair: ") >= 35
        case.run("nobody-of-this-name", code=FAILED)
        site.put_spool("ada", mailbox(3))
        bob = site.put_spool("bob", damaged())
        assert case.run("--quiet", "ada", code=CLEAN) == ""
        assert "clean (mbox, 3 messages" in case.run("ada", code=CLEAN)
        both = json.loads(case.run("--all", "--json", code=FINDINGS))
        assert [one["result"] for one in both] == ["clean", "findings"], both
        for one in both:
            assert sum(one["octets"].values()) == one["size"], one
        os.mkdir(os.path.join(site.spool, "c"))
        with open(os.path.join(site.spool, "c", "cyd"), "wb") as file:
            file.write(mailbox(1))
        os.chmod(os.path.join(site.spool, "c", "cyd"), 0o600)
        site.own(site.spool)
        assert len(json.loads(case.run("--all", "--json", "--jobs", "2", code=FINDINGS))) == 3
        text = case.run("--stdin", code=FINDINGS, input=damaged())
        assert "standard input: 3 errors" in text, text
        case.run("--stdin", code=CLEAN, input=mailbox(2))
        case.run("--stdin", "--repair", code=USAGE, input=b"")
        # A word that is no lock must not mean a repair without locks.
        site.options["mail-locks"] = "dotlock,fcntl"
        site.write_config()
        done = site.run([program("popcheck"), "--config", site.config, "--repair", "bob"], check=False)
        assert done.returncode == USAGE and b"want dotlock" in done.stderr, (done.returncode, done.stdout, done.stderr)
        with open(bob, "rb") as file:
            assert file.read() == damaged()


def surroundings():
    """What stands around the spool is found, and kept from a repair where popper would not open it either."""
    with Site(users=("bob",)) as site:
        case = Case(site)
        bob = site.put_spool("bob", damaged())
        lock = bob + ".lock"
        put_left_lock(lock)
        with open(os.path.join(site.spool, ".bob.pop"), "wb") as file:
            file.write(mailbox(1))
        os.chmod(bob, 0o644)
        os.link(bob, os.path.join(site.home, "link"))
        site.own(site.spool)
        found = {f["id"] for f in json.loads(case.run("--json", "bob", code=FINDINGS))[0]["findings"]}
        assert {"stale-lock", "temporary-drop", "wrong-mode", "hard-link"} <= found, found
        # Of another host nothing is known.
        put_left_lock(lock, "elsewhere@example.org")
        os.utime(lock, (1, 1))
        found = {f["id"] for f in json.loads(case.run("--json", "bob", code=FINDINGS))[0]["findings"]}
        assert "stale-lock" not in found, found
        case.run("--repair", "bob", code=FAILED)  # popper would not open it either
        for name in (os.path.join(site.home, "link"), lock, bob):
            os.unlink(name)
        os.symlink("/etc/passwd", bob)
        site.own(site.spool)
        found = {f["id"] for f in json.loads(case.run("--json", "bob", code=FINDINGS))[0]["findings"]}
        assert "not-a-file" in found and "foreign-start" not in found, found
        os.unlink(bob)


def holes():
    """A file that claims terabytes is named at once, and not read; one with holes that can be read is read, repaired and proven."""
    with Site(users=("ada", "bob", "cyd")) as site:
        case = Case(site)
        ada, bob, cyd = (site.put_spool(name, mailbox(3)) for name in ("ada", "bob", "cyd"))
        end = os.path.getsize(ada)
        os.truncate(ada, 1 << 42)
        with open(ada, "rb") as file:
            if os.lseek(file.fileno(), 0, os.SEEK_HOLE) == 1 << 42:
                skip("this file system tells of no holes")
        with open(bob, "r+b") as file:
            file.seek(1 << 42)
            file.write(message(4))
        os.truncate(cyd, end + (1 << 20))
        seen = {os.path.basename(one["spool"]): one for one in json.loads(case.run("--all", "--json", code=FINDINGS, timeout=60))}
        (found,) = seen["ada"]["findings"]
        block = found["offset"]
        assert found["id"] == "holes" and end <= block < end + (1 << 20) and found["length"] == (1 << 42) - block, found
        assert seen["ada"]["size"] == sum(seen["ada"]["octets"].values()) == 1 << 42
        assert [one["id"] for one in seen["cyd"]["findings"]] == ["nul-tail"] and seen["cyd"]["messages"] == 3, seen["cyd"]
        for verb in ("--repair", "--dry-run"):
            for name in ("ada", "bob"):
                text = case.run(verb, name, code=FINDINGS, timeout=60)
                assert "error   holes" in text and "nothing was changed" in text and "to repair:" not in text, text
        assert f"there is nothing from octet {block} to {1 << 42}: fallocate -c -o {block} -l {(1 << 42) - block} {bob}" in text, text
        # A repair that is to be taken back, when the spool has become one.
        case.run("--repair", "cyd", code=REPAIRED)
        assert site.read_spool("cyd") == mailbox(3)
        assert "proven: " in case.run("--verify", *case.ledgers("cyd"), code=CLEAN)
        os.truncate(cyd, 1 << 42)
        assert "truncate -s" in case.run("--undo", "cyd", code=FAILED, timeout=60)
        # What is said mends it.
        command = re.search(r"truncate -s \d+ \S+(?=\))", case.run("ada", code=FINDINGS)).group()
        site.run(command.split(), check=True)
        case.run("--repair", "ada")
        assert site.read_spool() == mailbox(3), os.path.getsize(ada)


def asked():
    """A doubtful place is left alone, changed when asked, and asked about; an open session keeps its offsets."""
    with Site(users=("ada", "bob")) as site:
        case = Case(site)
        doubtful = message(1)[:-1] + b"\nFrom bob@example.org Fri Nov 30 10:11:12 2012\nas he wrote\n\n" + message(2)
        quoted = doubtful.replace(b"\nFrom bob", b"\n>From bob")
        site.put_spool("bob", doubtful)
        for verb in ((), ("--repair",)):
            text = case.run(*verb, "bob", code=FINDINGS)
            assert "to be asked: popcheck --repair --ask bob" in text and "to repair:" not in text, text
        assert site.read_spool("bob") == doubtful
        # What no repair mends is said, before and behind one.
        site.put_spool("ada", message(1).replace(b"\nSubject", b"\nX-Lost: \0\nSubject") + message(2)[:-2])
        text = case.run("--repair", "ada", code=REPAIRED)
        assert "no change for damaged-header" in text, text
        text = case.run("--repair", "ada", code=FINDINGS)
        assert "no repair mends this" in text and "to repair:" not in text and "to be asked:" not in text, text
        case.run("--repair", "--ask", "bob", code=FINDINGS, input=b"n\n")
        assert site.read_spool("bob") == doubtful
        case.run("--repair", "--ask", "bob", code=REPAIRED, input=b"y\n")
        assert site.read_spool("bob") == quoted
        case.run("--undo", "bob", code=REPAIRED)
        case.run("--repair", "--aggressive", "bob", code=REPAIRED)
        assert site.read_spool("bob") == quoted
        # While a session is open its offsets must hold.
        site.put_spool("bob", mailbox(2))
        site.start()
        client = Pop(site.connect())
        client.login("bob")
        site.put_spool("bob", damaged())
        text = case.run("--repair", "bob", code=FAILED)
        assert "session" in text, text
        client.ok("QUIT")
        assert "seen both ways" in case.run("--locks", "bob", code=CLEAN)
        assert "nothing to recover" in case.run("--recover", "bob", code=CLEAN)


def page():
    """The page holds hostile bytes as data alone, and draws itself in a browser when there is one."""
    with Site() as site:
        case = Case(site)
        evil = b"</script><script>document.title='taken'</script><img src=http://192.0.2.1/x>"
        site.put_spool("ada", evil + b"\n\n" + damaged() + b"\0" * 2000)
        path = os.path.join(site.home, "page.html")
        case.run("--report", path, "ada", code=FINDINGS)
        if os.path.exists("/dev/full"):
            case.run("--report", "/dev/full", "ada", code=FAILED)
        with open(path) as file:
            text = file.read()
        assert "Content-Security-Policy" in text and "default-src 'none'" in text
        data = text.split('id="data">', 1)[1].split("</script>", 1)[0]
        assert "<" not in data
        spool = json.loads(data)["spools"][0]
        assert len(spool["cells"]) == 4096 and sum(map(sum, spool["cells"])) == spool["size"]
        assert {"foreign-start", "nul-tail"} <= {f["id"] for f in spool["findings"]}
        browser = next((name for name in ("/usr/bin/chromium", "/usr/bin/google-chrome") if os.path.exists(name)), None)
        if browser is None:
            skip("the page is well formed; no Chromium to draw it")
        # Somebody clicks the first place of the map that has a finding.
        with open(path, "w") as file:
            file.write(text.replace("</body>", "<script>document.querySelector('.map button.has').click()</script></body>"))
        done = site.run([browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={site.home}/chromium", "--dump-dom", "file://" + path], timeout=100)
        dom = done.stdout.decode()
        assert 'data-drawn="1"' in dom, done.stderr.decode()[-2000:]
        assert "<title>popcheck</title>" in dom and dom.count("<details") == len(spool["findings"]), "the page is not what it was to be"
        assert "document.title='taken'" in dom and "<img" not in dom, "hostile bytes are shown as text"
        assert re.search(r'<details class="error now" open="">', dom), "a click opens the finding"
        assert dom.count("<button") > 100


if __name__ == "__main__":
    {"serve": serve, "ledger": ledger, "killed": killed, "deliveries": deliveries, "commands": commands, "surroundings": surroundings, "holes": holes,
     "asked": asked, "page": page}[sys.argv[1]]()
