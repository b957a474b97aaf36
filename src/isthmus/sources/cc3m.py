"""Conceptual Captions: Google's lists, and img2dataset's shards of images (Sharma et al., 2018)."""

import json
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from isthmus.sources.decoding import MODALITIES, decode_image
from isthmus.sources.places import contents, existing, folders, media, title
from isthmus.sources.records import Record, items
from isthmus.sources.source import BadItem, Source
from isthmus.sources.tables import read_lines

_LISTS = {"train": "Train", "val": "Validation"}  # how Google's lists begin: Train_GCC-training.tsv
_BLOCK = 512  # bytes: what tar is made of


def cc3m(
    place: str,
    *,
    split: str | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    images: str | None = None,
) -> Source:
    """Open Conceptual Captions, or any other shards of images and captions.

    Parameters
    ----------
    place : str
        A ``.tar`` or ``.tsv`` file; or a folder of such, of which the shards are taken if there are any.
    split : {"train", "val"}, optional
        The shards of the folder of that name in `place`, or Google's list of that name.
    on_error : {"raise", "skip"}
        What to do at a bad item.
    images : str, optional
        The folder of the images that a .tsv names; by default its own.

    Returns
    -------
    Source
        Read from the first to the last byte, one item in memory at a time.
    """
    root = existing(place)
    if split not in (None, *_LISTS):
        raise ValueError(f"unknown split {split!r}, expected one of {', '.join(_LISTS)}")
    if root.is_file() and split:
        raise ValueError(f"{root} is one file and has no splits, got {split!r}")
    files = [root] if root.is_file() else _files(root, split)
    if {file.suffix.lower() for file in files} - {".tar", ".tsv"}:
        raise ValueError(f"{root}: expected a .tar or .tsv file, found the suffix {root.suffix!r}")

    def read() -> Iterator[Record | BadItem]:
        for file in files:
            if file.suffix.lower() == ".tar":
                yield from _read_shard(file)
            else:
                yield from _read_list(file, folders(file.parent, images, (".",)) or [file.parent])

    return Source(title("cc3m", place, split, images=images), lambda: items(read()), on_error=on_error)


def _files(root: Path, split: str | None) -> list[Path]:
    folder = root / split if split and (root / split).is_dir() else root
    shards = sorted(path for path in folder.glob("*.tar") if not path.name.startswith("."))
    if shards and (folder != root or not split):
        return shards
    lists = sorted(
        path for path in root.glob("*.tsv") if path.name.startswith(_LISTS[split] if split else "")
    )
    if not lists:
        wanted = (
            f"a folder {split} of .tar shards or {_LISTS[split]}*.tsv" if split else "shards (.tar) or a .tsv"
        )
        raise FileNotFoundError(f"{root}: expected {wanted}, found {contents(root)}")
    return lists


def _read_list(path: Path, where: list[Path]) -> Iterator[Record | BadItem]:
    for number, line in enumerate(read_lines(path), 1):
        row, cells = f"{path}, row {number}", line.rstrip("\r\n").split("\t")  # Google's lists quote nothing
        if cells == [""] or (number == 1 and cells == ["caption", "url"]):  # img2dataset asks for this header
            continue
        if len(cells) != 2:
            yield BadItem(f"{row}: expected a caption, a TAB and a file, found {len(cells)} cells")
        elif cells[1].startswith(("http://", "https://")):
            yield BadItem(
                f"{row}: expected a file, found {cells[1]}: fetch the images with img2dataset first"
            )
        else:
            yield Record(row, cells[1], [(row, cells[0])], media(cells[1], where))


def _read_shard(path: Path) -> Iterator[Record | BadItem]:
    """As in WebDataset: members of one sample are neighbours and share their name up to its first dot."""
    key, sample = "", {}
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                name = PurePosixPath(member.name)
                if not member.isreg() or member.issparse() or name.name.startswith("."):
                    continue
                stem, _, suffix = name.name.partition(".")
                stem = str(name.parent / stem)
                if sample and (stem != key or f".{suffix.lower()}" in sample):
                    yield _record(path, key, sample)
                    sample = {}
                key, file = stem, tar.extractfile(member)
                sample[f".{suffix.lower()}"] = file.read() if file else b""
            _check_end(tar)
    except (tarfile.TarError, EOFError, OSError) as error:
        yield BadItem(f"{path} is damaged or cut short after {key or 'its beginning'}: {error}")
        return
    if sample:
        yield _record(path, key, sample)


def _check_end(tar: Any) -> None:
    """Raise unless the archive ends as it must: tarfile takes a damaged header for the end."""
    tar.fileobj.seek(tar.offset)
    if (end := tar.fileobj.read(_BLOCK)) != bytes(_BLOCK):
        raise tarfile.ReadError(
            f"expected a header or the end of the archive at byte {tar.offset}, found {len(end)} other bytes"
        )


def _record(path: Path, key: str, sample: dict[str, bytes]) -> Record | BadItem:
    where = f"{path}, {key}"
    image = next((suffix for suffix in sample if MODALITIES.get(suffix) == "image"), None)
    if image is None:
        return BadItem(f"{where}: expected an image, found {', '.join(sample)}")
    try:
        if ".txt" in sample:
            caption = sample[".txt"].decode("utf-8-sig")
        elif ".json" in sample:
            caption = dict(json.loads(sample[".json"])).get("caption")
        else:
            return BadItem(f"{where}: expected a caption in .txt or .json, found {', '.join(sample)}")
    except (ValueError, TypeError, RecursionError) as error:  # also what is no UTF-8
        return BadItem(f"{where}: expected a caption in UTF-8 or JSON, found that it cannot be read: {error}")
    decode = partial(decode_image, sample[image], f"{path}, {key}{image}")
    return Record(where, key, [(where, caption)], decode)
