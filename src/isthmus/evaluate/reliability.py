"""Whether probabilities of a match mean what they say, on items that they were not learned from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import expit, logit
from sklearn.base import clone

from isthmus.align.affine import PairedAligner
from isthmus.align.calibration import MatchCalibrator
from isthmus.align.matching import FOLDS, Trials, collect_trials
from isthmus.checks import check_groups, check_pairs
from isthmus.measure.bootstrap import Bootstrap, Figure, twice_the_move
from isthmus.measure.items import find_items

FOLK = 0.25  # the cosine that CLIP's users take for a match
COLUMNS = {
    "auc": "AUC",
    "ece": "ECE",
    "brier": "Brier",
    "log_loss": "log loss",
    "saved": "log loss saved",
    "precision": "precision",
    "recall": "recall",
}
_BINS = 10
_CLIP = 1e-3  # a cosine read as a probability is no nearer to 0 and 1: its log loss would be infinite


@dataclass(frozen=True)
class Reading:
    """What a way to read cosines is worth.

    Examples
    --------
    >>> Reading({"auc": Figure(0.9, 0.8, 1.0)}).to_dict()["figures"]["auc"]["value"]
    0.9
    """

    figures: dict[str, Figure]  # of COLUMNS; precision and recall of what reaches `threshold`
    threshold: float | None = None  # a cosine, or standard deviations above a query's mean
    bins: dict[str, list[float]] = field(default_factory=dict)  # predicted, observed, low, high, share

    def to_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        figures = {name: figure._asdict() for name, figure in self.figures.items()}
        return {"figures": figures, "threshold": self.threshold, "bins": self.bins}


@dataclass(frozen=True)
class Reliability:
    """Ways to read cosines, on the same held-out pairs and mismatches.

    Examples
    --------
    >>> Reliability(0.5, 10, 10, 90, {}).to_dict()
    {'prior': 0.5, 'items': 10, 'matches': 10, 'mismatches': 90, 'readings': {}}
    """

    prior: float  # that probabilities and precision refer to
    items: int
    matches: int
    mismatches: int
    readings: dict[str, Reading]

    def to_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        readings = {name: reading.to_dict() for name, reading in self.readings.items()}
        counts = {"items": self.items, "matches": self.matches, "mismatches": self.mismatches}
        return {"prior": self.prior, **counts, "readings": readings}

    def __rich__(self):
        from rich.table import Table

        table = Table(
            title=f"{self.matches} pairs and {self.mismatches} mismatches of {self.items} items, held out; "
            f"prior {self.prior:g}",
            caption=f"precision and recall of what reaches the threshold; ECE over {_BINS} bins",
        )
        for name in ("", *COLUMNS.values(), "threshold"):
            table.add_column(name, justify="right" if name else "left")
        for name, reading in self.readings.items():
            cells = [
                f"{f.value:.3f}\n[dim]{f.low:.3f}..{f.high:.3f}[/dim]" if f else ""
                for f in (reading.figures.get(column) for column in COLUMNS)
            ]
            table.add_row(name, *cells, "" if reading.threshold is None else f"{reading.threshold:.3f}")
        return table


def held_out_reliability(
    X: Any,
    Y: Any,
    *,
    calibrator: MatchCalibrator,
    groups: Any = None,
    aligner: tuple[str, PairedAligner] | None = None,
    again: bool = True,
) -> Reliability:
    """Cross-validate a calibrator over items, beside cosines read as they are.

    Each fold of items is judged by a map that is learned from the scores of the other folds. Those were taken
    after copies of the aligner that saw, among others, the fold that is judged; its own scores were not.

    Parameters
    ----------
    X, Y : array-like of shape (n, dim)
        Row ``i`` of both embeds the same item.
    calibrator : MatchCalibrator
        Need not be fitted.
    groups : array-like of shape (n,), optional
        The item of each pair. By default, pairs that share an identical row are one item.
    aligner : tuple of str and PairedAligner, optional
        What to call it, and a fitted one: its cosines are judged beside the raw ones.
    again : bool, default=True
        As for :meth:`isthmus.align.calibration.MatchCalibrator.fit`.

    Returns
    -------
    Reliability
        Readings "raw cosine", "raw cosine >= 0.25", "raw, calibrated", and, of the aligner by its name and
        per query, the same. Figures have 95% intervals over items, given the maps; "saved" is how much less
        the log loss is than that of "raw, calibrated", resample by resample.

    Raises
    ------
    ValueError
        The pairs are bad, or there are fewer than 4 items.

    References
    ----------
    .. [1] Naeini, Cooper and Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning",
       AAAI 2015: the expected calibration error, over 10 bins of equal width.
    .. [2] DeLong, DeLong and Clarke-Pearson, "Comparing the Areas under Two or More Correlated Receiver
       Operating Characteristic Curves", Biometrics 1988: how far items move the AUC.

    Examples
    --------
    >>> image, noise = np.random.default_rng(0).normal(size=(2, 200, 64))
    >>> found = held_out_reliability(image, image + 2 * noise, calibrator=MatchCalibrator("logistic"))
    >>> for name in ("raw cosine", "raw, calibrated"):
    ...     print(name, round(found.readings[name].figures["ece"].value, 1))
    raw cosine 0.3
    raw, calibrated 0.0
    """
    calibrator.check_options()
    X, Y = check_pairs(X, Y, ("X", "Y"))
    items = find_items(X, Y, groups)
    folds = min(FOLDS, items.count // 2)
    if folds < 2:
        raise ValueError(f"expected at least 4 items, to hold some out, got {items.count}")
    spaces = [("raw", None), *([aligner] if aligner else [])]
    queries = dict.fromkeys([False, calibrator.per_query])
    readings, judge, trials = {}, None, None
    for name, fitted in spaces:
        for query in queries:
            trials = collect_trials(
                X,
                Y,
                items,
                space=(fitted, again),
                query=(query, calibrator.background),
                seed=calibrator.seed,
                folds=folds,
            )
            judge = judge or _Judge(trials, calibrator.prior, calibrator.seed)
            if not query:
                readings |= _as_they_are(judge, trials, f"{name} cosine")
            fresh = clone(calibrator).set_params(per_query=query)
            p = np.empty(len(trials.match))
            for k in range(folds):
                test = trials.fold == k
                fresh.fit_scores(trials.score[~test], trials.match[~test])
                p[test] = expit(fresh.weigh(trials.score[test]) + logit(calibrator.prior))
            fresh.fit_scores(trials.score, trials.match)
            reading = judge(p, _threshold(fresh))
            readings[f"{name}, calibrated{' per query' if query else ''}"] = reading
    assert trials is not None
    return _reliability(calibrator.prior, trials, readings)


def reliability(
    X: Any, Y: Any, *, calibrator: MatchCalibrator, groups: Any = None, direction: str | None = None
) -> Reliability:
    """Judge a fitted calibrator on pairs of other items, such as those of another data set.

    Parameters
    ----------
    X, Y : array-like of shape (n, dim)
        Row ``i`` of both embeds the same item; mapped by the aligner, if it was fitted on one's cosines.
    calibrator : MatchCalibrator
        Fitted.
    groups : array-like of shape (n,), optional
        The item of each pair. By default, pairs that share an identical row are one item.
    direction : {"x", "y"}, optional
        Judge it on scores of queries of this modality, where it is per query and of the other one; the
        background is then of these pairs.

    Returns
    -------
    Reliability
        Readings "cosine", "cosine >= 0.25" and "calibrated", with 95% intervals over items.

    Raises
    ------
    ValueError
        The pairs are bad, or `direction` is neither.

    Examples
    --------
    >>> image, noise = np.random.default_rng(0).normal(size=(2, 400, 64))
    >>> text = image + 2 * noise
    >>> fitted = MatchCalibrator("logistic").fit(image[:200], text[:200])
    >>> found = reliability(image[200:], text[200:], calibrator=fitted)
    >>> round(found.readings["calibrated"].figures["ece"].value, 1)
    0.0
    """
    if direction not in (None, "x", "y"):
        raise ValueError(f"direction must be x or y, got {direction!r}")
    X, Y = check_pairs(X, Y, ("X", "Y"))
    items = find_items(X, Y, groups)
    query = calibrator.per_query and (direction or calibrator.per_query)
    with_own = direction is None and calibrator.per_query
    trials = collect_trials(
        X,
        Y,
        items,
        space=(None, False),
        query=(query, calibrator.background_ if with_own else calibrator.background),
        seed=calibrator.seed,
        folds=1,
    )
    p = expit(calibrator.weigh(trials.score) + logit(calibrator.prior))
    judge = _Judge(trials, calibrator.prior, calibrator.seed)
    readings = _as_they_are(judge, trials, "cosine") | {"calibrated": judge(p, _threshold(calibrator))}
    return _reliability(calibrator.prior, trials, readings)


def _as_they_are(judge: "_Judge", trials: Trials, name: str) -> dict[str, Reading]:
    return {
        name: judge(np.clip(trials.cosine, _CLIP, 1 - _CLIP), 0.5, calibrated=False),
        f"{name} >= {FOLK}": Reading(judge.accepted(trials.cosine >= FOLK), FOLK),
    }


def _threshold(calibrator: MatchCalibrator) -> float | None:
    """Return the score with a probability of 0.5; where all have it the lowest cosine, per query none."""
    try:
        threshold = float(calibrator.threshold_at(probability=0.5))
    except ValueError:  # at a low prior, no cosine may be enough
        return None
    if threshold == -np.inf:
        return None if calibrator.per_query else -1.0
    return threshold


def _reliability(prior: float, trials: Trials, readings: Mapping[str, Reading]) -> Reliability:
    items = len(np.unique(trials.x_item))
    return Reliability(prior, items, int(trials.match.sum()), int((~trials.match).sum()), dict(readings))


class _Judge:
    """Figures of probabilities, with intervals over items; a mismatch is of two of them, half to each.

    Means over mismatches move, to first order, by twice what the mean of their items' shares moves.
    """

    def __init__(self, trials: Trials, prior: float, seed: int):
        self.match, self.prior = trials.match, prior
        self.base: np.ndarray | None = None  # replicated log loss that others are compared with
        both = np.concatenate([trials.x_item[~self.match], trials.y_item[~self.match]])
        codes = check_groups(np.concatenate([trials.x_item[self.match], both]), self.match.sum() + len(both))
        own, both = np.split(codes, [self.match.sum()])
        self.boot = Bootstrap(codes, seed=seed)
        self.items = len(np.unique(own))
        self.bins = self.boot.bin[: len(own)], self.boot.bin[len(own) :]
        self.counts = [np.bincount(bins, minlength=self.boot.bins) for bins in self.bins]

    def mean(self, values: np.ndarray, match: bool) -> np.ndarray:
        """Replicate the mean of values over all matches, or over all mismatches."""
        bins, counts = self.bins[not match], self.counts[not match]
        values = values if match else np.concatenate([values, values])
        mean = self.boot.mean_of_bins(np.bincount(bins, values, minlength=self.boot.bins), counts)
        return mean if match else np.maximum(twice_the_move(mean), 0)

    def weighed(self, values: np.ndarray) -> np.ndarray:
        """Replicate the mean of values over matches and mismatches, weighed by the prior."""
        matches, mismatches = (self.mean(values[self.match == kind], kind) for kind in (True, False))
        return self.prior * matches + (1 - self.prior) * mismatches

    def accepted(self, accept: np.ndarray) -> dict[str, Figure]:
        """Return recall and, if anything is accepted, precision."""
        recall, false_alarms = (self.mean(accept[self.match == kind] * 1.0, kind) for kind in (True, False))
        right = self.prior * recall
        precision = right / np.maximum(right + (1 - self.prior) * false_alarms, 1e-300)
        figures = {"recall": Bootstrap.figure(recall, share_of=self.items)}
        if not accept.any():
            return figures
        figure = Bootstrap.figure(precision)
        if not false_alarms.any():  # nor in any resample: the bound is of as many as there may yet be
            unseen = Bootstrap.figure(false_alarms, share_of=self.items).high
            figure = figure._replace(low=float(right[0] / (right[0] + (1 - self.prior) * unseen)))
        return {"precision": figure} | figures

    def __call__(self, p: np.ndarray, threshold: float | None, *, calibrated: bool = True) -> Reading:
        """Return all figures of probabilities p, where what has 0.5 or more is accepted."""
        of_match = np.where(self.match, p, 1 - p)
        replicated = {
            "auc": self._auc(p),
            "brier": self.weighed((1 - of_match) ** 2),
            "log_loss": self.weighed(-np.log(of_match)),
        }
        if self.base is None:
            self.base = replicated["log_loss"] if calibrated else None
        else:
            replicated["saved"] = self.base - replicated["log_loss"]
        shares = dict.fromkeys(("auc", "brier"), self.items)
        figures = {
            name: Bootstrap.figure(values, share_of=shares.get(name)) for name, values in replicated.items()
        }
        figures["ece"] = self._ece(p)
        return Reading(figures | self.accepted(p >= 0.5), threshold, self._bins(p))

    def _auc(self, p: np.ndarray) -> np.ndarray:
        """Replicate how often a match has more than a mismatch, ties being half: DeLong's components."""
        matches, mismatches = np.sort(p[self.match]), np.sort(p[~self.match])
        above = _share_below(mismatches, p[self.match])
        below = 1 - _share_below(matches, p[~self.match])
        return np.minimum(self.mean(above, True) + self.mean(below, False) - above.mean(), 1)

    def _ece(self, p: np.ndarray) -> Figure:
        """Return the mean distance of predicted and observed shares of matches, by bin.

        Chance adds to it, and to every resample's. By the triangle inequality it is off by no more than the
        distances of the bins are in all, of which 95% of the resamples give the bound.
        """
        at = _bin(p)
        apart = np.array([self._both((self.match - p) * (at == b)) for b in np.unique(at)])  # (bins, draws)
        value = float(np.abs(apart[:, 0]).sum())
        bound = float(np.quantile(np.abs(apart[:, 1:] - apart[:, :1]).sum(axis=0), 0.95))
        return Figure(value, max(value - bound, 0.0), min(value + bound, 1.0))

    def _both(self, values: np.ndarray) -> np.ndarray:
        """As `weighed`, of values that may be below 0."""
        return self.weighed(np.maximum(values, 0)) - self.weighed(np.maximum(-values, 0))

    def _bins(self, p: np.ndarray) -> dict[str, list[float]]:
        """Return predicted and observed share of matches by bin that holds any, and the bins' weights."""
        at, found = _bin(p), {name: [] for name in ("predicted", "observed", "low", "high", "share")}
        for b in np.unique(at):
            inside = (at == b) * 1.0
            weight = self.weighed(inside)
            observed = Bootstrap.figure(self.weighed(inside * self.match) / np.maximum(weight, 1e-300))
            values = float(self.weighed(inside * p)[0] / weight[0]), *observed, float(weight[0])
            for name, value in zip(found, values, strict=True):
                found[name].append(value)
        return found


def _bin(p: np.ndarray) -> np.ndarray:
    return np.minimum((p * _BINS).astype(int), _BINS - 1)


def _share_below(ordered: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the share of ordered values that are lower than each value, equal ones being half."""
    below, up_to = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return (below + up_to) / (2 * len(ordered))
