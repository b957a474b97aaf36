"""The manifest of a store: which shards are in it, and what they must hold."""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from isthmus.store.layout import METADATA_FOLDER, folder_of
from isthmus.store.shard import Shard, atomic_write

MANIFEST = "manifest.json"
FORMAT = "isthmus-store"
VERSION = 1
ENCODER_KEYS = ("encoder", "revision")
_MESSAGES = 100  # of skipped items that a manifest keeps


@dataclass(frozen=True)
class Modality:
    """The embeddings of one modality."""

    encoder: str
    revision: str | None = None
    dim: int | None = None  # None until there are rows
    dtype: str | None = None
    count: int = 0
    shards: list[Shard] = field(default_factory=list)


@dataclass(frozen=True)
class Origin:
    """What a store was embedded from, and how far that has got."""

    source: str  # its name: kind, place, split and options
    limit: int | None  # items of the source at most
    scale: str  # "unit", or "raw": as the network gives them
    dtype: str
    precision: str  # of the network's arithmetic
    batch_size: int = 64  # values at a time, and rows per shard: with others the bytes would be others
    shard_rows: int = 8192
    walked: int = 0  # items of the source that have been dealt with, in its order
    items: int = 0  # of them, embedded
    skipped: int = 0  # items that could not be read
    messages: list[str] = field(default_factory=list)  # why, the first of them
    truncated: dict[str, int] = field(default_factory=dict)  # per modality, what the encoder cut
    complete: bool = False

    def skip(self, messages: list[str]) -> Self:
        """Return it with some more items skipped."""
        kept = [*self.messages, *messages][:_MESSAGES]
        return replace(self, skipped=self.skipped + len(messages), messages=kept)


@dataclass(frozen=True)
class Manifest:
    """What a store holds: modalities, each with the same counts per shard, and metadata of the rows."""

    modalities: dict[str, Modality]
    metadata: list[Shard] = field(default_factory=list)  # empty: the store has none
    origin: Origin | None = None  # None: made by hand, append by append

    def write(self, root: Path) -> None:
        """Replace the manifest of the store at `root` in one step."""
        document = {"format": FORMAT, "version": VERSION} | asdict(self)
        if self.origin is None:
            del document["origin"]
        with atomic_write(root / MANIFEST) as file:
            file.write(json.dumps(document, indent=2).encode() + b"\n")


def is_store(root: Path) -> bool:
    """Return whether `root` has the manifest of a store of ours.

    Raises
    ------
    ValueError
        Its manifest.json cannot be read, so nobody can tell.
    """
    path = root / MANIFEST
    if not path.is_file():
        return False
    document = _load(path)
    return isinstance(document, dict) and document.get("format") == FORMAT


def read_manifest(root: Path) -> Manifest:
    """Return the manifest of the store at `root`, checked in itself but not against its files.

    Raises
    ------
    FileNotFoundError
        There is no manifest.
    ValueError
        It is not JSON, of another format or version, or contradicts itself.
    """
    path = root / MANIFEST
    if not path.is_file():
        raise FileNotFoundError(f"{root} is not a store: no {path}")
    document = _load(path)
    found = (document.get("format"), document.get("version")) if isinstance(document, dict) else (None, None)
    if found != (FORMAT, VERSION):
        raise ValueError(
            f"{path}: expected format {FORMAT!r} version {VERSION}, found {found[0]!r} version {found[1]!r}"
        )
    try:
        manifest = Manifest(
            {name: _modality(entry) for name, entry in document["modalities"].items()},
            [Shard(**shard) for shard in document["metadata"]],
            Origin(**document["origin"]) if "origin" in document else None,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not a valid manifest: {type(error).__name__}: {error}") from error
    _check(manifest, path)
    return manifest


def check_modality_names(names: Iterable[str], where: str) -> None:
    """Raise unless `names` are one or more modalities, each with a folder of its own.

    Raises
    ------
    ValueError
        Starting with `where`, and what was found.

    Examples
    --------
    >>> check_modality_names(["image", "img"], "encoders")
    Traceback (most recent call last):
    ...
    ValueError: encoders: expected modalities with a folder each, found img_emb, img_emb
    """
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
            raise ValueError(f"{where}: a modality is named by letters, digits, _ and -, found {name!r}")
    folders = [folder_of(name) for name in names]
    if not folders or len(set(folders)) < len(folders):
        raise ValueError(
            f"{where}: expected modalities with a folder each, found {', '.join(folders) or 'none'}"
        )


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:  # not UTF-8, or not JSON
        raise ValueError(f"{path} is not a readable manifest: {error}") from error


def _modality(entry: dict[str, Any]) -> Modality:
    shards = [Shard(**shard) for shard in entry.pop("shards")]
    return Modality(**entry, shards=shards)


def _check(manifest: Manifest, path: Path) -> None:
    check_modality_names(manifest.modalities, str(path))
    columns = {name: (entry.shards, folder_of(name), "npy") for name, entry in manifest.modalities.items()}
    if manifest.metadata:
        columns[METADATA_FOLDER] = (manifest.metadata, METADATA_FOLDER, "parquet")
    first = next(iter(columns))
    for name, (shards, folder, suffix) in columns.items():
        for i, shard in enumerate(shards):
            expected = f"{folder}/{folder}_{i}.{suffix}"
            if shard.file != expected:  # a path of another's choosing could lead out of the root
                raise ValueError(f"{path}: expected shard {expected!r}, found {shard.file!r}")
            if not isinstance(shard.count, int) or not isinstance(shard.sha256, str):
                raise ValueError(f"{path}: shard {expected} needs a whole count and a sha256, found {shard}")
        counts = [[shard.count for shard in each] for each in (columns[first][0], shards)]
        if counts[0] != counts[1]:
            raise ValueError(
                f"{path}: shards must pair up: {first} has rows {counts[0]}, {name} has rows {counts[1]}"
            )
    origin = manifest.origin
    if origin is not None and not (isinstance(origin.walked, int) and isinstance(origin.complete, bool)):
        raise ValueError(f"{path}: the origin needs a whole walked and a complete, found {origin}")
    for name, entry in manifest.modalities.items():
        total = sum(shard.count for shard in entry.shards)
        if entry.count != total:
            raise ValueError(f"{path}: {name} has count {entry.count}, its shards have {total} rows")
        if entry.shards and not (isinstance(entry.dim, int) and isinstance(entry.dtype, str)):
            raise ValueError(
                f"{path}: {name} needs a dim and a dtype, found {entry.dim!r} and {entry.dtype!r}"
            )
