#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""TLS of the server: STLS and implicit, what is refused, certificates exchanged while it runs, keys that no session holds. Usage: tls_test.py CASE."""
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
        assert "STLS" not in after and any(line.startswith("SASL SCRAM-SHA-256 ") for line in after), after
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
    write(site.certificate, good, 0o600)
    site.own(site.certificate)
    check_names_the_file(site)
    print(f"{len(cases)} installations, {refused} refused")


def check_names_the_file(site):
    """--check says which option names the file that cannot be used, and in which line; with a file that is no certificate it does not say that a key is in it."""
    plain, missing = os.path.join(site.root, "plain"), os.path.join(site.root, "missing.pem")
    write(plain, "root:x:0:0:root:/root:/bin/bash\n", 0o600)
    site.own(plain)
    for text, *wanted in ((f"set tls-more-cert-files = {site.certificate}\nset tls-more-cert-files = {missing}\n", "tls-more-cert-files (CONF line 10): ", "No such file"),
                          (f"set tls-more-cert-files = {plain}\n", f"certificate file {plain} of tls-more-cert-files (CONF line 9): ", "there is no certificate in the file"),
                          (f"set tls-client-ca-file = {missing}\n", "tls-client-ca-file (CONF line 9): ", "No such file"),
                          (f"set tls-client-ca-file = {plain}\n", f"certificate file {plain} of tls-client-ca-file (CONF line 9): ", "there is no certificate in the file"),
                          (f"set tls-private-key-file = {missing}\n", "tls-private-key-file (CONF line 9): ", "No such file"),
                          ("set tls-server-cert-file = /etc/passwd\n", "tls-server-cert-file (CONF line 9): certificate file /etc/passwd: everybody can read it (mode 0644), and",
                           "if not, name another file")):
        site.write_config()
        with open(site.config, "a") as file:
            file.write(text)
        done = site.run([program("popper"), "--check", "-f", site.config], check=False)
        said = done.stderr.decode()
        assert done.returncode == 3 and all(one.replace("CONF", site.config) in said for one in wanted), (text, said)
        assert "holds a private key" not in said


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


def options(site):
    """tls-version, tls-cipher-list, tls-private-key-file, and what is refused of them."""
    chain = write(os.path.join(site.root, "certs", "chain.pem"), site.maker.pem(site.maker.leaf, site.maker.middle))
    key = write(os.path.join(site.root, "certs", "key.pem"), site.maker.pem(site.maker.key), 0o600)
    site.own(os.path.join(site.root, "certs"))
    ours = {"tls-server-cert-file": chain, "tls-private-key-file": key}
    for setting, works in (({"tls-version": "TLSv1.3"}, {"1.3"}), ({"tls-version": "TLSv1.2"}, {"1.2"}), ({"tls-version": "all"}, {"1.2", "1.3"}),
                           ({"tls-cipher-list": "ECDHE-ECDSA-AES128-GCM-SHA256"}, {"1.2", "1.3"}), ({"tls-support": "none"}, set())):
        site.start_tls(**ours, **setting) if works else site.start(**ours, **setting)
        offered = "STLS" in capabilities(Pop(site.connect()))
        assert offered == bool(works), setting
        if not works:
            assert Pop(site.connect()).command("STLS").startswith(b"-ERR STLS is not offered")
        for name, version in (("1.2", ssl.TLSVersion.TLSv1_2), ("1.3", ssl.TLSVersion.TLSv1_3)) if works else ():
            try:
                client = secure(site.connect_tls(), context_for(site.root_certificate, version))
                assert name in works, (setting, name)
                if name == "1.2" and "tls-cipher-list" in setting:
                    assert client.socket.cipher()[0] == setting["tls-cipher-list"]
            except (ssl.SSLError, ConnectionError):
                assert name not in works, (setting, name)
        site.stop()
    for setting, word in (({"tls-version": "SSLv3"}, b"broken"), ({"tls-version": "sslv2"}, b"broken"), ({"tls-cipher-list": "NONSENSE"}, b"tls-cipher-list"),
                          ({"tls-private-key-file": chain}, b"key"), ({"tls-server-cert-file": "cert.pem"}, b"absolute"), ({"tls-support": "none", "listen": "tls:995"}, b"tls:")):
        site.write_config(**{"listen": f"127.0.0.1:{free_port()}", **ours, **setting})
        for how in ("--check", "--foreground"):
            done = site.run([program("popper"), how, "-f", site.config], check=False)
            assert done.returncode in (2, 3) and word in done.stderr, (setting, how, done)
    site.write_config(**{**ours, "tls-version": "TLSv1"})
    done = site.run([program("popper"), "--check", "-f", site.config])
    assert b"RFC 8996" in done.stderr, done.stderr


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
    "both": (both, {}), "resumed": (resumed, {}), "injection": (injection, {}), "alternate": (alternate, {}),
    "names": (names, {}), "exchange": (exchange, {}), "broken": (broken, {}), "secrets": (secrets, {}), "signer-gone": (signer_gone, {}), "reload": (reload, {}),
    "scanned": (scanned, {"failed-login-delay": "0"}), "options": (options, {}), "judged": (judged, {"clear-text-password": "tls"}), "slow": (slow, {"login-timeout": "3"}),
}


def play(cases, prepare=None):
    """Runs the case that the command line names, on a site with TLS that has started unless `prepare` says otherwise."""
    case, = sys.argv[1:]
    run, more = cases[case]
    with TlsSite({"failed-login-delay": "0", **more}) as site:
        site.put_spool("ada", mailbox(3))
        if prepare is None or prepare(site, case):
            site.start_tls()
        run(site)
        site.stop()
    print(f"tls {case}: ok")


def prepare_site(site, case):
    if case == "names":
        site.more_certificates()
    return case not in ("alternate", "options")


if __name__ == "__main__":
    play(CASES, prepare_site)
