#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Inside the tree: mail of a system user, delivered by a real MTA, fetched from the installed service by real clients. Usage: clients_inside.py PORT TLS-PORT"""
import glob
import os
import poplib
import pwd
import re
import shutil
import ssl
import subprocess
import sys
import time

HOST, PASSWORD, COUNT = "localhost", "correcthorse", 3
CA = "/etc/ssl/certs/pop-test.pem"
PORT, TLS_PORT = sys.argv[1], sys.argv[2]
HOME = "/home/ada"
serial = [0]


def run(argv, given="", check=True, user="ada"):
    entry = pwd.getpwnam(user)
    done = subprocess.run(argv, input=given, capture_output=True, text=True, errors="replace", timeout=90, check=False, cwd=entry.pw_dir, user=entry.pw_uid, group=entry.pw_gid,
                          extra_groups=[], env={"HOME": entry.pw_dir, "PATH": "/usr/bin:/bin:/usr/sbin:/sbin:/usr/bin/mh", "USER": user, "LOGNAME": user, "TERM": "xterm", "LC_ALL": "C.UTF-8"})
    if check and done.returncode != 0:
        raise AssertionError(f"{argv}: exit {done.returncode}\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}")
    return done


def write(name, text):
    path = os.path.join(HOME, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, 0o600)
    while path != HOME:
        shutil.chown(path, "ada", "ada")
        path = os.path.dirname(path)
    return os.path.join(HOME, name)


def deliver():
    """Mail as any program of the host sends it; exim4 delivers at once, without a daemon. Returns the Message-IDs."""
    ids = []
    for _ in range(COUNT):
        serial[0] += 1
        ids.append(f"<{serial[0]}.{os.getpid()}@example.org>")
        run(["/usr/sbin/sendmail", "-odi", "-i", "ada@localhost"], f"From: bob@example.org\nTo: ada@localhost\nSubject: number {serial[0]}\nMessage-ID: {ids[-1]}\n\nHello.\n.dot\n",
            user="root")
    return ids


def spool():
    with open("/var/mail/ada", errors="replace") as file:
        return file.read()


def assert_all(ids, text, what):
    for one in ids:
        assert text.count(f"Message-ID: {one}") + text.count(f"Message-Id: {one}") == 1, (what, one, text[-2000:])


def read(*names):
    text = ""
    for name in names:
        for path in sorted(glob.glob(os.path.join(HOME, name))):
            with open(path, errors="replace") as file:
                text += file.read()
    return text


def fetchmail():
    for number, (service, options, proto, keep) in enumerate(((PORT, "sslproto TLS1.2+", "POP3", "keep"), (TLS_PORT, "ssl", "APOP", "keep"), (PORT, "sslproto TLS1.2+", "POP3", ""))):
        ids = deliver()
        out = f"fetched{number}"
        rc = write(f"fetchmailrc{number}", f"poll {HOST} service {service} proto {proto} user ada password {PASSWORD} fetchall {keep} mda 'cat >> {HOME}/{out}' {options} "
                                           f"sslcertck sslcertfile {CA}\n")
        run(["fetchmail", "-f", rc, "--idfile", f"{HOME}/ids", "--pidfile", f"{HOME}/pid"])
        assert_all(ids, read(out), f"fetchmail {options}")
    assert spool() == ""


def mpop():
    ids = deliver()
    for auth, port, start in (("user", PORT, "on"), ("scram-sha-256", TLS_PORT, "off"), ("apop", PORT, "on")):
        rc = write(f"mpoprc.{auth}", f"account a\nhost {HOST}\nport {port}\nuser ada\npassword {PASSWORD}\ndelivery mbox {HOME}/mpop.{auth}\nuidls_file {HOME}/uidls.{auth}\n"
                                     f"auth {auth}\nkeep on\ntls on\ntls_starttls {start}\ntls_trust_file {CA}\n")
        run(["mpop", "-C", rc, "a"])
        assert_all(ids, read(f"mpop.{auth}"), f"mpop {auth}")
        before = read(f"mpop.{auth}")
        run(["mpop", "-C", rc, "a"])
        assert read(f"mpop.{auth}") == before, "unique-ids are known"
    empty()


