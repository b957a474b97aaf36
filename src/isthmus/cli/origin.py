"""What is known of embeddings by where they lie: their modality, their encoder, the names of their items."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import isthmus
from isthmus.align.provenance import FittedOn, Provenance, hash_items
from isthmus.checks import blocks
from isthmus.store import Pairs, Store
from isthmus.store.entries import split_entry
from isthmus.store.groups import GROUP, read_labels
from isthmus.store.layout import METADATA_FOLDER, folder_of, numbered_shards
from isthmus.store.manifest import is_store, read_manifest

if TYPE_CHECKING:
    from isthmus.encoders import Encoder


def embedded_by(path: str) -> FittedOn:
    """Return what the manifest of a store says of one of its modalities, given as a folder or a shard.

    Nothing is known of embeddings that have no manifest above them.
    """
    place = split_entry(path)[0].absolute()
    folder = place if place.is_dir() else place.parent
    if is_store(folder.parent):
        for name, entry in read_manifest(folder.parent).modalities.items():
            if folder_of(name) == folder.name:
                return FittedOn(name, entry.encoder, entry.revision)
    return FittedOn()


def encoder_of(store: Store, modality: str, *, why: str, device: str) -> "Encoder":
    """Return the encoder of a store's texts, or where it has none of another modality, opened.

    Raises
    ------
    ValueError
        It cannot be opened, saying `why` it is needed, or is of another revision than the store's.
    """
    from isthmus.encoders import open_encoder

    entry = store.encoders.get("text") or store.encoders[modality]
    try:
        encoder = open_encoder(entry["encoder"], device=device)
    except (ValueError, OSError, ImportError) as error:
        raise ValueError(
            f"{why} the store's encoder, {entry['encoder']}, which cannot be opened: {error}"
        ) from error
    if entry["revision"] not in (None, encoder.revision):
        raise ValueError(
            f"the store was embedded by {entry['encoder']} of revision {entry['revision']}, "
            f"it is {encoder.revision} here"
        )
    return encoder


def provenance_of(pairs: Pairs, x: str, *, groups: str | None, keep_recall: float) -> Provenance:
    """Return what an aligner of these pairs was fitted on; `x` and `groups` are as `open_pairs` took them."""
    named_by, names = item_names(pairs, Path(x), groups)
    return Provenance(
        *(embedded_by(name) for name in pairs.names),
        pairs=len(pairs),
        items=hash_items(names),
        named_by=named_by,
        keep_recall=keep_recall,
        isthmus=isthmus.__version__,
    )


def item_names(pairs: Pairs, root: Path, groups: str | None) -> tuple[str, Any]:
    """Return what names the items, and the names: of rows of x their bytes."""
    metadata = []
    if pairs.metadata is not None:
        is_ours = is_store(root)
        metadata = (
            Store(root, read_manifest(root)).metadata
            if is_ours
            else numbered_shards(root / METADATA_FOLDER, ".parquet")
        )
        if groups is None and is_ours and pairs.groups is not None:
            groups = GROUP
    if groups is None:
        return "row", _row_bytes(pairs.x)
    return "group", read_labels(groups, len(pairs), metadata=metadata)


def _row_bytes(rows: Any) -> Iterator[bytes]:
    for block in blocks(*rows.shape):
        part = np.ascontiguousarray(rows[block])
        yield from (row.tobytes() for row in part.astype(part.dtype.newbyteorder("<"), copy=False))
