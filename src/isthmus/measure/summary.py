"""Every figure of the gap and of what retrieval is left, at once and with intervals."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from isthmus.checks import check_pairs, unit_rows
from isthmus.measure.bootstrap import Bootstrap, Figure, MeanVector
from isthmus.measure.dimension import effective_dimension
from isthmus.measure.discrimination import k_occurrence, retrieval_ranks, skewness
from isthmus.measure.distances import distances_within
from isthmus.measure.gap import modality_probe
from isthmus.measure.items import Items, Selected, find_items
from isthmus.measure.statistics import cosine_distance, relative_gap, unit_blocks

EXACT_PAIRS = 50_000  # above, figures that need all pairs of rows come from a sample
SAMPLE_PAIRS = 20_000
SAMPLE_QUERIES = 2_000

Replicated = dict[str, np.ndarray]

_SHARES = ("recall_", "mrr_", "probe_")  # figures in [0, 1] that items may all agree on


@dataclass(frozen=True)
class GapSummary:
    """The gap of paired embeddings; every figure is a value with a 95% interval."""

    pairs: int  # rows of each modality
    items: int  # different things they show: groups, or pairs that share no row
    dim: int
    effective_dimension_x: int  # directions that hold 0.99 of the spread of x
    effective_dimension_y: int
    sampled_pairs: int | None  # pairs that rmg, hubness, uniformity, probe come from; None: all
    sampled_queries: int | None  # queries per direction, each against the whole gallery; None: all
    alignment: Figure  # mean cosine of pairs, [-1, 1]
    l2m: Figure  # distance of the modality means, [0, 2]
    rmg: Figure  # relative modality gap, Euclidean, [0, 1]
    rmg_cosine: Figure  # relative modality gap, (1 - cosine) / 2, [0, 1]
    gap_share_top_1: Figure  # share of the squared mean difference in its largest dimension
    gap_share_top_2: Figure
    gap_share_top_10: Figure
    cone_x: Figure  # mean cosine within x
    cone_y: Figure
    uniformity_x: Figure  # log mean Gaussian potential, lower is more uniform
    uniformity_y: Figure
    probe_accuracy: Figure  # of a linear probe telling x from y on unseen items
    recall_at_1_x_to_y: Figure  # share of x whose nearest y is its own
    recall_at_1_y_to_x: Figure
    recall_at_5_x_to_y: Figure
    recall_at_5_y_to_x: Figure
    recall_at_10_x_to_y: Figure
    recall_at_10_y_to_x: Figure
    median_rank_x_to_y: Figure
    median_rank_y_to_x: Figure
    mrr_x_to_y: Figure  # mean reciprocal rank
    mrr_y_to_x: Figure
    hubness_x_to_y: Figure  # skewness of how often each y is among the 10 nearest of an x
    hubness_y_to_x: Figure

    @property
    def figures(self) -> dict[str, Figure]:
        """All figures by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Figure)}

    def to_dict(self) -> dict[str, Any]:
        """Return counts as numbers and each figure as ``{"value", "low", "high"}``, ready for JSON."""
        counts = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in self.figures}
        return counts | {name: figure._asdict() for name, figure in self.figures.items()}

    def __rich__(self):
        from rich.table import Table

        note = "" if self.sampled_pairs is None else (
            f"\nrmg, hubness, uniformity, probe from {self.sampled_pairs} sampled pairs; "
            f"retrieval from {self.sampled_queries} sampled queries against all"
        )  # fmt: skip
        used = f"{self.effective_dimension_x} (x) and {self.effective_dimension_y} (y) effective"
        table = Table(title=f"{self.pairs} pairs of {self.items} items, dim {self.dim}, {used}{note}")
        table.add_column("figure")
        table.add_column("value", justify="right")
        table.add_column("95% interval", justify="right")
        for name, figure in self.figures.items():
            table.add_row(name, f"{figure.value:.4f}", f"{figure.low:.4f} .. {figure.high:.4f}")
        return table


def measure(x: Any, y: Any, *, groups: Any = None, seed: int = 0, exact: bool = False) -> GapSummary:
    """Measure the gap between paired embeddings, and how well each modality finds the other.

    Pairs are compared row by row; figures within a modality, and retrieval,
    count the distinct rows of each item once, where the functions of single
    figures count every row.

    Parameters
    ----------
    x, y : array-like of shape (n, dim)
        Embeddings of two modalities; row ``i`` of both embeds the same item.
        float16/32/64, in memory or memory-mapped; scaled to unit length here.
    groups : array-like of shape (n,), optional
        The item of each pair, as when an image stands once per caption. By
        default, pairs that share an identical row are one item.
    seed : int, default=0
        Of the resamples, the halves of the probe and the sample.
    exact : bool, default=False
        Use all pairs also where n > 50,000; time then grows with n squared.

    Returns
    -------
    GapSummary
        Figures with 95% bootstrap intervals over items.

    Raises
    ------
    ValueError
        Shapes differ, n < 2, a row is zero or not finite, `groups` has another
        length, or all pairs are one item.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> shared, noise = rng.normal(size=(2, 200, 16))
    >>> gap = measure(shared + 4, shared + 0.5 * noise - 4)
    >>> gap.pairs, gap.probe_accuracy.value
    (200, 1.0)
    >>> print(f"{gap.l2m:.2f}")
    1.94 [1.93, 1.94]
    """
    x, y = check_pairs(x, y)
    items = find_items(x, y, groups)
    sample = None if exact or len(x) <= EXACT_PAIRS else _sample(items, seed)
    figures = figures_of(replicate(x, y, items, seed=seed, sample=sample), items.count)
    return GapSummary(
        pairs=len(x),
        items=items.count,
        dim=x.shape[1],
        effective_dimension_x=effective_dimension(Selected(x, items.x_rows)),
        effective_dimension_y=effective_dimension(Selected(y, items.y_rows)),
        sampled_pairs=None if sample is None else len(sample),
        sampled_queries=None if sample is None else SAMPLE_QUERIES,
        **figures,
    )


