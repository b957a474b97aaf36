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


def plain(source, encoder, modality):
    """Embed in one process: prepare a batch, then run the network on it."""
    rows, batch = [], []
    for item in source:
        batch.append(encoder.preparation(item.load(modality), modality))
        if len(batch) == BATCH:
            rows.append(encoder.forward(batch, modality))
            batch = []
    return np.concatenate([*rows, encoder.forward(batch, modality)] if batch else rows)


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    source, encoder = open_source(f"world:{n}?captions=0"), open_encoder("world")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before, {n} items")
    for modality in ("image", "video", "audio"):
        plain(open_source("world:640?captions=0"), encoder, modality)  # warm
        start = time.perf_counter()
        expected = plain(source, encoder, modality)
        base = time.perf_counter() - start
        options = EmbeddingOptions(modalities=(modality,), raw=True, batch_size=BATCH, shard_rows=128 * BATCH)
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            store = embed(source, encoder, folder, options=options)
            seconds = time.perf_counter() - start
            found = store[modality][:]
        off = (
            "the same bytes"
            if np.array_equal(found, expected)
            else f"{np.abs(found - expected).max():.0e} off"
        )
        print(
            f"{modality}: {n / seconds:.0f} items/s, the plain loop {n / base:.0f}: "
            f"{base / seconds:.2f} x, rows {off}"
        )


if __name__ == "__main__":
    main()
