#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Real mail clients against the real server: fetch, keep, delete, by PASS and APOP. Usage: clients_test.py CLIENT."""
import os
import poplib
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import PASSWORD, Site, mailbox, message, named_uid, skip  # noqa: E402

COUNT = 5


def need(name):
    path = shutil.which(name, path="/usr/bin:/bin:/usr/bin/mh")
    if path is None:
        skip(f"{name} is not installed")
    return path


def contents():
    """Content of each message of the spool, as a client must get it."""
    return [message(i + 1).split(b"\n", 1)[1][:-1] for i in range(COUNT)]


def write(path, text, mode=0o600, site=None):
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)
    if site is not None and os.geteuid() == 0:
        os.chown(path, site.uid, site.uid)


def assert_all_there(data, what):
    for number in range(1, COUNT + 1):
        found = data.count(b"Message-ID: <%d@example.org>" % number)
        assert found == 1, f"{what}: message {number} found {found} times\n{data!r}"


def fresh(site):
    site.put_spool("ada", mailbox(COUNT))


def curl(site):
    need("curl")
    url = f"pop3://127.0.0.1:{site.port}"
    listing = site.run(["curl", "-sS", "-u", f"ada:{PASSWORD}", url + "/"]).stdout
    assert [int(line.split()[0]) for line in listing.splitlines()] == list(range(1, COUNT + 1)), listing
    for number, content in enumerate(contents(), 1):
        got = site.run(["curl", "-sS", "-u", f"ada:{PASSWORD}", f"{url}/{number}"]).stdout
        assert got == content.replace(b"\n", b"\r\n"), got
    top = site.run(["curl", "-sS", "-u", f"ada:{PASSWORD}", url + "/", "-X", "TOP 1 0"]).stdout
    assert top.endswith(b"\r\n\r\n"), top
    site.run(["curl", "-sS", "-u", f"ada:{PASSWORD}", "--login-options", "AUTH=+APOP", url + "/1"])
    site.run(["curl", "-sS", "-u", f"ada:{PASSWORD}", f"{url}/2", "-X", "DELE", "-I"])
    assert b"<2@example.org>" not in site.read_spool() and b"<3@example.org>" in site.read_spool()
    failed = site.run(["curl", "-sS", "-u", "ada:wrong", url + "/"], check=False)
    assert failed.returncode == 67, failed


def fetchmail(site):
    need("fetchmail")
    out, rc = os.path.join(site.home, "out"), os.path.join(site.home, "rc")

    def fetch(extra, proto="POP3", server=""):
        write(rc, f'poll 127.0.0.1 service {site.port} proto {proto} {server} user ada password "{PASSWORD}" {extra} '
                  f"mda 'cat >> {out}' sslproto ''\n", site=site)
        done = site.run(["fetchmail", "-f", rc, "--idfile", os.path.join(site.home, "ids"), "--pidfile", os.path.join(site.home, "pid")],
                        check=False)
        assert done.returncode in (0, 1), (done.stdout, done.stderr)
        data = open(out, "rb").read() if os.path.exists(out) else b""
        if os.path.exists(out):
            os.unlink(out)
        return done.returncode, data

    code, data = fetch("keep", server="uidl")
    assert code == 0
    assert_all_there(data, "keep")
    code, data = fetch("keep", server="uidl")
    assert code == 1 and data == b"", ("unique-ids must be stable", code, data)
    with open(os.path.join(site.spool, "ada"), "ab") as spool:
        spool.write(message(99))
    code, data = fetch("keep", server="uidl")
    assert code == 0 and data.count(b"Message-ID:") == 1 and b"<99@example.org>" in data, data
    code, data = fetch("fetchall keep", "APOP")
    assert code == 0
    assert_all_there(data, "APOP")
    code, data = fetch("fetchall nokeep")
    assert code == 0 and data.count(b"Message-ID:") == COUNT + 1
    assert site.read_spool() == b""


