#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""SCRAM-SHA-256 over the wire by a client made here, so that it can lie: what the server proves, and what it refuses (RFC 5802, RFC 5034)."""
import base64
import hashlib
import hmac
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import PASSWORD, Pop, Site, mailbox, wait_until  # noqa: E402


def b64(data):
    return base64.b64encode(data).decode()


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def mac(key, text):
    return hmac.new(key, text.encode() if isinstance(text, str) else text, hashlib.sha256).digest()


class Exchange:
    def __init__(self, site, user="ada", password=PASSWORD, header="n,,", initial=True, client=None, mechanism="SCRAM-SHA-256", binding=b""):
        self.client = client or Pop(site.connect())
        self.header = header
        self.binding = binding
        bare = f"n={user},r=clientnonce"
        first = b64((header + bare).encode())
        if initial:
            answer = self.client.command(f"AUTH {mechanism} {first}")
        else:
            assert self.client.command(f"AUTH {mechanism}") == b"+ \r\n"
            answer = self.client.command(first)
        self.refused = None if answer.startswith(b"+ ") else answer
        if self.refused:
            return
        server_first = base64.b64decode(answer[2:]).decode()
        self.nonce, salt, rounds = re.fullmatch(r"r=([^,]+),s=([^,]+),i=(\d+)", server_first).groups()
        assert self.nonce.startswith("clientnonce") and len(self.nonce) >= len("clientnonce") + 20
        self.salt, self.rounds = salt, int(rounds)
        self.salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), self.rounds)
        self.before = bare + "," + server_first + ","

    def final(self, channel=None, nonce=None):
        without = f"c={b64((self.header if channel is None else channel).encode() + self.binding)},r={nonce or self.nonce}"
        message = self.before + without
        client_key = mac(self.salted, "Client Key")
        proof = xor(client_key, mac(hashlib.sha256(client_key).digest(), message))
        self.want = b"+ " + base64.b64encode(b"v=" + base64.b64encode(mac(mac(self.salted, "Server Key"), message))) + b"\r\n"
        self.line = b64(f"{without},p={b64(proof)}".encode())
        return self.client.command(self.line)


def check(site):
    for initial in (True, False):
        exchange = Exchange(site, initial=initial)
        assert exchange.final() == exchange.want, "the server proves that it knows the key"
        assert b"3 visible" in exchange.client.command("")
        exchange.client.ok("QUIT")
    exchange = Exchange(site, header="n,a=ada,")
    exchange.final()
    exchange.client.ok("")
    exchange.client.ok("QUIT")
    exchange = Exchange(site, header="y,,")  # nothing to bind to was announced
    exchange.final()
    exchange.client.ok("")
    exchange.client.ok("QUIT")


def refuse(site):
    wrong = b'-ERR [AUTH] Password supplied for "ada" is incorrect.\r\n'
    assert Exchange(site, password="wrong").final() == wrong
    assert Exchange(site).final(channel="y,,") == wrong, "bound to something else than the first message said"
    assert Exchange(site).final(channel="n,,x") == wrong
    assert Exchange(site, header="n,a=bob,").final() == wrong, "as somebody else"
    exchange = Exchange(site)
    assert exchange.final(nonce=exchange.nonce[:-1] + ("A" if exchange.nonce[-1] != "A" else "B")) == wrong
    assert Exchange(site).final(nonce="clientnonce") == wrong
    unknown = Exchange(site, user="eve")
    assert (unknown.salt, unknown.rounds) == (Exchange(site, user="eve").salt, Exchange(site).rounds)
    assert unknown.final() == wrong.replace(b"ada", b"eve")
    # A message that was right once is of no use again.
    first = Exchange(site)
    first.final()
    line = first.line
    first.client.ok("")
    first.client.ok("QUIT")
    again = Exchange(site)
    assert again.client.command(line) == wrong
    syntax = b"-ERR The response does not follow the mechanism's syntax.\r\n"
    for header in ("p=tls-exporter,,", "p=tls-unique,,", "x,,"):
        assert Exchange(site, header=header).refused == syntax, header
    assert Exchange(site, user="a=b").refused == syntax
    wait_until(lambda: "to ada from host (127.0.0.1) 127.0.0.1 [wrong password (SCRAM-SHA-256)]" in site.log(), what="log line")


def give_up(site):
    """The client that does not believe the server's proof is not logged in, and may try again on the same connection."""
    before = site.log().count("POP login")
    exchange = Exchange(site)
    exchange.final()
    assert exchange.client.command("*") == b"-ERR Authentication cancelled.\r\n"
    assert exchange.client.command("STAT").startswith(b"-ERR")
    exchange = Exchange(site, client=exchange.client)
    exchange.final()
    assert exchange.client.command(b64(b"x")).startswith(b"-ERR The response"), "the last answer is empty"
    assert exchange.client.command("STAT").startswith(b"-ERR")
    assert site.log().count("POP login") == before
    exchange = Exchange(site, client=exchange.client)
    exchange.final()
    exchange.client.ok("")
    exchange.client.ok("QUIT")
    wait_until(lambda: site.log().count("POP login") == before + 1, what="log line")


def main():
    with Site() as site:
        site.put_spool("ada", mailbox(3))
        site.start()
        try:
            check(site)
            refuse(site)
            give_up(site)
        except BaseException:
            print(site.log()[-4000:])
            raise
        assert site.stop() == 0
    print("scram: ok")


if __name__ == "__main__":
    main()
