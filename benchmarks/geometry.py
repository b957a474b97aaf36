"""The geometry of many pairs on disk: time, and memory above what is mapped of the files.

python benchmarks/geometry.py [N] [--dtype float16]
"""

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

import numpy as np

from isthmus.measure import geometry
from isthmus.theory import sample

DIM = 512
DRAWN = 20_000  # pairs that a file repeats, each time turned by another noise, so that no rows are equal


def write(folder, n, dtype):
    pairs = sample(DRAWN, seed=0)[:2]
    rng = np.random.default_rng(1)
    for name, rows in zip("xy", pairs, strict=True):
        path = Path(folder) / f"{name}.npy"
        out = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=(n, DIM))
        for start in range(0, n, DRAWN):
            part = rows[: n - start] + rng.normal(scale=0.01, size=rows[: n - start].shape)
            out[start : start + DRAWN] = part.astype(dtype)
        out.flush()


def resident(which):
    """Memory of this process in MiB: anonymous (RssAnon), or all of it (VmRSS); Linux only."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{which}:")[1].split()[0]) / 1024


def measure(folder):
    small = np.random.default_rng(0).normal(size=(200, 8)) + 1
    geometry(small, -small + 0.1 * small[::-1], groups_of=10)  # libraries are loaded before the count starts
    x, y = (np.load(Path(folder) / f"{name}.npy", mmap_mode="r") for name in "xy")
    before, peak, done = resident("RssAnon"), [0.0], threading.Event()

    def watch():
        while not done.wait(0.02):
            peak[0] = max(peak[0], resident("RssAnon"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    start, spent = time.perf_counter(), time.process_time()
    found = geometry(x, y)
    seconds, spent = time.perf_counter() - start, time.process_time() - spent
    done.set()
    watcher.join()
    size = (x.nbytes + y.nbytes) / 2**20
    print(f"{len(x)} pairs, dim {DIM}, {x.dtype} memmaps of {size:.0f} MiB")
    print(f"{seconds:.0f} s, {spent:.0f} s of processors")
    print(f"memory above the start: {peak[0] - before:.0f} MiB")
    print(f"peak resident, mapped files included: {getrusage(RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
    print(f"{found.groups} of {found.groups_in_all} groups; gap {found.gap_length_unbiased.value:.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("n", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--dtype", default="float16")
    parser.add_argument("--measure", help="used by itself: the folder of the files")
    options = parser.parse_args()
    if options.measure:
        measure(options.measure)
    else:
        with tempfile.TemporaryDirectory() as folder:
            write(folder, options.n, options.dtype)
            subprocess.run([sys.executable, __file__, "--measure", folder], check=True)
