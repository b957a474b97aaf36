"""What readers find in files, made into items: the one place where items are checked."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isthmus.sources.item import Item
from isthmus.sources.source import BadItem


@dataclass
class Record:
    """One thing as a file describes it, not yet checked."""

    where: str  # file and row
    id: Any
    captions: list[tuple[str, Any]] = field(default_factory=list)  # of each, where it is and what it says
    media: Path | Callable[[], Any] | None = None
    modality: str = "image"  # of the media


def items(records: Iterable[Record | BadItem]) -> Iterator[Item | BadItem]:
    """Yield an item for each record, or what is wrong with it."""
    seen: set[str] = set()
    for record in records:
        if isinstance(record, BadItem):
            yield record
        elif problem := _problem(record, seen):
            yield BadItem(problem)
        else:
            captions = tuple(text.strip() for _, text in record.captions)
            media = {} if record.media is None else {record.modality: record.media}
            yield Item(record.id, record.id, captions, **media)
        if isinstance(record, Record) and isinstance(record.id, str):
            seen.add(record.id)


def merged(records: Iterable[Record | BadItem]) -> Iterator[Record | BadItem]:
    """Yield one record per id with all its captions, in the order of the ids' first rows.

    All are read before the first is yielded: rows of one id may stand anywhere.
    """
    first: dict[str, Record] = {}
    for record in records:
        if isinstance(record, BadItem) or not isinstance(record.id, str):
            yield record
        elif record.id in first:
            first[record.id].captions += record.captions
        else:
            first[record.id] = record
    yield from first.values()


def _problem(record: Record, seen: set[str]) -> str:
    if not isinstance(record.id, str) or not record.id.strip():
        return f"{record.where}: expected the name of an item, found {record.id!r}"
    if record.id in seen:
        return f"{record.where}: expected every item once, found {record.id} again"
    for where, text in record.captions:
        if not isinstance(text, str):
            return f"{where}: expected a caption, found {text!r}"
        if not text.strip():
            return f"{where}: expected a caption, found an empty one"
    if isinstance(record.media, Path) and not os.path.isfile(record.media):
        return f"{record.where}: expected the {record.modality} {record.media}, found no such file"
    return ""
