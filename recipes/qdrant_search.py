"""Images and texts in one Qdrant collection, searched by texts, raw and through an aligner.

    python recipes/qdrant_search.py ALIGNER STORE [--url URL]

Raw, a text finds texts: all of them are nearer to it than any image. Through the aligner both are found. What
is counted is how many of the ten nearest are images and how many texts, of pairs that stand in the store.
Needs `pip install qdrant-client`. Without --url it runs in this process, which is meant for some thousand rows.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from isthmus import load_aligner
from isthmus.store import Store

QUERIES = 100
FOUND = 10

Search = Callable[[np.ndarray], list[list[str]]]


def main() -> None:
    """Fill a collection raw and one aligned, search both, and print what was found."""
    from qdrant_client import QdrantClient

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("aligner", type=Path)
    parser.add_argument("store", type=Path)
    parser.add_argument("--url", help="of a server; by default the collections are in memory")
    arguments = parser.parse_args()
    client = QdrantClient(arguments.url) if arguments.url else QdrantClient(":memory:")
    aligner, pairs = load_aligner(arguments.aligner), Store.open(arguments.store).pairs
    images, texts = np.asarray(pairs.x, np.float32), np.asarray(pairs.y, np.float32)
    print("  ".join(("collection", *(f"{name:>6}" for name in ("images", "texts")))))
    for name, rows in (("raw", (images, texts)), ("aligned", aligner.transform(images, texts))):
        search = filled(client, f"isthmus-{name}", *rows)
        found = [modality for nearest in search(rows[1][:QUERIES]) for modality in nearest]
        print(f"{name:10}  " + "  ".join(f"{found.count(m) / QUERIES:6.1f}" for m in ("image", "text")))


def filled(client: Any, name: str, images: np.ndarray, texts: np.ndarray) -> Search:
    """Put both into a new collection, and return a search for the modalities of what is nearest to each query."""
    from qdrant_client import models

    size = models.VectorParams(size=images.shape[1], distance=models.Distance.COSINE)
    client.create_collection(name, vectors_config=size)
    client.upload_collection(
        name,
        vectors=np.concatenate([images, texts]),
        payload=[{"modality": "image"}] * len(images) + [{"modality": "text"}] * len(texts),
        ids=range(len(images) + len(texts)),
    )

    def search(queries: np.ndarray) -> list[list[str]]:
        found = [client.query_points(name, query=query.tolist(), limit=FOUND).points for query in queries]
        return [[point.payload["modality"] for point in points] for points in found]

    return search


if __name__ == "__main__":
    main()
