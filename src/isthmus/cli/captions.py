"""Captions in files: items in, embedded as they come or taken from a store, and lines of JSON out."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from isthmus.checks import check_number
from isthmus.decode.data import CaptionData
from isthmus.sources import Item, Source, open_source
from isthmus.store import Store
from isthmus.store.lock import locked
from isthmus.store.manifest import is_store
from isthmus.whole import refuse_existing

if TYPE_CHECKING:
    from isthmus.decode.writer import CaptionWriter

CHUNK = 256  # items that are embedded, written and kept at a time
_FORM = "id, caption, modality, score to 4 digits"  # of a line: what was kept of others is not gone on with
_DIGITS = 4  # of a score: those that do not depend on the size of batches
Rows = tuple[list[str], np.ndarray]  # names of items, and their embeddings (m, dim)
WriteRows = Callable[[np.ndarray, int], list[Any]]  # from embeddings and their chunk's number to `Writing`


@dataclass(frozen=True)
class Choice:
    """Which items of a store or a source are captioned."""

    modality: str
    limit: int | None = None  # items at most, in their order
    split: str | None = None  # of a source
    on_error: Literal["raise", "skip"] = "raise"  # at an item of a source that cannot be read

    def __post_init__(self) -> None:
        """Raise ValueError if a value makes no sense."""
        if self.limit is not None:
            check_number(self.limit, "limit", "[1, inf)", integer=True)


class Items(Protocol):
    """Items that can be captioned."""

    identity: str  # tells them, and their embeddings, from others
    modality: str  # what is captioned
    total: int | None  # how many there are, where that is known
    origin: str | None  # the source that they are of
    encoder: Mapping[str, Any] | None  # name and revision of what embeds texts beside them, where known

    @property
    def skipped(self) -> list[str]:
        """Why items were left out, by the latest walk."""
        ...

    def chunks(self, start: int) -> Iterator[Rows]:
        """Yield names and embeddings from the chunk numbered `start`."""
        ...

    def references(self) -> dict[str, list[str]]:
        """Return the captions of each item by its name."""
        ...


def is_stored(name: str) -> bool:
    """Return whether `name` is a store, or a folder that should be one; else it names a source."""
    return is_store(Path(name)) or Path(name).is_dir()


def modality_of(name: str, asked: str | None, split: str | None = None) -> str:
    """Return the modality to caption: the one asked for, or image, or the first that is not text.

    Raises
    ------
    ValueError
        The store or source has none.
    """
    if asked is not None:
        return asked
    has = (Store.open(name, verify=False) if is_stored(name) else _open(name, split)).modalities
    for modality in sorted(has, key="image".__ne__):
        if modality != "text":
            return modality
    raise ValueError(f"{name} has {', '.join(has)}: expected image, audio or video to be captioned")


def open_items(name: str, choice: Choice, writer: "CaptionWriter | None") -> Items:
    """Return the items of a store or a source; a source needs a writer, by whose encoder it is embedded."""
    if is_stored(name):
        return StoredItems(name, choice, writer)
    return SourceItems(_open(name, choice.split, choice.on_error), choice, writer)


def _open(name: str, split: str | None, on_error: Literal["raise", "skip"] = "raise") -> Source:
    if Path(name).is_file():
        raise ValueError(f"{name} is a file: expected a store, such as `isthmus embed` writes, or a source")
    try:
        return open_source(name, split=split, on_error=on_error)
    except ValueError as error:
        if ":" in name or not str(error).startswith("unknown source"):
            raise
        raise ValueError(f"no such store: {name}; {error}") from None


class StoredItems:
    """The distinct items of a store."""

    encoder: Mapping[str, Any] | None

    def __init__(self, path: str, choice: Choice, writer: "CaptionWriter | None") -> None:
        if choice.split is not None:
            raise ValueError(f"{path} is a store: --split is of sources, it was chosen when it was embedded")
        store = Store.open(path)
        self.data, self.choice, self.modality = CaptionData.from_store(store), choice, choice.modality
        self.origin: str | None = store.origin.source if store.origin is not None else None
        self.data.of(choice.modality)
        if writer is not None:
            _check_encoder(self.data, choice.modality, writer)
        self.skipped: list[str] = []
        self.identity, self.encoder = f"{self.data.identity} {choice}", self.data.encoders.get("text")
        self.total: int | None = len(self.data.ids[: choice.limit])

    def chunks(self, start: int) -> Iterator[Rows]:
        """Yield names and embeddings from the chunk numbered `start`."""
        rows, first = self.data.of(self.choice.modality), self.data.first[: self.choice.limit]
        for at in range(start * CHUNK, len(first), CHUNK):
            part = first[at : at + CHUNK]
            yield self.data.ids[at : at + len(part)], np.asarray(rows[part])

    def references(self) -> dict[str, list[str]]:
        """Return the captions of each item by its name."""
        return dict(islice(self.data.references().items(), self.choice.limit))


class SourceItems:
    """The items of a source, embedded as they come."""

    encoder: Mapping[str, Any] | None
    origin: str | None

    def __init__(self, source: Source, choice: Choice, writer: "CaptionWriter | None") -> None:
        if choice.modality not in source.modalities:
            raise ValueError(f"{source.name} has {', '.join(source.modalities)}, not {choice.modality}")
        self.source, self.choice, self.writer, self.modality = source, choice, writer, choice.modality
        self.identity, self.origin = f"{source.name} {choice}", str(source.name)
        self.encoder = None if writer is None else writer.run.encoders.get("text")
        try:
            self.total: int | None = len(source) if choice.limit is None else min(choice.limit, len(source))
        except TypeError:
            self.total = None

    def chunks(self, start: int) -> Iterator[Rows]:
        """Yield names and embeddings from the chunk numbered `start`."""
        assert self.writer is not None
        modality, encoder = self.choice.modality, self.writer.encoder(self.choice.modality)
        walk = islice(self.source, start * CHUNK, self.choice.limit)
        while items := list(islice(walk, CHUNK)):
            read = [(item.id, found) for item in items if (found := self._load(item)) is not None]
            names = [name for name, _ in read]
            yield names, encoder.encode([found for _, found in read], modality)

    def references(self) -> dict[str, list[str]]:
        """Return the captions of each item by its name."""
        return {item.id: list(item.captions) for item in islice(self.source, self.choice.limit)}

    @property
    def skipped(self) -> list[str]:
        """Why items were left out, by the latest walk."""
        return self.source.skipped

    def _load(self, item: Item) -> Any:
        try:
            return item.load(self.choice.modality)
        except (ValueError, OSError) as error:
            self.source.reject(f"item {item.id}: {error}")
            return None


def _check_encoder(data: CaptionData, modality: str, writer: "CaptionWriter") -> None:
    """Raise unless the rows are of the encoder that the run learned from."""
    here = dict(data.encoders.get(modality, {}))
    there = writer.run.encoders.get(modality) or writer.run.encoders.get("text")
    if here and there and here != there:
        raise ValueError(
            f"{data.name}: {modality} was embedded by {here['encoder']} of revision {here['revision']}, "
            f"{writer.run.folder} learned from {there['encoder']} of revision {there['revision']}"
        )


def write_lines(
    path: Path,
    items: Items,
    write: WriteRows,
    *,
    identity: str,
    progress: Callable[[int, int | None], None] | None = None,
) -> int:
    """Write a line {id, caption, modality, score} per item, and return how many.

    The file is there whole or not at all; what is done of it is kept beside
    it, chunk by chunk, and a call that was stopped is taken up by the same call.

    Parameters
    ----------
    path : Path
        Must not exist.
    items : Items
        What is captioned.
    write : callable
        From embeddings (m, dim) and the number of their chunk to as many `Writing`.
    identity : str
        Tells these captions from others: what is kept of others is thrown away.
    progress : callable, optional
        Called with the lines done, those found from before at first, and the number of items or None.

    Returns
    -------
    int
        Lines.

    Raises
    ------
    FileExistsError
        The file is there.
    TimeoutError
        Another process is writing it.
    ValueError
        No item could be captioned.
    """
    scratch = claim(path)
    with locked(scratch / "lock", timeout=0):
        _start_afresh_unless(scratch, f"{identity} {items.identity} {_FORM}")
        kept = sorted(scratch.glob("*.jsonl"))
        count = sum(part.read_bytes().count(b"\n") for part in kept)
        if progress is not None:
            progress(count, items.total)
        for number, text in enumerate(lines(items, write, start=len(kept)), len(kept)):
            part = scratch / f"{number:09d}.jsonl"
            (scratch / "part").write_text(text, encoding="utf-8")
            os.replace(scratch / "part", part)
            kept.append(part)
            count += text.count("\n")
            if progress is not None:
                progress(count, items.total)
        if count:
            os.replace(_join(kept, scratch / "whole"), path)
        shutil.rmtree(scratch)
    check_any(count, items.skipped)
    return count


def check_any(count: int, skipped: list[str]) -> None:
    """Raise ValueError if no captions were written, telling what was skipped."""
    if not count:
        raise ValueError(f"nothing was written: {tell_skipped(skipped) or 'there are no items'}")


def tell_skipped(skipped: list[str]) -> str:
    """Return how many items were skipped and why the first was; nothing if none were."""
    if not skipped:
        return ""
    return (
        f"{len(skipped)} {'item was' if len(skipped) == 1 else 'items were'} skipped, the first: {skipped[0]}"
    )


def lines(items: Items, write: WriteRows, *, start: int = 0) -> Iterator[str]:
    """Yield for each chunk of items, from the one numbered `start`, its lines of JSON."""
    for number, (names, rows) in enumerate(items.chunks(start), start):
        told = []
        for name, writing in zip(names, write(rows, number) if names else [], strict=True):
            line = {"id": name, "caption": writing.text, "modality": items.modality}
            line["score"] = round(writing.score, _DIGITS)
            told.append(json.dumps(line, ensure_ascii=False) + "\n")
        yield "".join(told)


class Captions(dict[str, str]):
    """Captions by the name of their item."""

    modality: str | None = None  # of the items, where that is known


def read_captions(path: Path) -> Captions:
    """Return the captions in a file of JSON lines, by the name of their item.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        There is no line, or one is no object with a text `id` and `caption`, names an item again, or is of
        another modality than the lines before it.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    if not path.stat().st_size:
        raise ValueError(f"{path} holds no captions")
    found = Captions()
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be UTF-8, byte {error.start} is not: {error.reason}") from error
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
        try:
            entry = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}, line {number}, is not JSON: {error}") from error
        name, caption = _entry(entry, f"{path}, line {number}")
        if name in found:
            raise ValueError(f"{path}, line {number}: item {name} has a caption already")
        modality = entry.get("modality", found.modality)
        if found and modality != found.modality:
            was = found.modality or "no modality"
            raise ValueError(f"{path}, line {number}: expected {was} as before, found {modality}")
        found[name], found.modality = caption, modality
    return found


