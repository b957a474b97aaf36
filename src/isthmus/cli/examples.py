"""Captions and pictures of a store's rows, for reports."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

from isthmus.sources import open_source
from isthmus.store import Store
from isthmus.store.groups import read_labels

_SIDE = 96  # pixels of a picture in a report, at most
_ENLARGED = 3  # times, where the picture is smaller than that by far

Pictures = Callable[[Sequence[int]], dict[int, bytes]]


def captions_and_pictures(path: str, n: int) -> tuple[list[str] | None, Pictures | None]:
    """Return the captions of a store's rows, and what draws its pictures from its source.

    Both are None where `path` is no store that `isthmus embed` made, the first
    where it has no texts, the second where it has no images.
    """
    if not (Path(path) / "manifest.json").is_file():
        return None, None
    store = Store.open(path, verify=False)
    if store.origin is None:
        return None, None
    labels = read_labels("caption", n, metadata=store.metadata) if "text" in store.modalities else None
    return labels, _pictures(store, n) if "image" in store.modalities else None


def _pictures(store: Store, n: int) -> Pictures:
    """Return a function from rows to PNG files, which walks through the source once more."""

    def draw(rows: Sequence[int]) -> dict[int, bytes]:
        ids = read_labels("id", n, metadata=store.metadata)
        wanted: dict[str, list[int]] = {}
        for row in rows:
            wanted.setdefault(ids[row], []).append(row)
        drawn: dict[int, bytes] = {}
        assert store.origin is not None
        for item in open_source(store.origin.source, on_error="skip"):
            if item.id in wanted:
                picture = _png(item.load("image"))
                drawn |= dict.fromkeys(wanted.pop(item.id), picture)
            if not wanted:
                break
        return drawn

    return draw


def _png(pixels) -> bytes:
    from PIL import Image

    image = Image.fromarray(pixels)
    if max(image.size) * _ENLARGED <= _SIDE:
        image = image.resize([_ENLARGED * side for side in image.size], Image.Resampling.NEAREST)
    image.thumbnail((_SIDE, _SIDE))
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True)
    return file.getvalue()
