"""Clotho: sounds of 15 to 30 seconds with five captions each (Drossos et al., ICASSP 2020)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from isthmus.sources.places import existing, folders, media, tables, title
from isthmus.sources.records import Record, items
from isthmus.sources.source import BadItem, Source
from isthmus.sources.tables import column, read_rows

_SPLITS = ("development", "validation", "evaluation")
_CAPTIONS = tuple(f"caption_{number}" for number in range(1, 6))


def clotho(
    place: str,
    *,
    split: str | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    audio: str | None = None,
) -> Source:
    """Open Clotho, in the layout of its version 2.

    Parameters
    ----------
    place : str
        The folder of ``clotho_captions_SPLIT.csv``.
    split : {"development", "validation", "evaluation"}, optional
        By default, those that are there.
    on_error : {"raise", "skip"}
        What to do at a bad item.
    audio : str, optional
        The folder of sounds; by default ``SPLIT/`` or ``clotho_audio_files/SPLIT/``.

    Returns
    -------
    Source
        Of captions alone, where there is no folder of sounds.
    """
    root = existing(place)
    files = tables(root, "clotho_captions_{}.csv", _SPLITS, split)
    where = {part: folders(root, audio, (part, f"clotho_audio_files/{part}")) for part in files}

    def read() -> Iterator[Record | BadItem]:
        for part, table in files.items():
            yield from _read(table, where[part])

    name = title("clotho", place, split, audio=audio)
    modalities = ("audio", "text") if any(where.values()) else ("text",)
    return Source(name, lambda: items(read()), modalities=modalities, on_error=on_error)


def _read(table: Path, where: list[Path]) -> Iterator[Record | BadItem]:
    for row in read_rows(table):
        if isinstance(row, BadItem):
            yield row
            continue
        file = row.cells[column(row, ("file_name",), "files")]
        captions = [
            (f"{row.where}, {name}", row.cells[column(row, (name,), "captions")]) for name in _CAPTIONS
        ]
        yield Record(row.where, file, captions, media(file, where), "audio")
