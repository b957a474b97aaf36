"""A source embedded into a store: streamed, resumable, and the same bytes however it is run."""

import os
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from isthmus.checks import check_number, row_norms, unit_rows
from isthmus.encoders import Encoder
from isthmus.sources import Item, Source
from isthmus.sources.item import MEDIA
from isthmus.store.forwarding import Forward, forwarding, processors
from isthmus.store.groups import GROUP
from isthmus.store.lock import locked
from isthmus.store.manifest import MANIFEST, Origin, is_store, read_manifest
from isthmus.store.preparation import Recipe, Step, prepared
from isthmus.store.store import EMBEDDING_LOCK, LOCK, Store, claim_folder

_MODALITIES = (*MEDIA, "text")  # in this order in a store
Dtype = Literal["float32", "float16"]
Precision = Literal["float32", "bfloat16", "float16"]
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class EmbeddingOptions:
    """How a source is embedded.

    Examples
    --------
    >>> EmbeddingOptions(batch_size=0)
    Traceback (most recent call last):
    ...
    ValueError: batch_size must be a whole number in [1, inf), got 0
    """

    modalities: tuple[str, ...] | None = None  # by default all that source and encoder share
    raw: bool = False  # rows as the network gives them; by default scaled to unit length
    dtype: Dtype = "float32"  # of the rows on disk
    limit: int | None = None  # items of the source at most
    precision: Precision = "float32"  # that the encoder was opened with; it is noted in the manifest
    batch_size: int = 64  # values that the network embeds at a time
    shard_rows: int = 8192  # rows that are written at a time
    workers: int | None = None  # processes that decode and prepare; 0: this one; by default as many as fit

    def __post_init__(self) -> None:
        """Raise ValueError if a value makes no sense."""
        for name, known in (("dtype", Dtype), ("precision", Precision)):
            if getattr(self, name) not in get_args(known):
                raise ValueError(f"{name} must be one of {get_args(known)}, got {getattr(self, name)!r}")
        check_number(self.batch_size, "batch_size", "[1, inf)", integer=True)
        check_number(self.shard_rows, "shard_rows", "[1, inf)", integer=True)
        if self.limit is not None:
            check_number(self.limit, "limit", "[1, inf)", integer=True)
        if self.workers is not None:
            check_number(self.workers, "workers", "[0, inf)", integer=True)


def embed(
    source: Source,
    encoder: Encoder,
    path: str | os.PathLike[str],
    *,
    options: EmbeddingOptions | None = None,
    progress: Progress | None = None,
) -> Store:
    """Embed a source into a store.

    A row of the store is a caption of an item, beside the item's image (sound,
    video), which is embedded once and stands in a row per caption; without
    text, a row is an item. The columns ``id``, ``group`` and, with text,
    ``caption`` describe the rows. A call that was stopped is taken up by the
    same call after the last shard that it wrote, and ends in the same bytes.

    Parameters
    ----------
    source : Source
        Its items are walked once, in order. What they load is decoded in
        other processes, where it can be pickled: a script that embeds does so
        under ``if __name__ == "__main__":``, or with 0 workers.
    encoder : Encoder
        Of `isthmus.encoders.open_encoder`, say.
    path : str or Path
        Folder of the store: new, empty, or begun by the same call.
    options : EmbeddingOptions, optional
        Which modalities, and how.
    progress : callable, optional
        Called with items done, and items in all or None. A store that is
        complete makes no call.

    Returns
    -------
    Store
        Complete. Its ``origin`` counts items, those skipped, and texts that were cut.

    Raises
    ------
    ValueError
        An item cannot be embedded and the source does not skip such; there is
        none; source and encoder share no modality; or the folder holds
        something else: naming what is there, and what was asked for.
    ImportError
        Decoding needs an extra: naming it.
    TimeoutError
        Another process is embedding into the folder.

    Examples
    --------
    >>> import tempfile
    >>> from isthmus.encoders import Encoder
    >>> class Lengths(Encoder):
    ...     name, revision, modalities, dim = "lengths", "1", ("text",), 2
    ...     preparation = staticmethod(lambda text, modality: text)
    ...     def forward(self, texts, modality):
    ...         return np.array([[len(text), text.count(" ")] for text in texts], np.float32)
    >>> items = [Item("a", "a", ("a dog", "dog"))]
    >>> source = Source("mine", lambda: iter(items), modalities=("text",))
    >>> store = embed(source, Lengths(), tempfile.mkdtemp(), options=EmbeddingOptions(workers=0, raw=True))
    >>> store["text"][:]
    array([[5., 1.],
           [3., 0.]], dtype=float32)
    """
    options = options or EmbeddingOptions()
    modalities = _chosen(source, encoder, options.modalities)
    origin = Origin(
        source.name,
        options.limit,
        "raw" if options.raw else "unit",
        options.dtype,
        options.precision,
        options.batch_size,
        options.shard_rows,
    )
    encoders = {name: {"encoder": encoder.name, "revision": encoder.revision} for name in modalities}
    root = Path(path)
    if not is_store(root):
        claim_folder(root)
    with _only_one(root):
        if _is_hollow(root):
            (root / MANIFEST).unlink()
        if is_store(root):
            store = Store.open(root, verify=False)
            _check_same(store, encoders, origin)
        else:
            store = Store.create(root, encoders, origin=origin)
        if not _origin(store).complete:
            _Embedding(source, encoder, store, options).run(progress or (lambda done, total: None))
    return store


