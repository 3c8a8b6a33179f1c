#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kills.py with maildrops of some 18 MB: what is deleted is written down, the client is answered, and the spool is rewritten behind it.

Usage: long.py [--trials N | --minutes M] [--seed S] [--mailboxes N]
"""
import sys

from kills import Soak, main
from mailbox import rng_for
from trial import COUNTS, Trial, make_pools

OCTETS = 60000


class LongTrial(Trial):
    def pick_size(self):
        return max(COUNTS), OCTETS


class LongSoak(Soak):
    name = "long"

    def prepare(self):
        self.pools = make_pools(rng_for(self.options.seed, "pools"), (OCTETS,))

    def make_trial(self, user, number):
        return LongTrial(self, user, number, rng_for(self.options.seed, number, user))


if __name__ == "__main__":
    sys.exit(main(LongSoak))