def mpop(site):
    need("mpop")
    rc = os.path.join(site.home, "mpoprc")

    def fetch(auth, keep, pipelining):
        box = os.path.join(site.home, "box")
        if os.path.exists(box):
            os.unlink(box)
        write(rc, f"account a\nhost 127.0.0.1\nport {site.port}\nuser ada\npassword \"{PASSWORD}\"\ndelivery mbox {box}\n"
                  f"uidls_file {site.home}/uidls.{auth}\nauth {auth}\nkeep {keep}\ntls off\npipelining {pipelining}\n", site=site)
        site.run(["mpop", "-C", rc, "a"])
        return open(box, "rb").read() if os.path.exists(box) else b""

    assert_all_there(fetch("user", "on", "on"), "mpop pipelined")
    assert fetch("user", "on", "auto") == b""
    for mechanism in ("scram-sha-256", "cram-md5", "plain", "login"):
        assert_all_there(fetch(mechanism, "on", "auto"), f"mpop {mechanism}")
    assert_all_there(fetch("apop", "off", "on"), "mpop APOP")
    assert site.read_spool() == b""
    write(rc, f"account a\nhost 127.0.0.1\nport {site.port}\nuser ada\npassword wrong\nauth scram-sha-256\ntls off\n", site=site)
    failed = site.run(["mpop", "-C", rc, "--status-only", "a"], check=False)
    assert failed.returncode != 0, failed
    info = site.run(["mpop", "--serverinfo", "--host=127.0.0.1", f"--port={site.port}", "--tls=off"]).stdout
    assert b"PIPELINING" in info.upper() and b"SCRAM-SHA-256" in info, info


def getmail(site):
    need("getmail")
    rc, box = os.path.join(site.home, "getmailrc"), os.path.join(site.home, "box")

    def fetch(delete, apop="false"):
        open(box, "w").close()
        site.own(site.home)
        write(rc, f"[retriever]\ntype=SimplePOP3Retriever\nserver=127.0.0.1\nport={site.port}\nusername=ada\npassword={PASSWORD}\n"
                  f"use_apop={apop}\n[destination]\ntype=Mboxrd\npath={box}\n[options]\ndelete={delete}\nread_all=false\n", site=site)
        site.run(["getmail", f"--getmaildir={site.home}", f"--rcfile={rc}"])
        return open(box, "rb").read()

    assert_all_there(fetch("false"), "getmail keep")
    assert fetch("false") == b""
    fetch("true", "true")
    assert site.read_spool() == b""


def python_poplib(site):
    client = poplib.POP3("127.0.0.1", site.port, timeout=20)
    assert "PIPELINING" in client.capa()
    client.user("ada")
    client.pass_(PASSWORD)
    assert client.stat()[0] == COUNT
    sizes = {int(line.split()[0]): int(line.split()[1]) for line in client.list()[1]}
    uids = client.uidl()[1]
    assert len(set(line.split()[1] for line in uids)) == COUNT
    for number, content in enumerate(contents(), 1):
        lines = client.retr(number)[1]
        assert b"\n".join(lines) + b"\n" == content
        assert sizes[number] == sum(len(line) + 2 for line in lines)
        head = client.top(number, 0)[1]
        assert head == content.split(b"\n\n")[0].split(b"\n") + [b""]
    client.dele(1)
    client.rset()
    client.dele(COUNT)
    client.quit()
    again = poplib.POP3("127.0.0.1", site.port, timeout=20)
    again.apop("ada", PASSWORD)
    assert again.uidl()[1] == uids[:-1], "unique-ids stay after a deletion"
    again.quit()


