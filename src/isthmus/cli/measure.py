"""isthmus measure"""

from typing import Annotated

from cyclopts import Parameter

from isthmus.cli.show import progress_bar, show
from isthmus.measure import measure as measure_pairs
from isthmus.store import open_pairs


def measure(
    x: str,
    y: str | None = None,
    /,
    *,
    groups: str | None = None,
    exact: bool = False,
    seed: int = 0,
    as_json: Annotated[bool, Parameter("--json", negative="")] = False,
) -> None:
    """Measure the gap between two modalities, and how well each finds the other.

    Parameters
    ----------
    x : str
        Embeddings of the first modality: FILE or FILE:NAME (.npy, .npz, .safetensors, .pt, .parquet), or
        a folder of .npy shards. Without Y: a folder with img_emb/ and text_emb/, or a store.
    y : str
        Embeddings of the second modality; row i of both embeds the same item.
    groups : str
        The item of each row: a file (.npy, .txt, .csv:COLUMN, .jsonl:COLUMN, .parquet:COLUMN), or a
        metadata column of the folder. By default, pairs that share an identical row are one item.
    exact : bool
        Use all pairs also where there are more than 50,000.
    seed : int
        Of the resamples.
    as_json : bool
        Print one JSON object.
    """
    pairs = open_pairs(x, y, groups=groups)
    with progress_bar("measuring"):
        gap = measure_pairs(pairs.x, pairs.y, groups=pairs.groups, seed=seed, exact=exact)
    show(gap, as_json=as_json)
