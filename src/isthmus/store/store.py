"""isthmus's own embeddings on disk: the clip-retrieval layout, a manifest and hashes."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from isthmus.checks import check_embeddings, check_pairs
from isthmus.store.arrays import ShardedRows
from isthmus.store.entries import is_float
from isthmus.store.layout import METADATA_FOLDER, folder_of, read_shard
from isthmus.store.lock import locked
from isthmus.store.manifest import (
    ENCODER_KEYS,
    Manifest,
    Modality,
    Origin,
    check_modality_names,
    read_manifest,
)
from isthmus.store.pairs import Pairs
from isthmus.store.shard import check_shard, write_rows, write_table

LOCK = ".lock"
EMBEDDING_LOCK = ".embedding.lock"  # held by who embeds into the store, all the while
_LOCK_SECONDS = 60.0


class Store:
    """Embeddings of several modalities on disk, row by row, that grow by appending.

    The folder is in clip-retrieval's layout (``img_emb/img_emb_0.npy``, ...,
    ``metadata/metadata_0.parquet``) with a ``manifest.json`` that names every
    shard, its rows and its SHA-256. Make one with `Store.create` or
    `Store.open`.

    Attributes
    ----------
    root : Path
        The folder.

    Examples
    --------
    >>> import tempfile
    >>> root = Path(tempfile.mkdtemp()) / "flickr"
    >>> store = Store.create(root, {"image": {"encoder": "ViT-B-32"}, "text": {"encoder": "ViT-B-32"}})
    >>> store.append({"image": np.eye(3), "text": np.eye(3)}, {"image_id": ["dog", "dog", "cat"]})
    >>> Store.open(root)["image"]
    ShardedRows(shape=(3, 3), dtype=float64, shards=1)
    """

    def __init__(self, root: Path, manifest: Manifest) -> None:
        self.root = root
        self._manifest = manifest

    @classmethod
    def create(
        cls,
        root: str | os.PathLike[str],
        encoders: Mapping[str, Mapping[str, str]],
        *,
        origin: Origin | None = None,
    ) -> Self:
        """Make an empty store.

        Parameters
        ----------
        root : str or Path
            The folder, which must be new or empty.
        encoders : mapping of str to mapping
            Per modality, what embedded it: ``{"image": {"encoder": "ViT-B-32",
            "revision": "..."}}``, the revision optional.
        origin : Origin, optional
            What it will be embedded from; `isthmus.store.embed` gives it.

        Returns
        -------
        Store
            Without rows.

        Raises
        ------
        ValueError
            The folder holds something, or `encoders` is not as described.

        Examples
        --------
        >>> import tempfile
        >>> Store.create(tempfile.mkdtemp(), {"image": {"encoder": "ViT-B-32"}}).modalities
        ('image',)
        """
        root = Path(root)
        for modality, entry in encoders.items():
            if "encoder" not in entry or not set(entry) <= set(ENCODER_KEYS):
                raise ValueError(
                    f"encoders[{modality!r}]: expected the keys 'encoder' and, optionally, 'revision', "
                    f"found {sorted(entry)}"
                )
        check_modality_names(encoders, "encoders")
        claim_folder(root)
        with locked(root / LOCK, timeout=_LOCK_SECONDS):
            claim_folder(root)  # another process may have been first
            manifest = Manifest(
                {name: Modality(entry["encoder"], entry.get("revision")) for name, entry in encoders.items()},
                origin=origin,
            )
            manifest.write(root)
        return cls(root, manifest)

    @classmethod
    def open(cls, root: str | os.PathLike[str], *, verify: bool = True) -> Self:
        """Open a store and check its files.

        Parameters
        ----------
        root : str or Path
            The folder.
        verify : bool, default=True
            Read every file and compare its SHA-256. Without, each shard's
            existence, row count, dim and dtype are checked all the same.

        Returns
        -------
        Store
            With the rows that the manifest names; other files are ignored.

        Raises
        ------
        FileNotFoundError
            There is no manifest.
        ValueError
            The manifest is bad, or a shard is not what it says.

        Examples
        --------
        >>> Store.open("nowhere")
        Traceback (most recent call last):
        ...
        FileNotFoundError: nowhere is not a store: no nowhere/manifest.json
        """
        root = Path(root)
        store = cls(root, read_manifest(root))
        for modality in store.modalities:
            store.check(modality, verify=verify)
        for shard in store._manifest.metadata:
            check_shard(root, shard, verify=verify)
        return store

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in order."""
        return tuple(self._manifest.modalities)

    @property
    def encoders(self) -> dict[str, dict[str, Any]]:
        """What embedded each modality, as given to `create`."""
        return {
            name: {key: asdict(entry)[key] for key in ENCODER_KEYS}
            for name, entry in self._manifest.modalities.items()
        }

    @property
    def metadata(self) -> list[Path]:
        """The parquet files that describe the rows, in order; empty if there are none."""
        return [self.root / shard.file for shard in self._manifest.metadata]

    @property
    def origin(self) -> Origin | None:
        """What the store was embedded from, and how far that has got; None if it was made by hand."""
        return self._manifest.origin

    @property
    def pairs(self) -> Pairs:
        """The first modality and text, or the first two where there is no text, every row checked.

        Raises
        ------
        ValueError
            There are fewer than two, or their rows do not pair.
        """
        if len(self.modalities) < 2:
            raise ValueError(f"{self.root}: expected two modalities, found {', '.join(self.modalities)}")
        first, *others = sorted(self.modalities, key="text".__eq__)  # text last, the others in their order
        return self.pair(first, "text" if "text" in others else others[0])

    def pair(self, first: str, second: str) -> Pairs:
        """Return any two modalities, every row checked.

        Raises
        ------
        ValueError
            There is no such modality, or their rows do not pair.
        """
        names = (str(self.root / folder_of(first)), str(self.root / folder_of(second)))
        x, y = check_pairs(self[first], self[second], names)
        return Pairs(x, y, names=names, metadata=self.root / METADATA_FOLDER if self.metadata else None)

    def __len__(self) -> int:
        """Return how many rows each modality has."""
        return next(iter(self._manifest.modalities.values())).count

    def __getitem__(self, modality: str) -> ShardedRows:
        """Return the embeddings of `modality`, of shape (n, dim), mapped.

        Raises
        ------
        ValueError
            There is no such modality, or it has no rows yet.
        """
        if modality not in self.modalities:
            raise ValueError(f"{self.root} has no modality {modality!r}, it has {', '.join(self.modalities)}")
        paths = [self.root / shard.file for shard in self._manifest.modalities[modality].shards]
        if not paths:
            raise ValueError(f"{self.root}: {modality} has no rows yet")
        return ShardedRows([read_shard(path) for path in paths], [str(path) for path in paths])

    def check(self, modality: str, *, verify: bool = True) -> None:
        """Compare the shards of `modality` with the manifest, and with `verify` their hashes.

        Raises
        ------
        ValueError
            Naming the shard, what the manifest says and what the file holds.
        """
        entry = self._manifest.modalities[modality]
        for shard in entry.shards:
            check_shard(self.root, shard, verify=verify)  # first: it says best what befell a damaged file
            path = self.root / shard.file
            file = read_shard(path)
            if (*file.shape, str(file.dtype)) != (shard.count, entry.dim, entry.dtype):
                raise ValueError(
                    f"{path}: the manifest says shape ({shard.count}, {entry.dim}) and dtype {entry.dtype}, "
                    f"found {file.shape} and {file.dtype}"
                )

    def append(
        self,
        embeddings: Mapping[str, Any],
        metadata: Mapping[str, Sequence[Any]] | None = None,
        *,
        origin: Origin | None = None,
    ) -> None:
        """Add rows: one new shard per modality.

        All is checked first; a crash at any point leaves the store as it was,
        and processes that append at once wait for each other.

        Parameters
        ----------
        embeddings : mapping of str to array-like of shape (m, dim)
            The rows of every modality of the store, no zero or non-finite row
            among them. Dim and dtype are those of the rows already there.
        metadata : mapping of str to sequence of length m, optional
            Columns that describe the rows; the first append decides which.
        origin : Origin, optional
            Takes the place of the store's, in the same step.

        Raises
        ------
        ValueError
            Naming what does not fit, both sides; nothing is written.
        TimeoutError
            Another process held the lock file for a minute.

        Examples
        --------
        >>> import tempfile
        >>> store = Store.create(tempfile.mkdtemp(), {"image": {"encoder": "ViT-B-32"}})
        >>> store.append({"image": [[1.0, 0.0], [0.0, 0.0]]})
        Traceback (most recent call last):
        ...
        ValueError: embeddings['image'] has 1 zero row, the first is row 1
        """
        rows = _check_rows_of(embeddings, self.modalities)
        count = len(next(iter(rows.values())))
        table = _check_table(metadata, count)
        with locked(self.root / LOCK, timeout=_LOCK_SECONDS):
            manifest = read_manifest(self.root)
            number = len(next(iter(manifest.modalities.values())).shards)
            for modality, array in rows.items():
                _check_like(array, manifest.modalities[modality], name=f"embeddings[{modality!r}]")
            _check_columns(table, manifest, root=self.root)
            entries = {}
            for modality, entry in manifest.modalities.items():
                folder, array = folder_of(modality), rows[modality]
                shard = write_rows(self.root, f"{folder}/{folder}_{number}.npy", array=array)
                entries[modality] = replace(
                    entry,
                    dim=array.shape[1],
                    dtype=str(array.dtype),
                    count=entry.count + count,
                    shards=[*entry.shards, shard],
                )
            described = list(manifest.metadata)
            if table is not None:
                name = f"{METADATA_FOLDER}/{METADATA_FOLDER}_{number}.parquet"
                described.append(write_table(self.root, name, table=table))
            self._write(Manifest(entries, described, origin or manifest.origin))

    def describe(self, origin: Origin) -> None:
        """Replace what the store was embedded from, and how far that has got."""
        with locked(self.root / LOCK, timeout=_LOCK_SECONDS):
            self._write(replace(read_manifest(self.root), origin=origin))

    def _write(self, manifest: Manifest) -> None:
        manifest.write(self.root)
        self._manifest = manifest


