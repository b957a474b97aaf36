"""MSR-VTT: 10,000 clips with twenty captions each, and the 1k-A list to test retrieval (Xu et al., 2016)."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from isthmus.sources.places import contents, existing, folders, media, title
from isthmus.sources.records import Record, items
from isthmus.sources.source import BadItem, Source
from isthmus.sources.tables import column, listed, read_json, read_rows

_SPLITS = {"train": "train", "val": "validate", "test": "test"}  # ours, and what the file says
_FILES = ("MSRVTT_data.json", "train_val_videodatainfo.json", "test_videodatainfo.json")
_LIST = "MSRVTT_JSFUSION_test.csv"


def msrvtt(
    place: str,
    *,
    split: str | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    videos: str | None = None,
) -> Source:
    """Open MSR-VTT.

    Parameters
    ----------
    place : str
        The folder of ``MSRVTT_data.json``, ``train_val_videodatainfo.json``,
        ``test_videodatainfo.json`` or ``MSRVTT_JSFUSION_test.csv``; or one such file.
    split : {"train", "val", "test", "1k-A"}, optional
        "1k-A" is the .csv; the others are of the .json. By default all of the .json, or else the .csv.
    on_error : {"raise", "skip"}
        What to do at a bad item.
    videos : str, optional
        The folder of clips; by default ``videos/``, ``videos/all/``, ``TrainValVideo/`` and ``TestVideo/``.

    Returns
    -------
    Source
        Of captions alone, where there is no folder of clips.
    """
    if split not in (None, "1k-A", *_SPLITS):
        raise ValueError(f"unknown split {split!r}, expected one of {', '.join(_SPLITS)}, 1k-A")
    given = existing(place)
    root = given if given.is_dir() else given.parent
    files = _files(given, split)
    where = folders(root, videos, ("videos/all", "videos", "TrainValVideo", "TestVideo"))

    def read() -> Iterator[Record | BadItem]:
        for file in files:
            yield from _read_list(file, where) if file.suffix == ".csv" else _read_json(file, split, where)

    return Source(
        title("msrvtt", place, split, videos=videos),
        lambda: items(read()),
        modalities=("video", "text") if where else ("text",),
        on_error=on_error,
    )


def _files(given: Path, split: str | None) -> list[Path]:
    if given.is_file():
        if (given.suffix == ".csv") == (split in _SPLITS) and split:
            kind = "a .csv for 1k-A" if split == "1k-A" else f"a .json for {split}"
            raise ValueError(f"{given}: expected {kind}, found the suffix {given.suffix!r}")
        return [given]
    all_in_one, *parts = [given / name for name in _FILES]
    described = [all_in_one] if all_in_one.is_file() else [file for file in parts if file.is_file()]
    listing = [given / _LIST] if (given / _LIST).is_file() else []
    files = {None: described or listing, "1k-A": listing}.get(split, described)
    if not files:
        wanted = _LIST if split == "1k-A" else " or ".join(_FILES)
        raise FileNotFoundError(f"{given}: expected {wanted}, found {contents(given)}")
    return files


def _read_list(path: Path, where: list[Path]) -> Iterator[Record | BadItem]:
    for row in read_rows(path):
        if isinstance(row, BadItem):
            yield row
            continue
        video = row.cells[column(row, ("video_id",), "clips")]
        caption = row.cells[column(row, ("sentence",), "captions")]
        yield Record(row.where, video, [(row.where, caption)], _clip(video, where), "video")


def _read_json(path: Path, split: str | None, where: list[Path]) -> Iterator[Record | BadItem]:
    content = read_json(path)
    captions: dict[Any, list[tuple[str, Any]]] = {}
    for row in listed(path, content, "sentences"):
        if isinstance(row, BadItem):
            yield row
        else:
            said = (row.where, row.cells.get("caption"))
            captions.setdefault(str(row.cells.get("video_id")), []).append(said)
    for row in listed(path, content, "videos"):
        if isinstance(row, BadItem):
            yield row
            continue
        video = row.cells.get("video_id")
        said = captions.pop(str(video), [])
        if split and row.cells.get("split") != _SPLITS[split]:
            continue
        if said:
            yield Record(row.where, video, said, _clip(video, where), "video")
        else:
            yield BadItem(f"{row.where}: expected captions of {video}, found none")
    for video, said in captions.items():
        yield BadItem(f"{said[0][0]}: expected {video} in the list of videos, found none")


def _clip(video: Any, where: list[Path]) -> Path | None:
    names = [f"{video}{suffix}" for suffix in (".mp4", ".avi", ".webm", ".mkv")]
    found = [path for name in names if (path := media(name, where)) and os.path.isfile(path)]
    return found[0] if found else media(names[0], where)
