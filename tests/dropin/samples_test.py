#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Configurations and inetd lines of the original's era start unchanged and do what they said. Usage: samples_test.py NAME."""
import os
import re
import socket
import ssl
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
from dropin_test import ADA, WORD, prepare, put, read  # noqa: E402
from harness import Pop, Site, enter_private_namespace, mailbox, message, program, wait_until  # noqa: E402


def inetd_line(site, flags, name="popper", wrap=None):
    """One connection as inetd makes it: the socket is 0, 1 and 2, and argv[0] is the name in the line."""
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname(), timeout=20)
    server, _ = listener.accept()
    listener.close()
    more = [f"--state-dir={site.state}", "--server-name=pop.example.org", "--auth-backends=shadow", "--failed-login-delay=0"]
    process = subprocess.Popen([name, *more, *flags], executable=program("popper"), stdin=server, stdout=server, stderr=server, cwd="/")
    server.close()
    if wrap is not None:
        client = wrap.wrap_socket(client, server_hostname="pop.example.org")
    return process, Pop(client)


def login(client, user="ada"):
    client.ok(f"USER {user}")
    answer = client.command(f"PASS {WORD}")
    assert answer.startswith(b"+OK"), answer
    return answer


def end(process, client):
    client.ok("QUIT")
    client.close()
    assert process.wait(20) == 0


def config(name):
    return os.path.join(HERE, "samples", name + ".config")


def distribution(site):
    put("/var/mail/ada", mailbox(3), ADA, 0o660)
    trace = os.path.join(site.root, "trace")
    process, client = inetd_line(site, ["-s", "-t", trace, "-f", config("distribution")])
    assert client.greeting.startswith(b"+OK Qpopper (version "), client.greeting
    assert b"3 visible" in login(client, "ADA@example.org")
    client.ok("DELE 2")
    end(process, client)
    assert read("/var/mail/ada") == message(1) + message(3)
    text = read(trace).decode()
    assert "Stats: ada 1 " in text and 'POP login by user "ada" at (127.0.0.1) 127.0.0.1' in text, text
    assert "[" + str(process.pid) + "]" in text and WORD not in text


def large_site(site):
    os.makedirs("/var/mail/a/d", mode=0o775)
    for folder in ("/var/mail/a", "/var/mail/a/d"):
        os.chown(folder, 0, 8)
    put("/var/mail/a/d/ada", mailbox(2), ADA, 0o660)
    put("/var/mail/.ada.cache", "+Qpop+ not for us", ADA, 0o600)
    trace = os.path.join(site.root, "trace")
    process, client = inetd_line(site, ["-t", trace, "-f", config("large-site")])
    assert client.greeting.startswith(b"+OK ready  <") or client.greeting == b"+OK ready\r\n", client.greeting
    assert b"2 visible messages (0 hidden)" in login(client)
    client.ok("DELE 1")
    client.close()  # update-on-abort
    assert process.wait(20) == 0
    assert read("/var/mail/a/d/ada") == message(2)
    assert read("/var/mail/.ada.cache") == b"+Qpop+ not for us"
    assert "server-mode is obsolete and does nothing" in read(trace).decode()


def qmail(site):
    home = os.path.join(site.root, "home-ada")
    put(os.path.join(home, "Mailbox"), mailbox(1), ADA)
    process, client = inetd_line(site, ["-f", config("qmail")])
    assert b"1 visible" in login(client)
    _, body = client.multi("UIDL")
    assert re.fullmatch(rb"1 [0-9a-f]{32}\r\n", body), body
    assert b"EXPIRE 30\r\n" in client.multi("CAPA")[1]
    end(process, client)


