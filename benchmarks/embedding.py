"""A source embedded by all cores, beside a plain loop over the same tower: items per second.

python benchmarks/embedding.py [ITEMS]
"""

import os
import sys
import tempfile
import time

import numpy as np

from isthmus.encoders import open_encoder
from isthmus.sources import open_source
from isthmus.store import EmbeddingOptions, embed

BATCH = 64


def plain(source, encoder):
    """Embed in one process: prepare a batch, then run the network on it."""
    rows, batch = [], []
    for item in source:
        batch.append(encoder.preparation(item.load("image"), "image"))
        if len(batch) == BATCH:
            rows.append(encoder.forward(batch, "image"))
            batch = []
    return np.concatenate([*rows, encoder.forward(batch, "image")] if batch else rows)


def parts(source, encoder, n=640):
    """Return seconds per item of preparation and of the network."""
    start = time.perf_counter()
    prepared = [encoder.preparation(i.load("image"), "image") for i, _ in zip(source, range(n), strict=False)]
    middle = time.perf_counter()
    for at in range(0, n, BATCH):
        encoder.forward(prepared[at : at + BATCH], "image")
    return (middle - start) / n, (time.perf_counter() - middle) / n


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    source, encoder = open_source(f"world:{n}?captions=0"), open_encoder("world")
    parts(source, encoder)  # warm
    prepare, network = parts(source, encoder)
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.1f} before; an item takes {1e3 * prepare:.2f} ms to prepare")
    print(f"and {1e3 * network:.2f} ms of network")
    start = time.perf_counter()
    expected = plain(source, encoder)
    base = time.perf_counter() - start
    print(f"{'plain loop':12} {n / base:8.0f} items/s")
    for workers in (0, 1, 2):
        options = EmbeddingOptions(
            modalities=("image",), raw=True, batch_size=BATCH, shard_rows=128 * BATCH, workers=workers
        )
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            store = embed(source, encoder, folder, options=options)
            seconds = time.perf_counter() - start
            same = np.array_equal(store["image"][:], expected)
        name, ratio = f"{workers} workers", base / seconds
        print(f"{name:12} {n / seconds:8.0f} items/s, {ratio:.2f} x the plain loop, same rows: {same}")


if __name__ == "__main__":
    main()
