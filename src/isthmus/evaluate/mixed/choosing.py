"""SharedSpace with its dials set for mixed search: by NDCG on items held out of the calibration."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np

from isthmus.align import Dials, SharedSpace
from isthmus.align.latent import LatentModel
from isthmus.checks import unit_rows
from isthmus.evaluate.mixed.crossing import cross_search
from isthmus.evaluate.mixed.documents import Space
from isthmus.evaluate.mixed.methods import Calibration, aligned
from isthmus.evaluate.mixed.mixture import Mixture, mix
from isthmus.evaluate.mixed.result import MixedOptions
from isthmus.evaluate.mixed.rules import Ranker
from isthmus.measure.statistics import GapStatistics

DIALS = (
    Dials("none", 0.0, 1.0),
    *(Dials("separate", 0.8, strength) for strength in (2.0, 8.0, 32.0)),
    *(Dials("common", shrinkage, 0.5) for shrinkage in (0.1, 0.5)),
)
_FOLDS = 3
_FEWEST = 4 * _FOLDS  # items below which no fold is worth looking at
_MOST = 1500  # items that choose; more are not needed to tell six candidates apart


@dataclass(frozen=True)
class Choice:
    """The dials that were taken, and what each that was tried gave.

    Examples
    --------
    >>> Choice(DIALS[0], {DIALS[0]: 0.5}).taken.noise
    'none'
    """

    taken: Dials
    ndcg: dict[Dials, float]  # mean over queries of items held out


def choose_dials(calibration: Calibration, *, dials: Sequence[Dials] = DIALS, seed: int = 0) -> Choice:
    """Choose SharedSpace's dials by NDCG in mixed corpora of calibration items held out.

    `isthmus.align.SharedSpace` chooses, by itself, the lowest gap that keeps
    its recall across modalities. What a mixed corpus asks for is another
    thing: that right answers of either modality stand above wrong ones of the other.

    Parameters
    ----------
    calibration : Calibration
        Cut into three folds of items; a third becomes images, a third texts, a third both, and what each
        leaves out searches for it.
    dials : sequence of Dials, default=DIALS
        To choose among.
    seed : int, default=0
        Of folds and corpora.

    Returns
    -------
    Choice
        Of the highest NDCG; with fewer than 12 items, noise "none".

    Examples
    --------
    >>> from isthmus.theory import sample
    >>> choose_dials(Calibration.of(*sample(90)[:2])).taken in DIALS
    True
    """
    count = int(calibration.group.max()) + 1
    if count < _FEWEST:
        return Choice(DIALS[0], {})
    if count > _MOST:
        calibration = calibration.some(_MOST, seed=seed)
    methods: dict[str, Any] = {str(i): partial(_placed, dials=option) for i, option in enumerate(dials)}
    found = cross_search(
        calibration.x,
        calibration.y,
        items=calibration.group,
        methods=methods,
        make=partial(mix, mixture=Mixture(queries=("text", "image"), seed=seed)),
        options=MixedOptions(folds=_FOLDS, seed=seed),
    )
    ndcg = {d: float(found.answers[str(i)].figures["ndcg"].mean()) for i, d in enumerate(dials)}
    return Choice(dials[int(np.argmax(list(ndcg.values())))], ndcg)


def shared_for_mixed(calibration: Calibration | None) -> Ranker:
    """Search where SharedSpace puts images and texts, its dials chosen for mixed search.

    Parameters
    ----------
    calibration : Calibration
        What the dials are chosen on, and the space is then fitted to.

    Returns
    -------
    Ranker
        By cosine.

    Raises
    ------
    ValueError
        There is nothing to learn from.

    Examples
    --------
    >>> from isthmus.theory import sample
    >>> ranker = shared_for_mixed(Calibration.of(*sample(90)[:2]))
    >>> ranker.documents is ranker.queries
    True
    """
    return aligned(_chosen(_given(calibration)), calibration)


def shared_for_mixed_search(calibration: Calibration) -> SharedSpace:
    """Fit SharedSpace with its dials chosen for mixed search: the aligner of the method "shared-mixed".

    It may be saved by `isthmus.align.save_aligner`, and then applied, exported and calibrated as any other.

    Parameters
    ----------
    calibration : Calibration
        What the dials are chosen on, and the space is then fitted to. Texts of queries in it are of no
        account: `mixed_search` moves queries by their own mean before they are mapped.

    Returns
    -------
    SharedSpace
        Fitted, images as its x.

    Examples
    --------
    >>> from isthmus.evaluate.mixed.mixture import every_row
    >>> from isthmus.evaluate.mixed.search import mixed_search
    >>> from isthmus.theory import sample
    >>> x, y, items = sample(100, captions=2)
    >>> calibration = Calibration.of(x[:160], y[:160], groups=items[:160])
    >>> made = every_row(x[160:], y[160:], items=items[160:])
    >>> aligner = shared_for_mixed_search(calibration)
    >>> saved = mixed_search(made.corpus, made.queries, methods={"saved": aligner}).figure("saved")
    >>> named = mixed_search(made.corpus, made.queries, methods=["shared-mixed"], calibration=calibration)
    >>> saved == named.figure("shared-mixed")
    True
    """
    return deepcopy(_chosen(_given(calibration)))


def _given(calibration: Calibration | None) -> Calibration:
    if calibration is None:
        raise ValueError("shared-mixed learns from pairs: calibration is missing")
    return calibration


@lru_cache(maxsize=1)  # "shared-mixed" and "shared-mixed+zscore" are often asked for together
def _chosen(calibration: Calibration) -> SharedSpace:
    aligner = _space(choose_dials(calibration).taken)
    return aligner.fit(calibration.x, calibration.y)  # its dials are given: no items are held out again


def _space(dials: Dials) -> SharedSpace:
    if dials.noise == "none":
        return SharedSpace(noise="none")
    return SharedSpace().set_params(noise=dials.noise, shrinkage=dials.shrinkage, strength=dials.strength)


def _placed(calibration: Calibration, dials: Dials) -> Ranker:
    """Where `_space` would put rows, what the candidates have in common computed once."""
    maps = _model(calibration).maps(dials, "shared")
    space = Space(*(partial(_affine, matrix=matrix, offset=offset) for matrix, offset in maps))
    return Ranker(space, space)


@lru_cache(maxsize=1)
def _model(calibration: Calibration) -> LatentModel:
    return LatentModel.of(GapStatistics(covariance=True).update(calibration.x, calibration.y), [None, None])


def _affine(unit: np.ndarray, matrix: np.ndarray | None, offset: np.ndarray) -> np.ndarray:
    moved = unit if matrix is None else unit @ matrix.astype(unit.dtype)
    return unit_rows(moved + offset.astype(unit.dtype), unit.dtype)