def claim_folder(root: Path) -> None:
    """Make the folder of a new store, which may be there if it is empty.

    Raises
    ------
    ValueError
        It is a file, or holds something.
    """
    if root.exists() and not root.is_dir():
        raise ValueError(f"{root} is a file, expected a new or empty folder")
    root.mkdir(parents=True, exist_ok=True)
    held = sorted(path.name for path in root.iterdir() if path.name not in (LOCK, EMBEDDING_LOCK))
    if held:
        raise ValueError(f"{root}: expected a new or empty folder, found {', '.join(held[:10])}")


def _check_rows_of(embeddings: Mapping[str, Any], modalities: Sequence[str]) -> dict[str, Any]:
    if set(embeddings) != set(modalities):
        raise ValueError(
            f"embeddings: expected the modalities {', '.join(modalities)}, "
            f"found {', '.join(embeddings) or 'none'}"
        )
    rows = {}
    for modality in modalities:
        name = f"embeddings[{modality!r}]"
        array = check_embeddings(embeddings[modality], name)
        if not is_float(array.dtype):
            raise ValueError(f"{name} must hold float16, float32 or float64, got dtype {array.dtype}")
        rows[modality] = array if array.dtype.isnative else np.asarray(array, array.dtype.newbyteorder("="))
    first = modalities[0]
    for modality, array in rows.items():
        if len(array) != len(rows[first]):
            raise ValueError(
                f"embeddings must pair row by row: {first} has {len(rows[first])} rows, "
                f"{modality} has {len(array)}"
            )
    return rows


