"""Images and texts in one Qdrant collection, searched by texts, raw and through an aligner.

    python recipes/qdrant_search.py ALIGNER STORE [--url URL]
    python recipes/qdrant_search.py ALIGNER IMAGES TEXTS [--url URL]

What is searched and counted is as in lancedb_search.py beside it: raw, a text finds ten texts and no image;
through the aligner it finds images too, as many as docs/shipping.md says. Search items that the aligner has not
learned from. Needs `pip install qdrant-client`. Without --url it runs in this process, which is meant for some
thousand rows.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from lancedb_search import Search, Table, compare, tables


def main() -> None:
    """Fill a collection raw and one aligned, search both, and print what was found."""
    from qdrant_client import QdrantClient

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("aligner", type=Path)
    parser.add_argument("store", help="or the file of the images")
    parser.add_argument("texts", nargs="?", help="the file of the texts, where there is no store")
    parser.add_argument("--url", help="of a server; by default the collections are in memory")
    arguments = parser.parse_args()
    client = QdrantClient(arguments.url) if arguments.url else QdrantClient(":memory:")
    compare(
        tables(arguments.aligner, arguments.store, arguments.texts),
        lambda name, table: filled(client, f"isthmus-{name}", table),
    )


def filled(client: Any, name: str, table: Table) -> Search:
    """Put everything into a new collection, and return its search."""
    from qdrant_client import models

    rows = table.rows
    size = models.VectorParams(size=rows.shape[1], distance=models.Distance.COSINE)
    client.create_collection(name, vectors_config=size)
    client.upload_collection(
        name,
        vectors=rows,
        payload=[{"modality": modality} for modality in table.modality],
        ids=range(len(rows)),
    )

    def search(queries: np.ndarray, count: int) -> list[list[int]]:
        found = [client.query_points(name, query=query.tolist(), limit=count).points for query in queries]
        return [[int(point.id) for point in points] for points in found]

    return search


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError, ImportError) as error:
        sys.exit(str(error))
