#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The Debian package in a bare Debian 12 tree: lintian, units, first installation, the service as its unit starts it, a real MTA, real clients, upgrade,
removal, purge. Needs root, debootstrap and the mirror of this machine's own apt. Usage: install_test.py [--keep] [CLIENT...]"""
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from children import dies_with_us  # noqa: E402
from harness import TOP, bin_dir, enter_private_namespace, free_port, skip, wait_until  # noqa: E402

BUILD = os.path.dirname(bin_dir())
UNITS = os.path.join(TOP, "conf", "systemd")
CLIENTS = ("fetchmail mpop getmail6 nmh mutt alpine s-nail mailutils curl python3 perl ca-certificates expect procps exim4-daemon-light procmail util-linux")


def run(argv, **more):
    done = subprocess.run(argv, capture_output=True, text=True, check=False, preexec_fn=dies_with_us(), **{"timeout": 900, **more})
    if done.returncode != 0:
        raise AssertionError(f"{argv}: exit {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def mirror():
    for name in glob.glob("/etc/apt/sources.list.d/*.sources") + ["/etc/apt/sources.list", *glob.glob("/etc/apt/sources.list.d/*.list")]:
        if not os.path.exists(name):
            continue
        with open(name) as file:
            text = file.read()
        found = re.search(r"^URIs:\s*(\S+)", text, re.M) or re.search(r"^deb\s+(?:\[[^\]]*\]\s+)?(\S+)", text, re.M)
        if found:
            return found.group(1)
    return None


class Tree:
    """A Debian tree in a temporary folder; its mounts are this namespace's alone."""

    def __init__(self, folder):
        self.path = folder

    def inside(self, *argv, **more):
        environment = {"HOME": "/root", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TERM": "dumb", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
        return run(["chroot", self.path, *argv], env=environment, **more)

    def make(self, base):
        if os.path.exists(base):
            run(["tar", "-C", self.path, "-xf", base])
        else:
            run(["debootstrap", "--variant=minbase", "bookworm", self.path, mirror()])
            part = f"{base}.{os.getpid()}"
            run(["tar", "-C", self.path, "-cf", part, "."])
            os.rename(part, base)
        os.chmod(self.path, 0o755)
        for source in glob.glob("/etc/apt/sources.list.d/*.sources") + glob.glob("/etc/apt/sources.list") + glob.glob("/etc/apt/apt.conf.d/*") + glob.glob("/etc/apt/trusted.gpg.d/*"):
            target = self.path + source
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy(source, target)
        shutil.copy("/etc/resolv.conf", self.path + "/etc/resolv.conf")
        with open(self.path + "/etc/hosts", "w") as file:
            file.write("127.0.0.1 localhost pop.example.org\n")
        run(["mount", "-t", "proc", "proc", self.path + "/proc"])
        run(["mount", "-t", "tmpfs", "-o", "mode=755", "dev", self.path + "/dev"])
        for name in ("null", "zero", "full", "random", "urandom", "tty"):
            open(f"{self.path}/dev/{name}", "w").close()
            run(["mount", "--bind", f"/dev/{name}", f"{self.path}/dev/{name}"])
        for name in ("pts", "shm"):
            os.mkdir(f"{self.path}/dev/{name}")
        run(["mount", "-t", "devpts", "-o", "newinstance,ptmxmode=666", "devpts", self.path + "/dev/pts"])
        os.symlink("pts/ptmx", self.path + "/dev/ptmx")
        os.symlink("/proc/self/fd", self.path + "/dev/fd")
        with open(self.path + "/usr/sbin/policy-rc.d", "w") as file:
            file.write("#!/bin/sh\nexit 101\n")
        os.chmod(self.path + "/usr/sbin/policy-rc.d", 0o755)


def make_package():
    run(["cpack", "-G", "DEB"], cwd=BUILD)
    package = sorted(glob.glob(os.path.join(BUILD, "qpopper_*.deb")))[-1]
    if shutil.which("lintian"):
        said = subprocess.run(["lintian", "--allow-root", package], capture_output=True, text=True, check=False).stdout
        assert not re.search(r"^E:", said, re.M), said
    else:
        print("lintian is not installed: not asked")
    return package


def check_units(tree):
    names = sorted(os.listdir(UNITS))
    if not shutil.which("systemd-analyze"):
        print("systemd-analyze is not installed: units not verified")
        return
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", f"--root={tree.path}", *[f"/usr/lib/systemd/system/{name}" for name in names]], capture_output=True,
                          text=True, check=False)
    # A bare tree has no unit that belongs to systemd itself.
    own = [line for line in (done.stdout + done.stderr).splitlines() if re.search(r"pop(per|cert)", line) and "not found" not in line.lower()]
    assert not own, own


def unit_setting(name):
    with open(os.path.join(UNITS, "popper.service")) as file:
        return re.search(rf"^{name}=(.*)$", file.read(), re.M).group(1)


class Service:
    """The command of popper.service, with its sockets passed as systemd passes them, and its capabilities alone."""

    def __init__(self, tree):
        self.port, self.tls_port = free_port(), free_port()
        kept = ",".join("+" + word.lower().removeprefix("cap_") for word in unit_setting("CapabilityBoundingSet").split())
        command = unit_setting("ExecStart").split()
        activate = shutil.which("systemd-socket-activate")
        if activate is None:
            skip("systemd-socket-activate is not installed")
        self.log = open(os.path.join(tree.path, "var/log/popper.test"), "w+")
        # Nothing starts before the first client; bind is systemd's there.
        self.process = subprocess.Popen([activate, "-l", f"127.0.0.1:{self.port}", "-l", f"127.0.0.1:{self.tls_port}", "--fdname=pop3:pop3s", "chroot", tree.path, "setpriv",
                                         "--bounding-set", "-all," + kept, *command, "--log-target=stderr"], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        preexec_fn=dies_with_us())
        wait_until(lambda: "Listening on" in self.text() or self.process.poll() is not None, what="socket activation")

    def text(self):
        with open(self.log.name) as file:
            return file.read()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(30)
        assert code in (0, -signal.SIGTERM), (code, self.text())


def first_installation(tree, package):
    shutil.copy(package, os.path.join(tree.path, "root"))
    tree.inside("apt-get", "update", "-q")
    tree.inside("apt-get", "install", "-y", "-q", "--no-install-recommends", *CLIENTS.split(), f"/root/{os.path.basename(package)}")
    facts = tree.inside("stat", "-c", "%n %U %a", "/usr/sbin/popauth", "/etc/pop.auth", "/etc/pop.auth.key", "/etc/mail/certs/cert.pem", "/var/lib/popper").split("\n")
    assert facts[:5] == ["/usr/sbin/popauth pop 4711", "/etc/pop.auth pop 600", "/etc/pop.auth.key root 400", "/etc/mail/certs/cert.pem root 600", "/var/lib/popper root 711"], facts
    for user in ("popnet", "pop", "popkey"):
        assert tree.inside("getent", "passwd", user).strip().endswith("/nonexistent:/usr/sbin/nologin")
    assert "configuration is sound" in tree.inside("popper", "--check", "-f", "/etc/qpopper.config")
    assert "bash" in tree.inside("bash", "-c", "bash -n /usr/share/bash-completion/completions/popper && echo bash")
    for page in ("8/popper", "8/popauth", "8/popcheck", "8/popcert", "5/qpopper.config", "5/pop.auth", "7/popper-updates"):
        assert os.path.exists(f"{tree.path}/usr/share/man/man{page}.{page[0]}.gz") or "man" in open(f"{tree.path}/etc/dpkg/dpkg.cfg.d/docker", errors="ignore").read(), page


def upgrade_and_remove(tree, package):
    before = {name: open(tree.path + name, "rb").read() for name in ("/etc/pop.auth.key", "/etc/mail/certs/cert.pem")}
    with open(tree.path + "/etc/qpopper.config", "a") as file:
        file.write("set shy = true\n")
    tree.inside("sh", "-c", "printf 'From x Thu Nov 29 23:33:09 2012\\nSubject: kept\\n\\nkept\\n\\n' >>/var/mail/ada")
    mail = open(tree.path + "/var/mail/ada", "rb").read()
    said = tree.inside("sh", "-c", f"dpkg -i /root/{os.path.basename(package)} 2>&1")
    assert "qpopper: " not in said, f"an upgrade of a sound installation has nothing to say: {said}"
    assert "set shy = true" in open(tree.path + "/etc/qpopper.config").read(), "an upgrade keeps the configuration"
    tree.inside("dpkg", "-r", "qpopper")
    assert os.path.exists(tree.path + "/etc/qpopper.config")
    tree.inside("dpkg", "-i", f"/root/{os.path.basename(package)}")
    assert tree.inside("popauth", "-list", "ada")
    tree.inside("dpkg", "-P", "qpopper")
    for name, octets in before.items():
        assert open(tree.path + name, "rb").read() == octets, f"{name} survives a purge"
    assert os.path.exists(tree.path + "/etc/pop.auth") and open(tree.path + "/var/mail/ada", "rb").read() == mail
    assert not os.path.exists(tree.path + "/usr/sbin/popper") and not os.path.exists(tree.path + "/etc/qpopper.config")


def main():
    keep = "--keep" in sys.argv
    if os.geteuid() != 0 or shutil.which("debootstrap") is None or mirror() is None:
        skip("needs root, debootstrap and an apt mirror")
    enter_private_namespace()
    package = make_package()
    folder = tempfile.mkdtemp(prefix="qpop.tree.")
    tree = Tree(folder)
    try:
        tree.make(os.path.join(BUILD, "debian-tree.tar"))
        first_installation(tree, package)
        check_units(tree)
        shutil.copytree(os.path.join(TOP, "tests"), tree.path + "/srv/tests", ignore=shutil.ignore_patterns("corpus", "__pycache__"))
        service = Service(tree)
        try:
            print(tree.inside("python3", "/srv/tests/package/clients_inside.py", str(service.port), str(service.tls_port), *[word for word in sys.argv[1:] if word != "--keep"]), end="")
        except BaseException:
            print(service.text()[-4000:])
            service.process.terminate()
            service.process.wait(30)
            raise
        service.stop()
        upgrade_and_remove(tree, package)
    finally:
        if keep:
            print(f"kept: {folder}")
        else:
            subprocess.run(f"for m in dev/pts dev proc; do umount -lR {folder}/$m; done; rm -rf --one-file-system {folder}", shell=True, check=False, stderr=subprocess.DEVNULL)
    print("package: ok")


if __name__ == "__main__":
    main()
