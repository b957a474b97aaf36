"""Items decoded and prepared for an encoder: ahead of it, in other processes, in the order they came."""

import multiprocessing
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from isthmus.sources import Item

_CHUNK = 32  # items that a worker is sent at a time
Prepared = dict[str, list[Any]] | str  # per modality, one value or one per caption; or why there is none


class Step(NamedTuple):
    """An item of a source, in its place."""

    number: int
    item: Item
    messages: list[str]  # of the bad items just before it


@dataclass(frozen=True)
class Recipe:
    """What is done with every item; it can be pickled and holds no weights."""

    prepare: Callable[[Any, str], Any]
    modalities: tuple[str, ...]
    reads: str  # "content", or "id": the encoder looks the item up

    def __call__(self, item: Item) -> Prepared:
        """Return the prepared values of an item, or in words why it has none.

        Raises
        ------
        ImportError
            An extra is missing.
        """
        lacking = [modality for modality in self.modalities if modality not in item.modalities]
        if lacking:
            has = ", ".join(item.modalities) or "nothing"
            return f"item {item.id} has no {' and no '.join(lacking)}, it has {has}"
        try:
            return {
                modality: [self.prepare(value, modality) for value in self._values(item, modality)]
                for modality in self.modalities
            }
        except (ValueError, FileNotFoundError) as error:
            named = f"item {item.id}"
            return str(error) if named in str(error) else f"{named}: {error}"

    def _values(self, item: Item, modality: str) -> Iterator[Any]:
        by_id = self.reads == "id"
        if modality == "text":
            for i, caption in enumerate(item.captions):
                yield f"{item.id}#{i}" if by_id else caption
        else:
            yield item.id if by_id else item.load(modality)


def prepared(
    steps: Iterable[Step], recipe: Recipe, *, workers: int, ahead: int
) -> Generator[tuple[Step, Prepared]]:
    """Yield each step with its prepared values, in order.

    Parameters
    ----------
    steps : iterable of Step
        Walked in this process, no further ahead than `ahead` items and a chunk per worker.
    recipe : Recipe
        What is done with an item.
    workers : int
        Processes that do it; 0: this one.
    ahead : int
        Items that may be ready before they are asked for, at least.

    Raises
    ------
    ChildProcessError
        A worker ended: out of memory, or started from a script without a main guard.
    """
    if not workers:
        for step in steps:
            yield step, recipe(step.item)
        return
    chunks = ahead // _CHUNK + 1 + workers
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=_begin, initargs=(recipe,)
    )
    waiting: deque[tuple[tuple[Step, ...], Future[list[Prepared]]]] = deque()
    try:
        steps = iter(steps)
        while chunk := tuple(islice(steps, _CHUNK)):
            waiting.append((chunk, _submit(pool, [step.item for step in chunk], recipe)))
            if len(waiting) > chunks:
                yield from _take(waiting)
        while waiting:
            yield from _take(waiting)
    except BrokenProcessPool as error:
        raise ChildProcessError(
            "a process that prepares items has ended: it ran out of memory, or a script embeds outside of "
            "`if __name__ == '__main__':`; with 0 workers none is started"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _take(waiting: deque) -> Iterator[tuple[Step, Prepared]]:
    steps, values = waiting.popleft()
    yield from zip(steps, values.result(), strict=True)


def _submit(pool: ProcessPoolExecutor, items: list[Item], recipe: Recipe) -> Future[list[Prepared]]:
    try:
        message = pickle.dumps(items)
    except (pickle.PicklingError, AttributeError, TypeError):  # media by a lambda or an open file
        done: Future[list[Prepared]] = Future()
        done.set_result([recipe(item) for item in items])
        return done
    return pool.submit(_prepare, message)


_recipe: Recipe | None = None  # of a worker


def _begin(recipe: Recipe) -> None:
    """Start a worker: one thread, deaf to Ctrl-C, which its parent hears, and not to outlive that."""
    from threadpoolctl import threadpool_limits

    global _recipe
    _recipe = recipe
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threadpool_limits(1)
    if hasattr(os, "nice"):
        os.nice(5)  # what is prepared can wait, the network goes first
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _prepare(message: bytes) -> list[Prepared]:
    assert _recipe is not None
    return [_recipe(item) for item in pickle.loads(message)]  # noqa: S301  from our own parent
