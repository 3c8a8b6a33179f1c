#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A run of a test that is killed leaves neither the server that it started nor its folder. Usage: killed_run_test.py [run FILE]"""
import os
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from children import dies_with_us  # noqa: E402
from harness import Pop, Site, enter_private_namespace, free_port, mailbox, program, wait_until  # noqa: E402
from interrupted import children, name_of  # noqa: E402


def run(report):
    """As the tests that need root: in a namespace of its own, with a folder and a server, here behind a program that it is started by."""
    if os.geteuid() == 0:
        enter_private_namespace()
    with Site() as site:
        site.put_spool("ada", mailbox(1))
        site.port = free_port()
        site.write_config(listen=f"127.0.0.1:{site.port}")
        with open(site.log_path, "ab") as log:
            site.process = subprocess.Popen(["nice", "-n", "1", program("popper"), "--foreground", "-f", site.config], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=site.environment(), preexec_fn=dies_with_us(), **site.identity())
        wait_until(site.accepts, what="server start")
        client = Pop(site.connect())
        client.login("ada")
        with open(report + ".part", "w") as file:
            file.write(f"{os.getpid()} {site.process.pid} {site.root}")
        os.rename(report + ".part", report)
        signal.pause()


def kill_one(folder, which, number):
    """Starts a run and kills what the caller of the test knows of it (outer), or the process that does the work (inner)."""
    report = os.path.join(folder, f"{which}.{number}")
    with open(os.path.join(folder, "said"), "wb") as said:
        outer = subprocess.Popen([sys.executable, os.path.abspath(__file__), "run", report], stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    wait_until(lambda: os.path.exists(report) or outer.poll() is not None, 30, "the run")
    with open(os.path.join(folder, "said"), errors="replace") as said:
        assert os.path.exists(report), said.read()
    with open(report) as file:
        inner, server, root = file.read().split()
    everybody = [int(inner), int(server), *children(int(server))]
    assert len(everybody) >= 4 and all(name_of(pid) for pid in everybody), [name_of(pid) for pid in everybody]
    os.kill(outer.pid if which == "outer" else int(inner), number)
    outer.wait(20)
    wait_until(lambda: not any(name_of(pid) for pid in everybody), 20, f"end of {everybody} behind signal {number} to the {which} process")
    if which == "outer" or number == signal.SIGTERM:
        assert not os.path.exists(root), "its folder is left"
    else:
        subprocess.run(["rm", "-rf", "--one-file-system", root], check=True)


def main():
    with tempfile.TemporaryDirectory(prefix="qpop.") as folder:
        for which, number in (("inner", signal.SIGKILL), *((("inner", signal.SIGTERM), ("outer", signal.SIGTERM), ("outer", signal.SIGKILL)) if os.geteuid() == 0 else ())):
            kill_one(folder, which, number)
    print("killed run: ok")


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:
        run(sys.argv[2])
    else:
        main()
