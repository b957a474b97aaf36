"""Exact RMG's hard part, the mean distance within a modality, beside what else computes it.

python benchmarks/distances.py [N] [--memory N]
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.spatial.distance import pdist
from sklearn.metrics import pairwise_distances_chunked
from threadpoolctl import threadpool_limits

from isthmus.measure import distances_within

DIM = 512
ROWS = 2048


def ours(x):
    return distances_within(x).mean()


def torch_cdist(x):
    import torch

    t = torch.from_numpy(x)
    total = sum(
        float(torch.cdist(t[i : i + ROWS], t, compute_mode="use_mm_for_euclid_dist").sum())
        for i in range(0, len(x), ROWS)
    )
    return total / (len(x) * (len(x) - 1))


def numpy_gemm(x):
    square = np.einsum("nd,nd->n", x, x)
    total = 0.0
    for i in range(0, len(x), ROWS):
        d = x[i : i + ROWS] @ x.T
        d *= -2
        d += square[i : i + ROWS, None]
        d += square
        np.maximum(d, 0, out=d)
        total += float(np.sqrt(d, out=d).sum())
    return total / (len(x) * (len(x) - 1))


def sklearn_chunked(x):
    total = sum(float(d.sum()) for d in pairwise_distances_chunked(x, metric="euclidean", n_jobs=2))
    return total / (len(x) * (len(x) - 1))


def scipy_pdist(x):
    return pdist(x).mean()


def gemm(x):
    """The machine's own float32 product of the same size, in blocks: what no full matrix can beat."""
    for i in range(0, len(x), ROWS):
        x[i : i + ROWS] @ x.T
    return np.nan


def rows(n):
    x = np.random.default_rng(0).normal(size=(n, DIM)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def speed(n):
    import torch

    torch.set_num_threads(2)
    x = rows(n)
    rivals = {f.__name__: f for f in (ours, torch_cdist, numpy_gemm, sklearn_chunked, scipy_pdist, gemm)}
    best, value = dict.fromkeys(rivals, np.inf), {}
    with threadpool_limits(2):
        for turn in range(4):
            for name, function in rivals.items():
                if turn and name == "scipy_pdist":
                    continue
                start = time.perf_counter()
                value[name] = function(x)
                best[name] = min(best[name], time.perf_counter() - start)
    print(f"mean Euclidean distance, n = {n}, dim = {DIM}, 2 threads, best of 4 in turn (pdist: of 1)")
    for name, seconds in best.items():
        error = abs(value[name] / value["scipy_pdist"] - 1)
        print(f"{name:16} {seconds:8.3f} s  {seconds / best['gemm']:6.2f} x float32 GEMM  error {error:.1e}")
    fastest = min(seconds for name, seconds in best.items() if name not in ("ours", "gemm"))
    print(f"ours / fastest other: {best['ours'] / fastest:.2f}")


def memory(n):
    """Peak memory of a process that holds nothing but the input, read from a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.npy"
        np.save(path, rows(n))
        subprocess.run([sys.executable, __file__, "--measure", path], check=True)


def measure(path):
    x = np.load(path)
    distances_within(x[:100])  # libraries are loaded before the count starts
    before, start = resident("VmRSS"), time.perf_counter()
    ours(x)
    seconds = time.perf_counter() - start
    print(f"n = {len(x)}: peak memory above the input {resident('VmHWM') - before:.0f} MiB, {seconds:.0f} s")


def resident(which):
    """Memory of this process in MiB, now (VmRSS) or at most so far (VmHWM); Linux only."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{which}:")[1].split()[0]) / 1024


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("n", nargs="?", type=int, default=20_000)
    parser.add_argument("--memory", type=int)
    parser.add_argument("--measure", type=Path, help="used by --memory")
    options = parser.parse_args()
    if options.measure:
        measure(options.measure)
    elif options.memory:
        memory(options.memory)
    else:
        speed(options.n)