def empty():
    client = poplib.POP3_SSL(HOST, int(TLS_PORT), context=ssl.create_default_context(cafile=CA), timeout=30)
    client.user("ada")
    client.pass_(PASSWORD)
    for number in range(1, client.stat()[0] + 1):
        client.dele(number)
    client.quit()
    assert spool() == ""


def getmail():
    ids = deliver()
    write("getmail/box", "")
    rc = write("getmail/rc", f"[retriever]\ntype=SimplePOP3SSLRetriever\nserver={HOST}\nport={TLS_PORT}\nusername=ada\npassword={PASSWORD}\nca_certs={CA}\n[destination]\ntype=Mboxrd\n"
                             f"path={HOME}/getmail/box\n[options]\ndelete=true\nread_all=true\n")
    run(["getmail", f"--getmaildir={HOME}/getmail", f"--rcfile={rc}"])
    assert_all(ids, read("getmail/box"), "getmail")


def nmh():
    write(".netrc", f"machine {HOST}\nlogin ada\npassword {PASSWORD}\n")
    write(".mh_profile", f"Path: {HOME}/Mail\n")
    write("Mail/inbox/.keep", "")
    write("Mail/mhe/.keep", "")
    ids = deliver()
    run(["inc", "-host", HOST, "-user", "ada", "-port", TLS_PORT, "-initialtls", "-nocertverify", "-notruncate", "+inbox"])
    # As mh-e calls it: silent, into +inbox, the password from .netrc.
    run(["inc", "-host", HOST, "-user", "ada", "-port", PORT, "-tls", "-nocertverify", "-silent", "+mhe"])
    assert_all(ids, read("Mail/inbox/[0-9]*"), "inc")
    assert_all(ids, read("Mail/mhe/[0-9]*"), "inc as mh-e")
    assert spool() == ""


def mutt():
    ids = deliver()
    box = write("muttbox", "")
    rc = write("muttrc", f'set pop_host="pops://{HOST}:{TLS_PORT}"\nset pop_user="ada"\nset pop_pass="{PASSWORD}"\nset pop_delete=yes\nset certificate_file="{CA}"\nset quit=yes\n'
                         f'set move=no\nset folder="{HOME}"\nset spoolfile="{box}"\nset mbox_type=mbox\nset ssl_force_tls=yes\n')
    done = run(["script", "-qec", f"mutt -n -F {rc} -f {box} -e 'push <fetch-mail><quit>'", "/dev/null"], check=False)
    assert_all(ids, read("muttbox"), f"mutt: {done.stdout[-1500:]!r} {done.stderr[-500:]!r}")


def snail():
    ids = deliver()
    text = run(["s-nail", "-n", "-S", "v15-compat", "-S", f"tls-ca-file={CA}", "-f", f"pop3s://ada:{PASSWORD}@{HOST}:{TLS_PORT}"], "type 1\ntype 2\ntype 3\ndelete 1-3\nquit\n").stdout
    for one in ids:
        assert one in text or "Hello." in text, text
    assert spool() == "", "s-nail deletes"


def movemail():
    ids = deliver()
    run(["movemail", "--emacs", f"--config-verbose", f"pops://ada:{PASSWORD}@{HOST}:{TLS_PORT}", f"{HOME}/moved"], check=False)
    if not read("moved"):
        run(["movemail", f"pop://ada:{PASSWORD}@{HOST}:{PORT}", f"{HOME}/moved"])
    assert_all(ids, read("moved"), "movemail")
    assert spool() == ""


