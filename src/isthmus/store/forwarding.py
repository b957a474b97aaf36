"""Batches embedded: one after the other, or, by a small network, several side by side."""

import os
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import BoundedSemaphore
from typing import Any

import numpy as np

from isthmus.encoders import Encoder

Forward = Callable[[list[Any], str], Future[np.ndarray]]


@contextmanager
def forwarding(encoder: Encoder) -> Generator[Forward]:
    """Give what embeds batches: a small network several of them side by side, a thread each.

    Parameters
    ----------
    encoder : Encoder
        Whose network runs.

    Yields
    ------
    callable
        ``forward(batch, modality)`` returns a future of the embeddings; it waits while many are under way.
    """
    if not encoder.small:
        yield lambda batch, modality: _done(encoder.forward(batch, modality))
        return
    import torch

    before, threads = torch.get_num_threads(), processors()
    free = BoundedSemaphore(2 * threads)

    def forward(batch: list[Any], modality: str) -> Future[np.ndarray]:
        free.acquire()
        future = pool.submit(encoder.forward, batch, modality)
        future.add_done_callback(lambda _: free.release())
        return future

    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield forward
    finally:
        torch.set_num_threads(before)


def _done(value: np.ndarray) -> Future[np.ndarray]:
    future: Future[np.ndarray] = Future()
    future.set_result(value)
    return future


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
