# SPDX-License-Identifier: MIT
"""System calls of a server that serves one client, seen by strace."""
import os
import shutil
import socket
import subprocess

from harness import Pop, program, skip


def need_strace():
    if shutil.which("strace") is None:
        skip("strace is not installed")
    probe = subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], capture_output=True, check=False)
    if probe.returncode != 0:
        skip("ptrace is not permitted here: " + probe.stderr.decode(errors="replace").strip())


class TracedSession:
    """One session under strace, logged in; `calls`: as strace -e trace= takes them."""

    def __init__(self, site, calls):
        self.path = os.path.join(site.root, "trace")
        ours, theirs = socket.socketpair()
        with open(site.log_path, "ab") as log:
            self.process = subprocess.Popen(["strace", "-f", "-q", "-s", "16", "-o", self.path, "-e", "trace=" + calls, program("popper"), "-f", site.config],
                                            stdin=theirs, stdout=theirs, stderr=log, env=site.environment(), **site.identity())
        theirs.close()
        ours.settimeout(60)
        self.client = Pop(ours)
        if not self.client.greeting.startswith(b"+OK"):
            self.process.wait(60)
            skip("strace cannot follow the server here: " + site.log()[-300:])
        self.client.login()

    def lines(self):
        with open(self.path, errors="replace") as file:
            return file.readlines()

    def quit(self):
        """All lines of the trace, once every process has ended."""
        self.client.ok("QUIT")
        self.client.close()
        self.process.wait(60)
        return self.lines()
