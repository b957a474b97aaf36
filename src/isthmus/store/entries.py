"""Entries of a file that holds several: the NAME of FILE:NAME."""

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

EMBEDDINGS = "float16, float32 or float64 of shape (n, dim)"
_LISTED = 20  # names that an error lists at most


def split_entry(spec: str | os.PathLike[str]) -> tuple[Path, str | None]:
    """Return the file and the entry that "FILE" or "FILE:NAME" names; a file of that whole name comes first.

    Raises
    ------
    FileNotFoundError
        There is no such file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile(suffix=".npz") as file:
    ...     split_entry(f"{file.name}:image")[1]
    'image'
    """
    text = os.fspath(spec)
    if os.path.exists(text):
        return Path(text), None
    for i in range(len(text) - 1, 0, -1):
        if text[i] == ":" and os.path.exists(text[:i]):
            return Path(text[:i]), text[i + 1 :]
    raise FileNotFoundError(f"no such file or folder: {text}")


def refuse_entry_alone(spec: str | os.PathLike[str]) -> None:
    """Raise where "FILE:NAME" stands alone though two modalities are wanted, saying which one is missing.

    Parameters
    ----------
    spec : str or Path
        What was given for both.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It names one entry.

    Examples
    --------
    >>> import tempfile
    >>> refuse_entry_alone(tempfile.mkdtemp())
    """
    path, name = split_entry(spec)
    if name is not None:
        raise ValueError(
            f"{os.fspath(spec)} is one modality: expected the second too, such as another entry of {path}, "
            "or a folder of both"
        )


def choose_entry(
    path: Path,
    entries: Mapping[str, str],
    *,
    name: str | None,
    eligible: Collection[str],
    wanted: str,
) -> str:
    """Return the entry called `name`, or the only eligible one if `name` is None.

    Parameters
    ----------
    path : Path
        The file.
    entries : mapping of str to str
        Every entry of the file, with what it holds, in words.
    name : str or None
        The one asked for.
    eligible : collection of str
        The entries that would do.
    wanted : str
        What an eligible entry is, in words.

    Raises
    ------
    ValueError
        There is no such entry, it is not eligible, or not exactly one is.

    Examples
    --------
    >>> choose_entry(Path("a.csv"), {"id": "", "url": ""}, name=None, eligible=["id", "url"], wanted="column")
    Traceback (most recent call last):
    ...
    ValueError: a.csv: expected one column, found 2: id, url; name one, as in a.csv:id
    """
    listing = _listing([f"{key} ({held})" if held else key for key, held in entries.items()])
    if name is not None:
        if name not in entries:
            raise ValueError(f"{path} has no entry {name!r}, it has {listing}")
        if name not in eligible:
            raise ValueError(f"{path}:{name}: expected {wanted}, found {entries[name]}")
        return name
    if not eligible:
        raise ValueError(f"{path}: expected {wanted}, found {listing}")
    if len(eligible) > 1:
        raise ValueError(
            f"{path}: expected one {wanted}, found {len(eligible)}: {_listing(list(eligible))}; "
            f"name one, as in {path}:{next(iter(eligible))}"
        )
    return next(iter(eligible))


def is_float(dtype: Any) -> bool:
    """Return whether `dtype` is float16, float32 or float64, of either byte order."""
    dtype = np.dtype(dtype)
    return dtype.kind == "f" and dtype.itemsize <= 8


def _listing(names: list[str]) -> str:
    more = [f"and {len(names) - _LISTED} more"] if len(names) > _LISTED else []
    return ", ".join(names[:_LISTED] + more) or "nothing"
