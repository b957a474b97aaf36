"""What mapping one vector and many takes, beside the plain product and the exported ONNX file.

python benchmarks/transform.py [N] [--dim DIM]
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
from threadpoolctl import threadpool_limits

from isthmus.align import SharedSpace
from isthmus.align.export import write_onnx
from isthmus.theory import Geometry, sample

THREADS = 2
BLOCK = 100_000  # rows that ONNX is given at once: it holds several copies of them
TURNS = {1: 2000, 1000: 100, 100_000: 7}


def in_turn(rivals, turns):
    """Return the best time of each, in seconds, measured in turn: a busy machine is busy for all."""
    best = dict.fromkeys(rivals, np.inf)
    for _ in range(turns):
        for name, function in rivals.items():
            start = time.perf_counter()
            function()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def numpy_steps(x, weight, bias):
    """What the .npz file's two lines do: right, and with three more arrays of the size of the input."""
    out = x / np.linalg.norm(x, axis=1, keepdims=True) @ weight + bias
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("n", type=int, nargs="?", default=1_000_000)
    parser.add_argument("--dim", type=int, default=512)
    arguments = parser.parse_args()
    x, y, _ = sample(2000, Geometry(dim=arguments.dim))
    aligner = SharedSpace(noise="separate", shrinkage=0.8, strength=8).fit(x, y)
    weight, bias = (a.astype(np.float32) for a in (aligner.x_matrix_, aligner.x_offset_))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    with tempfile.TemporaryDirectory() as folder:
        write_onnx(aligner, Path(folder) / "x.onnx")
        session = onnxruntime.InferenceSession(
            Path(folder) / "x.onnx", options, providers=["CPUExecutionProvider"]
        )
    print(f"dim = {arguments.dim}, float32, {THREADS} threads, best in turn")
    for n in (1, 1000, arguments.n):
        rows = np.random.default_rng(0).normal(size=(n, arguments.dim)).astype(np.float32)
        rivals = {
            "plain product": lambda rows=rows: rows @ weight,
            "isthmus": lambda rows=rows: aligner.transform(rows),
            "numpy, step by step": lambda rows=rows: numpy_steps(rows, weight, bias),
            "onnxruntime": lambda rows=rows: [
                session.run(None, {"embeddings": rows[start : start + BLOCK]})
                for start in range(0, len(rows), BLOCK)
            ],
        }
        turns = next((turns for size, turns in TURNS.items() if n <= size), 3)
        with threadpool_limits(THREADS):
            best = in_turn(rivals, turns)
        for name, seconds in best.items():
            print(f"n = {n:9,}  {name:20} {seconds * 1e3:12.3f} ms  {seconds / best['plain product']:6.2f} x")


if __name__ == "__main__":
    main()
