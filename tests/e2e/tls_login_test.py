#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Logging in inside TLS: clear passwords, channel binding, certificates of clients. Usage: tls_login_test.py CASE."""
import base64
import hashlib
import os
import ssl
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
sys.path.insert(0, HERE)
from certificates import write  # noqa: E402
from harness import Pop, wait_until  # noqa: E402
from scram_test import Exchange  # noqa: E402
from tls_site import context_for, secure, stls  # noqa: E402
from tls_test import capabilities, play, session  # noqa: E402


def clear_text(site):
    """Clear passwords: inside TLS alone, and nothing is announced that is refused."""
    client = Pop(site.connect())
    assert "USER" not in capabilities(client) and not any("PLAIN" in line for line in capabilities(client))
    assert b"You must use TLS" in client.command("USER ada")
    client = stls(client, context_for(site.root_certificate))
    assert "USER" in capabilities(client) and any("PLAIN" in line for line in capabilities(client))
    session(client)


def channel_binding(site):
    """SCRAM-SHA-256-PLUS: bound to this connection, and to no other; a list of mechanisms that was changed on its way is noticed."""
    context = context_for(site.root_certificate)

    def begin(**how):
        client = secure(site.connect_tls(), context)
        end_point = hashlib.sha256(client.socket.getpeercert(binary_form=True)).digest()
        return Exchange(site, client=client, **{"header": "p=tls-server-end-point,,", "binding": end_point, "mechanism": "SCRAM-SHA-256-PLUS", **how})

    exchange = begin()
    assert exchange.final() == exchange.want
    assert b"3 visible" in exchange.client.command("")
    exchange.client.ok("QUIT")
    assert begin(binding=b"x" * 32).final().startswith(b"-ERR [AUTH]"), "another channel"
    wait_until(lambda: " (SCRAM-SHA-256-PLUS)]" in site.log(), what="log line")
    assert begin(header="n,,", binding=b"").refused.startswith(b"-ERR"), "PLUS without a binding"
    assert begin(header="y,,", binding=b"", mechanism="SCRAM-SHA-256").refused.startswith(b"-ERR"), "the client was shown no PLUS"
    assert begin(header="p=tls-unique,,").refused.startswith(b"-ERR"), "a type that is not offered"
    assert "the list was changed on its way" in site.log()
    plain = begin(header="n,,", binding=b"", mechanism="SCRAM-SHA-256")
    assert plain.final() == plain.want, "without binding it works as well"
    assert Exchange(site, header="p=tls-server-end-point,,", mechanism="SCRAM-SHA-256-PLUS").refused == b"-ERR Unknown authentication mechanism.\r\n", "outside TLS"


def client_certificate(site, name, key=None, subject="ada", usage="clientAuth", issuer=None, **dates):
    maker = site.maker
    key = key or maker.new_key(name)
    leaf = maker.issue(name, key, issuer or (maker.middle, maker.new_key("middle")), subject=subject, usage=usage, **dates)
    return write(os.path.join(site.root, name + ".chain"), maker.pem(leaf, maker.middle)), key


def with_certificate(site, pair, version=None):
    context = context_for(site.root_certificate, version)
    if pair is not None:
        context.load_cert_chain(*pair)
    return secure(site.connect_tls(), context)


def external(site):
    """AUTH EXTERNAL: who holds the key of a certificate of the right authority is who its common name says, and nobody else."""
    ada = client_certificate(site, "ada")
    for response in ("=", base64.b64encode(b"ada").decode()):
        client = with_certificate(site, ada)
        assert any(line.startswith("SASL") and "EXTERNAL" in line for line in capabilities(client))
        assert b"ada has 3 visible" in client.command(f"AUTH EXTERNAL {response}"), site.log()
        client.ok("QUIT")
    client = with_certificate(site, ada)
    assert client.command("AUTH EXTERNAL") == b"+ \r\n"
    assert b"ada has 3 visible" in client.command("")
    client.ok("QUIT")
    client = with_certificate(site, ada)
    assert client.command("AUTH EXTERNAL " + base64.b64encode(b"bob").decode()).startswith(b"-ERR [AUTH]"), "as somebody else"
    wait_until(lambda: " (EXTERNAL)]" in site.log(), what="log line")
    client.login()
    client.ok("QUIT")
    rsa = client_certificate(site, "rsa-ada", site.maker.new_key("rsa-ada", 2048))
    client = with_certificate(site, rsa)
    assert b"ada has 3 visible" in client.command("AUTH EXTERNAL =")
    client.ok("QUIT")
    for name, subject in (("nobody", "nobody-here"), ("odd", "ada x")):
        client = with_certificate(site, client_certificate(site, name, subject=subject))
        assert client.command("AUTH EXTERNAL =").startswith(b"-ERR [AUTH]"), name
    unusable = {
        "none": None, "of a stranger": client_certificate(site, "strange", issuer=(site.maker.stranger, site.maker.stranger_key)),
        "expired": client_certificate(site, "late", start=-20.0, end=-1.0), "for servers": client_certificate(site, "serving", usage="serverAuth"),
    }
    for what, pair in unusable.items():
        client = with_certificate(site, pair)
        assert not any("EXTERNAL" in line for line in capabilities(client)), what
        assert client.command("AUTH EXTERNAL =") == b"-ERR Unknown authentication mechanism.\r\n", what
        client.login()
        client.ok("QUIT")
    client = with_certificate(site, ada, ssl.TLSVersion.TLSv1_2)
    assert not any("EXTERNAL" in line for line in capabilities(client)), "a proof takes TLS 1.3"
    assert "EXTERNAL" not in str(capabilities(Pop(site.connect()))), "outside TLS"


def prepare(site, case):
    if case == "external":
        site.options["tls-client-ca-file"] = site.root_certificate
    return True


CASES = {"clear-text": (clear_text, {"clear-text-password": "tls"}), "channel-binding": (channel_binding, {"channel-binding": "true"}), "external": (external, {})}

if __name__ == "__main__":
    play(CASES, prepare)
