#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Ways to start the server and to talk to it while it runs: inetd, systemd sockets, daemon, signals, faults. Usage: starting_test.py CASE."""
import os
import shutil
import signal
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import PASSWORD, Pop, Site, enter_private_namespace, free_port, mailbox, program, skip, wait_until  # noqa: E402


def session(port):
    """The transcript that every way of starting must pass."""
    client = Pop(wait_until(lambda: try_connect(port), what="server"))
    assert client.greeting.startswith(b"+OK Qpopper (version "), client.greeting
    assert b"3 visible messages" in client.login()
    _, body = client.multi("RETR 2")
    assert b"<2@example.org>" in body
    client.ok("DELE 2")
    client.ok("RSET")
    client.ok("QUIT")
    assert client.line() == b""
    client.close()


def try_connect(port):
    try:
        return socket.create_connection(("127.0.0.1", port), timeout=20)
    except OSError:
        return None


def stop(process):
    process.terminate()
    return process.wait(20)


def inetd(site):
    path = shutil.which("inetd", path="/usr/sbin:/sbin")
    if path is None:
        skip("openbsd-inetd is not installed")
    port = free_port()
    site.write_config(**{"log-target": "syslog"})
    conf = os.path.join(site.root, "inetd.conf")
    user = "root" if os.geteuid() == 0 else subprocess.run(["id", "-un"], capture_output=True, text=True).stdout.strip()
    command = f"{program('popper')} popper -f {site.config}"
    if os.geteuid() == 0:
        command = f"/usr/bin/setpriv setpriv --reuid {site.uid} --regid {site.uid} --clear-groups {program('popper')} -s -f {site.config}"
    with open(conf, "w") as file:
        file.write(f"127.0.0.1:{port} stream tcp nowait {user} {command}\n")
    if os.geteuid() != 0:
        skip("inetd needs root")
    process = subprocess.Popen([path, "-d", conf], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        session(port)
        session(port)
    finally:
        stop(process)


def systemd(site, accept):
    if shutil.which("systemd-socket-activate") is None:
        skip("systemd-socket-activate is not installed")
    port = free_port()
    site.write_config()
    log = open(site.log_path, "ab")
    argv = ["systemd-socket-activate", "-l", f"127.0.0.1:{port}", *(["--accept"] if accept else []), program("popper"), "--foreground", "-f", site.config]
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=site.environment(), **site.identity())
    try:
        session(port)
        session(port)
    finally:
        stop(process)


def daemon(site):
    """Two addresses, a pid file, the background; a second server is refused; SIGTERM ends it and removes the file."""
    first, second = free_port(), free_port()
    pid_file = os.path.join(site.root, "popper.pid")
    listen = [f"127.0.0.1:{first}"]
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        listen.append(f"[::1]:{second}")
    except OSError:
        listen.append(f"127.0.0.1:{second}")
    site.write_config(listen=listen, **{"pid-file": pid_file})
    log = open(site.log_path, "ab")
    started = subprocess.run([program("popper"), "-f", site.config], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=site.environment(),
                             timeout=20, **site.identity())
    assert started.returncode == 0, site.log()
    pid = int(wait_until(lambda: open(pid_file).read().strip() if os.path.exists(pid_file) else "", what="pid file"))
    session(first)
    again = site.run([program("popper"), "--foreground", "-f", site.config], check=False)
    assert again.returncode == 3 and b"listen" in again.stderr, again
    other = "::1" if listen[1].startswith("[") else "127.0.0.1"
    client = Pop(socket.create_connection((other, second), timeout=20))
    client.login()
    os.kill(pid, signal.SIGTERM)
    assert client.line().startswith(b"-ERR [SYS/TEMP] Server is shutting down")
    wait_until(lambda: not os.path.exists(pid_file), what="pid file removed")
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), what="server ended")
    assert site.read_spool() == mailbox(3)