def claim(path: Path) -> Path:
    """Return the folder beside `path` that keeps what is done of it, made or taken up.

    Raises
    ------
    FileExistsError
        `path` is there, or where the folder would be there is something else.
    FileNotFoundError
        The folder of `path` is not there.
    """
    refuse_existing(path)
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"no such folder: {path.absolute().parent}")
    scratch = path.with_name(path.name + ".partial")
    if scratch.exists() and not (scratch.is_dir() and ((scratch / "lock").is_file() or _is_empty(scratch))):
        raise FileExistsError(f"{scratch} is there and not isthmus's: remove it, or write elsewhere")
    scratch.mkdir(exist_ok=True)
    (scratch / "lock").touch()
    return scratch


def _join(parts: list[Path], whole: Path) -> Path:
    with whole.open("wb") as file:
        for part in parts:
            file.write(part.read_bytes())
    return whole


def _is_empty(folder: Path) -> bool:
    return not any(folder.iterdir())


def _start_afresh_unless(scratch: Path, identity: str) -> None:
    told, mine = scratch / "identity", hashlib.sha256(identity.encode()).hexdigest()
    if told.is_file() and told.read_text(encoding="ascii") == mine:
        return
    for part in scratch.glob("*.jsonl"):
        part.unlink()
    (scratch / "part").write_text(mine, encoding="ascii")
    os.replace(scratch / "part", told)


def _entry(entry: Any, where: str) -> tuple[str, str]:
    if not isinstance(entry, Mapping) or not {"id", "caption"} <= set(entry):
        raise ValueError(f"{where}: expected an object with id and caption, found {str(entry)[:80]}")
    if not isinstance(entry["id"], str) or not isinstance(entry["caption"], str):
        raise ValueError(f"{where}: expected id and caption as text, found {str(dict(entry))[:80]}")
    return entry["id"], entry["caption"]
