# SPDX-License-Identifier: MIT
"""Starts the real programs for a test: private folders, free loopback ports, an unprivileged uid; ends what it started, by pid."""
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from children import dies_with_us, end_on_sigterm  # noqa: E402

SKIPPED = 77
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# A uid without a name: the server must do without one, as in a container.
TEST_UID = 64321
def named_uid():
    """For programs that ask the user database for their own name."""
    return pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None


PASSWORD = "correct horse battery"


def skip(reason):
    print(f"SKIPPED: {reason}")
    sys.exit(SKIPPED)


def bin_dir():
    return os.environ.get("QPOP_BIN_DIR", os.path.join(TOP, "build", "release", "bin"))


def program(name):
    path = os.path.join(bin_dir(), name)
    if not os.path.exists(path):
        raise SystemExit(f"{path} does not exist: build first, or set QPOP_BIN_DIR")
    return path


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(check, seconds=10.0, what="condition"):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        result = check()
        if result:
            return result
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {seconds} s")


def enter_private_namespace():
    """Starts the calling script again in a mount namespace of its own, so that its mounts are seen by nobody else."""
    if os.geteuid() != 0:
        skip("needs root for a private mount namespace")
    if os.environ.get("QPOP_TEST_NAMESPACE") == "1":
        end_on_sigterm()
        return
    # In a chroot the root is no mount, so its propagation cannot be changed; it need not be when nothing is shared.
    propagation = "private"
    if subprocess.run(["unshare", "-m", "--propagation", "private", "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        propagation = "unchanged"
        with open("/proc/1/mountinfo") as file:
            if any(" shared:" in line for line in file):
                skip("this chroot shares its mounts with others")
    environment = dict(os.environ, QPOP_TEST_NAMESPACE="1")
    sys.exit(subprocess.run(["unshare", "-m", "--propagation", propagation, sys.executable, *sys.argv], env=environment, check=False,
                            preexec_fn=dies_with_us()).returncode)


class Site:
    """One installation in a temporary folder: spools, state, database, configuration, log."""

    def __init__(self, options=None, users=("ada",), password=PASSWORD, uid=None, parent=None):
        self.root = tempfile.mkdtemp(prefix="qpop.", dir=parent)
        os.chmod(self.root, 0o755)
        self.uid = uid if uid is not None else (TEST_UID if os.geteuid() == 0 else os.geteuid())
        self.spool = os.path.join(self.root, "spool")
        self.state = os.path.join(self.root, "state")
        self.database = os.path.join(self.root, "pop.auth")
        self.config = os.path.join(self.root, "qpopper.config")
        self.log_path = os.path.join(self.root, "log")
        self.home = os.path.join(self.root, "home")
        self.options = dict(options or {})
        self.port = None
        self.log_before = 0
        self.process = None
        self.password = password
        for folder in (self.spool, self.state, self.home):
            os.mkdir(folder, 0o700)
        open(self.log_path, "w").close()
        self.own(self.root)
        if users:
            self.run([program("popauth"), "-db", self.database, "-init"])
            for user in users:
                self.add_user(user, password)

    def own(self, path):
        if os.geteuid() != 0:
            return
        os.chown(path, self.uid, self.uid)
        for folder, folders, files in os.walk(path):
            for name in folders + files:
                os.chown(os.path.join(folder, name), self.uid, self.uid, follow_symlinks=False)

    def identity(self):
        """Arguments of subprocess that run a program as the site's user."""
        if os.geteuid() != 0:
            return {}
        return {"user": self.uid, "group": self.uid, "extra_groups": []}

    def environment(self):
        return {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": self.home, "LC_ALL": "C.UTF-8", "TERM": "dumb"}

    def run(self, argv, check=True, **kwargs):
        kwargs.setdefault("stdin", subprocess.DEVNULL if "input" not in kwargs else None)
        if kwargs["stdin"] is None:
            del kwargs["stdin"]
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment(), cwd=self.home,
                              timeout=kwargs.pop("timeout", 60), **self.identity(), **kwargs)
        if check and done.returncode != 0:
            raise AssertionError(f"{argv}: exit {done.returncode}\n{done.stdout!r}\n{done.stderr!r}")
        return done

    def add_user(self, user, password):
        self.run([program("popauth"), "-db", self.database, "-user", user, "-stdin"], input=password.encode() + b"\n")

    def put_spool(self, user, content):
        path = os.path.join(self.spool, user)
        with open(path, "wb") as file:
            file.write(content)
        os.chmod(path, 0o600)
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.uid)
        return path

    def read_spool(self, user="ada"):
        with open(os.path.join(self.spool, user), "rb") as file:
            return file.read()

    def write_config(self, **more):
        options = {"spool-dir": self.spool, "state-dir": self.state, "auth-db": self.database, "log-target": "stderr",
                   "server-name": "pop.example.org", "failed-login-delay": "0"}
        options.update(self.options)
        options.update(more)
        with open(self.config, "w") as file:
            for name, value in options.items():
                for one in value if isinstance(value, (list, tuple)) else [value]:
                    file.write(f'set {name} = "{one}"\n')
        os.chmod(self.config, 0o644)

    def start(self, arguments=(), **more):
        """A daemon in the foreground on a free port; returns when it serves."""
        self.port = free_port()
        self.write_config(listen=f"127.0.0.1:{self.port}", **more)
        log = open(self.log_path, "ab")
        self.log_before = os.path.getsize(self.log_path)  # an earlier server of this site wrote it
        self.process = subprocess.Popen([program("popper"), "--foreground", "-f", self.config, *arguments], stdin=subprocess.DEVNULL,
                                        stdout=log, stderr=log, env=self.environment(), **self.identity())
        log.close()
        wait_until(self.accepts, what="server start; log: " + self.log())

    def accepts(self):
        if self.process.poll() is not None:
            raise AssertionError("server ended at start: " + self.log())
        return "listening on" in self.log()[self.log_before:] and os.path.exists(self.state)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def start_single(self, arguments=()):
        """popper as inetd starts it, with one end of a socket pair; returns the other end."""
        if not os.path.exists(self.config):
            self.write_config()
        ours, theirs = socket.socketpair()
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen([program("popper"), "-f", self.config, *arguments], stdin=theirs, stdout=theirs, stderr=log,
                                        env=self.environment(), **self.identity())
        log.close()
        theirs.close()
        ours.settimeout(20)
        return ours

    def log(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()

    def stop(self):
        """Ends the server politely; returns its exit code."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.process = None
        return code

    def close(self):
        self.stop()
        shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Pop:
    """A bare POP3 connection for tests that count octets."""

    def __init__(self, connection):
        self.socket = connection
        self.file = connection.makefile("rb")
        self.greeting = self.line()

    def line(self):
        return self.file.readline()

    def send(self, data):
        self.socket.sendall(data)

    def command(self, text):
        self.send(text.encode() + b"\r\n")
        return self.line()

    def ok(self, text):
        answer = self.command(text)
        assert answer.startswith(b"+OK"), (text, answer)
        return answer

    def body(self):
        """Raw lines of a multi-line response up to and without the termination octet."""
        out = b""
        while True:
            line = self.line()
            if line == b"":
                raise AssertionError("connection closed in the middle of a multi-line response")
            if line == b".\r\n":
                return out
            out += line

    def multi(self, text):
        first = self.ok(text)
        return first, self.body()

    def login(self, user="ada", password=PASSWORD):
        self.ok(f"USER {user}")
        return self.ok(f"PASS {password}")

    def close(self):
        self.file.close()
        self.socket.close()


def unstuff(body):
    return re.sub(rb"(?m)^\.", b"", body)


def message(number, body=b"Hello.\n", sender="ada@example.org", extra=b""):
    """One mbox message, made from its number alone."""
    return (b"From %s Thu Nov 29 23:33:%02d 2012\n" % (sender.encode(), number % 60)
            + b"Received: from a.example by b.example with ESMTP id Q%06d; Thu, 29 Nov 2012 23:33:00 +0000\n" % number
            + b"From: Ada <%s>\nTo: Bob <bob@example.org>\nSubject: number %d\n" % (sender.encode(), number)
            + b"Message-ID: <%d@example.org>\n" % number + extra + b"\n" + body + b"\n")


def mailbox(count, **kwargs):
    return b"".join(message(i + 1, **kwargs) for i in range(count))
