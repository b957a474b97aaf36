"""AudioCaps: ten seconds of YouTube's sound, one caption in training and five to test (Kim et al., 2019)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from isthmus.sources.places import existing, folders, tables, title
from isthmus.sources.records import Record, items, merged
from isthmus.sources.source import BadItem, Source
from isthmus.sources.tables import Row, column, read_rows

_SPLITS = ("train", "val", "test")
_SUFFIXES = (".wav", ".flac", ".mp3")


def audiocaps(
    place: str,
    *,
    split: str | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    audio: str | None = None,
) -> Source:
    """Open AudioCaps.

    Parameters
    ----------
    place : str
        The folder of ``train.csv``, ``val.csv`` and ``test.csv``.
    split : {"train", "val", "test"}, optional
        By default, those that are there.
    on_error : {"raise", "skip"}
        What to do at a bad item.
    audio : str, optional
        The folder of sounds; by default ``SPLIT/``, ``audio/SPLIT/``, ``audio/`` and `place`.

    Returns
    -------
    Source
        All rows of one video are one item. Of captions alone, where there is no folder of sounds.
    """
    root = existing(place)
    files = tables(root, "{}.csv", _SPLITS, split)
    where = {part: folders(root, audio, (part, f"audio/{part}", "audio", ".")) for part in files}

    def read() -> Iterator[Record | BadItem]:
        for part, table in files.items():
            yield from merged(_read(table, where[part]))

    name = title("audiocaps", place, split, audio=audio)
    modalities = ("audio", "text") if any(where.values()) else ("text",)
    return Source(name, lambda: items(read()), modalities=modalities, on_error=on_error)


def _read(table: Path, where: list[Path]) -> Iterator[Record | BadItem]:
    held = {path.name: path for folder in reversed(where) for path in folder.iterdir()}  # the first wins
    starts: dict[str, str] = {}
    for row in read_rows(table):
        if isinstance(row, BadItem):
            yield row
            continue
        video, start, number, caption = _cells(row)
        if starts.setdefault(video, start) != start:
            yield BadItem(f"{row.where}: expected {video} from second {starts[video]}, found it from {start}")
            continue
        names = [f"{video}", f"{video}_{start}", f"Y{video}", f"{number}"]
        files = [held[name + suffix] for name in names for suffix in _SUFFIXES if name + suffix in held]
        missing = where[0] / f"{video}.wav" if where else None
        yield Record(row.where, video, [(row.where, caption)], files[0] if files else missing, "audio")


def _cells(row: Row) -> tuple[str, ...]:
    names = ("youtube_id", "start_time", "audiocap_id", "caption")
    return tuple(row.cells[column(row, (name,), "AudioCaps")] for name in names)
