"""Embeddings and pairs opened by path, whoever wrote them."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.checks import check_matrix, check_pairs
from isthmus.store.arrays import ShardedRows
from isthmus.store.entries import refuse_entry_alone, split_entry
from isthmus.store.groups import GROUP, read_groups, read_labels
from isthmus.store.layout import METADATA_FOLDER, folder_of, numbered_shards, open_shards
from isthmus.store.manifest import is_store, read_manifest
from isthmus.store.numpy_files import open_npy, open_npz
from isthmus.store.pairs import Pairs
from isthmus.store.parquet_files import open_parquet
from isthmus.store.store import Store
from isthmus.store.tensor_files import open_safetensors, open_torch

_READERS: dict[str, Callable[[Path, str | None], tuple[np.ndarray, str | None]]] = {
    ".npy": open_npy,
    ".npz": open_npz,
    ".safetensors": open_safetensors,
    ".pt": open_torch,
    ".pth": open_torch,
    ".parquet": open_parquet,
}


def open_embeddings(path: str | os.PathLike[str]) -> np.ndarray | ShardedRows:
    """Open the embeddings in a file or a folder of shards, memory-mapped where the format allows it.

    Parameters
    ----------
    path : str or Path
        "FILE" or "FILE:NAME"; or a folder of numbered .npy shards, such as a
        modality of a store. FILE is one of .npy, .npz, .safetensors, .pt, .pth
        and .parquet. NAME is the array, tensor, dict key or list column to
        take, and may be left out where only one would do; for a .npy file of
        three dimensions it is an index along the first.

    Returns
    -------
    ndarray or ShardedRows, shape (n, dim)
        float16, float32 or float64, as stored; bfloat16 becomes float32.

    Raises
    ------
    FileNotFoundError
        There is no such file or folder.
    ValueError
        The file is corrupt, holds pickled objects, no embeddings or several,
        or has an unknown suffix; a shard is missing or unlike the others.
    ImportError
        The file is a .pt or .pth file, and torch is not installed.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "features.npz"
    >>> np.savez(path, image=np.eye(3), text=np.ones((3, 3)))
    >>> open_embeddings(f"{path}:image").shape
    (3, 3)
    """
    return open_entry(path)[0]


def open_entry(path: str | os.PathLike[str]) -> tuple[np.ndarray | ShardedRows, str | None]:
    """Open embeddings as `open_embeddings` does, and return the name of those that were taken."""
    file, name = split_entry(path)
    if file.is_dir():
        if name is not None:
            raise ValueError(f"{file} is a folder, whose shards have no names, got the name {name!r}")
        return _open_folder(file), None
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        raise ValueError(
            f"{file}: expected one of {', '.join(_READERS)}, or a folder of .npy shards, "
            f"found the suffix {file.suffix!r}"
        )
    if not file.stat().st_size:
        raise ValueError(f"{file} is an empty file: expected embeddings, found 0 bytes")
    rows, name = reader(file, name)
    return check_matrix(rows, os.fspath(path)), name


def open_pairs(
    x: str | os.PathLike[str],
    y: str | os.PathLike[str] | None = None,
    *,
    groups: Any = None,
    labels: str | os.PathLike[str] | None = None,
    modalities: Sequence[str] | None = None,
) -> Pairs:
    """Open the embeddings of two modalities and check that their rows pair up.

    Parameters
    ----------
    x : str or Path
        The first modality, as for `open_embeddings`; or, without `y`, a
        folder with ``img_emb/``, ``text_emb/`` and, optionally, ``metadata/``
        (clip-retrieval's layout) or a store.
    y : str or Path, optional
        The second modality.
    groups : array-like of shape (n,), str or Path, optional
        The item that each row belongs to; or a file of them: .npy, .txt (one
        per line), "FILE.csv:COLUMN", "FILE.jsonl:COLUMN" or
        "FILE.parquet:COLUMN"; or, without `y`, the name of a metadata column.
        By default the groups that a store was embedded with, if it was.
    labels : str or Path, optional
        A text for each row, to show it by: a file or metadata column, as for `groups`.
    modalities : sequence of two str, optional
        Without `y`, which two to open; by default image and text, or those
        that `Store.pairs` takes.

    Returns
    -------
    Pairs
        Every row finite and not zero, at least two pairs.

    Raises
    ------
    FileNotFoundError
        A file is missing.
    ValueError
        A file is bad, or the rows do not pair: naming both files and what each has.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> np.save(folder / "image.npy", np.eye(3))
    >>> np.save(folder / "text.npy", np.eye(3))
    >>> open_pairs(folder / "image.npy", folder / "text.npy", groups=["a", "a", "b"]).groups
    array([0, 0, 1])
    """
    if modalities is not None and (y is not None or len(set(modalities)) != 2 or len(modalities) != 2):
        raise ValueError(f"modalities must be two of one store, got {', '.join(modalities)}")
    if y is None:
        refuse_entry_alone(x)
        pairs = _open_root(Path(x), modalities)
        if groups is None and is_store(Path(x)) and read_manifest(Path(x)).origin is not None:
            groups = GROUP
    else:
        names = (os.fspath(x), os.fspath(y))
        pairs = Pairs(*check_pairs(open_embeddings(x), open_embeddings(y), names), names=names)
    if groups is None and labels is None:
        return pairs
    n, files = len(pairs), _metadata_files(Path(x)) if pairs.metadata else []
    return replace(
        pairs,
        groups=None if groups is None else read_groups(groups, n, metadata=files),
        labels=None if labels is None else read_labels(labels, n, metadata=files),
    )


def _open_folder(folder: Path) -> ShardedRows:
    root = folder.absolute().parent
    if is_store(root):
        store = Store(root, read_manifest(root))
        for modality in store.modalities:
            if folder_of(modality) == folder.absolute().name:
                store.check(modality)
                return store[modality]
    return open_shards(folder)


def _open_root(root: Path, modalities: Sequence[str] | None) -> Pairs:
    wanted = [folder_of(modality) for modality in modalities or ("image", "text")]
    if not root.is_dir():
        raise ValueError(
            f"{root} is one file: give the second modality too, or a folder of {' and '.join(wanted)}"
        )
    if is_store(root):
        store = Store.open(root)
        return store.pair(*modalities) if modalities else store.pairs
    missing = [name for name in wanted if not (root / name).is_dir()]
    if missing:
        held = ", ".join(sorted(path.name for path in root.iterdir())[:10]) or "nothing"
        raise ValueError(f"{root}: expected folders {' and '.join(wanted)}, found {held}")
    names = (str(root / wanted[0]), str(root / wanted[1]))
    pairs = check_pairs(open_shards(root / wanted[0]), open_shards(root / wanted[1]), names)
    metadata = root / METADATA_FOLDER
    return Pairs(*pairs, names=names, metadata=metadata if metadata.is_dir() else None)


def _metadata_files(root: Path) -> list[Path]:
    if is_store(root):
        return Store(root, read_manifest(root)).metadata
    return numbered_shards(root / METADATA_FOLDER, ".parquet")
