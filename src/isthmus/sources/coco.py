"""MS-COCO's captions: its own annotation files, and Karpathy's splits of them (Lin et al., 2014)."""

import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal

from isthmus.sources.places import contents, existing, folders, inside, media, title
from isthmus.sources.records import Record, items
from isthmus.sources.source import BadItem, Source
from isthmus.sources.tables import listed, read_json

_PATTERN = re.compile(r"captions_(train|val)(\d{4})\.json")
_KARPATHY = ("train", "restval", "val", "test", "train+restval")


def coco(
    place: str,
    *,
    split: str | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    year: str | None = None,
    images: str | None = None,
    karpathy: str | None = None,
) -> Source:
    """Open MS-COCO's captions, or other data in one of its two formats.

    Parameters
    ----------
    place : str
        The folder of ``annotations/captions_SPLITYEAR.json`` or of
        ``dataset_coco.json``; or one such file.
    split : str, optional
        "train" or "val"; of Karpathy's file also "restval", "test" and "train+restval". By default, all.
    on_error : {"raise", "skip"}
        What to do at a bad item.
    year : str, optional
        "2014" or "2017"; needed where both are there.
    images : str, optional
        The folder of images; by default ``train2014/`` and the like.
    karpathy : str, optional
        Karpathy's file; by default ``dataset_coco.json``, where it is there and no `year` is given.

    Returns
    -------
    Source
        Of captions alone, where there is no folder of images. The file is read
        when the items are first asked for.
    """
    root = existing(place)
    file = root if root.is_file() else None
    if file:
        root = file.parent.parent if file.parent.name == "annotations" else file.parent
    name = title("coco", place, split, year=year, images=images, karpathy=karpathy)
    splits = inside(root, karpathy) if karpathy else root / "dataset_coco.json"
    if file and file.name.startswith("dataset"):  # as Karpathy's files of COCO and Flickr are named
        splits = file
    if karpathy or splits == file or (not year and not file and splits.is_file()):
        where = folders(root, images, ("images", "."))
        where = where or [root] * any((root / part).is_dir() for part in ("train2014", "val2014"))
        read = _karpathy(splits, split, where)
    else:
        files = [_one(file, split, year)] if file else _files(root, split, year)
        usual = {path: path.stem.removeprefix("captions_") for path in files}
        places = {
            path: folders(root, images, (part, f"images/{part}", "images")) for path, part in usual.items()
        }
        where = [folder for each in places.values() for folder in each]
        read = _annotations(places)
    modalities = ("image", "text") if where else ("text",)
    return Source(name, lambda: items(read()), modalities=modalities, on_error=on_error)


def _one(file: Path, split: str | None, year: str | None) -> Path:
    match = _PATTERN.fullmatch(file.name)
    if (split or year) and not (match and split in (None, match[1]) and year in (None, match[2])):
        wanted = " ".join(filter(None, (split, year)))
        raise ValueError(f"{file}: expected captions of {wanted}, found a file named otherwise")
    return file


def _files(root: Path, split: str | None, year: str | None) -> list[Path]:
    if split not in (None, "train", "val"):
        raise ValueError(
            f"unknown split {split!r}, expected train or val; others are of Karpathy's dataset_coco.json, "
            f"which {root} does not have"
        )
    folder = root / "annotations" if (root / "annotations").is_dir() else root
    found = [(path, match) for path in sorted(folder.iterdir()) if (match := _PATTERN.fullmatch(path.name))]
    found = [(path, match) for path, match in found if split in (None, match[1]) and year in (None, match[2])]
    if not found:
        wanted = f"captions_{split or 'train'}{year or '2017'}.json"
        raise FileNotFoundError(f"{folder}: expected {wanted} or the like, found {contents(folder)}")
    if len(years := sorted({match[2] for _, match in found})) > 1:
        raise ValueError(
            f"{folder} has captions of {' and '.join(years)}: choose one, as in year={years[-1]}"
        )
    return [path for path, _ in found]


def _annotations(places: dict[Path, list[Path]]) -> Callable[[], Iterator[Record | BadItem]]:
    content = cache(read_json)

    def read() -> Iterator[Record | BadItem]:
        for path, where in places.items():
            captions: dict[Any, list[tuple[str, Any]]] = {}
            for row in listed(path, content(path), "annotations"):
                if isinstance(row, BadItem):
                    yield row
                else:
                    said = (row.where, row.cells.get("caption"))
                    captions.setdefault(_id(row.cells.get("image_id")), []).append(said)
            for row in listed(path, content(path), "images"):
                if isinstance(row, BadItem):
                    yield row
                else:
                    said = captions.pop(_id(row.cells.get("id")), [])
                    yield _image(row.where, row.cells.get("id"), row.cells.get("file_name"), said, where)
            for number, said in captions.items():
                yield BadItem(f"{said[0][0]}: expected an image {number} in the list, found none")

    return read


def _karpathy(path: Path, split: str | None, where: list[Path]) -> Callable[[], Iterator[Record | BadItem]]:
    if split not in (None, *_KARPATHY):
        raise ValueError(f"unknown split {split!r} of {path}, expected one of {', '.join(_KARPATHY)}")
    wanted = split.split("+") if split else _KARPATHY
    content = cache(read_json)

    def read() -> Iterator[Record | BadItem]:
        for row in listed(path, content(path), "images"):
            if isinstance(row, BadItem):
                yield row
                continue
            image = row.cells
            if image.get("split") not in wanted:
                continue
            sentences = said if isinstance(said := image.get("sentences"), list) else []
            captions = [
                (f"{row.where}, sentences[{k}]", _raw(sentence)) for k, sentence in enumerate(sentences)
            ]
            file = "/".join(str(image[key]) for key in ("filepath", "filename") if image.get(key))
            yield _image(row.where, image.get("cocoid", image.get("imgid")), file, captions, where)

    return read


def _image(
    where: str, number: Any, file: Any, captions: list[tuple[str, Any]], places: list[Path]
) -> Record | BadItem:
    if not isinstance(file, str) or not file:
        return BadItem(f"{where}: expected the name of an image file, found {file!r}")
    if not captions:
        return BadItem(f"{where}: expected captions of {file}, found none")
    return Record(where, _id(number), captions, media(file, places))


def _id(number: Any) -> Any:
    return str(number) if isinstance(number, int | str) else None


def _raw(sentence: Any) -> Any:
    return sentence.get("raw") if isinstance(sentence, dict) else sentence
