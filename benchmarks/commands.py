"""Whole processes: start-up, and the main commands on 1000 pairs of 512 dimensions.

python benchmarks/commands.py
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from isthmus.theory import sample


def median(command, runs):
    seconds = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def main():
    with tempfile.TemporaryDirectory() as folder:
        x, y = Path(folder) / "x.npy", Path(folder) / "y.npy"
        for path, rows in zip((x, y), sample(1000)[:2], strict=True):
            np.save(path, rows)
        isthmus = [sys.executable, "-m", "isthmus"]
        cases = {
            "python -c pass": ([sys.executable, "-c", "pass"], 9),
            "python -c 'import isthmus'": ([sys.executable, "-c", "import isthmus"], 9),
            "isthmus --help": ([*isthmus, "--help"], 9),
            "isthmus measure": ([*isthmus, "measure", x, y, "--json"], 3),
            "isthmus compare, raw and shared": ([*isthmus, "compare", x, y, "--aligner", "shared"], 3),
            "isthmus demo": ([*isthmus, "demo", "--out", f"{folder}/demo"], 1),
        }
        for name, (command, runs) in cases.items():
            print(f"{name:34} {median(command, runs):7.3f} s, median of {runs}")


if __name__ == "__main__":
    main()