def replicate(x: Any, y: Any, items: Items, *, seed: int = 0, sample: np.ndarray | None = None) -> Replicated:
    """Return every figure replicated: the value on the data, then one per resample of the items.

    Parameters
    ----------
    x, y : array of shape (n, dim)
        Paired embeddings, already checked.
    items : Items
        Of the raw embeddings, where these are mapped ones.
    seed : int, default=0
        Equal seeds resample equally, so that figures of two spaces pair up.
    sample : ndarray of int, optional
        Rows, whole items, that figures over all pairs of rows come from.

    Returns
    -------
    dict of str to ndarray of shape (1 + draws,)
        By the names of :class:`GapSummary`.
    """
    boot = Bootstrap(items.group, seed)
    out = _summing_figures(x, y, items, boot)
    part = items if sample is None else items.take(sample)
    rows = np.arange(len(x)) if sample is None else sample
    x_part, y_part = (x, y) if sample is None else (x[rows], y[rows])
    out |= _pairwise_figures(x_part, y_part, part, boot, rows=rows, pair_distance=out.pop("pair_distance"))
    told = modality_probe(x_part, y_part, groups=part.group, seed=seed)
    out["probe_accuracy"] = (boot.mean(told[0], rows) + boot.mean(told[1], rows)) / 2
    out |= _retrieval(x, y, items, boot, None if sample is None else seed)
    for name, a, b, hubs in (("x_to_y", x, y, part.y_rows), ("y_to_x", y, x, part.x_rows)):
        searching = part.x_rows if name == "x_to_y" else part.y_rows
        count = k_occurrence(Selected(a, rows[searching]), Selected(b, rows[hubs])).astype(np.float64)
        moments = (boot.mean(count**power, rows[hubs]) for power in (1, 2, 3))
        out[f"hubness_{name}"] = skewness(*moments)
    return out


def figures_of(replicated: Replicated, items: int) -> dict[str, Figure]:
    """Return figures with their intervals.

    Parameters
    ----------
    replicated : dict of str to ndarray of shape (1 + draws,)
        What :func:`replicate` returns.
    items : int
        What its shares (recall, mean reciprocal rank, accuracy of the probe) are of.

    Returns
    -------
    dict of str to Figure
        By the same names.

    Examples
    --------
    >>> print(figures_of({"recall_at_1_x_to_y": np.ones(1001)}, 90)["recall_at_1_x_to_y"])
    1.000 [0.960, 1.000]
    """
    return {
        name: Bootstrap.figure(values, share_of=items if name.startswith(_SHARES) else None)
        for name, values in replicated.items()
    }


def _summing_figures(x: Any, y: Any, items: Items, boot: Bootstrap) -> Replicated:
    """Figures that are exact from sums over rows, in one pass."""
    dim = x.shape[1]
    cosine, distance = np.empty(len(x)), np.empty(len(x))
    sums = np.zeros((2, boot.bins, dim))  # of distinct unit rows, by modality and bin
    start = 0
    for a, b in unit_blocks(x, y):
        rows = slice(start, start := start + len(a))
        cosine[rows] = np.einsum("nd,nd->n", a, b)
        distance[rows] = np.linalg.norm(a - b, axis=1)
        for k, (block, distinct) in enumerate(((a, items.x_rows), (b, items.y_rows))):
            here = distinct[np.searchsorted(distinct, rows.start) : np.searchsorted(distinct, rows.stop)]
            sums[k] += boot.sums_by_bin(here, block[here - rows.start])
    counts = [np.bincount(boot.bin[rows], minlength=boot.bins) for rows in (items.x_rows, items.y_rows)]
    means = [boot.mean_vector(sums[k], counts[k]) for k in (0, 1)]
    cone = [_cone(mean, int(count.sum())) for mean, count in zip(means, counts, strict=True)]
    out = {
        "alignment": boot.mean(cosine),
        "pair_distance": boot.mean(distance),
        "l2m": _length(means[0] - means[1]),
        "cone_x": cone[0],
        "cone_y": cone[1],
    }
    within = cosine_distance((cone[0] + cone[1]) / 2)
    out["rmg_cosine"] = relative_gap(cosine_distance(out["alignment"]), within)
    return out | _gap_shares(means[0] - means[1])


