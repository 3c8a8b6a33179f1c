# SPDX-License-Identifier: MIT
"""Messages that carry an id and a checksum, and what a spool that holds them has lost, torn or doubled."""
import hashlib
import os
import random
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import bin_dir  # noqa: E402

TMPFS = "tmpfs"
POSTMARK = b"From soak@example.org Thu Nov 29 23:33:09 2012\n"
MMDF = b"\x01\x01\x01\x01\n"
LINES = 16384
# One block of text for all bodies; a message's body is a piece of it between a first and a last line with its id.
TEXT = b"".join(b"%s\n" % hashlib.sha256(b"%d" % i).hexdigest().encode() for i in range(LINES))
LINE = 65
MARK = re.compile(rb"^X-Soak: id=(\S+) size=(\d+) sum=([0-9a-f]{16})\r?\n", re.M)
START = re.compile(rb"(?:\A|(?<=\n\n)|(?<=\n\r\n))From \S+ .*\d\d:\d\d:\d\d .*\n")


def file_system(path):
    """Type of the file system that holds `path`."""
    best, kind = "", ""
    with open("/proc/self/mounts") as file:
        for line in file:
            _, where, name = line.split()[:3]
            inside = path == where or path.startswith(where.rstrip("/") + "/")
            if inside and len(where) >= len(best):
                best, kind = where, name
    return kind


def folder_on_disk():
    """A folder on a real file system, where any uid gets in."""
    for folder in (os.environ.get("QPOP_SOAK_DIR"), "/var/tmp", "/tmp", os.path.dirname(bin_dir())):
        if folder and os.path.isdir(folder) and file_system(os.path.realpath(folder)) != TMPFS:
            return folder
    return "/tmp"


def random_text(rng, octets):
    lines = max(octets // LINE, 0)
    first = rng.randrange(LINES - min(lines, LINES - 1))
    return TEXT[first * LINE:(first + lines) * LINE]


def mail(name, octets, rng, subject="soak"):
    """A message without postmark. `octets` of text; the last line has no length of its own, so sizes take every remainder."""
    body = b"begin %s\n" % name + random_text(rng, octets) + b"end %s%s\n" % (name, b"." * rng.randrange(64))
    total = hashlib.sha256(body).hexdigest()[:16].encode()
    return (b"From: Soak <soak@example.org>\nTo: ada@example.org\nSubject: %s %s\nMessage-ID: <%s@soak.example.org>\nX-Soak: id=%s size=%d sum=%s\n\n"
            % (subject.encode(), name, name, name, len(body), total) + body)


def in_mbox(text):
    return POSTMARK + text + b"\n"


def in_mmdf(text):
    return MMDF + text + MMDF


def check_mail(text):
    """(id, fault or ""): is this one whole message of ours? Header fields may have been added, empty lines behind it too."""
    marks = MARK.findall(text)
    if len(marks) != 1:
        return (marks[0][0] if marks else b"?", f"{len(marks)} marks in one message: {text[:200]!r}")
    name, size, total = marks[0]
    at = text.find(b"\n\n")
    body = text[at + 2:] if at >= 0 else b""
    whole, rest = body[:int(size)], body[int(size):]
    if hashlib.sha256(whole).hexdigest()[:16].encode() != total:
        return name, "checksum differs"
    if rest.strip(b"\n"):
        return name, f"garbage behind it: {rest[:200]!r}"
    return name, ""


def split(spool):
    """The messages of a spool as octets, postmarks and separators taken off; what stands before the first is a message as well."""
    if spool.startswith(b"\x01\x01\x01\x01"):
        return [part for part in spool.split(MMDF) if part]
    starts = [match for match in START.finditer(spool)]
    if not starts:
        return [spool] if spool else []
    out = [spool[:starts[0].start()]] if starts[0].start() else []
    for match, following in zip(starts, [*starts[1:], None]):
        out.append(spool[match.end():following.start() if following else len(spool)])
    return out


def inspect(spool):
    """(ids in order, list of faults)."""
    found, faults = [], []
    for text in split(spool):
        name, fault = check_mail(text)
        if fault:
            faults.append((name, fault))
        else:
            found.append(name)
    return found, faults


def rng_for(*parts):
    return random.Random(":".join(str(part) for part in parts))
