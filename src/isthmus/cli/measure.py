"""isthmus measure"""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from isthmus.cli.show import progress_bar, show
from isthmus.measure import measure as measure_pairs
from isthmus.store import open_pairs


@dataclass
class Settings:
    """Options of `isthmus measure`.

    Parameters
    ----------
    groups : str
        The item of each row: a file (.npy, .txt, .csv:COLUMN, .jsonl:COLUMN, .parquet:COLUMN), or a
        metadata column of the folder. By default the groups that the store was embedded with; elsewhere,
        pairs that share an identical row are one item.
    modalities : list of str
        Which two of a store, such as audio text. By default image and text, or the first that is not text,
        and text.
    exact : bool
        Use all pairs also where there are more than 50,000.
    seed : int
        Of the resamples.
    """

    groups: str | None = None
    modalities: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)] = None
    exact: bool = False
    seed: int = 0


def measure(
    x: str,
    y: str | None = None,
    /,
    *,
    settings: Annotated[Settings, Parameter("*")] = Settings(),  # noqa: B008
    as_json: Annotated[bool, Parameter("--json", negative="")] = False,
) -> None:
    """Measure the gap between two modalities, and how well each finds the other.

    Parameters
    ----------
    x : str
        Embeddings of the first modality: FILE or FILE:NAME (.npy, .npz, .safetensors, .pt, .parquet), or
        a folder of .npy shards. Without Y: a store, as `isthmus embed` writes, or a folder with img_emb/ and
        text_emb/.
    y : str
        Embeddings of the second modality; row i of both embeds the same item.
    as_json : bool
        Print one JSON object.
    """
    pairs = open_pairs(x, y, groups=settings.groups, modalities=settings.modalities)
    with progress_bar("measuring"):
        gap = measure_pairs(pairs.x, pairs.y, groups=pairs.groups, seed=settings.seed, exact=settings.exact)
    show(gap, as_json=as_json)