def reload(site):
    """SIGHUP: sessions go on, new clients see the new configuration, a faulty one changes nothing, addresses come and go."""
    site.start()
    client = Pop(site.connect())
    client.login()
    extra = free_port()
    site.write_config(listen=[f"127.0.0.1:{site.port}", f"127.0.0.1:{extra}"], shy="true", expunge="deferred", **{"expunge-share": "100"})
    site.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "configuration reloaded" in site.log(), what="reload")
    client.ok("NOOP")
    assert Pop(socket.create_connection(("127.0.0.1", extra), timeout=20)).greeting.startswith(b"+OK ready")
    with open(site.config, "a") as file:
        file.write("set nonsense = 1\n")
    site.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "not reloaded" in site.log(), what="refused reload")
    assert 'unknown option "nonsense"' in site.log()
    site.write_config(listen=f"127.0.0.1:{site.port}", **{"spool-dir": "/nonexistent"})
    site.process.send_signal(signal.SIGHUP)
    wait_until(lambda: site.log().count("not reloaded") == 2, what="refused reload")
    assert Pop(site.connect()).greeting.startswith(b"+OK ready")
    client.ok("DELE 1")
    client.ok("QUIT")
    # The process that waited for this work had been forked before the reload.
    assert any("expunged" in names for _, _, names in os.walk(site.state)), "options of maildrops are those of the reload"
    other = Pop(site.connect())
    assert b"2 visible" in other.login()


