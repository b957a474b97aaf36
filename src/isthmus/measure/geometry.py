"""The geometry of paired embeddings: how far Proposition 1 of C3 describes them."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from isthmus.checks import check_number, check_pairs, unit_rows
from isthmus.measure import geometry_isotropic as isotropic
from isthmus.measure.bootstrap import Figure
from isthmus.measure.geometry_distribution import Distribution, Single, Tally, distribution_of
from isthmus.measure.geometry_groups import MAX_GROUPS, GroupFigures, compared_groups, group_figures
from isthmus.measure.geometry_noise import (
    MAX_TESTED,
    Differences,
    Replicates,
    differences,
    normality,
    replicate,
)
from isthmus.measure.geometry_spectrum import Span, Spectrum, spectrum
from isthmus.measure.geometry_verdict import Verdict, verdicts
from isthmus.measure.items import find_items

LARGEST_GROUP = 2_000  # a group is held in memory whole, with the cosines of its pairs
CONE_ROWS = 2_000  # rows whose cosines make up the histogram of a cone

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class GeometrySummary:
    """The geometry of paired embeddings, each figure beside what an isotropic space would have.

    Lengths and variances are of unit rows. A group has `groups_of` pairs, of different items each.
    """

    pairs: int  # rows of each modality
    items: int  # different things they show; one pair of each, at random, is in the groups and the noise
    dim: int
    groups_of: int  # pairs of a group
    groups: int  # groups that were looked at
    groups_in_all: int  # that there are
    compared: int  # groups whose rows were compared with each other, pair by pair
    tested: int  # residuals that normality was tested on
    gap_length: Distribution  # of a group's gap d(i), the mean of x - y; over groups
    direction: Distribution  # cosine of two groups' gaps; over all pairs of groups
    orthogonality_x: Distribution  # cosine of a group's gap and the difference of two of its rows of x
    orthogonality_y: Distribution
    residual_mean: Distribution  # mean of all residuals, by dimension: rounding
    residual_cosine: Distribution  # cosine of two residuals of one group; -1 / (g - 1) on average
    residual_std: Distribution  # standard deviation of the differences x - y, by dimension
    cone_x: Distribution  # cosine of two rows of x: mean of all, std and histogram of a sample
    cone_y: Distribution
    gap_length_unbiased: Single  # root of the mean of d_i . d_j over pairs of items: no noise counts
    constant_share: Single  # of the mean squared distance of a pair, what the gap accounts for
    noise_std: Single  # sigma of Proposition 1: root mean square over dimensions
    gap_variance_x: Single | None  # variance of x along the gap / along the span's own directions
    gap_variance_y: Single | None  # None: the gap cannot be told from 0, or fewer than 6 items
    gap_share_top_1: Single  # share of the squared gap in its largest dimension
    gap_share_top_2: Single
    gap_share_top_10: Single
    rejecting: Single | None  # share of dimensions whose noise is told from Gaussian at 0.05
    kurtosis: Single | None  # mean excess kurtosis of the noise over dimensions; None: too few pairs
    spectrum_x: Spectrum  # of the distinct rows
    spectrum_y: Spectrum
    spectrum_noise: Spectrum  # of the differences x - y

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """What holds of each part of Proposition 1, and by which figure."""
        return verdicts(self)

    def to_dict(self) -> dict[str, Any]:
        """Return everything, histograms, spectra and verdicts too, ready for JSON."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        plain = {k: v.to_dict() if hasattr(v, "to_dict") else v for k, v in values.items()}
        return plain | {"verdicts": [verdict.to_dict() for verdict in self.verdicts]}

    def __rich__(self) -> Any:
        from isthmus.measure.geometry_table import table

        return table(self)


