#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""TLS of the server: STLS and implicit, what is refused, certificates exchanged while it runs, keys that no session holds. Usage: tls_test.py CASE."""
import base64
import hashlib
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as tree

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from certificates import broken_installations, openssl, read, write  # noqa: E402
from harness import Pop, free_port, mailbox, program, skip, wait_until  # noqa: E402
from interrupted import children, name_of  # noqa: E402
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from scram_test import Exchange  # noqa: E402
from tls_site import HOST, TlsSite, context_for, secure, stls  # noqa: E402


def capabilities(client):
    return client.multi("CAPA")[1].decode().split("\r\n")


def session(client):
    assert b"3 visible messages" in client.login()
    _, body = client.multi("RETR 2")
    assert b"<2@example.org>" in body
    client.ok("QUIT")


def both(site):
    """STLS and implicit TLS from one server, TLS 1.2 and 1.3, ALPN, certificates by name."""
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = context_for(site.root_certificate, version)
        plain = Pop(site.connect())
        assert "STLS" in capabilities(plain)
        plain.ok("USER somebody")
        client = stls(plain, context)
        assert client.command("PASS x").startswith(b"-ERR Send USER"), "what was said before is forgotten"
        after = capabilities(client)
        assert "STLS" not in after and any(line.startswith("SASL SCRAM-SHA-256-PLUS SCRAM-SHA-256") for line in after), after
        assert client.command("STLS").startswith(b"-ERR TLS is active")
        session(client)
        client = secure(site.connect_tls(), context)
        assert client.greeting.startswith(b"+OK Qpopper"), client.greeting
        assert client.socket.getpeercert()["subjectAltName"] == (("DNS", HOST),)
        session(client)
    for protocols, met in ((["pop3"], True), (["h2", "pop3"], True), (["imap"], False)):
        context = context_for(site.root_certificate)
        context.set_alpn_protocols(protocols)
        try:
            client = secure(site.connect_tls(), context)
            assert met and client.socket.selected_alpn_protocol() == "pop3", protocols
        except (ssl.SSLError, ConnectionError):
            assert not met, protocols
    log = site.log()
    assert re.search(r"\(v[^)]*\) TLSv1.3 handshake with client at 127\.0\.0\.1 \(127\.0\.0\.1\); new session-id; cipher: TLS_AES_256_GCM_SHA384, 256 bits", log), log
    assert re.search(r"TLSv1.2 handshake .* cipher: ECDHE-ECDSA-", log), log


def resumed(site):
    """A second connection resumes the first; the session's number can be used once (TLS 1.3)."""
    context = context_for(site.root_certificate)
    first = secure(site.connect_tls(), context)
    session(first)
    kept = first.socket.session
    first.close()
    for again in (True, False):
        client = secure(site.connect_tls(), context, session=kept)
        assert client.socket.session_reused == again
        session(client)
    assert "reused session-id" in site.log()


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


def injection(site):
    """Octets behind STLS (CVE-2011-0411 and its kin), in one piece and in two; other protocols; broken handshakes."""
    for attack in (b"STLS\r\nCAPA\r\n", b"STLS\r\nUSER ada\r\nPASS x\r\n", b"CAPA\r\nSTLS\r\nSTLS\r\n", b"STLS\r\n\x16", b"STLS\nQUIT\n"):
        connection = site.connect()
        connection.recv(1000)
        connection.sendall(attack)
        got = b""
        while piece := connection.recv(1000):
            got += piece
        assert b"Begin TLS" not in got, (attack, got)
    wait_until(lambda: site.log().count("octets behind STLS that came in clear") == 5, what="log: " + site.log())
    for late in (b"CAPA\r\n", b"\x16\x03\x01\x00", b"\x00" * 100, b"GET / HTTP/1.0\r\n\r\n"):
        client = Pop(site.connect())
        client.ok("STLS")
        client.send(late)
        try:
            client.socket.shutdown(socket.SHUT_WR)
            rest = client.file.read()
        except OSError:  # it was closed at once
            rest = b""
        assert b"+OK" not in rest and b"-ERR" not in rest, (late, rest)
    connection = site.connect_tls()
    connection.sendall(b"USER ada\r\n")
    assert b"+OK" not in connection.recv(1000), "no word in clear on the port of TLS"
    connection.close()
    wait_until(lambda: "the client does not speak TLS" in site.log() and "the client speaks HTTP" in site.log(), what="log: " + site.log())
    for wrong in ("STLS now", "STLS STLS"):
        assert Pop(site.connect()).command(wrong).startswith(b"-ERR Too many arguments")
    client = stls(Pop(site.connect()), context_for(site.root_certificate))
    client.login()
    assert client.command("STLS").startswith(b"-ERR STLS comes before login")


