"""Fitting SharedSpace, beside the three matrix products that a covariance of pairs needs.

python benchmarks/shared_space.py [N]
"""

import sys
import time

import numpy as np

from isthmus.align import SharedSpace

DIM = 512
ROWS = 8192


def three_products(x, y):
    total = np.zeros((3, DIM, DIM), dtype=x.dtype)
    for start in range(0, len(x), ROWS):
        a, b = x[start : start + ROWS], y[start : start + ROWS]
        total += np.stack([a.T @ a, b.T @ b, a.T @ b])


def general_products(x, y):
    """The same without the symmetry of the first two."""
    for start in range(0, len(x), ROWS):
        a, b = x[start : start + ROWS], y[start : start + ROWS]
        for left, right in ((a, a.copy()), (b, b.copy()), (a, b)):
            left.T @ right


def timed(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main(n):
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((n, DIM), dtype=np.float32) for _ in range(2))
    y += x
    fixed = SharedSpace(noise="common", shrinkage=0.1, strength=1.0)
    base = {
        "three float32 GEMMs": min(timed(lambda: general_products(x, y)) for _ in range(2)),
        "the same by symmetry": min(timed(lambda: three_products(x, y)) for _ in range(2)),
    }
    fits = {
        "SharedSpace, dials given": min(timed(lambda: fixed.fit(x, y)) for _ in range(2)),
        'SharedSpace, "auto"': timed(lambda: SharedSpace().fit(x, y)),
    }
    for name, seconds in (base | fits).items():
        multiple = seconds / base["three float32 GEMMs"]
        print(f"{name:26} {seconds:7.2f} s  {multiple:5.2f} x the three float32 GEMMs, n = {n}, dim {DIM}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
