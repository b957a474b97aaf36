"""Queries over a mixed corpus on disk, by each rule: seconds, and the most memory beside the mapped file.

python benchmarks/mixed_search.py [DOCUMENTS]
"""

import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from isthmus.evaluate.mixed import make_documents
from isthmus.evaluate.mixed.methods import fit_methods
from isthmus.evaluate.mixed.ranking import Search

DIM = 256
QUERIES = 1000


def corpus_on_disk(folder, n):
    """A third images, a third texts, a third both: float16 arrays, memory-mapped."""
    arrays = {}
    rng = np.random.default_rng(0)
    block = rng.normal(size=(20_000, DIM)).astype(np.float16)
    for name in ("image", "text"):
        path = Path(folder) / f"{name}.npy"
        out = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(n, DIM))
        for start in range(0, n, len(block)):
            out[start : start + len(block)] = np.roll(block, start // 20_000, axis=1)[: n - start]
        out.flush()
        arrays[name] = np.load(path, mmap_mode="r")
    kind, row = np.arange(n) % 3, np.arange(n)
    return make_documents(
        arrays["image"],
        arrays["text"],
        image_row=np.where(kind == 1, -1, row),
        text_row=np.where(kind == 0, -1, row),
    )


def own_memory():
    """MiB that are the process's own: mapped pages of files do not count."""
    fields = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in fields if line.startswith("RssAnon")) / 1024


class Peak:
    """The most own memory while something runs."""

    def __enter__(self):
        self.most, self.done = own_memory(), threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def watch(self):
        while not self.done.wait(0.01):
            self.most = max(self.most, own_memory())

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()


def main(n):
    with tempfile.TemporaryDirectory() as folder:
        corpus = corpus_on_disk(folder, n)
        queries = make_documents(text=np.random.default_rng(1).normal(size=(QUERIES, DIM)).astype(np.float32))
        search = Search.of(queries, corpus, k=10, seed=0)
        print(f"{n} documents, {QUERIES} queries, dim {DIM}; own memory before: {own_memory():.0f} MiB")
        for name, ranker in fit_methods(["raw", "zscore", "rrf"], None).items():
            start = time.perf_counter()
            with Peak() as peak:
                ranker.rank(search)
            print(f"{name:7} {time.perf_counter() - start:7.1f} s, at most {peak.most:.0f} MiB of its own")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
