"""Images and texts in one LanceDB table, searched by texts, raw and through an aligner.

    python recipes/lancedb_search.py ALIGNER STORE [--folder FOLDER]

Raw, a text finds texts: all of them are nearer to it than any image. Through the aligner both are found. What
is counted is how many of the ten nearest are images and how many texts, of pairs that stand in the store.
Needs `pip install lancedb`.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from isthmus import load_aligner
from isthmus.store import Store

QUERIES = 100
FOUND = 10

Search = Callable[[np.ndarray], list[list[str]]]


def main() -> None:
    """Fill a table raw and one aligned, search both, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("aligner", type=Path)
    parser.add_argument("store", type=Path)
    parser.add_argument("--folder", type=Path, help="to keep the tables in; by default they are forgotten")
    arguments = parser.parse_args()
    aligner, pairs = load_aligner(arguments.aligner), Store.open(arguments.store).pairs
    images, texts = np.asarray(pairs.x, np.float32), np.asarray(pairs.y, np.float32)
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch)
        print("  ".join(("table  ", *(f"{name:>6}" for name in ("images", "texts")))))
        for name, rows in (("raw", (images, texts)), ("aligned", aligner.transform(images, texts))):
            search = filled(folder, name, *rows)
            found = [modality for nearest in search(rows[1][:QUERIES]) for modality in nearest]
            print(f"{name:7}  " + "  ".join(f"{found.count(m) / QUERIES:6.1f}" for m in ("image", "text")))


def filled(folder: Path, name: str, images: np.ndarray, texts: np.ndarray) -> Search:
    """Put both into a table, and return a search for the modalities of what is nearest to each query."""
    import lancedb
    import pyarrow as pa

    vectors = np.concatenate([images, texts])
    table = lancedb.connect(folder).create_table(
        name,
        pa.table(
            {
                "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1]),
                "modality": ["image"] * len(images) + ["text"] * len(texts),
            }
        ),
        mode="overwrite",
    )

    def search(queries: np.ndarray) -> list[list[str]]:
        return [
            table.search(query).distance_type("cosine").limit(FOUND).to_arrow()["modality"].to_pylist()
            for query in queries
        ]

    return search


if __name__ == "__main__":
    main()
