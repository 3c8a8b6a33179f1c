#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plays one transcript (tests/transcripts/*.pop3) against popper: run_transcript.py MODE FILE, MODE one of single, tcp.

single: popper as inetd starts it, on one end of a socket pair. tcp: the daemon over a loopback connection.

  @maildrop NAME|none      spool of ada: a file of tests/corpus/spools, or the lines up to @end (@maildrop inline)
  @config NAME VALUE       an option of the server
  @login USER              logs in (S: of it is not checked); before it the greeting is read
  @apop USER               the same by APOP
  @greeting                the next S: line is the greeting (without it the greeting is read and dropped)
  C: LINE                  sends a line with CRLF
  C< BYTES                 sends raw bytes, \\r \\n \\0 \\xHH escaped
  S: LINE                  expects exactly this line, with a final * this prefix
  S= REGEX                 expects a line that the whole expression matches
  @outside-tls             what it shows is another thing inside TLS: it does not run there
  @pause SECONDS           waits
  @append NAME             appends a file of the corpus to the spool, as a delivery agent would
  @rewrite NAME            another program replaces the content of the spool
  @cut                     closes our side without warning
  @eof                     expects the end of the connection
  @reconnect               a new connection to the same server (tcp and single)
  @log TEXT                expects TEXT in the log at the end; warnings and errors nobody expects fail the test
  @log-not TEXT            TEXT must not stand in the log
  @after maildrop unchanged | empty | NAME