def _check_like(array: Any, entry: Modality, *, name: str) -> None:
    if entry.shards and (array.shape[1], str(array.dtype)) != (entry.dim, entry.dtype):
        raise ValueError(
            f"{name} must be like the rows in the store: expected dim {entry.dim} and dtype {entry.dtype}, "
            f"found dim {array.shape[1]} and dtype {array.dtype}"
        )


def _check_table(metadata: Mapping[str, Sequence[Any]] | None, count: int) -> Any:
    import pyarrow as pa

    if metadata is None:
        return None
    if not metadata:
        raise ValueError("metadata: expected at least one column, found none")
    columns = {}
    for name, values in metadata.items():
        try:
            columns[name] = pa.array(values)
        except pa.ArrowException as error:
            raise ValueError(f"metadata[{name!r}] must hold values of one type: {error}") from error
        if len(columns[name]) != count:
            raise ValueError(
                f"metadata[{name!r}] has {len(values)} entries, the embeddings have {count} rows"
            )
    return pa.table(columns)


def _check_columns(table: Any, manifest: Manifest, *, root: Path) -> None:
    import pyarrow.parquet as pq

    if not next(iter(manifest.modalities.values())).shards:
        return
    expected = pq.read_schema(root / manifest.metadata[0].file) if manifest.metadata else None
    found = table.schema if table is not None else None
    if expected != found:
        sides = [
            ", ".join(f"{column.name} ({column.type})" for column in schema) if schema is not None else "none"
            for schema in (expected, found)
        ]
        raise ValueError(f"metadata: expected the columns in the store, {sides[0]}, found {sides[1]}")
