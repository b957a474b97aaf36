"""Images and texts in one LanceDB table, searched by texts, raw and through an aligner.

    python recipes/lancedb_search.py ALIGNER STORE [--folder FOLDER]
    python recipes/lancedb_search.py ALIGNER IMAGES TEXTS [--folder FOLDER]

Raw, a text finds texts: all of them are nearer to it than any image. Through the aligner it finds images too;
how many depends on the encoder, on how many texts an image has, and on the aligner (docs/shipping.md has
figures). Each item's image stands in the table once, with all texts; of a query's own item the texts are left
out, so that its image is what answers it. Of the ten nearest, the images and the texts are counted, and how
often that image is among them. Search items that the aligner has not learned from. Needs `pip install lancedb`.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isthmus import load_aligner
from isthmus.align.files import read_provenance
from isthmus.align.provenance import FittedOn
from isthmus.cli.origin import embedded_by
from isthmus.measure import find_items
from isthmus.store import open_pairs

QUERIES = 100
FOUND = 10

Search = Callable[[np.ndarray, int], list[list[int]]]  # queries, how many to find: rows by nearness


@dataclass(frozen=True)
class Table:
    """What is searched: the image of each item, then all texts."""

    image: np.ndarray  # (items, dim)
    text: np.ndarray  # (n, dim)
    image_item: np.ndarray  # (items,)
    text_item: np.ndarray  # (n,)

    @property
    def rows(self) -> np.ndarray:
        """Everything, images first."""
        return np.concatenate([self.image, self.text])

    @property
    def modality(self) -> list[str]:
        """What each row is."""
        return ["image"] * len(self.image) + ["text"] * len(self.text)


def main() -> None:
    """Fill a table raw and one aligned, search both, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("aligner", type=Path)
    parser.add_argument("store", help="or the file of the images")
    parser.add_argument("texts", nargs="?", help="the file of the texts, where there is no store")
    parser.add_argument("--folder", type=Path, help="to keep the tables in; by default they are forgotten")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch)
        compare(
            tables(arguments.aligner, arguments.store, arguments.texts),
            lambda name, table: filled(folder, name, table),
        )


def tables(aligner: Path, x: str, y: str | None) -> dict[str, Table]:
    """Return what is to be searched, raw and aligned; refuse what the aligner was not fitted for."""
    pairs, told = open_pairs(x, y), read_provenance(aligner)
    for name, space in zip(pairs.names, (told.x, told.y) if told else (FittedOn(), FittedOn()), strict=True):
        if not space.admits(source := embedded_by(name)):
            raise ValueError(f"{name} is {source}: expected {space}, which {aligner} was fitted on")
    fitted, dim = load_aligner(aligner), pairs.x.shape[1]
    if dim != fitted.n_features_in_:
        raise ValueError(
            f"{pairs.names[0]} has dim {dim}, {aligner} was fitted on dim {fitted.n_features_in_}"
        )
    item = find_items(pairs.x, pairs.y, pairs.groups).group
    image_item, first = np.unique(item, return_index=True)
    images, texts = np.asarray(pairs.x, np.float32)[first], np.asarray(pairs.y, np.float32)
    aligned = fitted.transform(images, texts)
    return {
        name: Table(*rows, image_item, item)
        for name, rows in (("raw", (images, texts)), ("aligned", aligned))
    }


def compare(searched: dict[str, Table], fill: Callable[[str, Table], Search]) -> None:
    """Search each table, and print what was found: means over queries."""
    print(f"{'':8}{'images':>8}{'texts':>8}{'its own image':>16}")
    for name, table in searched.items():
        images, own = counted(table, fill(name, table))
        print(f"{name:8}{images:8.1f}{FOUND - images:8.1f}{own:16.2f}")


def counted(table: Table, search: Search) -> tuple[float, float]:
    """Return how many of the ten nearest are images, and how often the query's own is among them."""
    texts = np.unique(np.linspace(0, len(table.text) - 1, QUERIES).astype(int))
    item = np.concatenate([table.image_item, table.text_item])
    left_out = np.bincount(table.text_item).max()  # of a query's own item, at most
    images, own = [], []
    for text, found in zip(texts, search(table.text[texts], FOUND + int(left_out)), strict=True):
        is_own = item[found] == table.text_item[text]
        is_image = np.array(found) < len(table.image)
        kept = (is_image | ~is_own).nonzero()[0][:FOUND]
        images.append(is_image[kept].sum())
        own.append((is_image & is_own)[kept].any())
    return float(np.mean(images)), float(np.mean(own))


def filled(folder: Path, name: str, table: Table) -> Search:
    """Put everything into a table of LanceDB, and return its search."""
    import lancedb
    import pyarrow as pa

    rows = table.rows
    held = lancedb.connect(folder).create_table(
        name,
        pa.table(
            {
                "vector": pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1]),
                "modality": table.modality,
                "row": range(len(rows)),
            }
        ),
        mode="overwrite",
    )

    def search(queries: np.ndarray, count: int) -> list[list[int]]:
        return [
            held.search(query).distance_type("cosine").limit(count).to_arrow()["row"].to_pylist()
            for query in queries
        ]

    return search


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError, ImportError) as error:
        sys.exit(str(error))
