"""A whole folder of embeddings mapped: its modalities, its metadata beside them; stoppable and resumable."""

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.store.layout import METADATA_FOLDER, folder_of, numbered_shards, read_shard
from isthmus.store.lock import locked
from isthmus.store.manifest import Manifest, Modality, is_store, read_manifest
from isthmus.store.shard import Shard
from isthmus.store.store import Store
from isthmus.store.writing import claim, write_mapped
from isthmus.whole import refuse_existing


@dataclass(frozen=True)
class MappedBy:
    """What maps, told in the manifest of what comes out, and known from other mappings by."""

    name: str  # such as "isthmus:shared"
    digest: str  # of its file


def write_mapped_layout(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    maps: Mapping[str, Callable[[np.ndarray], np.ndarray]],
    *,
    mapped_by: MappedBy,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Map modalities of a folder in clip-retrieval's layout, or of a store, into a new folder of the same.

    Shards keep their names and sizes, metadata are copied. A store gives a
    store whose encoders are told apart from those of the rows that were
    mapped. What is there at the end is whole: a run that was killed is taken
    up where it was by calling again.

    Parameters
    ----------
    source : str or Path
        A folder with ``img_emb/``, ``text_emb/`` and the like.
    target : str or Path
        The new folder; must not exist.
    maps : mapping of str to callable
        By modality, from rows (m, dim) to rows (m, dim_out). Other modalities are left out.
    mapped_by : MappedBy
        An unfinished target of another mapping is started afresh.
    progress : callable, optional
        Called with rows done and rows in all.

    Returns
    -------
    int
        Rows written, of all modalities together.

    Raises
    ------
    FileExistsError
        `target` exists, or something that is not isthmus's is where the scratch folder would be.
    ValueError
        `source` is bad, or lacks a modality.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("img_emb", "text_emb"):
    ...     (folder / "a" / name).mkdir(parents=True)
    ...     np.save(folder / "a" / name / f"{name}_0.npy", np.eye(3))
    >>> maps = {"image": lambda rows: 2 * rows, "text": lambda rows: -rows}
    >>> write_mapped_layout(folder / "a", folder / "b", maps, mapped_by=MappedBy("example", "1"))
    6
    >>> np.load(folder / "b" / "text_emb" / "text_emb_0.npy")[0]
    array([-1., -0., -0.])
    """
    root, target = Path(source), Path(target)
    refuse_existing(target)
    if not target.absolute().parent.is_dir():
        raise FileNotFoundError(f"no such folder: {target.absolute().parent}")
    store = Store.open(root) if is_store(root) else None
    shards = {modality: _shards(root, store, modality) for modality in maps}
    total = sum(len(read_shard(path)) for paths in shards.values() for path in paths)
    scratch = target.with_name(target.name + ".partial")
    claim(scratch)
    with locked(scratch / "lock", timeout=0):
        staged = _staged(scratch, f"{mapped_by} {_state_of(shards)}")
        done = 0
        for modality, paths in shards.items():
            for path in paths:
                done += _map_shard(
                    path, staged / path.relative_to(root), maps[modality], mapped_by.digest,
                    lambda n, done=done: progress and progress(done + n, total),
                )  # fmt: skip
        _copy_metadata(root, store, staged)
        if store is not None:
            _manifest(store, shards, mapped_by, staged).write(staged)
        os.replace(staged, target)
        shutil.rmtree(scratch)
    return total


def _shards(root: Path, store: Store | None, modality: str) -> list[Path]:
    if store is not None:
        store[modality]  # says what is there, where this is not
        return [root / shard.file for shard in read_manifest(root).modalities[modality].shards]
    folder = root / folder_of(modality)
    if not folder.is_dir():
        held = ", ".join(sorted(path.name for path in root.iterdir())[:10]) or "nothing"
        raise ValueError(f"{root}: expected a folder {folder.name}, found {held}")
    return numbered_shards(folder, ".npy")


def _staged(scratch: Path, identity: str) -> Path:
    """Return the folder to write in: that of an earlier run of the same identity, or an empty one."""
    label, staged = scratch / "identity.txt", scratch / "folder"
    if not label.exists() or label.read_text(encoding="utf-8") != identity:
        shutil.rmtree(staged, ignore_errors=True)
        label.write_text(identity, encoding="utf-8")
    staged.mkdir(exist_ok=True)
    return staged


def _state_of(shards: Mapping[str, list[Path]]) -> str:
    files = [path for paths in shards.values() for path in paths]
    return " ".join(f"{f.absolute()} {f.stat().st_size} {f.stat().st_mtime_ns}" for f in files)


def _map_shard(path: Path, target: Path, mapping: Any, identity: str, advance: Any) -> int:
    rows = len(read_shard(path))
    target.parent.mkdir(exist_ok=True)
    if not target.exists():
        write_mapped(path, target, mapping, identity=identity, progress=lambda n, of: advance(n))
    advance(rows)
    return rows


def _copy_metadata(root: Path, store: Store | None, staged: Path) -> None:
    folder = root / METADATA_FOLDER
    if store is None and not folder.is_dir():
        return
    for path in store.metadata if store is not None else numbered_shards(folder, ".parquet"):
        (staged / METADATA_FOLDER).mkdir(exist_ok=True)
        shutil.copyfile(path, staged / METADATA_FOLDER / path.name)


def _manifest(store: Store, shards: Mapping[str, list[Path]], by: MappedBy, staged: Path) -> Manifest:
    modalities, of_store = {}, read_manifest(store.root)
    for modality, paths in shards.items():
        entry, written = of_store.modalities[modality], [staged / p.relative_to(store.root) for p in paths]
        first = read_shard(written[0])
        modalities[modality] = Modality(
            encoder=f"{entry.encoder} + {by.name}",
            revision=" + ".join(part for part in (entry.revision, by.digest[:12]) if part),
            dim=first.shape[1],
            dtype=str(first.dtype),
            count=entry.count,
            shards=[
                Shard(shard.file, shard.count, _sha256(path))
                for shard, path in zip(entry.shards, written, strict=True)
            ],
        )
    origin = of_store.origin
    return Manifest(modalities, of_store.metadata, origin and replace(origin, scale="unit"))


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
