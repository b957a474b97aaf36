"""Folders of numbered shards, as clip-retrieval writes them: img_emb/img_emb_0.npy, img_emb_1.npy, ..."""

import re
from pathlib import Path

from isthmus.store.arrays import ShardedRows
from isthmus.store.entries import EMBEDDINGS, is_float
from isthmus.store.numpy_files import NpyFile, read_npy

METADATA_FOLDER = "metadata"


def folder_of(modality: str) -> str:
    """Return the name of a modality's folder.

    Examples
    --------
    >>> folder_of("image"), folder_of("audio")
    ('img_emb', 'audio_emb')
    """
    return ("img" if modality == "image" else modality) + "_emb"


def numbered_shards(folder: Path, suffix: str) -> list[Path]:
    """Return the files NAME_0, NAME_1, ... of a folder, in the order of their numbers.

    Raises
    ------
    ValueError
        There are none, one is missing, or the files have more than one NAME.
    """
    found: dict[tuple[str, int], Path] = {}
    for path in sorted(folder.glob(f"*{suffix}")):
        match = re.fullmatch(r"(.*?)([0-9]+)", path.name.removesuffix(suffix))
        if path.name.startswith("."):
            continue
        if match is None:
            raise ValueError(
                f"{folder}: expected numbered shards such as {folder.name}_0{suffix}, found {path.name}"
            )
        shard = (match[1], int(match[2]))
        if shard in found:
            raise ValueError(f"{folder} has shard {shard[1]} twice: {found[shard].name} and {path.name}")
        found[shard] = path
    if not found:
        held = ", ".join(sorted(path.name for path in folder.iterdir())[:10]) or "nothing"
        raise ValueError(f"{folder}: expected numbered shards such as {folder.name}_0{suffix}, found {held}")
    names = sorted({name for name, _ in found})
    if len(names) > 1:
        raise ValueError(f"{folder}: expected shards of one name, found {', '.join(f'{n}*' for n in names)}")
    for number in range(len(found)):
        if (names[0], number) not in found:
            raise ValueError(
                f"{folder}: missing shard {names[0]}{number}{suffix}, "
                f"the last there is {max(found.items())[1].name}"
            )
    return [found[key] for key in sorted(found)]


def open_shards(folder: Path) -> ShardedRows:
    """Return the embeddings in a folder of numbered .npy shards.

    Raises
    ------
    ValueError
        A shard is missing or bad, or two differ in dim or dtype.
    """
    paths = numbered_shards(folder, ".npy")
    return ShardedRows([read_shard(path) for path in paths], [str(path) for path in paths])


def read_shard(path: Path) -> NpyFile:
    """Return one shard, of shape (n, dim).

    Raises
    ------
    ValueError
        The file is bad, or does not hold embeddings.
    """
    shard = read_npy(path)
    if len(shard.shape) != 2 or not is_float(shard.dtype):
        raise ValueError(f"{path}: expected {EMBEDDINGS}, found {shard.dtype} of shape {shard.shape}")
    return shard