class _Embedding:
    """A source on its way into a store."""

    def __init__(self, source: Source, encoder: Encoder, store: Store, options: EmbeddingOptions) -> None:
        self.source, self.encoder, self.store, self.options = source, encoder, store, options
        self.origin = _origin(store)  # with what is on disk, and what was skipped since

    def run(self, progress: Progress) -> None:
        recipe = Recipe(self.encoder.preparation, self.store.modalities, self.encoder.reads)
        workers = processors() if self.options.workers is None else self.options.workers
        total = _length(self.source, self.options.limit)
        done = self.origin.walked
        progress(done, total)
        walk = prepared(self._steps(done), recipe, workers=workers, ahead=2 * self.options.batch_size)
        with closing(walk), forwarding(self.encoder) as forward:
            self.shard = _Shard(self.encoder, forward, self.store.modalities, self.options)
            for step, values in walk:
                if not isinstance(values, str) and not self.shard.fits(values):
                    self._write(step.number)  # all before this step, and of it not even the messages
                self.origin = self.origin.skip(step.messages)
                if isinstance(values, str):
                    self._reject(values)
                else:
                    self.shard.add(step.item, values)
                done = step.number + 1
                progress(done, total)
            self._write(done)
        self.origin = self.origin.skip(self.trailing)
        if not len(self.store):
            first = f", the first: {self.origin.messages[0]}" if self.origin.messages else ""
            raise ValueError(
                f"{self.source.name}: found nothing to embed: {done} items, "
                f"{self.origin.skipped} skipped{first}"
            )
        self.store.describe(replace(self.origin, complete=True))

    def _steps(self, start: int) -> Iterator[Step]:
        """Yield the items from the one numbered `start`; bad ones at the end are left in `trailing`."""
        self.source.skipped = []
        items = islice(self.source, self.options.limit)
        for number in count():
            seen = len(self.source.skipped)  # beside the source's own there are those of `_reject`
            item = next(items, None)
            messages = self.source.skipped[seen:]
            if item is None:
                self.trailing = messages
                return
            if number >= start:
                yield Step(number, item, messages)

    def _reject(self, message: str) -> None:
        self.source.reject(message)
        self.origin = self.origin.skip([message])

    def _write(self, walked: int) -> None:
        """Add the shard to the store, and begin another."""
        shard = self.shard
        self.shard = shard.next()
        shard.finish()
        good = shard.good_items(self._reject)
        cut = {m: self.origin.truncated.get(m, 0) + shard.truncated(m, good) for m in self.store.modalities}
        self.origin = replace(
            self.origin, walked=walked, items=self.origin.items + int(good.sum()), truncated=cut
        )
        if good.any():
            self.store.append(shard.embeddings(good), shard.metadata(good), origin=self.origin)


