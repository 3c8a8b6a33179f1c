# SPDX-License-Identifier: MIT
"""The servers that are measured side by side, each on free loopback ports, with the same users, spools and certificate. All of it in folders of the run."""
import glob
import os
import shutil
import socket
import subprocess

from harness import free_port, program, wait_until

UNPACKED = "build/peers"


def user_of(server):
    """Who has the large maildrop of this server."""
    return f"bench-{server}"


def unpack(top, package):
    """A Debian package that must not be installed beside another: its files in a folder of ours, or None."""
    folder = os.path.join(top, UNPACKED, package)
    if os.path.isdir(os.path.join(folder, "usr")):
        return folder
    os.makedirs(folder, exist_ok=True)
    done = subprocess.run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package], cwd=folder, capture_output=True, check=False)
    files = glob.glob(os.path.join(folder, "*.deb"))
    if done.returncode != 0 or not files:
        return None
    subprocess.run(["dpkg-deb", "-x", files[0], folder], check=True)
    return folder


class Peer:
    """`plain` and `tls` are ports, None where the server has no such thing."""

    plain = tls = None

    def close(self):
        pass

    def pids(self):
        """Process numbers of the whole server."""
        return []


class Started(Peer):
    """For each connection one process, started by inetd."""

    def __init__(self, run, argv):
        self.plain = free_port()
        config = os.path.join(run.folder, f"inetd.{self.name}")
        with open(config, "w") as file:
            file.write(f"127.0.0.1:{self.plain} stream tcp nowait.1000000 root {argv[0]} {os.path.basename(argv[0])} {' '.join(argv[1:])}\n")
        self.process = subprocess.Popen(["/usr/sbin/inetd", "-d", config], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: answers(self.plain), what=self.name)

    def pids(self):
        return tree(self.process.pid)

    def close(self):
        self.process.terminate()
        self.process.wait(20)


class Popa3d(Started):
    name = "popa3d"

    @staticmethod
    def make(run):
        return Popa3d(run, ["/usr/sbin/popa3d"]) if os.path.exists("/usr/sbin/popa3d") and os.path.exists("/usr/sbin/inetd") else None


class Dovecot(Peer):
    name = "dovecot"

    @staticmethod
    def make(run):
        folder = unpack(run.top, "dovecot-pop3d")
        return Dovecot(run, folder) if folder and os.path.exists("/usr/sbin/dovecot") else None

    def __init__(self, run, folder):
        self.folder = os.path.join(run.folder, "dovecot")
        os.makedirs(os.path.join(self.folder, "home"))
        os.makedirs(os.path.join(self.folder, "run"))
        shutil.chown(os.path.join(self.folder, "home"), run.uid, run.uid)
        os.chmod(self.folder, 0o755)
        self.plain, self.tls = free_port(), free_port()
        with open(os.path.join(self.folder, "passwd"), "w") as file:
            file.writelines(f"{user}:{{PLAIN}}{run.password}\n" for user in run.users)
        lib = os.path.join(folder, "usr/lib/dovecot")
        config = os.path.join(self.folder, "dovecot.conf")
        with open(config, "w") as file:
            file.write(f"""
base_dir = {self.folder}/run
state_dir = {self.folder}/run
log_path = {self.folder}/log
protocols = pop3
listen = 127.0.0.1
ssl = yes
ssl_cert = <{run.certificate}
ssl_key = <{run.certificate}
disable_plaintext_auth = no
auth_mechanisms = plain apop
first_valid_uid = 1
mail_location = mbox:{self.folder}/home/%u:INBOX=/var/mail/%u
mbox_write_locks = fcntl
mail_max_userip_connections = 10000
default_process_limit = 5000
default_client_limit = 20000
passdb {{
  driver = passwd-file
  args = {self.folder}/passwd
}}
userdb {{
  driver = static
  args = uid={run.uid} gid={run.uid} home={self.folder}/home/%u
}}
service pop3-login {{
  executable = {lib}/pop3-login
  inet_listener pop3 {{
    port = {self.plain}
  }}
  inet_listener pop3s {{
    port = {self.tls}
    ssl = yes
  }}
  service_count = 1
  process_min_avail = 4
}}
service pop3 {{
  executable = {lib}/pop3
}}
""")
        self.process = subprocess.Popen(["/usr/sbin/dovecot", "-F", "-c", config], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: answers(self.plain), what="dovecot")

    def pids(self):
        return tree(self.process.pid)

    def forget(self, user):
        """As if it had never seen the maildrop."""
        shutil.rmtree(os.path.join(self.folder, "home", user), ignore_errors=True)

    def close(self):
        self.process.terminate()
        self.process.wait(20)


class Mailutils(Started):
    name = "mailutils"

    @staticmethod
    def make(run):
        folders = [unpack(run.top, package) for package in ("mailutils-pop3d", "libmailutils9", "libmu-dbm9", "libkyotocabinet16v5", "libmariadb3")]
        if not all(folders):
            return None
        argv = ["/usr/bin/env", "LD_LIBRARY_PATH=" + ":".join(os.path.join(folder, "usr/lib", lib) for folder in folders[1:] for lib in (f"{os.uname().machine}-linux-gnu", ".")),
                os.path.join(folders[0], "usr/sbin/pop3d")]
        if subprocess.run([*argv, "--version"], capture_output=True, check=False).returncode != 0:
            return None
        return Mailutils(run, [*argv, "--no-config", "--inetd", "--set=.auth.authentication=system"])


class Popper(Peer):
    name = "popper"

    def __init__(self, site):
        self.site = site
        self.plain, self.tls = site.port, site.tls_port

    def pids(self):
        return tree(self.site.process.pid)

    def forget(self, user, name="index"):
        path = os.path.join(self.site.state, "u", f"{self.site.mail_uid}.{user}", name)
        if os.path.exists(path):
            os.unlink(path)

    def forget_deleted(self, user):
        """The spool was put back as it was: what an earlier round deleted would still be gone."""
        self.forget(user, "expunged")


def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            return connection.recv(100).startswith(b"+OK")
    except OSError:
        return False


def tree(pid):
    """The process and all below it."""
    pids, todo = [], [pid]
    while todo:
        one = todo.pop()
        pids.append(one)
        try:
            with open(f"/proc/{one}/task/{one}/children") as file:
                todo.extend(int(child) for child in file.read().split())
        except OSError:
            continue
    return pids


def proportional_kib(pids):
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup") as file:
                total += next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        except (OSError, StopIteration):
            continue
    return total


def load(port, user, password, mode, *options, timeout=900):
    """One run of the load client: milliseconds, messages, octets."""
    done = subprocess.run([program("pop3_load"), str(port), user, password, mode, *options], capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode != 0:
        raise SystemExit(f"port {port} {user} {mode} {options}: {done.stderr}")
    elapsed, count, octets = done.stdout.split()
    return float(elapsed), int(count), int(octets)
