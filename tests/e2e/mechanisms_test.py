#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Option sasl-mechanisms: what is not in its list is neither shown nor taken, and looks like a mechanism that does not exist."""
import base64
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import PASSWORD, Pop, Site, free_port, mailbox, program  # noqa: E402

PLAIN = "AUTH PLAIN " + base64.b64encode(b"\0ada\0" + PASSWORD.encode()).decode()
UNKNOWN = b"-ERR Unknown authentication mechanism.\r\n"
# Value, what CAPA shows behind SASL, whether the greeting holds a time stamp. None: the default.
LISTS = [(None, "SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN", True), ("apop Scram-SHA-256 PLAIN login", "SCRAM-SHA-256 PLAIN LOGIN", True),
         ("cram-md5 scram-sha-256-plus external", "CRAM-MD5", False), ("apop", "", True), ("plain", "PLAIN", False), ("", "", False)]


def check_list(site, value, shown, stamp):
    site.start(**({} if value is None else {"sasl-mechanisms": value}))
    try:
        client = Pop(site.connect())
        assert (re.search(rb"<[^ ]+@pop\.example\.org>\r\n$", client.greeting) is not None) == stamp, client.greeting
        _, capabilities = client.multi("CAPA")
        lines = capabilities.decode().split("\r\n")
        assert [line[5:] for line in lines if line.startswith("SASL")] == ([shown] if shown else []), lines
        assert "USER" in lines
        for name in ("SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "CRAM-MD5", "LOGIN", "EXTERNAL"):
            answer = client.command(f"AUTH {name}")
            assert (answer == UNKNOWN) == (name not in shown.split()), (name, answer)
            if answer != UNKNOWN:
                client.command("*")
        client.close()
        client = Pop(site.connect())
        assert (client.command(f"APOP ada {'0' * 32}") == b"-ERR APOP is not offered by this server.\r\n") != stamp
        if "PLAIN" not in shown.split():
            assert client.command(PLAIN) == client.command("AUTH NONSENSE") == UNKNOWN
            client.login()
        else:
            assert b"1 visible" in client.command(PLAIN)
        client.ok("QUIT")
        client.close()
    finally:
        assert site.stop() == 0, site.log()


def check_fault(site):
    site.write_config(listen=f"127.0.0.1:{free_port()}", **{"sasl-mechanisms": "plain cram"})
    want = 'sasl-mechanisms (%s line ' % site.config
    for arguments in (["--check"], ["--foreground"]):
        done = site.run([program("popper"), "-f", site.config, *arguments], check=False)
        said = done.stderr.decode()
        assert done.returncode == 3 and want in said and '"cram": want apop, scram-sha-256-plus' in said, (done.returncode, said)


def main():
    with Site() as site:
        site.put_spool("ada", mailbox(1))
        for value, shown, stamp in LISTS:
            try:
                check_list(site, value, shown, stamp)
            except BaseException:
                print(value, site.log()[-3000:])
                raise
        check_fault(site)
    print("mechanisms: ok")


if __name__ == "__main__":
    main()