def flags(site):
    """Flags of old inetd lines, alone and joined."""
    put("/var/mail/ada", mailbox(1), ADA, 0o660)
    for line in (["-s"], ["-S", "-s", "-R"], ["-sRc", "-T", "600"], ["-F", "-S", "-p", "2", "-L", "1000"], ["-e", "login_delay=0,expire=30", "-y", "local3"],
                 ["-V"], ["-C", "-c", "-u", "-U", "-B", "-b", "/var/spool/bulls"], ["-D", "localhost", "-k", "-K", "pop"]):
        process, client = inetd_line(site, line, name="in.qpopper")
        assert b"1 visible" in login(client), line
        end(process, client)


def certificate(site):
    os.makedirs("/etc/mail/certs", exist_ok=True)
    subprocess.run(["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-x509", "-days", "30", "-subj", "/CN=pop.example.org", "-addext",
                    "subjectAltName=DNS:pop.example.org", "-keyout", "/etc/mail/certs/cert.pem", "-out", "/etc/mail/certs/only.pem"], check=True, stderr=subprocess.DEVNULL)
    with open("/etc/mail/certs/cert.pem", "ab") as file:
        file.write(read("/etc/mail/certs/only.pem"))
    os.chmod("/etc/mail/certs/cert.pem", 0o600)
    return ssl.create_default_context(cafile="/etc/mail/certs/only.pem")


def guide(site):
    """set tls-support = stls: a clear password is refused before STLS and taken behind it."""
    context = certificate(site)
    put("/var/mail/ada", mailbox(2), ADA, 0o660)
    trace = os.path.join(site.root, "trace")
    process, client = inetd_line(site, ["-s", "-t", trace, "-f", config("guide")])
    assert client.command("USER ada").startswith(b"-ERR [AUTH] You must use TLS/SSL")
    assert b"STLS\r\n" in client.multi("CAPA")[1]
    client.ok("STLS")
    client.file.close()
    client.socket = context.wrap_socket(client.socket, server_hostname="pop.example.org")
    client.file = client.socket.makefile("rb")
    assert b"2 visible" in login(client)
    end(process, client)
    wait_until(lambda: "Stats: ada 0 " in read(trace).decode(), what="trace file")


def guide_ssl(site):
    """popper-ssl -d -t FILE -f FILE: TLS from the first octet."""
    context = certificate(site)
    put("/var/mail/ada", mailbox(2), ADA, 0o660)
    trace = os.path.join(site.root, "trace")
    process, client = inetd_line(site, ["-d", "-t", trace, "-f", config("guide-ssl")], name="popper-ssl", wrap=context)
    assert b"2 visible" in login(client)
    end(process, client)
    assert "command USER ada" in read(trace).decode()


def tls_values(site):
    """tls-version, tls-cipher-list and tls-private-key-file act, the others are answered with a warning; SSLv3 is refused in words."""
    context = certificate(site)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    put("/var/mail/ada", mailbox(1), ADA, 0o660)
    trace = os.path.join(site.root, "trace")
    process, client = inetd_line(site, ["-t", trace, "-f", config("tls-values")])
    client.ok("STLS")
    client.file.close()
    client.socket = context.wrap_socket(client.socket, server_hostname="pop.example.org")
    client.file = client.socket.makefile("rb")
    assert client.socket.cipher()[0] in ("ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256"), client.socket.cipher()
    assert b"1 visible" in login(client)
    end(process, client)
    said = read(trace).decode()
    for option in ("tls-options", "tls-workarounds", "tls-identity-file", "tls-passphrase"):
        assert f"{option} is obsolete and does nothing" in said, (option, said)
    assert "RFC 8996 forbids tlsv1" in said, said
    done = subprocess.run([program("popper"), "-f", config("tls-values"), "--tls-version=SSLv3", f"--state-dir={site.state}", "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 3 and "sslv3 is broken" in done.stderr, done


CASES = {"distribution": distribution, "large-site": large_site, "qmail": qmail, "flags": flags, "guide": guide, "guide-ssl": guide_ssl, "tls-values": tls_values}


def main():
    enter_private_namespace()
    with Site(users=(), uid=0) as site:
        prepare(site)
        CASES[sys.argv[1]](site)
    print(f"{sys.argv[1]}: passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
