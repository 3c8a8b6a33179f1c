#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""popcert against the openssl command as an independent maker and judge. Usage: popcert_test.py CASE."""
import json
import os
import pty
import re
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from certificates import Maker, broken_installations, openssl, read, write  # noqa: E402
from harness import program  # noqa: E402

HOST = "mail.example.org"


def popcert(*arguments, code=0, given="", environment=None):
    done = subprocess.run([program("popcert"), *arguments], input=given, capture_output=True, text=True, timeout=60, check=False,
                          env={"PATH": "/usr/bin:/bin", **(environment or {})})
    assert code is None or done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
    return done


def findings(*arguments, code=None):
    """{id: level} and the exit code."""
    done = popcert("check", "--json", *arguments, code=code)
    report = json.loads(done.stdout)
    for one in report["findings"]:
        assert one["level"] in ("ok", "note", "warning", "critical"), one
        assert one["text"] and (one["remedy"] or one["level"] == "ok" or one["id"] == "long-lived"), one
    return {one["id"]: one["level"] for one in report["findings"] if one["level"] != "ok"}, done.returncode


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def init(folder):
    pem = f"{folder}/new/certs/cert.pem"
    said = popcert("init", "--host", HOST, "--host", "192.0.2.7", "--file", pem).stdout
    assert mode(pem) == 0o600 and mode(f"{folder}/new/certs") == 0o755
    assert sorted(os.listdir(os.path.dirname(pem))) == ["cert.pem"], "nothing temporary is left"
    text = openssl("x509", "-in", pem, "-noout", "-text", "-fingerprint", "-sha256")
    assert "ECDSA" in text.upper() or "ecdsa-with-SHA256" in text
    assert f"DNS:{HOST}" in text and "IP Address:192.0.2.7" in text and "TLS Web Server Authentication" in text
    assert text.split("Fingerprint=")[1].strip() in said, "the fingerprint that is printed"
    assert openssl("verify", "-CAfile", pem, pem).strip().endswith("OK")
    assert openssl("pkey", "-in", pem, "-pubout") == openssl("x509", "-in", pem, "-noout", "-pubkey")
    assert findings("--host", HOST, "--file", pem) == ({"self-signed": "note"}, 0)
    before = read(pem)
    assert "--force" in popcert("init", "--host", HOST, "--file", pem, code=4).stderr and read(pem) == before, "never overwritten"
    popcert("init", "--host", HOST, "--rsa", "2048", "--force", "--file", pem)
    assert read(pem) != before and "2048 bit" in openssl("x509", "-in", pem, "-noout", "-text")
    chain, key = f"{folder}/two/chain.pem", f"{folder}/two/key.pem"
    popcert("init", "--host", HOST, "--file", chain, "--key-file", key)
    assert (mode(chain), mode(key)) == (0o644, 0o600) and b"PRIVATE" not in read(chain) and b"CERTIFICATE" not in read(key)
    assert findings("--host", HOST, "--file", chain, "--key-file", key)[1] == 0
    config = write(f"{folder}/qpopper.config", f"set tls-server-cert-file = {chain}\nset tls-private-key-file = {key}\n")
    assert findings("--host", HOST, "-f", config)[1] == 0
    for bad in ("-x.example.org", "a b", "exa$mple", "..", "a" * 64 + ".org", ""):
        popcert("init", f"--host={bad}", "--file", f"{folder}/bad.pem", code=None if bad == "" else 4)
        assert not os.path.exists(f"{folder}/bad.pem")
    unharmed(folder, chain, key)
    for wrong in (("init", "--file", ""), ("init", "--file=", "--force"), ("init", "--days", "399"), ("init", "--rsa", "1024"), ("init", "--nonsense"), ("frobnicate",), (), ("check", "--stls"), ("install",), ("profile",)):
        assert popcert(*wrong, code=3).stderr.startswith("popcert: ")
    assert "Usage" in popcert("--help").stdout and "popcert" in popcert("--version").stdout