class _Shard:
    """Rows of one shard as they are embedded: batches begin anew with it, so that its bytes are its own."""

    def __init__(
        self, encoder: Encoder, forward: Forward, modalities: tuple[str, ...], options: EmbeddingOptions
    ) -> None:
        self.encoder, self.forward, self.modalities, self.options = encoder, forward, modalities, options
        self.names: list[tuple[str, str, tuple[str, ...]]] = []  # id, group and captions of each item
        self.rows = 0
        self._waiting: dict[str, list[Any]] = {modality: [] for modality in modalities}  # prepared
        self._cut: dict[str, list[bool]] = {modality: [] for modality in modalities}
        self._batches: dict[str, list[Future[np.ndarray]]] = {modality: [] for modality in modalities}
        self._embedded: dict[str, np.ndarray] = {}  # by modality, (items or captions, dim)

    def next(self) -> "_Shard":
        """Return an empty one to follow it."""
        return _Shard(self.encoder, self.forward, self.modalities, self.options)

    def fits(self, values: dict[str, list[Any]]) -> bool:
        """Return whether there is room for an item; for the first one, there always is."""
        return not self.rows or self.rows + _rows_of(values) <= self.options.shard_rows

    def add(self, item: Item, values: dict[str, list[Any]]) -> None:
        """Add an item; every batch that it fills is embedded."""
        self.names.append((item.id, item.group, item.captions))
        self.rows += _rows_of(values)
        for modality, waiting in self._waiting.items():
            self._cut[modality] += [self.encoder.is_truncated(v, modality) for v in values[modality]]
            waiting += values[modality]
            while len(waiting) >= self.options.batch_size:
                self._embed_batch(modality)

    def finish(self) -> None:
        """Embed what still waits, and wait for all."""
        for modality, waiting in self._waiting.items():
            if waiting:
                self._embed_batch(modality)
            batches = [batch.result() for batch in self._batches[modality]]
            embedded = np.concatenate(batches or [np.empty((0, self.encoder.dim), np.float32)])
            if not self.options.raw:
                embedded = unit_rows(embedded, np.float32)
            with np.errstate(over="ignore"):  # what is too long for float16 is found to be infinite
                self._embedded[modality] = embedded.astype(self.options.dtype)

    def _embed_batch(self, modality: str) -> None:
        waiting, size = self._waiting[modality], self.options.batch_size
        self._batches[modality].append(self.forward(waiting[:size], modality))
        del waiting[:size]

    def good_items(self, reject: Callable[[str], None]) -> np.ndarray:
        """Return which items have embeddings that can be stored, and give a message for each other one."""
        good = np.ones(len(self.names), dtype=bool)
        for modality, embedded in self._embedded.items():
            norm = row_norms(embedded.astype(np.float64))
            for i in np.unique(self._item_of(modality)[~((norm > 0) & (norm < np.inf))]):
                if good[i]:
                    reject(f"item {self.names[i][0]}: its {modality} embedding is zero or not finite")
                good[i] = False
        return good

    def truncated(self, modality: str, good: np.ndarray) -> int:
        """Return of how many values the encoder cut something off."""
        return int(np.count_nonzero(np.array(self._cut[modality], dtype=bool)[good[self._item_of(modality)]]))

    def embeddings(self, good: np.ndarray) -> dict[str, np.ndarray]:
        """Return the rows, of shape (rows, dim) by modality: an image stands beside each caption."""
        row = self._item_of(self.modalities[-1])
        kept = good[row]  # (rows,)
        return {
            modality: embedded[kept if modality == "text" else row[kept]]
            for modality, embedded in self._embedded.items()
        }

    def metadata(self, good: np.ndarray) -> dict[str, list[str]]:
        """Return what describes the rows."""
        names = [name for name, kept in zip(self.names, good, strict=True) if kept]
        if "text" not in self.modalities:
            return {"id": [i for i, _, _ in names], GROUP: [group for _, group, _ in names]}
        return {
            "id": [i for i, _, captions in names for _ in captions],
            GROUP: [group for _, group, captions in names for _ in captions],
            "caption": [caption for _, _, captions in names for caption in captions],
        }

    def _item_of(self, modality: str) -> np.ndarray:
        """Return the item of each embedded value."""
        each = [len(captions) for _, _, captions in self.names] if modality == "text" else 1
        return np.repeat(np.arange(len(self.names)), each)


def _rows_of(values: dict[str, list[Any]]) -> int:
    return len(values["text"]) if "text" in values else 1


def _length(source: Source, limit: int | None) -> int | None:
    try:
        return len(source) if limit is None else min(limit, len(source))
    except TypeError:
        return None


def _origin(store: Store) -> Origin:
    assert store.origin is not None
    return store.origin


def _chosen(source: Source, encoder: Encoder, asked: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the modalities to embed, in the order of a store."""
    shared = [name for name in _MODALITIES if name in source.modalities and name in encoder.modalities]
    if asked is None:
        asked = tuple(shared)
    has = f"{source.name} has {', '.join(source.modalities)}"
    embeds = f"{encoder.name} embeds {', '.join(encoder.modalities)}"
    for modality in asked:
        if modality not in shared:
            raise ValueError(f"cannot embed {modality!r}: {has}; {embeds}")
    if not asked:
        raise ValueError(f"there is no modality to embed: {has}; {embeds}")
    return tuple(name for name in _MODALITIES if name in asked)


def _is_hollow(root: Path) -> bool:
    """Return whether all that is there is the manifest of a call that failed before it wrote a row."""
    if not is_store(root) or {path.name for path in root.iterdir()} - {MANIFEST, LOCK, EMBEDDING_LOCK}:
        return False
    manifest = read_manifest(root)
    return manifest.origin is not None and not manifest.origin.complete


_SAME = ("source", "limit", "scale", "dtype", "precision", "batch_size", "shard_rows")


def _check_same(store: Store, encoders: dict[str, Any], origin: Origin) -> None:
    """Raise unless the store was begun with the same encoder, source and options."""
    if store.origin is None:
        raise ValueError(f"{store.root} is a store that was not made by embedding: embed into another folder")
    there, asked = (
        {"modalities": ", ".join(by)}
        | {key: next(iter(by.values()))[key] for key in ("encoder", "revision")}
        | {key: getattr(made, key) for key in _SAME}
        for by, made in ((store.encoders, store.origin), (encoders, origin))
    )
    unlike = [key for key in there if there[key] != asked[key]]
    if unlike:
        sides = [", ".join(f"{key} {side[key]}" for key in unlike) for side in (there, asked)]
        raise ValueError(
            f"{store.root} holds {sides[0]}, asked for was {sides[1]}: embed into another folder"
        )


@contextmanager
def _only_one(root: Path) -> Generator[None]:
    """Be the one process that embeds into a folder."""
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(root / EMBEDDING_LOCK, timeout=0))
        except TimeoutError as error:
            raise TimeoutError(f"another process is embedding into {root}") from error
        yield
