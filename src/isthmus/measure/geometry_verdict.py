"""What holds of Proposition 1, in words, each by a fixed criterion."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from isthmus.measure.geometry_noise import LEAST_DIRECTED, LEAST_TESTED

if TYPE_CHECKING:
    from isthmus.measure.geometry import GeometrySummary

LEAST_SPREAD = 80  # pairs; of fewer, isotropic noise may look as if it kept to nine tenths of the dimensions

Word = Literal["holds", "holds in part", "does not hold", "not tested"]


@dataclass(frozen=True)
class Verdict:
    """One part of Proposition 1, whether it holds, and the figure that says so."""

    part: str
    verdict: Word
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
        return {"part": self.part, "verdict": self.verdict, "reason": self.reason}

    def __str__(self) -> str:
        return f"{self.part}: {self.verdict} ({self.reason})"


def verdicts(found: "GeometrySummary") -> tuple[Verdict, ...]:
    """Judge every part of Proposition 1.

    ===================== ============================== ==============================
    part                  holds                          holds in part
    ===================== ============================== ==============================
    constant length       std, and what noise adds, each <= 0.15
                          <= 0.05 of the mean
    constant direction    mean cosine >= 0.95            >= 0.5
    orthogonal to x, to y interval below half of what a  interval below that of a
                          direction at random would have direction at random
    noise zero-mean       by construction, to 1e-9       never
    noise isotropic       participation ratio, less what >= 0.5 dim
                          chance may add, >= 0.9 dim
    noise Gaussian        at most 0.10 of dimensions     at most 0.50
                          reject normality at 0.05
    ===================== ============================== ==============================

    Where the gap's length cannot be told from 0, no part about the gap holds. Of a group's mean
    difference, noise adds what it has beyond the gap's unbiased length: in many dimensions the noise of
    a mean has nearly the same length in every group, so that lengths agree without any gap. Orthogonality
    is tested on 6 pairs and more, normality on 50, isotropy on 80. Chance moves the participation ratio of
    isotropic noise by a factor of 1 ± 3.92 / (n - 1), in 95% of samples of n pairs [1]_.

    Parameters
    ----------
    found : GeometrySummary
        The figures.

    Returns
    -------
    tuple of Verdict
        Seven.

    References
    ----------
    .. [1] Ledoit and Wolf, "Some hypothesis tests for the covariance matrix when the dimension is large
       compared to the sample size", The Annals of Statistics 2002: the statistic U of John.
    """
    return (
        *_constant(found),
        _orthogonal(found, "x"),
        _orthogonal(found, "y"),
        _zero_mean(found),
        _isotropic(found),
        _gaussian(found),
    )


def _word(value: float, holds: float, in_part: float) -> Word:
    """Word of a value that is the better the smaller it is."""
    return "holds" if value <= holds else "holds in part" if value <= in_part else "does not hold"


def _too_few(part: str, pairs: int, least: int) -> Verdict:
    return Verdict(part, "not tested", f"{pairs} pairs are too few: at least {least}")


def _no_gap(found: "GeometrySummary") -> str | None:
    length = found.gap_length_unbiased
    if length.low:
        return None
    return (
        f"no gap can be told from 0: its length is {length.value:.3f} [{length.low:.3f}, {length.high:.3f}]"
    )


def _constant(found: "GeometrySummary") -> tuple[Verdict, Verdict]:
    parts, missing = ("constant length", "constant direction"), _no_gap(found)
    if missing:
        first, second = (Verdict(part, "does not hold", missing) for part in parts)
        return first, second
    length, cosine = found.gap_length, found.direction
    share, noise = length.std / length.mean, max(1 - found.gap_length_unbiased.value / length.mean, 0)
    return (
        Verdict(
            parts[0],
            _word(max(share, noise), 0.05, 0.15),
            f"{length.mean:.3f} ± {length.std:.3f} over groups, a std of {share:.1%} of the mean; "
            f"{noise:.1%} of it is noise",
        ),
        Verdict(
            parts[1],
            _word(-cosine.mean, -0.95, -0.5),
            f"cosine of two groups' gaps {cosine.mean:.3f} ± {cosine.std:.3f}",
        ),
    )


def _orthogonal(found: "GeometrySummary", name: Literal["x", "y"]) -> Verdict:
    part, missing = f"gap orthogonal to the span of {name}", _no_gap(found)
    ratio = found.gap_variance_x if name == "x" else found.gap_variance_y
    if found.spectrum_noise.rows < LEAST_DIRECTED:
        return _too_few(part, found.spectrum_noise.rows, LEAST_DIRECTED)
    if missing or ratio is None:
        return Verdict(
            part, "does not hold", missing or "its direction differs from third to third of the items"
        )
    spectrum = found.spectrum_x if name == "x" else found.spectrum_y
    value, low, high = ratio.value, ratio.low or 0.0, ratio.high or 0.0
    chance = spectrum.participation_ratio / found.dim  # of a direction at random
    return Verdict(
        part,
        _word(high, chance / 2, chance),
        f"along the gap {name} has {value:z.3f} [{low:z.3f}, {high:z.3f}] of the variance along its span's "
        f"own directions, {value / chance:z.2f} times that along a direction at random",
    )


def _zero_mean(found: "GeometrySummary") -> Verdict:
    largest = max(abs(found.residual_mean.edges[0]), abs(found.residual_mean.edges[-1]))
    word = "holds" if largest <= 1e-9 else "does not hold"
    return Verdict("noise zero-mean", word, f"by construction; at most {largest:.0e} in any dimension")


def _isotropic(found: "GeometrySummary") -> Verdict:
    part, noise, cosine = "noise isotropic", found.spectrum_noise, found.residual_cosine
    if noise.rows < LEAST_SPREAD:
        return _too_few(part, noise.rows, LEAST_SPREAD)
    ratio, dim, chance = noise.participation_ratio, found.dim, 1.96 * 2 / (noise.rows - 1)
    return Verdict(
        part,
        _word(-ratio / (1 + chance) / dim, -0.9, -0.5),
        f"it spreads over {ratio:.0f} of {dim} dimensions, isotropic noise over all of them, give or take "
        f"{chance:.1%}; std of the residuals' cosines {cosine.std:.4f}, of isotropic noise "
        f"{cosine.isotropic[1]:.4f}",
    )


def _gaussian(found: "GeometrySummary") -> Verdict:
    part, share, kurtosis = "noise Gaussian", found.rejecting, found.kurtosis
    if share is None or kurtosis is None:
        return _too_few(part, found.tested, LEAST_TESTED)
    return Verdict(
        part,
        _word(share.value, 0.1, 0.5),
        f"{share.value:.1%} of dimensions reject normality on {found.tested} pairs, 5% would by chance; "
        f"mean excess kurtosis {kurtosis.value:.2f}",
    )