def alpine():
    """Opens the maildrop in a terminal, logs in, shows the index, quits."""
    deliver()
    script = write("alpine.exp", f"""set timeout 20
spawn alpine -p {HOME}/.pinerc -f {{{{{HOST}:{TLS_PORT}/pop3/user=ada/ssl/novalidate-cert}}INBOX}}
expect -re "(?i)password"
send "{PASSWORD}\\r"
expect {{ -re "3 Messages" {{}} timeout {{ exit 3 }} eof {{ exit 4 }} }}
send "i"
expect {{ -re "number \\\\d+" {{}} timeout {{ exit 5 }} eof {{ exit 6 }} }}
send "q"
set timeout 5
expect {{ -re "(?i)quit" {{ send "y"; exp_continue }} eof {{}} timeout {{}} }}
close
exit 0
""")
    write(".pinerc", "feature-list=quit-without-confirm,disable-password-file-saving,disable-save-input-history\nuser-domain=localhost\nlast-version-used=99.99\n")
    done = run(["expect", script], check=False)
    assert re.search(r"number \d+", done.stdout), done.stdout[-3000:]
    empty()


def curl():
    ids = deliver()
    for url, extra in ((f"pop3s://{HOST}:{TLS_PORT}", []), (f"pop3://{HOST}:{PORT}", ["--ssl-reqd"])):
        text = "".join(run(["curl", "-sS", "--cacert", CA, *extra, "-u", f"ada:{PASSWORD}", f"{url}/{number}"]).stdout for number in (1, 2, 3))
        assert_all(ids, text, "curl")
        assert "Hello." not in run(["curl", "-sS", "--cacert", CA, *extra, "-u", f"ada:{PASSWORD}", f"{url}/", "-X", "TOP 1 0"]).stdout
    assert len(run(["curl", "-sS", "--cacert", CA, "-u", f"ada:{PASSWORD}", f"pop3s://{HOST}:{TLS_PORT}/", "-X", "UIDL"]).stdout.split()) == 6
    empty()


def perl():
    ids = deliver()
    text = run(["perl", "-MNet::POP3", "-e", f"my $p = Net::POP3->new('127.0.0.1', Port => {PORT}) or die; $p->apop('ada', '{PASSWORD}') or die 'apop'; "
                                             "my $u = $p->uidl; keys %$u == 3 or die 'uidl'; for (1..3) { print @{$p->get($_)}; $p->delete($_) } $p->quit;"]).stdout
    assert_all(ids, text, "Net::POP3")
    assert spool() == ""


def prepare():
    subprocess.run(["useradd", "-m", "-s", "/bin/bash", "ada"], check=True)
    subprocess.run(["chpasswd"], input=f"ada:{PASSWORD}\n", text=True, check=True)
    subprocess.run(["popcert", "init", "--ca", "--force", "--host", "localhost", "--host", "pop.example.org"], check=True, stdout=subprocess.DEVNULL)
    shutil.copy("/etc/mail/certs/ca.pem", CA)
    with open("/etc/exim4/update-exim4.conf.conf", "w") as file:
        file.write("dc_eximconfig_configtype='local'\ndc_other_hostnames='localhost'\ndc_local_interfaces='127.0.0.1'\ndc_localdelivery='mail_spool'\ndc_use_split_config='false'\n"
                   "dc_hide_mailname='true'\ndc_mailname_in_oh='true'\n")
    with open("/etc/mailname", "w") as file:
        file.write("localhost\n")
    subprocess.run(["update-exim4.conf"], check=True)


def first_login():
    """By the system's password (PAM), before there is an account; then by one that popauth makes."""
    deliver()
    context = ssl.create_default_context(cafile=CA)
    for _ in range(50):
        try:
            client = poplib.POP3_SSL(HOST, int(TLS_PORT), context=context, timeout=30)
            break
        except OSError:
            time.sleep(0.2)
    client.user("ada")
    client.pass_(PASSWORD)
    assert client.stat()[0] == COUNT
    client.quit()
    subprocess.run(["popauth", "-user", "ada", "-stdin"], input=PASSWORD + "\n", text=True, check=True, stderr=subprocess.DEVNULL)
    empty()


def main():
    prepare()
    first_login()
    done = []
    for client in (fetchmail, mpop, getmail, nmh, mutt, snail, movemail, alpine, curl, perl):
        if sys.argv[3:] and client.__name__ not in sys.argv[3:]:
            continue
        client()
        done.append(client.__name__)
    print("fetched by: PAM, popauth, " + ", ".join(done))


if __name__ == "__main__":
    main()