def small_files():
    """No file of more than 400 octets: a key fits, a certificate does not."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400))


def unharmed(folder, chain, key):
    """A pair is exchanged whole or not at all; owner and symbolic links stay."""
    before = read(chain), read(key)
    done = subprocess.run([program("popcert"), "init", "--force", "--host", HOST, "--file", chain, "--key-file", key], capture_output=True, text=True,
                          timeout=60, check=False, preexec_fn=small_files)
    assert done.returncode == 4 and "too large" in done.stderr.lower(), done
    assert (read(chain), read(key)) == before and sorted(os.listdir(os.path.dirname(chain))) == ["chain.pem", "key.pem"]
    link = f"{folder}/links/cert.pem"
    os.makedirs(os.path.dirname(link))
    popcert("init", "--host", HOST, "--file", f"{folder}/target.pem")
    os.symlink("../target.pem", link)
    if os.geteuid() == 0:
        os.chown(f"{folder}/target.pem", 65534, 65534)
    before = read(link)
    popcert("renew", "--force", "--file", link)
    assert os.readlink(link) == "../target.pem" and read(f"{folder}/target.pem") != before and mode(link) == 0o600
    assert os.geteuid() != 0 or os.stat(link).st_uid == 65534
    popcert("init", "--host", HOST, "--file", f"{folder}/far/a/chain.pem", "--key-file", f"{folder}/far/b/key.pem")


def authority(folder):
    pem = f"{folder}/ca/cert.pem"
    popcert("init", "--ca", "--host", HOST, "--file", pem)
    ca = f"{folder}/ca/ca.pem"
    assert (mode(pem), mode(ca), mode(f"{folder}/ca/ca.key")) == (0o600, 0o644, 0o600)
    assert openssl("verify", "-purpose", "sslserver", "-verify_hostname", HOST, "-x509_strict", "-CAfile", ca, pem).strip().endswith("OK")
    assert findings("--host", HOST, "--file", pem) == ({}, 0)
    root = read(ca)
    popcert("init", "--ca", "--force", "--host", HOST, "--host", "pop3.example.org", "--file", pem)
    assert read(ca) == root and findings("--host", "pop3.example.org", "--file", pem) == ({}, 0), "clients were told to trust it"
    # A second server shares the authority; renewing keeps key and names, and says nothing before its time.
    other = f"{folder}/ca/other.pem"
    popcert("init", "--ca", "--host", "pop.example.org", "--file", other)
    assert openssl("verify", "-CAfile", ca, other).strip().endswith("OK")
    before = read(pem)
    assert popcert("renew", "--quiet", "--file", pem).stdout == "" and read(pem) == before
    key = openssl("pkey", "-in", pem, "-pubout")
    popcert("renew", "--force", "--days", "30", "--file", pem)
    assert read(pem) != before and openssl("pkey", "-in", pem, "-pubout") == key and mode(pem) == 0o600
    assert openssl("verify", "-verify_hostname", HOST, "-CAfile", ca, pem).strip().endswith("OK")
    assert findings("--host", HOST, "--file", pem, "--warn-days", "40") == ({"expires-soon": "warning"}, 1)
    popcert("renew", "--warn-days", "40", "--file", pem)
    assert findings("--host", HOST, "--file", pem, "--warn-days", "40") == ({}, 0)
    maker = Maker(folder)
    foreign = write(f"{folder}/foreign.pem", maker.pem(maker.leaf, maker.key), 0o600)
    assert "authority" in popcert("renew", "--force", "--file", foreign, code=4).stderr
    prof = f"{folder}/prof"
    popcert("profile", "--user", "ada@example.org", "--file", pem, "--folder", prof)
    assert sorted(os.listdir(prof)) == ["ada.mobileconfig", "ada.txt", "ca.pem", "config-v1.1.xml", "srv-records.txt"]
    import plistlib  # noqa: PLC0415
    import xml.etree.ElementTree as tree  # noqa: PLC0415
    with open(f"{prof}/ada.mobileconfig", "rb") as file:
        parts = plistlib.load(file)["PayloadContent"]
    assert parts[0]["PayloadContent"] == subprocess.run(["openssl", "x509", "-in", ca, "-outform", "DER"], capture_output=True, check=True).stdout
    assert parts[1]["IncomingMailServerHostName"] == HOST and parts[1]["IncomingMailServerPortNumber"] == 995
    servers = tree.parse(f"{prof}/config-v1.1.xml").getroot().findall("./emailProvider/incomingServer")
    assert [(server.find("port").text, server.find("socketType").text) for server in servers] == [("995", "SSL"), ("110", "STARTTLS")]
    assert popcert("profile", "--user", "../x", "--file", pem, "--folder", prof, code=4).stderr


def install(folder):
    maker = Maker(folder)
    pem = f"{folder}/in/cert.pem"
    expected = maker.pem(maker.leaf, maker.middle)
    scrambled = write(f"{folder}/scrambled.pem", "text before\n" + maker.pem(maker.root, maker.stranger, maker.middle) + "and between\n" + maker.pem(maker.key, maker.leaf))
    windows = write(f"{folder}/windows.pem", "\ufeff" + maker.pem(maker.middle, maker.leaf, maker.key).replace("\n", "\r\n"))
    der = f"{folder}/leaf.der"
    openssl("x509", "-in", maker.leaf, "-outform", "DER", "-out", der)
    p7 = f"{folder}/chain.p7b"
    openssl("crl2pkcs7", "-nocrl", "-certfile", maker.middle, "-certfile", maker.root, "-outform", "DER", "-out", p7)
    p7_pem = f"{folder}/chain.p7"
    openssl("crl2pkcs7", "-nocrl", "-certfile", maker.middle, "-certfile", maker.leaf, "-out", p7_pem)
    p12 = f"{folder}/all.p12"
    openssl("pkcs12", "-export", "-inkey", maker.key, "-in", maker.leaf, "-certfile", maker.middle, "-passout", "pass:", "-out", p12)
    for number, sources in enumerate(([scrambled], [windows], [der, p7, maker.key], [p7_pem, maker.key], [p12], [maker.key, maker.middle, maker.leaf])):
        target = f"{folder}/in{number}/cert.pem"
        popcert("install", "--file", target, *sources)
        text = read(target).decode()
        assert text[text.index("-----BEGIN CERT"):] == expected, (sources, text)
        assert mode(target) == 0o600 and findings("--host", HOST, "--file", target, "--ca-file", maker.root) == ({}, 0)
    # A request, then what the authority makes of it.
    popcert("request", "--host", HOST, "--file", pem)
    assert mode(pem + ".new-key") == 0o600 and not os.path.exists(pem)
    assert "verify OK" in openssl("req", "-in", pem + ".csr", "-noout", "-verify", both=True)
    signed = maker.sign(pem + ".csr")
    popcert("install", "--file", pem, signed, maker.middle)
    assert findings("--host", HOST, "--file", pem, "--ca-file", maker.root) == ({}, 0)
    assert not os.path.exists(pem + ".new-key"), "one copy of a key is enough"
    before = read(pem)
    popcert("request", "--host", HOST, "--file", pem)
    assert read(pem) == before
    for what, sources in (("belongs", [maker.stranger]), ("neither", [write(f"{folder}/empty.pem", "nothing here\n")]), ("expired", [maker.expired, maker.key]),
                          ("weak", [maker.short, maker.short_key]), ("exists", [maker.leaf, maker.key])):
        said = popcert("install", "--file", pem, *sources, code=4).stderr
        assert what in said and read(pem) == before, (what, said)
    popcert("install", "--force", "--file", pem, maker.leaf, maker.middle, maker.key)
    assert read(pem) != before
    encrypted(folder, maker)


def encrypted(folder, maker):
    """The pass phrase comes from the terminal."""
    locked = f"{folder}/locked.pem"
    openssl("pkcs8", "-topk8", "-in", maker.key, "-passout", "pass:sesame", "-out", locked)
    target = f"{folder}/unlocked/cert.pem"
    assert "encrypted" in subprocess.run(["setsid", "-w", program("popcert"), "install", "--file", target, locked, maker.leaf], capture_output=True, text=True,
                                         stdin=subprocess.DEVNULL, timeout=60, check=False).stderr
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(program("popcert"), ["popcert", "install", "--file", target, locked, maker.leaf, maker.middle])
    screen = b""
    while b"phrase" not in screen:
        screen += os.read(terminal, 1000)
    os.write(terminal, b"sesame\n")
    try:
        while True:
            screen += os.read(terminal, 1000)
    except OSError:
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0 and b"sesame" not in screen, screen
    assert findings("--host", HOST, "--file", target, "--ca-file", maker.root) == ({}, 0)


def hooks(folder):
    """The files as the ACME clients lay them out, and the way each calls its hook."""
    maker = Maker(folder)
    live = f"{folder}/live/{HOST}"
    write(f"{live}/privkey.pem", maker.pem(maker.key), 0o600)
    write(f"{live}/cert.pem", maker.pem(maker.leaf))
    write(f"{live}/chain.pem", maker.pem(maker.middle))
    write(f"{live}/fullchain.pem", maker.pem(maker.leaf, maker.middle))
    lego = f"{folder}/lego"
    write(f"{lego}/{HOST}.crt", maker.pem(maker.leaf, maker.middle))
    write(f"{lego}/{HOST}.issuer.crt", maker.pem(maker.middle))
    write(f"{lego}/{HOST}.key", maker.pem(maker.key), 0o600)
    ways = {
        "certbot": ([], {"RENEWED_LINEAGE": live, "RENEWED_DOMAINS": HOST}),
        "dehydrated": (["deploy_cert", HOST, f"{live}/privkey.pem", f"{live}/cert.pem", f"{live}/fullchain.pem", f"{live}/chain.pem", "1795000000"], {}),
        "lego": ([], {"LEGO_CERT_PATH": f"{lego}/{HOST}.crt", "LEGO_CERT_KEY_PATH": f"{lego}/{HOST}.key", "LEGO_CERT_DOMAIN": HOST}),
        "lego's folder": ([lego], {}),
        "uacme": ([f"{live}/fullchain.pem", f"{live}/privkey.pem"], {}),
    }
    for name, (arguments, environment) in ways.items():
        target = f"{folder}/{name}/cert.pem"
        for _ in range(2):  # a renewal replaces what is there
            popcert("deploy-hook", "--file", target, *arguments, environment=environment)
        assert findings("--host", HOST, "--file", target, "--ca-file", maker.root) == ({}, 0), name
        assert mode(target) == 0o600
    for step in ("deploy_challenge", "startup_hook", "this_hookscript_is_broken__dehydrated_is_working_fine__please_ignore_unknown_hooks_in_your_script"):
        popcert("deploy-hook", "--file", f"{folder}/none.pem", step, HOST, "x")
    assert not os.path.exists(f"{folder}/none.pem")
    assert popcert("deploy-hook", "--file", f"{folder}/none.pem", code=4).stderr


def broken(folder):
    """Each broken installation is named, with exit code and remedy."""
    maker = Maker(folder)
    cases = broken_installations(maker)
    good = cases["well"][0]
    for name, (text, expected, code) in cases.items():
        path = write(f"{folder}/{name}.pem", text, 0o600)
        found = findings("--host", HOST, "--file", path, "--ca-file", maker.root)
        assert expected.items() <= found[0].items() and found[1] == code, (name, found, expected)
        if code == 0 or name in ("well", "expires soon", "two keys", "no intermediate"):
            assert found[0] == expected, (name, found)
    files(folder, maker, good)
    print(f"{len(cases)} files")


def advised(*arguments):
    """{id: command} of what is above a note and is mended by a command of ours."""
    out = {}
    for one in json.loads(popcert("check", "--json", *arguments, code=None).stdout)["findings"]:
        command = re.match(r"popcert ((?:install|init) --force --file \S+ (?:--host )?\S+)", one["remedy"])
        if command and one["level"] in ("warning", "critical") and one["id"] != "key-encrypted":  # which asks for a pass phrase
            out[one["id"]] = command.group(1)
    return out


def advice(folder):
    """What check says is done in one step: the finding is gone then, and nobody points back."""
    maker = Maker(folder)
    done = set()
    for name, (text, _, _) in broken_installations(maker).items():
        path = write(f"{folder}/{name.replace(' ', '-')}.pem", text, 0o600)
        where = ("--host", HOST, "--file", path, "--ca-file", maker.root)
        before = advised(*where)
        for finding, command in before.items():
            write(path, text, 0o600)
            popcert(*command.replace(" FILE...", f" {path}").split())
            assert finding not in findings(*where)[0], (name, finding, command)
            done.add((finding, command.split()[0]))
    assert {("authority-served", "init"), ("authority-served", "install"), ("no-names", "init"), ("chain-order", "install"), ("weak-key", "init"),
            ("weak-signature", "init"), ("no-certificate", "init"), ("stray-certificates", "install"), ("byte-order-mark", "install")} <= done, done
    # The two that pointed at each other.
    own = write(f"{folder}/own.pem", maker.pem(maker.self_authority_key, maker.self_authority), 0o600)
    for arguments in (("install", "--file", f"{folder}/other.pem", own), ("renew", "--force", "--file", own)):
        said = popcert(*arguments, code=4).stderr
        assert "popcert init --force --host NAME makes a new pair" in said and "popcert install" not in said and not os.path.exists(f"{folder}/other.pem"), said


def files(folder, maker, good):
    """Modes, owners, places."""
    path = write(f"{folder}/open.pem", good, 0o644)
    assert findings("--host", HOST, "--file", path, "--ca-file", maker.root) == ({"key-readable": "critical"}, 2)
    path = write(f"{folder}/chain.pem", maker.pem(maker.leaf, maker.middle), 0o666)
    key = write(f"{folder}/key.pem", maker.pem(maker.key), 0o640)
    assert findings("--host", HOST, "--file", path, "--key-file", key, "--ca-file", maker.root) == ({"writable": "critical", "key-readable": "critical"}, 2)
    path = write(f"{folder}/loose/cert.pem", good, 0o600)
    os.chmod(f"{folder}/loose", 0o777)
    assert findings("--host", HOST, "--file", path, "--ca-file", maker.root) == ({"folder-writable": "critical"}, 2)
    assert findings("--file", f"{folder}/nowhere.pem") == ({"missing": "critical"}, 2)
    os.mkfifo(f"{folder}/fifo")
    assert findings("--file", f"{folder}/fifo") == ({"unreadable": "critical"}, 2)
    if os.geteuid() == 0:
        path = write(f"{folder}/theirs.pem", good, 0o600)
        os.chown(path, 65534, 65534)
        assert findings("--host", HOST, "--file", path, "--ca-file", maker.root) == ({"wrong-owner": "warning"}, 1)
    der = f"{folder}/leaf.der"
    openssl("x509", "-in", maker.leaf, "-outform", "DER", "-out", der)
    os.chmod(der, 0o600)
    assert findings("--file", der)[0]["not-pem"] == "critical"


CASES = {"init": init, "authority": authority, "install": install, "hooks": hooks, "broken": broken, "advice": advice}


def main():
    case, = sys.argv[1:]
    os.umask(0o022)
    folder = tempfile.mkdtemp(prefix="qpop.")
    try:
        CASES[case](folder)
    finally:
        shutil.rmtree(folder)
    print(f"popcert {case}: ok")


if __name__ == "__main__":
    main()
