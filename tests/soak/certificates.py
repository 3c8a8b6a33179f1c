#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Exchanges the certificate of a server under load, again and again. Usage: certificates.py [--minutes M] [--exchanges N] [--seed S]"""
import argparse
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
for folder in ("support", "e2e"):
    sys.path.insert(0, os.path.join(HERE, "..", folder))
from harness import mailbox  # noqa: E402
from tls_site import TlsSite  # noqa: E402
from tls_test import exchange_while  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--exchanges", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1, help="not used: every exchange is the same")
    options = parser.parse_args()
    end = time.monotonic() + options.minutes * 60
    with TlsSite({"failed-login-delay": "0"}) as site:
        site.put_spool("ada", mailbox(3))
        site.start_tls()
        try:
            exchanges, connections = exchange_while(site, lambda number: number < options.exchanges and time.monotonic() < end)
        except AssertionError as error:
            print(site.log()[-3000:])
            print(f"certificates: exchanges=0 wrong=1: {error}")
            return 1
        assert site.stop() == 0
    print(f"certificates: exchanges={exchanges} connections={connections} wrong=0")
    return 0


if __name__ == "__main__":
    sys.exit(main())
