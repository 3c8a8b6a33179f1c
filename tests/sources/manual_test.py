#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""mandoc has nothing to complain about in the manual pages, and each program has one that names every option of its --help."""
import glob
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from harness import TOP, program, skip  # noqa: E402


def main():
    if shutil.which("mandoc") is None:
        skip("mandoc is not installed")
    faults = []
    pages = sorted(glob.glob(os.path.join(TOP, "man", "*.[578]")))
    assert len(pages) >= 7, pages
    said = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *pages], capture_output=True, text=True, check=False)
    # Whether this machine has made an index of its pages is none of our affair.
    faults += [line for line in (said.stdout + said.stderr).splitlines() if "outdated mandoc.db" not in line]
    for name in ("popper", "popauth", "popcheck", "popcert"):
        page = subprocess.run(["mandoc", "-T", "ascii", os.path.join(TOP, "man", f"{name}.8")], capture_output=True, text=True, check=True).stdout
        page = re.sub(".\x08", "", page)
        if name == "popper":  # its options are those of qpopper.config(5) as well
            page += re.sub(".\x08", "", subprocess.run(["mandoc", "-T", "ascii", os.path.join(TOP, "man", "qpopper.config.5")], capture_output=True, text=True, check=True).stdout)
        helped = subprocess.run([program(name), "-help" if name == "popauth" else "--help"], capture_output=True, text=True, check=False)
        options = set(re.findall(r"(?<![\w-])--?([a-zA-Z][a-zA-Z-]+)", helped.stdout + helped.stderr))
        assert len(options) > 5, (name, options)
        faults += [f"{name}.8 does not name {option}" for option in sorted(options) if not re.search(rf"(?<!\w){re.escape(option)}(?![\w-])", page)]
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