def clear_text(site):
    """Clear passwords: inside TLS alone, and nothing is announced that is refused."""
    client = Pop(site.connect())
    assert "USER" not in capabilities(client) and not any("PLAIN" in line for line in capabilities(client))
    assert b"You must use TLS" in client.command("USER ada")
    client = stls(client, context_for(site.root_certificate))
    assert "USER" in capabilities(client) and any("PLAIN" in line for line in capabilities(client))
    session(client)


def alternate(site):
    """inetd's port 995: TLS from the first octet, one process, one client."""
    site.write_config()
    ours = site.start_single(["-l", "2"])
    client = secure(ours, context_for(site.root_certificate))
    session(client)
    site.process.wait(20)
    ours = site.start_single()
    session(stls(Pop(ours), context_for(site.root_certificate)))


def names(site):
    """More certificates: by SNI, and an RSA one beside."""
    other = site.maker
    context = context_for(site.root_certificate)
    for host, want in ((HOST, HOST), ("www.example.org", "www.example.org"), ("a.other.example.org", "www.example.org")):
        connection = context.wrap_socket(site.connect_tls(), server_hostname=host)
        assert ("DNS", want) in connection.getpeercert()["subjectAltName"], (host, connection.getpeercert())
        connection.close()
    said = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{site.tls_port}", "-tls1_2", "-sigalgs", "RSA+SHA256", "-servername", HOST, "-CAfile", other.root],
                          input="", capture_output=True, text=True, timeout=30, check=False).stdout
    assert "Verify return code: 0 (ok)" in said and "2048 bit" in said, said


def fingerprint(site, context):
    connection = context.wrap_socket(site.connect_tls(), server_hostname=HOST)
    try:
        return connection.getpeercert(binary_form=True)
    finally:
        connection.close()


def leaf_of(text):
    return ssl.PEM_cert_to_DER_cert(re.search("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", text, re.S).group())


def exchange(site):
    """The certificate is exchanged under load: nobody fails, each sees the old or the new one, whole."""
    times, connections = exchange_while(site, lambda number: number < 12)
    print(f"{times} exchanges, {connections} connections beside them")


