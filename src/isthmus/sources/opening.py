"""Sources opened by name."""

import importlib
import inspect
from collections.abc import Callable
from typing import Literal
from urllib.parse import parse_qsl

from isthmus.sources.source import Source

_KINDS = {
    "folder": "isthmus.sources.folder:folder",
    "coco": "isthmus.sources.coco:coco",
    "cc3m": "isthmus.sources.cc3m:cc3m",
    "dci": "isthmus.sources.dci:dci",
    "clotho": "isthmus.sources.clotho:clotho",
    "audiocaps": "isthmus.sources.audiocaps:audiocaps",
    "msrvtt": "isthmus.sources.msrvtt:msrvtt",
    "world": "isthmus.sources.world:world",
}


def open_source(
    name: str, *, split: str | None = None, on_error: Literal["raise", "skip"] = "raise"
) -> Source:
    """Open a source by name.

    Parameters
    ----------
    name : str
        "KIND:PLACE" or "KIND:PLACE?OPTION=VALUE&OPTION=VALUE", such as
        ``coco:data/coco`` or ``world:2000?seed=3``.
    split : str, optional
        Which part, such as "train", "val" or "test"; may also be given as an option in `name`.
    on_error : {"raise", "skip"}
        What to do at a bad item.

    Returns
    -------
    Source
        Nothing but its list of items has been read.

    Raises
    ------
    ValueError
        The kind, an option or the split is unknown.
    FileNotFoundError
        There is nothing at the place.

    Examples
    --------
    >>> open_source("imagenet:data")
    Traceback (most recent call last):
    ...
    ValueError: unknown source 'imagenet', expected one of folder, coco, cc3m, dci, clotho, audiocaps, \
msrvtt, world
    """
    kind, _, rest = name.partition(":")
    if kind not in _KINDS:
        raise ValueError(f"unknown source {kind!r}, expected one of {', '.join(_KINDS)}")
    place, _, query = rest.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    split = options.pop("split", None) if split is None else split
    module, _, function = _KINDS[kind].partition(":")
    opener: Callable[..., Source] = getattr(importlib.import_module(module), function)
    known = set(inspect.signature(opener).parameters) - {"place", "split", "on_error"}
    if unknown := set(options) - known:
        has = ", ".join(sorted(known)) or "none"
        raise ValueError(f"{name}: unknown option {', '.join(sorted(unknown))}, {kind} has {has}")
    return opener(place, split=split, on_error=on_error, **options)
