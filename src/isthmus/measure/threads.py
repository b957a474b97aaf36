"""One block of work per thread, with the matrix library kept to one thread inside each."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from threadpoolctl import threadpool_limits


def in_threads(function: Callable[[Any], Any], parts: Iterable[Any]) -> Iterator[Any]:
    """Yield `function` of each of `parts`, in their order, computed on all processors.

    Examples
    --------
    >>> list(in_threads(abs, [-2, 1]))
    [2, 1]
    """
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    threads = len(affinity(0)) if affinity else os.cpu_count() or 1
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        yield from pool.map(function, parts)