def exchange_while(site, more):
    """Exchanges as long as more(number) says so; returns how many there were, and how many connections beside them."""
    context = context_for(site.root_certificate)
    held = stls(Pop(site.connect()), context)
    held.login()
    pairs = []
    for name in ("a", "b"):
        key = site.maker.new_key(name)
        pairs.append(site.maker.pem(key, site.maker.of_middle(name, key=key), site.maker.middle))
    known = {leaf_of(text) for text in pairs}
    failures, seen, stop = [], [0], threading.Event()

    def load():
        while not stop.is_set():
            try:
                got = fingerprint(site, context)
                assert got in known, "an unknown certificate"
                plain = stls(Pop(site.connect()), context)
                assert plain.socket.getpeercert(binary_form=True) in known
                plain.close()
                seen[0] += 2
            except Exception as error:  # noqa: BLE001
                failures.append(repr(error))
                stop.set()

    site.replace(pairs[0])
    wait_until(lambda: fingerprint(site, context) == leaf_of(pairs[0]), what="first exchange")
    threads = [threading.Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        number = 0
        while more(number):
            text = pairs[(number + 1) % 2]
            site.replace(text)
            wait_until(lambda want=leaf_of(text): failures or fingerprint(site, context) == want, what=f"exchange {number}")
            assert not failures, failures
            number += 1
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures, failures
    held.ok("NOOP")
    held.ok("QUIT")
    return number, seen[0]


def verified(site, context):
    """As fingerprint(); nothing while another chain is served."""
    try:
        return fingerprint(site, context)
    except ssl.SSLError:
        return None


# For a client to judge, or how certificates were made for Qpopper.
SERVED_ANYWAY = {"name-mismatch", "no-names", "chain-incomplete", "wrong-purpose", "authority-served"}


def broken(site):
    """A certificate that cannot be used: the server does not start, says why, and one that runs keeps the old one. Never in clear."""
    context = context_for(site.root_certificate)
    good = read(site.certificate).decode()
    before = fingerprint(site, context)
    refused = 0
    cases = broken_installations(site.maker)
    for name, (text, expected, _) in cases.items():
        served = not {what for what, level in expected.items() if level == "critical"} - SERVED_ANYWAY
        log_at = len(site.log())
        site.replace(text)
        check = site.run([program("popper"), "--check", "-f", site.config], check=False)
        if served:
            assert check.returncode == 0, (name, check.stderr)
            wait_until(lambda want=leaf_of(text.replace("\r", "")): fingerprint(site, context_for(None)) == want, what=name)
            site.replace(good)
            wait_until(lambda: verified(site, context) == before, what=name)
            continue
        refused += 1
        assert check.returncode != 0 and b"TLS" in check.stderr, (name, check.stderr)
        wait_until(lambda at=log_at: "stays in use" in site.log()[at:], what=f"{name}: log")
        assert fingerprint(site, context) == before, name
        started = site.run([program("popper"), "--foreground", "-f", site.config, f"127.0.0.1:{free_port()}"], check=False, timeout=30)
        assert started.returncode == 3, (name, started.returncode, started.stderr)
    assert refused >= 12, refused
    os.unlink(site.certificate)
    assert b"popcert init" in site.run([program("popper"), "--check", "-f", site.config], check=False).stderr
    write(site.certificate, good, 0o644)
    site.own(site.certificate)
    assert b"everybody can read" in site.run([program("popper"), "--check", "-f", site.config], check=False).stderr
    assert fingerprint(site, context) == before
    print(f"{len(cases)} installations, {refused} refused")


def key_octets(path):
    """The private number as it lies in memory, either way round."""
    text = openssl("pkey", "-in", path, "-noout", "-text")
    digits = re.search(r"priv:\s*((?:[0-9a-f]{2}[:\s]*)+)", text).group(1)
    number = bytes.fromhex(re.sub(r"[:\s]", "", digits)).lstrip(b"\0")
    return number, number[::-1]


def memory_of(pid):
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, rights = line.split()[:2]
            if rights[0] != "r" or "[v" in line:
                continue
            begin, end = (int(number, 16) for number in span.split("-"))
            try:
                memory.seek(begin)
                yield memory.read(end - begin)
            except (OSError, ValueError):
                continue


def holds(pid, needles):
    return any(needle in part for part in memory_of(pid) for needle in needles)


def secrets(site):
    """The private key is in the memory of the signer, and of nobody else."""
    needles = key_octets(site.maker.key)
    clients = [stls(Pop(site.connect()), context_for(site.root_certificate)) for _ in range(3)]
    clients[0].login()
    found = {}
    for pid in [site.process.pid, *children(site.process.pid)]:
        try:
            name, held = name_of(pid), holds(pid, needles)
        except FileNotFoundError:  # a maildrop process may end at any time
            continue
        found.setdefault(name, []).append(held)
    assert found["popper-signer"] == [True], found
    assert len(found["popper-session"]) >= 3 and not any(found["popper-session"]), found
    others = {name: held for name, held in found.items() if name != "popper-signer"}
    assert not any(any(held) for held in others.values()), found


def signer_gone(site):
    """A signer that dies: sessions go on, another one serves the next."""
    context = context_for(site.root_certificate)
    client = stls(Pop(site.connect()), context)
    client.login()
    signer, = [pid for pid in children(site.process.pid) if name_of(pid) == "popper-signer"]
    os.kill(signer, signal.SIGKILL)
    client.ok("NOOP")

    def works():
        try:
            return secure(site.connect_tls(), context).greeting.startswith(b"+OK")
        except OSError:  # among them ssl.SSLError
            return False

    wait_until(works, what="another signer")
    client.ok("QUIT")
    assert "signer process" in site.log() and "starting another" in site.log()


def reload(site):
    """SIGHUP with another file: new clients get it, old ones stay."""
    context = context_for(site.root_certificate)
    client = stls(Pop(site.connect()), context)
    client.login()
    key = site.maker.new_key("reload")
    other = write(os.path.join(site.root, "other.pem"), site.maker.pem(key, site.maker.of_middle("reload", key=key), site.maker.middle), 0o600)
    site.own(other)
    site.write_config(**{**site.listening, "tls-server-cert-file": other})
    site.process.send_signal(signal.SIGHUP)
    wait_until(lambda: fingerprint(site, context) == leaf_of(read(other).decode()), what="reload; log: " + site.log())
    client.ok("NOOP")
    client.ok("QUIT")
    wait_until(lambda: len([pid for pid in children(site.process.pid) if name_of(pid) == "popper-signer"]) == 1, what="the old signer's end")


def judged(site):
    """popcert check and openssl find nothing to complain about."""
    for way in (["--connect", f"127.0.0.1:{site.tls_port}"], ["--connect", f"127.0.0.1:{site.port}", "--stls"]):
        done = site.run([program("popcert"), "check", "--host", HOST, "--ca-file", site.root_certificate, *way], check=False)
        assert done.returncode == 0, (way, done.stdout, done.stderr)
    for way in (["-connect", f"127.0.0.1:{site.tls_port}"], ["-connect", f"127.0.0.1:{site.port}", "-starttls", "pop3"]):
        said = subprocess.run(["openssl", "s_client", *way, "-CAfile", site.root_certificate, "-verify_return_error", "-verify_hostname", HOST, "-brief"],
                              input="QUIT\r\n", capture_output=True, text=True, timeout=30, check=False)
        assert "Verification: OK" in said.stderr + said.stdout and said.returncode == 0, (way, said)
    for old in ("-tls1", "-tls1_1"):
        said = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{site.tls_port}", old, "-cipher", "ALL:@SECLEVEL=0"], input="", capture_output=True, text=True,
                              timeout=30, check=False)
        assert said.returncode != 0 and "alert protocol version" in said.stderr, (old, said.stderr)


