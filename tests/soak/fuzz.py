#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the libFuzzer targets of the preset "fuzz", one after the other. Usage: fuzz.py --minutes M --seed S --bin FOLDER"""
import argparse
import os
import re
import subprocess
import sys
import tempfile


def read_corpora(folder):
    """{target: its corpus folders}, as tests/fuzz/CMakeLists.txt has them; empty when nothing was configured there."""
    path = os.path.join(os.path.dirname(os.path.abspath(folder)), "fuzz-corpora.txt")
    if not os.path.exists(path):
        return {}
    with open(path) as file:
        return {name: folders for name, *folders in (line.rstrip("\n").split("\t") for line in file)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bin", required=True)
    options = parser.parse_args()
    corpora = read_corpora(options.bin)
    targets = {name: os.path.join(options.bin, f"fuzz_{name}") for name in corpora}
    missing = [path for path in targets.values() if not os.path.exists(path)]
    if missing or not targets:
        print(f"fuzz: SKIPPED: not built: {', '.join(os.path.basename(path) for path in missing) or 'any target'}")
        return 77
    seconds = max(int(options.minutes * 60 / len(targets)), 1)
    inputs, crashes = 0, 0
    for name, path in targets.items():
        with tempfile.TemporaryDirectory(prefix="qpop.fuzz.") as fresh:
            # Found inputs go to the first folder, a fault to the log as base64.
            done = subprocess.run([path, f"-max_total_time={seconds}", f"-seed={options.seed % 2 ** 31}", "-print_final_stats=1", "-rss_limit_mb=1024",
                                   "-verbosity=1", f"-artifact_prefix={os.getcwd()}/fuzz-{name}-", fresh, *corpora[name]],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        text = done.stdout.decode(errors="replace")
        executed = re.search(r"stat::number_of_executed_units:\s+(\d+)", text)
        inputs += int(executed.group(1)) if executed else 0
        if done.returncode != 0 or not executed:
            crashes += 1
            print(text[-4000:])
        print(f"{name}: {executed.group(1) if executed else '?'} inputs in {seconds} s, exit code {done.returncode}", flush=True)
    print(f"fuzz: inputs={inputs} wrong={crashes}")
    return 1 if crashes else 0


if __name__ == "__main__":
    sys.exit(main())
