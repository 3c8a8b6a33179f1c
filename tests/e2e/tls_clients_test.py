#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Real mail clients over STLS and over TLS from the first octet, each checking the certificate; a wrong authority is noticed. Usage: tls_clients_test.py CLIENT."""
import os
import poplib
import ssl
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from clients_test import COUNT, assert_all_there, contents, fresh, mutt_takes_all, need, write  # noqa: E402
from harness import PASSWORD, named_uid  # noqa: E402
from tls_site import HOST, TlsSite, context_for  # noqa: E402


def curl(site):
    need("curl")
    ways = ((["--ssl-reqd"], "pop3", site.port), ([], "pop3s", site.tls_port))
    for extra, scheme, port in ways:
        base = ["curl", "-sS", "-u", f"ada:{PASSWORD}", "--resolve", f"{HOST}:{port}:127.0.0.1", *extra]
        for number, content in enumerate(contents(), 1):
            got = site.run([*base, "--cacert", site.root_certificate, f"{scheme}://{HOST}:{port}/{number}"]).stdout
            assert got == content.replace(b"\n", b"\r\n"), got
        for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5", "+APOP"):
            site.run([*base, "--cacert", site.root_certificate, "--login-options", f"AUTH={mechanism}", f"{scheme}://{HOST}:{port}/"])
        distrusts = site.run([*base, f"{scheme}://{HOST}:{port}/"], check=False)
        assert distrusts.returncode == 60, distrusts
        other = site.run(["curl", "-sS", "-u", f"ada:{PASSWORD}", *extra, "--cacert", site.root_certificate, f"{scheme}://127.0.0.1:{port}/"], check=False)
        assert other.returncode == 60, ("another name", other)


def fetchmail(site):
    need("fetchmail")
    out, rc = os.path.join(site.home, "out"), os.path.join(site.home, "rc")

    def fetch(service, options, proto="POP3", authority=site.root_certificate):
        write(rc, f'poll {HOST} via 127.0.0.1 service {service} proto {proto} user ada password "{PASSWORD}" fetchall keep '
                  f"mda 'cat >> {out}' {options} sslcertck sslcertfile {authority} sslcommonname {HOST}\n", site=site)
        if os.path.exists(out):
            os.unlink(out)
        done = site.run(["fetchmail", "-f", rc, "--idfile", os.path.join(site.home, "ids"), "--pidfile", os.path.join(site.home, "pid")], check=False)
        return done, open(out, "rb").read() if os.path.exists(out) else b""

    for service, options in ((site.port, "sslproto TLS1.2+"), (site.tls_port, "ssl")):
        for proto in ("POP3", "APOP"):
            done, data = fetch(service, options, proto)
            assert done.returncode == 0, (service, proto, done)
            assert_all_there(data, f"fetchmail {options} {proto}")
        done, data = fetch(service, options, authority=site.maker.stranger)
        assert done.returncode != 0 and data == b"", done


def mpop(site):
    need("mpop")
    rc, number = os.path.join(site.home, "mpoprc"), 0
    for port, start in ((site.port, "on"), (site.tls_port, "off")):
        for auth in ("user", "plain", "scram-sha-256", "apop"):
            number += 1
            box = os.path.join(site.home, f"box{number}")
            write(rc, f"account a\nhost 127.0.0.1\nport {port}\nuser ada\npassword \"{PASSWORD}\"\ndelivery mbox {box}\nuidls_file {site.home}/uidls{number}\nauth {auth}\nkeep on\n"
                      f"tls on\ntls_starttls {start}\ntls_trust_file {site.root_certificate}\ntls_host_override {HOST}\n", site=site)
            site.run(["mpop", "-C", rc, "a"])
            assert_all_there(open(box, "rb").read(), f"mpop {start} {auth}")


def getmail(site):
    need("getmail")
    rc, box = os.path.join(site.home, "getmailrc"), os.path.join(site.home, "box")
    open(box, "w").close()
    site.own(site.home)
    write(rc, f"[retriever]\ntype=SimplePOP3SSLRetriever\nserver=127.0.0.1\nport={site.tls_port}\nusername=ada\npassword={PASSWORD}\nca_certs={site.root_certificate}\n"
              f"ssl_cert_hostname={HOST}\n[destination]\ntype=Mboxrd\npath={box}\n[options]\ndelete=false\nread_all=false\n", site=site)
    site.run(["getmail", f"--getmaildir={site.home}", f"--rcfile={rc}"])
    assert_all_there(open(box, "rb").read(), "getmail")


def python_poplib(site):
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = context_for(site.root_certificate, version)
        context.check_hostname = False  # poplib takes the name from the address it connects to
        started = poplib.POP3("127.0.0.1", site.port, timeout=20)
        started.stls(context)
        at_once = poplib.POP3_SSL("127.0.0.1", site.tls_port, context=context, timeout=20)
        for client in (started, at_once):
            client.user("ada")
            client.pass_(PASSWORD)
            for number, content in enumerate(contents(), 1):
                assert b"\n".join(client.retr(number)[1]) + b"\n" == content
            client.quit()


def nmh(site):
    inc = need("inc")
    site.add_user("ada", "netrcpassword")
    write(os.path.join(site.home, ".netrc"), "machine 127.0.0.1\nlogin ada\npassword netrcpassword\n", site=site)
    write(os.path.join(site.home, ".mh_profile"), f"Path: {site.home}/Mail\n", site=site)
    for folder, how in (("started", ["-port", str(site.port), "-tls"]), ("initial", ["-port", str(site.tls_port), "-initialtls"])):
        os.makedirs(os.path.join(site.home, "Mail", folder))
        site.own(site.home)
        # The certificate is for a name that does not resolve here.
        site.run([inc, "-host", "127.0.0.1", "-user", "ada", *how, "-nocertverify", f"+{folder}", "-notruncate"])
        path = os.path.join(site.home, "Mail", folder)
        assert_all_there(b"".join(open(os.path.join(path, name), "rb").read() for name in os.listdir(path) if name.isdigit()), f"inc {folder}")


def mutt(site):
    need("mutt")
    need("script")
    plain = 'set pop_authenticators="PLAIN"\n'
    for name, url, starttls, mechanism in (("started", f"pop://127.0.0.1:{site.port}", "yes", plain), ("initial", f"pops://127.0.0.1:{site.tls_port}", "no", plain),
                                           ("by-default", f"pops://127.0.0.1:{site.tls_port}", "no", "")):
        mutt_takes_all(site, name, url, f"{mechanism}set ssl_starttls={starttls}\nset ssl_force_tls={starttls}\nset ssl_verify_host=no\n"
                                        f'set certificate_file="{site.root_certificate}"\n')


def main():
    clients = {"curl": curl, "fetchmail": fetchmail, "mpop": mpop, "getmail": getmail, "poplib": python_poplib, "nmh": nmh, "mutt": mutt}
    run = clients[sys.argv[1]]
    with TlsSite({"clear-text-password": "tls"}, uid=named_uid()) as site:
        fresh(site)
        site.start_tls()
        try:
            run(site)
        except BaseException:
            print(site.log())
            raise
        assert COUNT and site.stop() == 0
    print(f"{sys.argv[1]}: ok")


if __name__ == "__main__":
    main()