def notify(site):
    """Type=notify of systemd: READY when it serves, RELOADING, STOPPING."""
    path = os.path.join(site.root, "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(path)
        os.chmod(path, 0o666)
        receiver.settimeout(20)
        site.port = free_port()
        site.write_config(listen=f"127.0.0.1:{site.port}")
        log = open(site.log_path, "ab")
        site.process = subprocess.Popen([program("popper"), "--foreground", "-f", site.config], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                        env=dict(site.environment(), NOTIFY_SOCKET=path), **site.identity())
        assert receiver.recv(1000) == b"READY=1"
        session(site.port)
        site.process.send_signal(signal.SIGHUP)
        assert receiver.recv(1000).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        assert receiver.recv(1000) == b"READY=1"
        site.process.terminate()
        assert receiver.recv(1000) == b"STOPPING=1"
        assert site.process.wait(20) == 0


def check_finds_what_refuses_every_login(site):
    """The server would start on each of these and let nobody in."""
    def check(want_code, *want_texts, **options):
        site.write_config(**options)
        done = site.run([program("popper"), "--check", "-f", site.config], check=False, timeout=60)
        assert done.returncode == want_code and (b"is sound" in done.stdout) == (want_code == 0), done
        for text in want_texts:
            assert text.encode() in done.stderr, (text, done.stderr)

    def put(path, octets):
        with open(path, "wb") as file:
            file.write(octets)

    database, lock = site.database, site.database + "-lock"
    with open(database, "rb") as file:
        good = file.read()
    check(0)
    os.chmod(lock, 0)
    check(3, "auth-db", "lock file", "wrong mode (0000)")
    os.chmod(lock, 0o600)
    os.rename(lock, lock + ".away")
    check(3, "auth-db", "has no lock file")
    os.rename(lock + ".away", lock)
    for bad, words in ((b"", "is empty; initialise it"), (good[:5000], "damaged"), (good[:8192], "damaged"), (b"x" * len(good), "auth-db")):
        put(database, bad)
        check(3, "auth-db", words)
    put(database, good)
    key = database + ".key"
    with open(key, "rb") as file:
        own = file.read()
    site.run([program("popauth"), "-db", database + "2", "-init"])
    os.rename(database + "2.key", key)
    check(0, "does not belong to this database; APOP and CRAM-MD5 fail")
    os.unlink(key)
    put(key, own)
    os.chmod(key, 0o400)
    os.chown(key, os.lstat(database).st_uid, -1)
    state = os.path.join(site.root, "new-state")
    check(0, "not there yet; made when the server starts", **{"state-dir": state})
    assert not os.path.exists(state)
    check(3, "state-dir", "No such file", **{"state-dir": os.path.join(state, "below")})
    site.write_config()


def check_says_all_at_once(site):
    """--check names every fault of files and of the system in one run, with what is dangerous."""
    loose, names, hook, bulls = (os.path.join(site.root, name) for name in ("loose", "names", "hook", "bulls"))
    with open(names, "w"), open(hook, "w"):
        pass
    os.chmod(names, 0o666)
    os.chmod(hook, 0o777)
    os.mkdir(bulls)
    os.chmod(bulls, 0o777)
    os.chmod(site.spool, 0o777)
    with open(loose, "w") as file:
        file.write("set timout = 300\nset temp-name = plain\nset hash-spool = 7\nset log-login = %9\nset home-dir-mail = a/b\n"
                   f"set auth-file = {names}\nset login-command = {hook}\nset mail-command = sendmail\nset bulldir = {bulls}\nset tracefile = {names}\n")
    os.chmod(loose, 0o666)
    site.own(site.root)
    site.write_config(**{"config-file": loose})
    before = sorted(os.listdir(site.root))
    done = site.run([program("popper"), "--check", "-f", site.config], check=False)
    said = done.stderr.decode()
    assert done.returncode == 2, (done.returncode, said)
    for text in ("loose line 1: unknown option \"timout\"; is timeout meant?", "loose line 3: hash-spool = \"7\": out of bounds",
                 f"configuration file {loose}: uid {site.uid} owns it, mode 0666: others than root can change it",
                 'temp-name (', "want a file name with one %s in it", "home-dir-mail (", "want a plain file name", '"%9" is invalid in a log-login string',
                 "auth-file (", "nobody can log in", f"{hook}: mode 0777: everybody can change it", 'mail-command (', '"sendmail" must be an absolute path',
                 f"{bulls}: mode 0777: everybody could send mail to all users", "tracefile (", "must be a regular file", "everybody can remove everybody's mail"):
        assert text in said, (text, said)
    assert sorted(os.listdir(site.root)) == before, "a check makes nothing"
    os.chmod(site.spool, 0o700)


def check_names_option_and_line(site):
    """Each value of a list is named where it stands; what the start alone would run into is tried; and it is said what was read."""
    port = free_port()
    assert not site.options, "six lines stand in front"

    def check(*wanted, code=3, not_said=(), text=""):
        site.write_config()
        with open(site.config, "a") as file:
            file.write(text)
        done = site.run([program("popper"), "--check", "-f", site.config], check=False)
        said = done.stderr.decode()
        assert done.returncode == code, (text, done)
        for one in wanted:
            assert one.replace("CONF", site.config) in said, (one, said)
        for one in not_said:
            assert one not in said, (one, said)
        return done.stdout.decode()

    check('listen (CONF line 8) = "127.0.0.1:pop": the port must be', not_said=("line 7", "line 9"),
          text=f"set listen = 127.0.0.1:{port}\nset listen = 127.0.0.1:pop\nset listen = 127.0.0.2:{port}\n")
    check('listen (CONF line 7) = "192.0.2.77:1100": bind: Cannot assign requested address; this host does not have the address', text="set listen = 192.0.2.77:1100\n")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert "is sound" in check(not_said=("bind",), code=0, text=f"set listen = 127.0.0.1:{taken.getsockname()[1]}\n"), "the server may be running"
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start") as file:
        restricted = int(file.read()) > 109
    if restricted and site.uid != 0:
        check('warning: listen (CONF line 7) = "127.0.0.1:109": bind: Permission denied; ports below 1024 are root\'s', code=0, text="set listen = 127.0.0.1:109\n")
    missing, plain = os.path.join(site.root, "missing"), os.path.join(site.root, "plain")
    with open(plain, "w"):
        pass
    check(f"pid-file (CONF line 7): folder {missing}: No such file or directory; the server will not start", text=f"set pid-file = {missing}/pid\n")
    check(f"pid-file (CONF line 7): {plain} is not a folder", text=f"set pid-file = {plain}/pid\n")
    check(f"pid-file (CONF line 7): {site.state} is a folder", text=f"set pid-file = {site.state}\n")
    if site.uid != 0:
        check("pid-file (CONF line 7): folder /proc: Permission denied", text="set pid-file = /proc/pid\n")
    check(f"warning: tracefile (CONF line 7): folder {missing}: No such", f"warning: metrics-listen (CONF line 8): folder {missing}: No such", code=0,
          text=f"set tracefile = {missing}/trace\nset metrics-listen = {missing}/socket\n")
    check(f"spool-dir (CONF line 7): {plain}: not a folder", not_said=("Permission denied",), text=f"set spool-dir = {plain}\n")
    check('CONF line 7: auth-backends: expected comment or end of line, found "pam"; a value with blanks stands in quotes: set auth-backends = "database ..."', code=2,
          text="set auth-backends = database pam\n")
    os.unlink(plain)
    assert check(code=0) == f"configuration is sound (read: {site.config})\n"
    assert not os.path.exists(missing)
    bare = site.run([program("popper"), "--check", f"--spool-dir={site.spool}", f"--state-dir={site.state}", f"--auth-db={site.database}"])
    assert bare.stdout.startswith(b"configuration is sound (no file was read: the defaults, and what the command line says"), bare


def faults(site):
    """Each fault at start: message with place, cause and remedy; documented exit code."""
    def attempt(want_code, *want_texts, **options):
        listen = options.pop("listen", f"127.0.0.1:{free_port()}")
        site.write_config(listen=listen, **options)
        done = site.run([program("popper"), "--foreground", "-f", site.config], check=False, timeout=20)
        assert done.returncode == want_code, (options, done.returncode, done.stderr)
        for text in want_texts:
            assert text.encode() in done.stderr, (text, done.stderr)

    attempt(2, "qpopper.config line 8", 'timeout = "5 minuts"', "use s, m or h", timeout="5 minuts")
    attempt(3, "spool-dir", "/nonexistent", "No such file", **{"spool-dir": "/nonexistent"})
    attempt(3, "auth-db", f"popauth -db {site.root}/missing -init", **{"auth-db": os.path.join(site.root, "missing")})
    attempt(3, "state-dir", "/proc/none", **{"state-dir": "/proc/none"})
    attempt(3, "mail-locks", "want dotlock, fcntl, flock, lease or none", **{"mail-locks": "lockf"})
    attempt(3, "listen", "not a numeric address", listen="mail.example.org:110")
    attempt(3, "listen", "the port must be a number", listen="127.0.0.1:pop")
    os.chmod(site.database, 0o644)
    attempt(3, "wrong mode (0644)", "chmod 600 it")
    os.chmod(site.database, 0o600)
    nothing = site.run([program("popper")], check=False)
    assert nothing.returncode == 1 and b"no address is given" in nothing.stderr, nothing
    wrong = site.run([program("popper"), "--no-such-option"], check=False)
    assert wrong.returncode == 1 and b"--help" in wrong.stderr, wrong
    site.write_config()
    for words in (["foo"], ["--foreground", "-f", site.config, "foo"], ["--check", "-f", site.config, "foo"], ["127.0.0.1:pop"]):
        wrong = site.run([program("popper"), *words], check=False)
        assert wrong.returncode == 1 and b'listen (command line) = "' in wrong.stderr and b"--help" in wrong.stderr, (words, wrong)
    for words in (["--who", "foo"], ["--kick", "ada", "foo"], ["--metrics", "foo"], ["--compare-uidl", "ada", "--against", "x", "foo"]):
        wrong = site.run([program("popper"), "-f", site.config, *words], check=False)
        assert wrong.returncode == 1 and b'"foo" is one argument too many' in wrong.stderr, (words, wrong)
    good = site.run([program("popper"), "--check", "-f", site.config])
    assert b"configuration is sound" in good.stdout
    check_finds_what_refuses_every_login(site)
    check_says_all_at_once(site)
    check_names_option_and_line(site)
    site.write_config()
    printed = site.run([program("popper"), "--print-config", "-f", site.config]).stdout
    assert b"# command line" not in printed and f"# {site.config} line 1".encode() in printed, printed
    # From inetd the client gets one answer, and no detail.
    site.write_config(**{"spool-dir": "/nonexistent"})
    connection = site.start_single()
    answer = connection.makefile("rb").read()
    assert answer == b"-ERR [SYS/PERM] Server configuration is at fault; contact your administrator\r\n", answer
    assert site.process.wait(20) == 3
    site.process = None


def unreadable(site):
    """A spool that may not be read is an error for this user, and the log says which file and why."""
    if os.geteuid() != 0:
        skip("needs root to make a spool of somebody else")
    site.start()
    os.chown(os.path.join(site.spool, "ada"), 0, 0)
    client = Pop(site.connect())
    client.ok("USER ada")
    assert client.command(f"PASS {PASSWORD}").startswith(b"-ERR [SYS/PERM]")
    wait_until(lambda: f"open maildrop {os.path.join(site.spool, 'ada')}: " in site.log(), what="log line")


def full_disk(site):
    """A full state folder: the server says so at start, serves all the same, and deletes what needs no room."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=64k,mode=711,uid={site.uid}", "tmpfs", site.state], check=True)
    filler = os.path.join(site.state, "filler")
    try:
        with open(filler, "wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
    except OSError:
        pass
    site.start()
    assert "No space left on device" in site.log() and "free some space" in site.log(), site.log()
    client = Pop(site.connect())
    client.login()
    client.ok("DELE 3")
    client.ok("QUIT")
    assert site.read_spool() == mailbox(2)
    assert "write the index: " in site.log(), site.log()
    site.stop()


def missing_later(site):
    """Folder or database lost while the server runs: the fault is ours, not the password's, and the log does not fill up."""
    site.start()
    os.rename(site.state, site.state + ".gone")
    client = Pop(site.connect())
    client.ok("USER ada")
    answer = client.command(f"PASS {PASSWORD}")
    assert answer.startswith(b"-ERR [SYS/TEMP]"), answer
    client.close()
    os.rename(site.state + ".gone", site.state)
    client = Pop(site.connect())  # greeted while it was there: its login finds out
    os.rename(site.database, site.database + ".gone")
    with open(site.database, "w") as file:
        file.write("nothing of popauth's" * 1000)
    os.chmod(site.database, 0o600)
    site.own(site.database)
    assert client.command("USER ada").startswith(b"+OK") and client.command(f"PASS {PASSWORD}").startswith(b"-ERR [SYS/TEMP]")
    wait_until(lambda: f"login of ada: accounts cannot be looked up: POP authentication DB {site.database}" in site.log(), what="log line; " + site.log())
    assert "DB not available: POP" not in site.log()
    client.close()
    os.unlink(site.database)
    client = Pop(site.connect())
    client.send((f"USER ada\r\nPASS {PASSWORD}\r\n" * 50).encode())
    answers = client.file.read()
    assert answers.count(b"-ERR [SYS/TEMP]") == 3 and b"[AUTH]" not in answers, answers
    assert site.log().count("No such file") < 5, site.log()


CASES = {"missing-later": missing_later, "inetd": inetd, "systemd-accept": lambda site: systemd(site, True), "systemd-listen": lambda site: systemd(site, False), "daemon": daemon,
         "reload": reload, "notify": notify, "faults": faults, "unreadable": unreadable, "full-disk": full_disk}


def main():
    name = sys.argv[1]
    if name == "full-disk":
        enter_private_namespace()
    with Site() as site:
        site.put_spool("ada", mailbox(3))
        try:
            CASES[name](site)
        except BaseException:
            print(site.log())
            raise
    print(f"{name}: ok")


if __name__ == "__main__":
    main()