def scanned(site):
    """sslscan, a program of others, finds nothing weak."""
    path = shutil.which("sslscan", path="/usr/bin:/bin")
    if path is None:
        skip("sslscan is not installed")
    for way in ([f"127.0.0.1:{site.tls_port}"], ["--starttls-pop3", f"127.0.0.1:{site.port}"]):
        report = tree.fromstring(subprocess.run([path, "--xml=-", *way], capture_output=True, text=True, timeout=120, check=True).stdout)
        enabled = {(one.get("type"), one.get("version")) for one in report.iter("protocol") if one.get("enabled") == "1"}
        assert enabled == {("tls", "1.2"), ("tls", "1.3")}, enabled
        ciphers = [one for one in report.iter("cipher")]
        # It has no higher praise than "acceptable" for those of TLS 1.3.
        marks = {one.get("strength") for one in ciphers if not one.get("cipher").startswith("TLS_")}
        assert len(ciphers) >= 5 and marks == {"strong"} and all(one.get("strength") in ("strong", "acceptable") for one in ciphers), marks
        assert all(one.get("cipher").startswith(("TLS_", "ECDHE-")) for one in ciphers)
        assert {one.get("name") for one in report.iter("group")} <= {"x25519", "secp256r1 (NIST P-256)", "secp384r1 (NIST P-384)", "secp521r1 (NIST P-521)"}
        for one in report.iter("renegotiation"):
            assert one.get("supported") == "0" or one.get("secure") == "1", one.attrib
        assert all(one.get("vulnerable") == "0" for one in report.iter("heartbleed"))


def slow(site):
    """A handshake that never comes costs one session for login-timeout, not more."""
    quiet = site.connect_tls()
    started = Pop(site.connect())
    started.ok("STLS")
    begin = time.monotonic()
    assert quiet.recv(100) == b"" and started.file.read() == b""
    assert time.monotonic() - begin < 15
    wait_until(lambda: site.log().count("during SSL/TLS handshake with client at 127.0.0.1") == 2, what="log: " + site.log())


CASES = {
    "both": (both, {}), "resumed": (resumed, {}), "channel-binding": (channel_binding, {}), "external": (external, {}), "injection": (injection, {}), "clear-text": (clear_text, {"clear-text-password": "tls"}), "alternate": (alternate, {}),
    "names": (names, {}), "exchange": (exchange, {}), "broken": (broken, {}), "secrets": (secrets, {}), "signer-gone": (signer_gone, {}), "reload": (reload, {}),
    "scanned": (scanned, {"failed-login-delay": "0"}), "judged": (judged, {"clear-text-password": "tls"}), "slow": (slow, {"login-timeout": "3"}),
}


def main():
    case, = sys.argv[1:]
    run, options = CASES[case]
    with TlsSite({"failed-login-delay": "0", **options}) as site:
        site.put_spool("ada", mailbox(3))
        if case == "names":
            site.more_certificates()
        if case == "external":
            site.options["tls-client-ca-file"] = site.root_certificate
        if case != "alternate":
            site.start_tls()
        run(site)
        site.stop()
    print(f"tls {case}: ok")


if __name__ == "__main__":
    main()
