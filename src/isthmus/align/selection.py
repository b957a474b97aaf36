"""Cross-validation over training items, to choose SharedSpace's dials."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.align.latent import Dials, LatentModel, Unpaired
from isthmus.checks import unit_rows
from isthmus.measure.statistics import GapStatistics

_FOLDS = 5
_HELD_OUT_PAIRS = 1000  # per fold, at most
_MARGIN = 0.3  # share of the recall that may be lost which is kept back
_PART_ROWS = 65536  # gathered at a time


@dataclass(frozen=True)
class FoldStatistics:
    """Statistics of each fold of the pairs, and some of its pairs to look at."""

    parts: list[GapStatistics]
    pairs: list[tuple[np.ndarray, np.ndarray, np.ndarray]]  # unit rows of x, of y, and their items

    @property
    def total(self) -> GapStatistics:
        """Statistics of all pairs."""
        return self.without(-1)

    def without(self, fold: int) -> GapStatistics:
        """Statistics of all pairs but those of one fold."""
        out = GapStatistics(covariance=True)
        for k, part in enumerate(self.parts):
            if k != fold:
                out.merge(part)
        return out


def fold_statistics(X: Any, Y: Any, group: np.ndarray, *, seed: int) -> FoldStatistics:
    """Cut pairs into folds of whole items, in one pass over arrays of shape (n, dim).

    Raises
    ------
    ValueError
        There are too few items to hold any out.
    """
    count = int(group.max()) + 1
    folds = min(_FOLDS, count // 2)
    if folds < 2:
        raise ValueError(f"choosing by cross-validation needs at least 4 items, got {count}: give the dials")
    fold = (np.random.default_rng(seed).permutation(count) % folds)[group]
    parts, pairs = [], []
    for k in range(folds):
        rows = np.flatnonzero(fold == k)
        part = GapStatistics(covariance=True)
        for block in np.array_split(rows, 1 + len(rows) // _PART_ROWS):
            part.update(X[block], Y[block])
        parts.append(part)
        some = _some(rows, group, np.random.default_rng([seed, k]))
        pairs.append((unit_rows(X[some], np.float32), unit_rows(Y[some], np.float32), group[some]))
    return FoldStatistics(parts, pairs)


def _some(rows: np.ndarray, group: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows of randomly chosen whole items, about `_HELD_OUT_PAIRS` of them, ascending."""
    item, size = np.unique(group[rows], return_counts=True)
    order = rng.permutation(len(item))
    enough = int(np.searchsorted(np.cumsum(size[order]), _HELD_OUT_PAIRS)) + 1
    return rows[np.isin(group[rows], item[order[:enough]])]


def choose_dials(
    folds: FoldStatistics,
    options: list[Dials],
    *,
    extra: list[Unpaired | None],
    target: str,
    keep_recall: float,
) -> Dials:
    """Return the dials with the lowest held-out RMG among those that keep enough recall.

    An option keeps enough if its recall, less half a standard error, loses no more
    than 0.7 of what may be lost: the best of many noisy estimates looks better
    than it is. If none does, the one that comes nearest is returned.

    Parameters
    ----------
    folds : FoldStatistics
        Of the training pairs.
    options : list of Dials
        To choose among.
    extra : list of (n, mean, covariance) or None
        Unpaired rows of x and of y.
    target : {"shared", "y"}
        Where the maps lead.
    keep_recall : float
        Share of the raw mean R@1 to keep.

    Returns
    -------
    Dials
        The choice; among those without noise where the pairs of some fold share nothing.
    """
    raw: list[np.ndarray] = []
    hits: dict[Dials, list[np.ndarray]] = {option: [] for option in options}
    gaps: dict[Dials, list[float]] = {option: [] for option in options}
    models = [LatentModel.of(folds.without(k), extra, np.float32) for k in range(len(folds.parts))]
    if not all(model.shares for model in models):
        options = [option for option in options if option.noise == "none"] or options
    for model, (x, y, item) in zip(models, folds.pairs, strict=True):
        raw.append(_hits(x, y, item))
        for option, (u, v) in _mapped(model, options, x, y, target).items():
            hits[option].append(_hits(u, v, item))
            gaps[option].append(_relative_gap(u, v))
    found, needed = np.concatenate(raw), 1 - (1 - _MARGIN) * (1 - keep_recall)
    spare = {option: _spare(np.concatenate(hits[option]), found, needed) for option in options}
    enough = [option for option in options if spare[option] >= -1e-9]
    if not enough:
        return max(options, key=lambda option: spare[option])
    return min(enough, key=lambda option: np.mean(gaps[option]))


def _spare(hits: np.ndarray, raw: np.ndarray, needed: float) -> float:
    """Recall above the needed share of the raw one, less half its standard error over the same rows."""
    excess = hits - needed * raw
    return float(excess.mean() - 0.5 * excess.std() / np.sqrt(len(excess)))


def _mapped(model: LatentModel, options: list[Dials], x: np.ndarray, y: np.ndarray, target: str):
    """Held-out rows under every option; what differs in strength alone shares its projections."""
    x_mean, y_mean = model.means
    coordinates: dict[tuple[str, float], tuple[np.ndarray, np.ndarray]] = {}
    out = {}
    for option in options:
        if target == "y" or option.noise == "none":
            mapped = (_affine(rows, *m) for rows, m in zip((x, y), model.maps(option, target), strict=True))
        else:
            key = option.noise, option.shrinkage
            whitening = model.whitening(*key)
            if key not in coordinates:
                coordinates[key] = (x - x_mean) @ whitening.bases[0], (y - y_mean) @ whitening.bases[1]
            mapped = whitening.weigh(*coordinates[key], option.strength)
        u, v = mapped
        out[option] = unit_rows(u, np.float32), unit_rows(v, np.float32)
    return out


def _affine(rows: np.ndarray, matrix: np.ndarray | None, offset: np.ndarray) -> np.ndarray:
    return (rows if matrix is None else rows @ matrix) + offset


def _hits(x: np.ndarray, y: np.ndarray, item: np.ndarray) -> np.ndarray:
    """Whether the nearest row of the other modality is of the same item, both ways: (2n,)."""
    cosine = x @ y.T
    return np.concatenate([item[cosine.argmax(axis=1)] == item, item[cosine.argmax(axis=0)] == item])


def _relative_gap(x: np.ndarray, y: np.ndarray) -> float:
    """Euclidean RMG of a few unit rows, at once."""
    n = len(x)
    pair = np.linalg.norm(x - y, axis=1).mean()
    within = sum(np.sqrt(np.maximum(2 - 2 * (z @ z.T), 0)).sum() for z in (x, y)) / (2 * n * (n - 1))
    return float(pair / max(pair + within, 1e-12))