def _length(difference: MeanVector) -> np.ndarray:
    """Replicate a mean difference's length: the value as defined, resamples without the noise in it."""
    length = np.sqrt(np.maximum(difference.squared_length(), 0))
    length[0] = np.linalg.norm(difference.value)
    return length


def _gap_shares(difference: MeanVector) -> Replicated:
    """Replicate shares of the squared mean difference in its largest dimensions, resamples without noise."""
    square = difference.value**2
    largest = np.argsort(-square, kind="stable")
    whole = difference.squared_length()
    # a resample in which nothing is left of the gap says nothing: any share is as good
    share_of_nothing = np.arange(len(whole)) % 2
    out = {}
    for k in (1, 2, 10):
        part = difference.squared_length(largest[:k])
        share = np.divide(part, whole, out=share_of_nothing.astype(float), where=whole > 0)
        share[0] = square[largest[:k]].sum() / max(square.sum(), 1e-300)
        out[f"gap_share_top_{k}"] = np.clip(share, 0, 1)
    return out


def _cone(mean: MeanVector, rows: int) -> np.ndarray:
    """Replicate the mean cosine of different rows: the value of all, resamples of different items only."""
    if rows < 2:
        raise ValueError("expected at least 2 distinct rows of each modality, got 1")
    cone = mean.squared_length()
    cone[0] = (rows * (mean.value @ mean.value) - 1) / (rows - 1)
    return cone


def _pairwise_figures(
    x: Any, y: Any, part: Items, boot: Bootstrap, *, rows: np.ndarray, pair_distance: np.ndarray
) -> Replicated:
    """Figures of all pairs of rows of one modality; `rows` of the data are those of x, y and `part`."""
    out, within = {}, []
    for name, array, distinct in (("x", x, part.x_rows), ("y", y, part.y_rows)):
        selected, n = Selected(array, distinct), len(distinct)
        means = distances_within(selected, potential=True)  # (2, n)
        siblings, count = _sums_over_siblings(selected, part.group[distinct])
        distance, potential = (
            boot.pairwise_mean(mean * (n - 1) - own, n - 1 - count, rows[distinct])
            for mean, own in zip(means, siblings, strict=True)
        )
        distance[0], potential[0] = means.mean(axis=1)
        within.append(distance)
        out[f"uniformity_{name}"] = np.log(np.maximum(potential, np.exp(-8)))
    out["rmg"] = relative_gap(pair_distance, sum(within) / 2)
    return out


def _sums_over_siblings(array: Any, item: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum distances and potentials of each row to the others of its item: (2, n), and count them (n,)."""
    order = np.argsort(item, kind="stable")
    item = item[order]
    sums, count = np.zeros((2, len(item))), np.zeros(len(item))
    for step in range(1, len(item)):  # each row beside the step-th after it
        first = np.flatnonzero(item[step:] == item[:-step])
        if not len(first):
            break
        for near in np.array_split(first, len(first) // 1024 + 1):
            pair = order[near], order[near + step]
            a, b = (unit_rows(array[rows]) for rows in pair)
            squared = ((a - b) ** 2).sum(axis=1)
            for rows in pair:
                sums[:, rows] += np.sqrt(squared), np.exp(-2 * squared)
                count[rows] += 1
    return sums, count


def _retrieval(x: Any, y: Any, items: Items, boot: Bootstrap, sample_seed: int | None) -> Replicated:
    out: Replicated = {}
    for name, a, b, a_rows, b_rows in (
        ("x_to_y", x, y, items.x_rows, items.y_rows),
        ("y_to_x", y, x, items.y_rows, items.x_rows),
    ):
        queries = a_rows
        if sample_seed is not None:
            queries = np.sort(np.random.default_rng(sample_seed).permutation(a_rows)[:SAMPLE_QUERIES])
        ranks = retrieval_ranks(
            Selected(a, queries),
            Selected(b, b_rows),
            query_items=items.group[queries],
            gallery_items=items.group[b_rows],
        )
        for k in (1, 5, 10):
            out[f"recall_at_{k}_{name}"] = boot.mean((ranks <= k).astype(np.float64), queries)
        out[f"median_rank_{name}"] = boot.median(ranks, queries)
        out[f"mrr_{name}"] = boot.mean(1 / ranks, queries)
    return out


def _sample(items: Items, seed: int) -> np.ndarray:
    """Rows of randomly chosen items, ascending, about `SAMPLE_PAIRS` of them."""
    order = np.random.default_rng(seed).permutation(items.count)
    size = np.bincount(items.group)[order]
    chosen = np.zeros(items.count, dtype=bool)
    chosen[order[: max(2, int(np.searchsorted(np.cumsum(size), SAMPLE_PAIRS)))]] = True
    return np.flatnonzero(chosen[items.group])
