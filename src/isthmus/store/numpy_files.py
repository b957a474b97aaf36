"""NumPy's own files: .npy, mapped, and .npz, read. Nothing in them is ever unpickled."""

import math
import os
import tokenize
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from isthmus.store.entries import EMBEDDINGS, choose_entry, is_float

_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,  # an offset before the start of the file
    EOFError,
    NotImplementedError,  # an unknown compression
    RuntimeError,  # a password
    UnicodeDecodeError,
)
# NumPy evaluates the header as a Python literal: damage surfaces as whatever that trips over
_HEADER_ERRORS = (ValueError, SyntaxError, TypeError, MemoryError, RecursionError, tokenize.TokenError)
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


@dataclass(frozen=True)
class NpyFile:
    """An .npy file whose header fits the file's size; mapped only while rows are read.

    A map holds a file descriptor, and a folder can have more shards than a
    process may have descriptors.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int  # bytes before the data
    order: Literal["C", "F"]

    def map(self) -> np.memmap:
        """Return the array, read-only."""
        return np.memmap(self.path, self.dtype, "r", self.offset, self.shape, self.order)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        return np.asarray(self.map()[key])


def read_npy(path: Path) -> NpyFile:
    """Return the .npy file at `path`, its header checked against its size.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is not an .npy file, holds objects or nothing, or is not as long as its header says.
    """
    with open(path, "rb") as stream:
        shape, fortran_order, dtype = _read_header(stream, str(path))
        offset = stream.tell()
        found = os.fstat(stream.fileno()).st_size
    _check_bytes(str(path), (shape, dtype), expected=offset + math.prod(shape) * dtype.itemsize, found=found)
    return NpyFile(path, shape, dtype, offset, "F" if fortran_order else "C")


def open_npy(path: Path, name: str | None) -> tuple[np.ndarray, str | None]:
    """Return the embeddings in an .npy file, mapped; `name` is an index along the first of three axes.

    Raises
    ------
    ValueError
        The file is bad, or does not hold embeddings.
    """
    file = read_npy(path)
    if len(file.shape) == 3 and is_float(file.dtype):
        entries = file.shape[0]
        if name is None:
            raise ValueError(
                f"{path} must have shape (n, dim), got {file.shape}: three dimensions; "
                f"take one of its {entries} entries of shape {file.shape[1:]}, as in {path}:0"
            )
        if not (name.isdecimal() and int(name) < entries):
            raise ValueError(f"{path} has no entry {name!r}, its shape {file.shape} has 0 to {entries - 1}")
        return file.map()[int(name)], name
    if name is not None:
        raise ValueError(f"{path} is one array of shape {file.shape} without names, got the name {name!r}")
    if len(file.shape) != 2 or not is_float(file.dtype):
        raise ValueError(f"{path}: expected {EMBEDDINGS}, found {file.dtype} of shape {file.shape}")
    return file.map(), None


def open_npz(path: Path, name: str | None) -> tuple[np.ndarray, str]:
    """Return the embeddings called `name` in an .npz file, in memory, checksum checked, and their name.

    Raises
    ------
    ValueError
        The file is bad, or has no such embeddings.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            headers = {}
            for key, info in members.items():
                with archive.open(info) as stream:
                    shape, _, dtype = _read_header(stream, f"{path}:{key}", objects=True)
                    size = stream.tell() + math.prod(shape) * dtype.itemsize
                headers[key] = (shape, dtype, size)
            key = choose_entry(
                path,
                {key: f"{dtype} of shape {shape}" for key, (shape, dtype, _) in headers.items()},
                name=name,
                eligible=[
                    k for k, (shape, dtype, _) in headers.items() if len(shape) == 2 and is_float(dtype)
                ],
                wanted=EMBEDDINGS,
            )
            *header, expected = headers[key]
            _check_bytes(f"{path}:{key}", header, expected=expected, found=members[key].file_size)
            with archive.open(members[key]) as stream:
                return np.lib.format.read_array(stream, allow_pickle=False), key
    except _ZIP_ERRORS as error:
        raise ValueError(
            f"{path} is not a readable .npz file, or is corrupt or cut short: {error}"
        ) from error


def _read_header(
    stream: IO[bytes], name: str, *, objects: bool = False
) -> tuple[tuple[int, ...], bool, np.dtype]:
    try:
        version = np.lib.format.read_magic(stream)
        if version not in _HEADERS:
            raise ValueError(f"expected format version 1.0 or 2.0, found {version}")
        shape, fortran_order, dtype = _HEADERS[version](stream)
    except _HEADER_ERRORS as error:
        raise ValueError(
            f"{name} is not a readable .npy file, or is corrupt or cut short "
            f"(pickles are never loaded): {error}"
        ) from error
    if dtype.hasobject and not objects:
        raise ValueError(f"{name} holds Python objects (dtype {dtype}), which are pickled and never loaded")
    if any(size < 0 for size in shape):
        raise ValueError(f"{name} has a corrupt header: its shape is {shape}")
    return shape, fortran_order, dtype


def _check_bytes(name: str, header: Any, *, expected: int, found: int) -> None:
    shape, dtype = header
    if 0 in shape:
        raise ValueError(f"{name} is empty: its shape is {shape}")
    if expected != found:
        state = "cut short" if found < expected else "too long"
        raise ValueError(
            f"{name} is {state}: expected {expected} bytes for shape {shape} and dtype {dtype}, found {found}"
        )
