"""One pass over pairs on disk, beside merely reading them and converting them to float32.

python benchmarks/one_pass.py [N]
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from isthmus.measure import GapStatistics

DIM = 512


def write(path, n, seed):
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(n, DIM))
    rng = np.random.default_rng(seed)
    block = rng.normal(size=(20_000, DIM)).astype(np.float16)
    for start in range(0, n, len(block)):
        out[start : start + len(block)] = block[: n - start]
    out.flush()


def read_and_convert(x, y):
    for start in range(0, len(x), 1024):
        for rows in (x, y):
            np.asarray(rows[start : start + 1024], dtype=np.float32)


def main(n):
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{name}.npy" for name in "xy"]
        for seed, path in enumerate(paths):
            write(path, n, seed)
        x, y = (np.load(path, mmap_mode="r") for path in paths)
        best = {"read and convert": np.inf, "GapStatistics": np.inf}
        for _ in range(3):
            for name in best:
                start = time.perf_counter()
                read_and_convert(x, y) if name == "read and convert" else GapStatistics().update(x, y)
                best[name] = min(best[name], time.perf_counter() - start)
        for name, seconds in best.items():
            print(f"{name:18} {seconds:7.2f} s for {n} pairs, dim {DIM}, float16 memmaps")
        print(f"speed relative to reading: {best['read and convert'] / best['GapStatistics']:.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2_000_000)
