"""One shard of a store: a file that is written whole, and known by its hash."""

import hashlib
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from isthmus.checks import blocks


@dataclass(frozen=True)
class Shard:
    """One file of a store."""

    file: str  # relative to the root
    count: int  # rows
    sha256: str  # of the whole file


def write_rows(root: Path, name: str, *, array: Any) -> Shard:
    """Write `array`, of shape (n, dim), as the .npy shard `name` of the store at `root`."""
    path = root / name
    path.parent.mkdir(exist_ok=True)
    header = {
        "descr": np.lib.format.dtype_to_descr(array.dtype),
        "fortran_order": False,
        "shape": tuple(array.shape),
    }
    with atomic_write(path) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for rows in blocks(*array.shape):
            file.write(np.ascontiguousarray(array[rows]).data)
    return Shard(name, len(array), _sha256(path))


def write_table(root: Path, name: str, *, table: Any) -> Shard:
    """Write a ``pyarrow.Table`` as the .parquet shard `name` of the store at `root`."""
    import pyarrow.parquet as pq

    path = root / name
    path.parent.mkdir(exist_ok=True)
    with atomic_write(path) as file:
        pq.write_table(table, file)
    return Shard(name, len(table), _sha256(path))


def check_shard(root: Path, shard: Shard, *, verify: bool) -> None:
    """Raise unless the file of `shard` is there, and with `verify` has its hash.

    Raises
    ------
    ValueError
        Naming the file, and both hashes.
    """
    path = root / shard.file
    if not path.is_file():
        raise ValueError(f"missing shard {path}, which the manifest names")
    if verify:
        found = _sha256(path)
        if found != shard.sha256:
            raise ValueError(f"{path} has changed: the manifest says sha256 {shard.sha256}, found {found}")


@contextmanager
def atomic_write(path: Path) -> Generator[BinaryIO]:
    """Open a file that appears at `path` whole, and on disk, or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    if os.name == "posix":  # elsewhere a folder cannot be opened, and need not be
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
