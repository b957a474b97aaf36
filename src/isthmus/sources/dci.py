"""Densely Captioned Images: long descriptions of photos, and summaries of them (Urbanek et al., 2024)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from isthmus.sources.places import contents, existing, folders, media, title
from isthmus.sources.records import Record, items
from isthmus.sources.source import BadItem, Source
from isthmus.sources.tables import read_json

_SPLITS = ("train", "valid", "test")
_CAPTIONS = ("summaries", "short", "full")


def dci(
    place: str,
    *,
    split: str | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    captions: str | None = None,
    images: str | None = None,
) -> Source:
    """Open Densely Captioned Images.

    Parameters
    ----------
    place : str
        The folder of ``complete/`` or ``annotations/``, ``splits.json`` and
        ``photos/``; or the one above, that has ``densely_captioned_images/``.
    split : {"train", "valid", "test"}, optional
        By default, every description there is.
    on_error : {"raise", "skip"}
        What to do at a bad item.
    captions : {"summaries", "short", "full"}, optional
        The summaries of the whole image, that fit CLIP's 77 tokens (the
        default); or one sentence by a person; or all that people wrote of the
        image and of its parts, as one caption.
    images : str, optional
        The folder of images; by default ``photos/``.

    Returns
    -------
    Source
        Of captions alone, where there is no folder of images.
    """
    if captions not in (None, *_CAPTIONS):
        raise ValueError(f"unknown captions {captions!r} of DCI, expected one of {', '.join(_CAPTIONS)}")
    root = existing(place)
    if (root / "densely_captioned_images").is_dir():
        root = root / "densely_captioned_images"
    texts = next((root / name for name in ("complete", "annotations") if (root / name).is_dir()), None)
    if texts is None:
        raise FileNotFoundError(f"{root}: expected a folder complete or annotations, found {contents(root)}")
    files = _files(root, texts, split)
    where = folders(root, images, ("photos",))

    def read() -> Iterator[Record | BadItem]:
        for path in files:
            yield _read(path, where, captions or "summaries")

    return Source(
        title("dci", place, split, captions=captions, images=images),
        lambda: items(read()),
        count=len(files),
        modalities=("image", "text") if where else ("text",),
        on_error=on_error,
    )


def _files(root: Path, texts: Path, split: str | None) -> list[Path]:
    if split is None:
        return sorted(texts.glob("*.json"))
    if split not in _SPLITS:
        raise ValueError(f"unknown split {split!r}, expected one of {', '.join(_SPLITS)}")
    splits = read_json(existing(root / "splits.json"))
    names = splits.get(split) if isinstance(splits, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{root / 'splits.json'}: expected a list of files named '{split}', found none")
    return [texts / f"{name.removesuffix('.json')}.json" for name in names]


def _read(path: Path, where: list[Path], kind: str) -> Record | BadItem:
    if not path.is_file():
        return BadItem(f"{path}: expected this description, as splits.json has it, found no such file")
    try:
        entry = read_json(path)
    except ValueError as error:
        return BadItem(str(error))
    if not isinstance(entry, dict) or not isinstance(entry.get("image"), str):
        return BadItem(f"{path}: expected an object with the name of an 'image', found none")
    if kind == "summaries":
        summaries = entry.get("summaries")
        said = summaries.get("base") if isinstance(summaries, dict) else None
        said = [said] if isinstance(said, str) else said
        if not isinstance(said, list) or not said:
            return BadItem(
                f"{path}: expected summaries of the whole image ('base'), found none; see captions=short"
            )
    else:
        said = [entry.get("short_caption") if kind == "short" else _full(entry)]
    captions = [(f"{path}, {kind}[{number}]", text) for number, text in enumerate(said)]
    return Record(str(path), path.stem, captions, media(entry["image"], where))


def _full(entry: dict[str, Any]) -> str | None:
    """What DCI's own code calls the complete description."""
    short, extra, masks = (entry.get(name) for name in ("short_caption", "extra_caption", "mask_data"))
    if not (isinstance(short, str) and isinstance(extra, str) and isinstance(masks, dict)):
        return None
    held = [mask for mask in masks.values() if isinstance(mask, dict)]
    parts = [_part(mask) for mask in held if mask.get("mask_quality") in (0, 1)]  # 2 is a bad mask
    intro = ["The following can also be seen in the image:"] if parts else []
    return "\n".join([short, extra, *intro, *parts])


def _part(mask: dict[str, Any]) -> str:
    return f"{mask.get('label')}" + (f": {mask.get('caption')}" if mask["mask_quality"] == 0 else "")