"""
import hashlib
import os
import re
import socket
import ssl
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import PASSWORD, TOP, Site  # noqa: E402
from tls_site import HOST, TlsSite, context_for  # noqa: E402

SPOOLS = os.path.join(TOP, "tests", "corpus", "spools")


class Failure(Exception):
    pass


def unescape(text):
    return text.encode("latin-1", "backslashreplace").decode("unicode_escape").encode("latin-1")


def read_spool_file(name):
    with open(os.path.join(SPOOLS, name), "rb") as file:
        return file.read()


def read_line(connection):
    """Octet by octet: what follows belongs to TLS."""
    line = b""
    while not line.endswith(b"\n"):
        octet = connection.recv(1)
        if not octet:
            raise Failure("connection closed")
        line += octet
    return line


class Player:
    def __init__(self, site, mode):
        self.site = site
        self.mode = mode
        self.connection = None
        self.buffer = b""
        self.greeted = False
        self.stamp = b""
        self.expected_log = []
        self.before = None

    def open(self):
        if self.connection:
            self.connection.close()
        greeting = b""
        if self.mode == "tcp":
            if self.site.process is None:
                self.site.start()
            self.connection = self.site.connect()
        elif self.mode in ("stls", "tls"):
            if self.site.process is None:
                self.site.start_tls()
            context = context_for(None)
            plain = self.site.connect_tls() if self.mode == "tls" else self.site.connect()
            if self.mode == "stls":
                greeting = read_line(plain)
                plain.sendall(b"STLS\r\n")
                if not read_line(plain).startswith(b"+OK"):
                    raise Failure("STLS is refused")
            self.connection = context.wrap_socket(plain, server_hostname=HOST)
        else:
            if self.site.process is not None:
                self.site.process.wait(20)
            self.connection = self.site.start_single()
        self.buffer = greeting
        self.greeted = False

    def line(self):
        if self.connection is None:
            self.open()
        while b"\n" not in self.buffer:
            try:
                data = self.connection.recv(65536)
            except socket.timeout:
                raise Failure("no answer within 20 s")
            except (ConnectionResetError, ssl.SSLError):
                data = b""
            if not data:
                raise Failure("connection closed, a line was expected; rest: %r" % self.buffer)
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line + b"\n"

    def greet(self):
        if self.connection is None:
            self.open()
        if not self.greeted:
            self.greeted = True
            found = re.search(rb"<[^>]*>", self.line())
            self.stamp = found.group(0) if found else b""

    def send(self, data):
        self.greet()
        self.connection.sendall(data)

    def expect(self, want):
        if not self.greeted:
            self.greeted = True
        got = self.line()
        if not got.endswith(b"\r\n"):
            raise Failure(f"line without CRLF: {got!r}")
        text = got[:-2].decode("latin-1")
        good = text.startswith(want[:-1]) if want.endswith("*") else text == want
        if not good:
            raise Failure(f"got  {text!r}\nwant {want!r}")

    def expect_regex(self, want):
        self.greeted = True
        got = self.line().decode("latin-1").removesuffix("\r\n")
        if not re.fullmatch(want, got):
            raise Failure(f"got  {got!r}\nwant {want!r}")

    def expect_ok(self):
        got = self.line()
        if not got.startswith(b"+OK"):
            raise Failure(f"login: {got!r}")

    def login(self, user):
        self.send(f"USER {user}\r\n".encode())
        self.expect_ok()
        self.send(f"PASS {PASSWORD}\r\n".encode())
        self.expect_ok()

    def apop(self, user):
        self.greet()
        digest = hashlib.md5(self.stamp + PASSWORD.encode()).hexdigest()
        self.send(f"APOP {user} {digest}\r\n".encode())
        self.expect_ok()

    def expect_eof(self):
        self.greet()
        try:
            data = self.buffer + self.connection.recv(4096)
        except (ConnectionResetError, ssl.SSLError):
            data = b""
        if data:
            raise Failure(f"end of connection expected, got {data!r}")

    def spool_now(self):
        try:
            return self.site.read_spool()
        except FileNotFoundError:
            return None

    def change_spool(self, name, how):
        with open(os.path.join(self.site.spool, "ada"), how) as file:
            file.write(read_spool_file(name))

    def check_after(self, what):
        self.connection.close()
        # An aborted session ends a moment after its connection.
        if self.mode == "single":
            self.site.process.wait(20)
        time.sleep(0.1)
        want = self.before if what == "unchanged" else b"" if what == "empty" else read_spool_file(what)
        got = self.spool_now()
        if got != want:
            raise Failure(f"maildrop afterwards: got\n{got!r}\nwant\n{want!r}")

    def set_maildrop(self, name, lines):
        if name == "none":
            return
        content = read_spool_file(name) if name != "inline" else b"".join(unescape(line) + b"\n" for line in lines)
        self.site.put_spool("ada", content)
        self.before = content

    def step(self, line):
        if line.startswith("C: "):
            self.send(line[3:].encode() + b"\r\n")
        elif line == "C:":
            self.send(b"\r\n")
        elif line.startswith("C< "):
            self.send(unescape(line[3:]))
        elif line.startswith("S= "):
            self.expect_regex(line[3:])
        elif line == "S:" or line.startswith("S: "):
            self.expect(line[3:])
        else:
            self.directive(line.split(maxsplit=2))

    def directive(self, words):
        name = words[0]
        if name == "@login":
            self.login(words[1])
        elif name == "@apop":
            self.apop(words[1])
        elif name == "@greeting":
            self.open()
        elif name == "@pause":
            time.sleep(float(words[1]))
        elif name == "@append":
            self.change_spool(words[1], "ab")
        elif name == "@rewrite":
            self.change_spool(words[1], "wb")
        elif name == "@cut":
            self.connection.close()
        elif name == "@eof":
            self.expect_eof()
        elif name == "@reconnect":
            self.open()
        elif name == "@after":
            self.check_after(words[2])
        else:
            raise Failure(f"unknown directive {name}")


def await_log(site, expected):
    """A session may still write its last lines when its client is gone: gives them 5 seconds; check_log judges."""
    end = time.monotonic() + 5
    while time.monotonic() < end and not all(text in site.log() for text in expected):
        time.sleep(0.02)


def check_log(site, expected, unwanted):
    log = site.log()
    for text in unwanted:
        if text in log:
            raise Failure(f"this must not be logged: {text}\nlog:\n{log}")
    for text in expected:
        if text not in log:
            raise Failure(f"log line expected: {text}\nlog:\n{log}")
    for line in log.splitlines():
        if re.search(r"\]: (warning|error|fatal|panic): ", line) and not any(text in line for text in expected):
            raise Failure(f"unexpected log line: {line}")


def play(mode, path):
    with open(path, encoding="utf-8") as file:
        lines = [line.rstrip("\n") for line in file]
    if not lines or not lines[0].startswith("#") or not re.search(r"RFC|field|design|Qpopper", lines[0]):
        raise Failure("the first line must be a comment that cites its source")
    steps, config, maildrop, inline, expected, unwanted = [], {}, "none", [], [], []
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if line.startswith("@config "):
            _, name, value = line.split(maxsplit=2)
            config[name] = value
        elif line.startswith("@maildrop "):
            maildrop = line.split()[1]
            while maildrop == "inline" and lines[at] != "@end":
                inline.append(lines[at])
                at += 1
            at += maildrop == "inline"
        elif line.startswith("@log "):
            expected.append(line[5:])
        elif line.startswith("@log-not "):
            unwanted.append(line[9:])
        elif line and not line.startswith("#") and line != "@outside-tls":
            steps.append((at, line))
    with TlsSite(config) if mode in ("stls", "tls") else Site(config) as site:
        player = Player(site, mode)
        player.set_maildrop(maildrop, inline)
        try:
            for number, line in steps:
                player.step(line)
            if player.connection:
                player.connection.close()
            if mode == "single" and site.process:
                site.process.wait(20)
            await_log(site, expected)
            site.stop()
            check_log(site, expected, unwanted)
        except (Failure, AssertionError, OSError) as failure:
            raise Failure(f"{os.path.basename(path)} ({mode}) line {number}: {line}\n{failure}\nlog:\n{site.log()}") from None


if __name__ == "__main__":
    try:
        play(sys.argv[1], sys.argv[2])
    except Failure as failure:
        print(failure)
        sys.exit(1)
