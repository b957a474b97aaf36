"""A source embedded by all cores, beside a plain loop over the same tower: items per second.

python benchmarks/embedding.py [ITEMS]

Both take turns, so that both share what else the machine does; the figures are medians.
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
TURNS = 3


def plain(source, encoder, modality):
    """Embed in one process: prepare a batch, then run the network on it."""
    rows, batch = [], []
    for item in source:
        batch.append(encoder.preparation(item.load(modality), modality))
        if len(batch) == BATCH:
            rows.append(encoder.forward(batch, modality))
            batch = []
    return np.concatenate([*rows, encoder.forward(batch, modality)] if batch else rows)


def timed(function, *arguments):
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def ours(source, encoder, modality):
    """Return the rows of a store."""
    options = EmbeddingOptions(modalities=(modality,), raw=True, batch_size=BATCH, shard_rows=128 * BATCH)
    with tempfile.TemporaryDirectory() as folder:
        return embed(source, encoder, folder, options=options)[modality][:]


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    source, encoder = open_source(f"world:{n}?captions=0"), open_encoder("world")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before, {n} items, {TURNS} turns")
    for modality in ("image", "video", "audio"):
        plain(open_source("world:640?captions=0"), encoder, modality)  # warm
        rates = []
        for _ in range(TURNS):
            base, expected = timed(plain, source, encoder, modality)
            seconds, found = timed(ours, source, encoder, modality)
            off = np.abs(found - expected).max()
            rates.append((n / seconds, n / base, base / seconds))
        rate, base_rate, ratio = np.median(rates, axis=0)
        rows = "the same bytes" if off == 0 else f"{off:.0e} off"
        print(
            f"{modality}: {rate:.0f} items/s, the plain loop {base_rate:.0f}: {ratio:.2f} x, rows {rows}",
            flush=True,
        )


if __name__ == "__main__":
    main()
