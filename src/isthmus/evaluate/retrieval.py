"""Retrieval as it is published: items with several captions, and galleries of so many items."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.checks import check_number, check_pairs
from isthmus.measure.bootstrap import Bootstrap, Figure
from isthmus.measure.discrimination import retrieval_ranks
from isthmus.measure.items import Items, Selected, find_items
from isthmus.measure.summary import EXACT_PAIRS, SAMPLE_QUERIES

FIGURES = {  # by name: what it is called in a table
    "recall_at_1": "R@1",
    "recall_at_5": "R@5",
    "recall_at_10": "R@10",
    "median_rank": "median rank",
    "mrr": "MRR",
}
DIRECTIONS = {"x_to_y": "x→y", "y_to_x": "y→x"}
_RECALLS = (1, 5, 10)


@dataclass(frozen=True)
class GroupRetrieval:
    """How well each modality finds the other's rows of the same item.

    Examples
    --------
    >>> GroupRetrieval(5, 5, 1, 0, None, {}).to_dict()["galleries"]
    1
    """

    items: int  # that were searched for
    gallery: int  # items in each gallery
    galleries: int  # that figures are means over
    left_out: int  # items too few for one more gallery
    sampled_queries: int | None  # each way, against all rows of a gallery; None: all
    figures: dict[str, Figure]  # FIGURES by direction, such as "recall_at_1_x_to_y"

    def to_dict(self) -> dict[str, Any]:
        """Return counts, and each figure as ``{"value", "low", "high"}``, ready for JSON."""
        counts = {name: value for name, value in vars(self).items() if name != "figures"}
        return counts | {name: figure._asdict() for name, figure in self.figures.items()}

    def __rich__(self):
        from rich.table import Table

        table = Table(title=f"{self.galleries} x {self.gallery} items, {self.left_out} left out")
        table.add_column("")
        for shown in DIRECTIONS.values():
            table.add_column(shown, justify="right")
        for name, shown in FIGURES.items():
            table.add_row(shown, *(str(self.figures[f"{name}_{way}"]) for way in DIRECTIONS))
        return table


def group_retrieval(
    x: Any, y: Any, *, groups: Any = None, gallery: int | None = None, seed: int = 0
) -> GroupRetrieval:
    """Let every row search the other modality for the rows of its item.

    COCO's protocol [1]_: from an image, the best of its captions counts; from a
    caption, its image; `gallery=1000` takes the mean over galleries of a
    thousand items, five of COCO's test set [2]_. A row that is repeated within
    its item, as an image is beside each caption, is one row. In a gallery of
    more than 50,000 rows, 2,000 of each modality search for all.

    Parameters
    ----------
    x, y : array-like of shape (n, dim)
        Paired embeddings, such as images and captions.
    groups : array-like of shape (n,), optional
        The item of each pair. By default, pairs that share an identical row are one item.
    gallery : int, optional
        Items of each gallery, taken in their order; those that are too few for one more are left out.
        By default all items are one gallery.
    seed : int, default=0
        Of the resamples.

    Returns
    -------
    GroupRetrieval
        R@1, R@5, R@10 in [0, 1], the median rank from 1, and the mean reciprocal rank in (0, 1], with 95%
        bootstrap intervals over items, given the galleries; where all but a few agree, the binomial ones of
        a share of so many items. Ties count against the query.

    Raises
    ------
    ValueError
        The pairs are bad, or there are fewer items than in a gallery.

    References
    ----------
    .. [1] Karpathy and Fei-Fei, "Deep Visual-Semantic Alignments for Generating Image Descriptions",
       CVPR 2015, section 4.1.
    .. [2] Faghri et al., "VSE++", BMVC 2018, section 4.1: 1K is the mean over five folds, 5K is all.

    Examples
    --------
    >>> image = np.repeat(np.eye(4), 2, axis=0)  # beside two captions each
    >>> caption = image + 0.6 * np.roll(image, 3, axis=0)
    >>> found = group_retrieval(image, caption)
    >>> found.items, found.figures["recall_at_1_x_to_y"].value
    (4, 1.0)
    """
    x, y = check_pairs(x, y)
    items = find_items(x, y, groups)
    check_gallery(gallery, items)
    found = replicate_retrieval(x, y, items, boot=Bootstrap(items.group, seed), gallery=gallery, seed=seed)
    size = gallery or items.count
    count = items.count // size
    asked = searched_items(items, gallery)
    figures = {
        name: Bootstrap.figure(values, share_of=asked if is_share(name) else None)
        for name, values in found.items()
    }
    left = items.count - count * size
    return GroupRetrieval(count * size, size, count, left, sampled_queries(items, gallery), figures)


def check_gallery(gallery: int | None, items: Items) -> None:
    """Raise ValueError unless `gallery` is None or a number of items that there are."""
    if gallery is not None:
        check_number(gallery, "gallery", f"[2, {items.count}]", integer=True)


def sampled_queries(items: Items, gallery: int | None) -> int | None:
    """Return how many queries stand for all, each way: all do in galleries, and where time allows."""
    large = gallery is None and max(len(items.x_rows), len(items.y_rows)) > EXACT_PAIRS
    return SAMPLE_QUERIES if large else None


def searched_items(items: Items, gallery: int | None) -> int:
    """Return how many items ask, or at least one row of each that was drawn."""
    size, asking = gallery or items.count, sampled_queries(items, gallery)
    return items.count // size * min(size, asking or size)


def is_share(name: str) -> bool:
    """Return whether a figure lies in [0, 1], and at the ends only where all queries agree."""
    return not name.startswith("median_rank")


def replicate_retrieval(
    x: Any, y: Any, items: Items, *, boot: Bootstrap, gallery: int | None = None, seed: int = 0
) -> dict[str, np.ndarray]:
    """Return every figure of :func:`group_retrieval`, replicated by `boot`, (1 + draws,) each.

    Items are those of the rows as they were embedded, also where `x` and `y`
    are mapped: a map that sends all rows to one point makes no item of them.
    """
    size, asking = gallery or items.count, sampled_queries(items, gallery)
    rng = None if asking is None else np.random.default_rng(seed)  # equal seeds ask the same
    folds = []
    for start in range(0, items.count - size + 1, size):
        sides = [_rows_within(items, rows, start, start + size) for rows in (items.x_rows, items.y_rows)]
        asked = [_sample(rows, asking, rng) for rows in sides]
        folds.append(_retrieve((x, y), items, boot, sides=sides, asked=asked))
    return {name: np.mean([fold[name] for fold in folds], axis=0) for name in folds[0]}


def _rows_within(items: Items, rows: np.ndarray, start: int, stop: int) -> np.ndarray:
    item = items.group[rows]
    return rows[(item >= start) & (item < stop)]


def _sample(rows: np.ndarray, count: int | None, rng: np.random.Generator | None) -> np.ndarray:
    if rng is None or count is None or len(rows) <= count:
        return rows
    return np.sort(rng.choice(rows, count, replace=False))


def _retrieve(
    pair: tuple[Any, Any],
    items: Items,
    boot: Bootstrap,
    *,
    sides: list[np.ndarray],
    asked: list[np.ndarray],
) -> dict[str, np.ndarray]:
    """Replicate the figures of one gallery: rows of each modality that are searched, and that ask."""
    out = {}
    for at, way in enumerate(DIRECTIONS):
        q_rows, a_rows = asked[at], sides[1 - at]
        ranks = retrieval_ranks(
            Selected(pair[at], q_rows),
            Selected(pair[1 - at], a_rows),
            query_items=items.group[q_rows],
            gallery_items=items.group[a_rows],
        )
        out |= {f"recall_at_{k}_{way}": boot.mean((ranks <= k) * 1.0, q_rows) for k in _RECALLS}
        out[f"median_rank_{way}"] = boot.median(ranks, q_rows)
        out[f"mrr_{way}"] = boot.mean(1 / ranks, q_rows)
    return out