def perl_net_pop3(site):
    need("perl")
    script = r"""
use strict; use Net::POP3;
my ($port, $password) = @ARGV;
my $pop = Net::POP3->new('127.0.0.1', Port => $port, Timeout => 20) or die "connect";
my $count = $pop->login('ada', $password); defined $count or die "login";
$count == 5 or die "count $count";
my $list = $pop->list; keys %$list == 5 or die "list";
my $uidl = $pop->uidl; keys %$uidl == 5 or die "uidl";
my $lines = $pop->get(2) or die "get"; grep { /<2\@example.org>/ } @$lines or die "content";
$pop->top(1, 1) or die "top"; $pop->last == 2 or die "last";
$pop->delete(2) or die "delete"; $pop->quit or die "quit";
my $two = Net::POP3->new('127.0.0.1', Port => $port, Timeout => 20);
$two->apop('ada', $password) == 4 or die "apop"; $two->quit;
"""
    probe = site.run(["perl", "-MNet::POP3", "-MDigest::MD5", "-e", "1"], check=False)
    if probe.returncode != 0:
        skip("Net::POP3 is not installed")
    site.run(["perl", "-e", script, str(site.port), PASSWORD])
    assert b"<2@example.org>" not in site.read_spool()


def nmh(site):
    inc = need("inc")
    # The user name that nmh's .netrc reader takes; a password with blanks does not fit there.
    site.add_user("ada", "netrcpassword")
    write(os.path.join(site.home, ".netrc"), "machine 127.0.0.1\nlogin ada\npassword netrcpassword\n", site=site)
    write(os.path.join(site.home, ".mh_profile"), f"Path: {site.home}/Mail\n", site=site)
    os.makedirs(os.path.join(site.home, "Mail", "inbox"))
    site.own(site.home)
    common = [inc, "-host", "127.0.0.1", "-user", "ada", "-port", str(site.port), "-notls", "+inbox"]
    site.run(common + ["-notruncate"])
    folder = os.path.join(site.home, "Mail", "inbox")
    data = b"".join(open(os.path.join(folder, name), "rb").read() for name in os.listdir(folder) if name.isdigit())
    assert_all_there(data, "inc")
    assert site.read_spool() == mailbox(COUNT)
    site.run(common + ["-truncate"])
    assert site.read_spool() == b""


def mutt_takes_all(site, name, url, settings):
    """mutt fetches and deletes everything at the address, with these settings beside the usual ones."""
    rc, box = os.path.join(site.home, "muttrc"), os.path.join(site.home, f"box.{name}")
    fresh(site)
    open(box, "w").close()
    write(rc, f'set pop_host="{url}"\nset pop_user="ada"\nset pop_pass="{PASSWORD}"\n{settings}set pop_delete=yes\nset quit=yes\n'
              f'set move=no\nset folder="{site.home}"\nset spoolfile="{box}"\nset mbox_type=mbox\n', site=site)
    site.own(site.home)
    # Without a terminal of its own mutt refuses to run; an answer of "no" ends any question.
    site.run(["env", "TERM=xterm", "script", "-qec", f"mutt -n -F {rc} -f {box} -e 'push <fetch-mail><quit>'", "/dev/null"], check=False, timeout=60)
    assert_all_there(open(box, "rb").read(), f"mutt {name}")
    assert site.read_spool() == b""


def mutt(site):
    need("mutt")
    need("script")
    for authenticators in ("apop:user", "SCRAM-SHA-256", "CRAM-MD5", "PLAIN"):
        mutt_takes_all(site, authenticators, f"pop://127.0.0.1:{site.port}",
                       f'set pop_authenticators="{authenticators}"\nset ssl_starttls=no\nset ssl_force_tls=no\n')


def main():
    clients = {"curl": curl, "fetchmail": fetchmail, "mpop": mpop, "getmail": getmail, "poplib": python_poplib, "net-pop3": perl_net_pop3,
               "nmh": nmh, "mutt": mutt}
    run = clients[sys.argv[1]]
    with Site(uid=named_uid()) as site:
        fresh(site)
        site.start()
        try:
            run(site)
        except BaseException:
            print(site.log())
            raise
        assert site.stop() == 0
    print(f"{sys.argv[1]}: ok")


if __name__ == "__main__":
    main()
