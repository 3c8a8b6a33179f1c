#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""popauth on a file system that is full or nearly so: each verb works or says that there is no room; none dies, and nothing is left over."""
import os
import pwd
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import enter_private_namespace, program, skip  # noqa: E402

NOBODY = pwd.getpwnam("nobody").pw_uid


def become():
    os.setgroups([])
    os.setgid(65534)
    os.setuid(NOBODY)


def fill(folder, spare):
    """Takes all the room but `spare` KiB."""
    path = os.path.join(folder, "filler")
    with open(path, "wb", buffering=0) as file:
        size = 1 << 16
        while size:
            try:
                file.write(b"f" * size)
            except OSError:
                size //= 2
        file.truncate(max(0, os.fstat(file.fileno()).st_size // 4096 * 4096 - spare * 1024))
    return path


class Trial:
    def __init__(self, binary, folder):
        self.binary, self.folder, self.path = binary, folder, os.path.join(folder, "pop.auth")
        self.refused = self.done = 0

    def popauth(self, *args, stdin=b""):
        return subprocess.run([self.binary, "-db", self.path, *args], input=stdin, capture_output=True, timeout=60, preexec_fn=become, check=False)

    def must(self, *args, stdin=b""):
        result = self.popauth(*args, stdin=stdin)
        assert result.returncode == 0, (args, result)
        return result

    def on_full_disk(self, spare, *args, stdin=b""):
        before = set(os.listdir(self.folder))
        filler = fill(self.folder, spare)
        try:
            result = self.popauth(*args, stdin=stdin)
        finally:
            os.unlink(filler)
        assert result.returncode in (0, 1), (spare, args, result)
        new = set(os.listdir(self.folder)) - before
        if result.returncode == 0:
            self.done += 1
        else:
            self.refused += 1
            assert b"No space left" in result.stderr, (spare, args, result)
            assert not new, (spare, args, new)
        assert not [name for name in new if name.startswith(".")], (spare, args, new)
        self.must("-list", "ALL")
        return result, new


def run(trial):
    trial.must("-init", "-iterations", "4096")
    lines = b"".join(b"user%d:{CRYPT}$1$saltsalt$UsP8RfXm3yIm.BcX6qpfF/\n" % number for number in range(200))
    trial.must("-import", "-", "-format", "dovecot", stdin=lines)
    for verb, *stdin in (("-list ALL",), ("-user user1 -stdin", b"tanstaaf\n")):
        os.truncate(trial.path + "-lock", 0)
        result, _ = trial.on_full_disk(0, *verb.split(), stdin=b"".join(stdin))
        assert result.returncode == 1, (verb, result)
    saved = os.path.join(trial.folder, "saved")
    trial.must("-backup", saved)
    for spare in range(0, 256, 4):
        for verb in (["-compact"], ["-backup", os.path.join(trial.folder, "copy")], ["-restore", saved],
                     ["-export", os.path.join(trial.folder, "text")]):
            _, new = trial.on_full_disk(spare, *verb)
            for name in new:
                os.unlink(os.path.join(trial.folder, name))
    assert trial.done > 20 and trial.refused > 20, (trial.done, trial.refused)
    print(f"{trial.refused} refused, {trial.done} done")


def main():
    if os.getuid() != 0:
        skip("needs root, to mount a small file system")
    enter_private_namespace()
    folder, tools = tempfile.mkdtemp(prefix="qpop-full.", dir="/tmp"), tempfile.mkdtemp(prefix="qpop-full.", dir="/tmp")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=1m,mode=0755,uid={NOBODY}", "tmpfs", folder], check=False)
    if mounted.returncode != 0:
        os.rmdir(folder)
        os.rmdir(tools)
        skip("mount is not permitted here")
    try:
        os.chmod(tools, 0o755)
        binary = shutil.copy(program("popauth"), tools)
        os.chmod(binary, 0o755)
        run(Trial(binary, folder))
    finally:
        subprocess.run(["umount", folder], check=False)
        os.rmdir(folder)
        shutil.rmtree(tools)
    return 0


if __name__ == "__main__":
    sys.exit(main())
