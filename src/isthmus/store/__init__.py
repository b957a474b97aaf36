"""Embeddings on disk: memory-mapped arrays and a manifest, and readers of what others write."""

from isthmus.store.arrays import ShardedRows
from isthmus.store.embedding import EmbeddingOptions, embed
from isthmus.store.opening import open_embeddings, open_pairs
from isthmus.store.pairs import Pairs
from isthmus.store.store import Store
from isthmus.store.writing import write_mapped

__all__ = [
    "EmbeddingOptions",
    "Pairs",
    "ShardedRows",
    "Store",
    "embed",
    "open_embeddings",
    "open_pairs",
    "write_mapped",
]