def geometry(
    x: Any,
    y: Any,
    *,
    groups_of: int = 100,
    groups: Any = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> GeometrySummary:
    r"""Measure how far the geometry of paired embeddings is the one that C3 proposes.

    Proposition 1 of [1]_ has :math:`x - y = c + \epsilon` of unit rows, with a constant :math:`c`
    orthogonal to the span of either modality and Gaussian noise :math:`\epsilon \sim N(0, \sigma^2 I)`.
    Table 1 there rests on random groups of 100 pairs; here are its figures, what they would be if
    noise and spans were isotropic, and what it leaves out. Three of its figures are fixed in
    advance: residuals about their own mean have mean 0 in every dimension, cosines of
    :math:`-1 / (g - 1)` on average, and the cosine of the gap with :math:`x_j - x_k` is 0 on average
    because that with :math:`x_k - x_j` is its negative. Their standard deviations say something. And
    as groups are drawn at random, a constant direction says that the gap is large beside the noise of
    a group's mean, :math:`\|c\|^2 \gg \sigma^2 \mathrm{dim} / g`. A constant length does not say even
    that: in many dimensions the noise of a mean has nearly the same length in every group. What tells is
    the unbiased length, to which noise adds nothing, beside the mean length of a group's gap.

    Pairs of one item, such as an image with five captions, are not independent: one pair of each
    item, drawn at random, is in the groups and in the noise, so that within a group and between
    groups nothing repeats. Spectra, cones and shares of the gap are of all distinct rows.

    Intervals are over items. From 60 items on, where the noise is Gaussian, isotropic or not, they hold
    the truth in 93% of samples or more (of a gap near 0, in 98%), that of the variance along the gap in 92%
    to 96%. Of 10 to 30 items, those of noise, share and variance do so in 90% to 97%; of 60 items whose noise
    has heavy tails (Student's t of 7 degrees), those of noise and share in 90%, of 200 in 93%. That of the
    length holds from 5 items on.

    The released code compares the gaps of neighbouring groups alone, and takes one gap for
    orthogonality and residuals; here are all pairs of groups, and each group's own gap, as in print.

    Parameters
    ----------
    x, y : array-like of shape (n, dim)
        Embeddings of two modalities; row ``i`` of both embeds the same item.
        float16/32/64, in memory or memory-mapped; scaled to unit length here.
    groups_of : int, default=100
        Pairs per group, in [2, 2000]; those left over are in no group. Of more than 2,000 groups,
        2,000 are drawn; rows within groups are compared in the first of them, up to 20 million pairs.
    groups : array-like of shape (n,), optional
        The item of each pair. By default, pairs that share an identical row are one item.
    seed : int, default=0
        Of the groups, the parts, the samples and the resamples.
    progress : callable, optional
        Called as ``progress(done, total)`` with rows read.

    Returns
    -------
    GeometrySummary
        Lengths in [0, 2], cosines in [-1, 1], shares in [0, 1]. Figures by dimension (shares of the
        gap, residual std and mean, normality) depend on the axes; the others do not.

    Raises
    ------
    ValueError
        The pairs are bad, their items make fewer than two groups, `groups_of` is out of range,
        `groups` has another length, or all differences are equal.

    References
    ----------
    .. [1] Zhang et al., "Connect, Collapse, Corrupt", ICLR 2024, Proposition 1, Table 1, Figures 3, 8, 9.
    .. [2] Liang et al., "Mind the Gap", NeurIPS 2022, section 3: cones.

    Examples
    --------
    >>> x, y = 0.1 * np.random.default_rng(0).normal(size=(2, 500, 16))
    >>> x[:, 0], y[:, 0] = 1, -1
    >>> found = geometry(x, y, groups_of=50)
    >>> found.groups, f"{found.direction.mean:.3f} {found.gap_length_unbiased.value:.2f}"
    (10, '0.999 1.87')
    >>> print(found.verdicts[0])
    constant length: holds (1.869 ± 0.003 over groups, a std of 0.2% of the mean; 0.1% of it is noise)
    """
    check_number(groups_of, "groups_of", f"[2, {LARGEST_GROUP}]", integer=True)
    check_number(seed, "seed", "[0, inf)", integer=True)
    x, y = check_pairs(x, y)
    items = find_items(x, y, groups)
    rng = np.random.default_rng(seed)
    rows = items.one_pair_of_each(rng)
    in_all = len(rows) // groups_of
    if in_all < 2:
        raise ValueError(
            f"expected at least 2 groups of {groups_of} pairs of different items, "
            f"got {items.count} items in {len(x)} pairs: lower groups_of"
        )
    count = min(in_all, MAX_GROUPS)
    order = rng.permutation(rows)[: count * groups_of].reshape(count, groups_of)
    steps = _Steps(progress, len(items.x_rows) + len(items.y_rows) + 2 * len(rows) + order.size)
    spans = []
    for name, z, distinct in (("x", x, items.x_rows), ("y", y, items.y_rows)):
        spans.append(Span.of(z, distinct, name=name))
        steps.advance(len(distinct))
    sums = differences(x, y, rows, seed, steps.advance)
    noise = spectrum(sums.covariance, len(rows), name="differences x - y")
    figures = replicate(x, y, sums, (spans[0], spans[1]), seed=seed, advance=steps.advance)
    found = group_figures(x, y, order, steps.advance)
    return GeometrySummary(
        pairs=len(x),
        items=items.count,
        dim=x.shape[1],
        groups_of=groups_of,
        groups=count,
        groups_in_all=in_all,
        compared=compared_groups(count, groups_of),
        tested=min(len(rows), MAX_TESTED),
        **_distributions(found, sums, figures, order, spans),
        cone_x=_cone(x, items.x_rows, spans[0], rng),
        cone_y=_cone(y, items.y_rows, spans[1], rng),
        **_gap(figures, spans, sums.gap),
        **_shares(spans[0].mean - spans[1].mean),
        **_shape(x, y, rows, seed),
        spectrum_x=spans[0].spectrum,
        spectrum_y=spans[1].spectrum,
        spectrum_noise=noise,
    )


class _Steps:
    """Tells a callback how much has been done."""

    def __init__(self, progress: Progress | None, total: int):
        self.progress, self.total, self.done = progress, total, 0

    def advance(self, rows: int) -> None:
        self.done += rows
        if self.progress is not None:
            self.progress(self.done, self.total)


def _cone(z: Any, distinct: np.ndarray, span: Span, rng: np.random.Generator) -> Distribution:
    """Cosines of two rows: their mean from sums over all rows, their spread from a sample's."""
    drawn = np.sort(rng.permutation(distinct)[:CONE_ROWS])
    unit = unit_rows(z[drawn])
    tally = Tally(-1, 1).add((unit @ unit.T)[np.triu_indices(len(unit), 1)])
    n = len(distinct)
    mean = float((n * (span.mean @ span.mean) - 1) / (n - 1))
    return tally.distribution(isotropic=isotropic.cone(mean, z.shape[1]), mean=mean)


def _distributions(
    found: GroupFigures, sums: Differences, figures: Replicates, order: np.ndarray, spans: list[Span]
) -> dict[str, Any]:
    """The figures of Table 1, and the residuals' spread by dimension."""
    dim, g = len(sums.gap), order.shape[1]
    square, noise = figures.length.value**2, float(np.trace(sums.covariance))
    rows = [(span.mean, span.spectrum.variance) for span in spans]
    along = isotropic.along_gap(rows[0], rows[1], noise)
    across = [isotropic.orthogonality(*one, sums.gap) for one in rows]
    mean = found.residual_sum / order.size  # (dim,)
    return {
        "gap_length": found.lengths.distribution(
            isotropic=isotropic.gap_length(square, noise, dim, groups_of=g, along=along), paper=(0.83, 0.01)
        ),
        "direction": found.directions.distribution(
            isotropic=isotropic.direction(square, noise, dim, groups_of=g), paper=(0.99, 0.00)
        ),
        "orthogonality_x": found.orthogonality_x.distribution(isotropic=across[0], paper=(0.00, 0.06)),
        "orthogonality_y": found.orthogonality_y.distribution(isotropic=across[1]),
        "residual_mean": distribution_of(mean, isotropic=(0.0, 0.0), paper=(0.00, 0.00)),
        "residual_cosine": found.residual_cosines.distribution(
            isotropic=isotropic.residual_cosine(dim, groups_of=g), paper=(0.00, 0.10)
        ),
        "residual_std": distribution_of(
            np.sqrt(np.maximum(np.diag(sums.covariance), 0)),
            isotropic=isotropic.residual_std(noise, dim, n=len(sums.rows)),
        ),
    }


def _gap(figures: Replicates, spans: list[Span], gap: np.ndarray) -> dict[str, Any]:
    """Figures of the gap that have intervals."""

    def single(figure: Figure, chance: float | None = None) -> Single:
        return Single(figure.value, chance, figure.low, figure.high)

    ratios = []
    for figure, span in zip((figures.ratio_x, figures.ratio_y), spans, strict=True):
        _, along = isotropic.orthogonality(span.mean, span.spectrum.variance, gap)
        chance = span.spectrum.participation_ratio * along**2  # a direction's share of the whole, squared
        ratios.append(None if figure is None else single(figure, chance))
    return {
        "gap_length_unbiased": single(figures.length),
        "constant_share": single(figures.constant_share),
        "noise_std": single(figures.noise_std),
        "gap_variance_x": ratios[0],
        "gap_variance_y": ratios[1],
    }


def _shares(gap: np.ndarray) -> dict[str, Any]:
    """Shares of the squared gap in its largest dimensions."""
    square = np.sort(gap**2)[::-1]
    total = max(float(square.sum()), 1e-300)
    return {
        f"gap_share_top_{k}": Single(float(square[:k].sum()) / total, isotropic.top_share(k, len(gap)))
        for k in (1, 2, 10)
    }


def _shape(x: Any, y: Any, rows: np.ndarray, seed: int) -> dict[str, Any]:
    """Figures of the noise's shape, dimension by dimension."""
    _, rejecting, kurtosis = normality(x, y, rows, seed)
    return {
        "rejecting": None if rejecting is None else Single(rejecting, 0.05),
        "kurtosis": None if kurtosis is None else Single(kurtosis, 0.0),
    }
