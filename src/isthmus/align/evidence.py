"""Evidence: from a score to how much likelier a match makes it, in logarithms."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression


def isotonic(matches: np.ndarray, mismatches: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit a rising map by pooling adjacent violators, matches and mismatches weighing the same in all.

    Equal scores share one step. At the lowest and at the highest score, one match and one mismatch are
    added, so that all evidence is finite.

    Parameters
    ----------
    matches, mismatches : ndarray of shape (m,) and (u,)
        Sorted scores.

    Returns
    -------
    knots, evidence : ndarray of shape (k,)
        Scores, ascending, and their evidence, not falling.

    Examples
    --------
    >>> knots, evidence = isotonic(np.array([0.2, 0.4]), np.array([0.1, 0.3]))
    >>> knots, evidence.round(2)
    (array([0.1, 0.2, 0.3, 0.4]), array([-0.69,  0.  ,  0.  ,  0.69]))
    """
    low, high = min(matches[0], mismatches[0]), max(matches[-1], mismatches[-1])
    ends = [low, high]
    scores = np.concatenate([matches, ends, mismatches, ends])
    is_match = np.arange(len(scores)) < len(matches) + 2
    weight = np.where(is_match, 1 / (len(matches) + 2), 1 / (len(mismatches) + 2))
    fitted = IsotonicRegression().fit(scores, is_match.astype(float), sample_weight=weight)
    return fitted.X_thresholds_, logit(fitted.y_thresholds_)


def logistic(matches: np.ndarray, mismatches: np.ndarray, prior: float) -> tuple[float, float]:
    """Fit a straight line by Newton's method on the log loss at a prior, with Platt's targets.

    Parameters
    ----------
    matches, mismatches : ndarray of shape (m,) and (u,)
        Scores.
    prior : float
        Share of the loss that is of matches.

    Returns
    -------
    intercept, slope : float
        Of the evidence.

    Raises
    ------
    ValueError
        The line does not rise.

    Examples
    --------
    >>> intercept, slope = logistic(np.array([0.2, 0.4]), np.array([0.1, 0.3]), 0.5)
    >>> round(-intercept / slope, 6)  # nothing speaks for either
    0.25
    """
    scores = np.concatenate([matches, mismatches])
    m, u = len(matches), len(mismatches)
    target = np.repeat([(m + 1) / (m + 2), 1 / (u + 2)], [m, u])
    weight = np.repeat([prior / m, (1 - prior) / u], [m, u])
    centre, scale = scores.mean(), scores.std() or 1.0
    design = np.stack([np.ones_like(scores), (scores - centre) / scale], axis=1)  # (n, 2)
    line = np.array([logit(prior), 0.0])
    for _ in range(100):
        p = expit(design @ line)
        curvature = (design.T * (weight * p * (1 - p))) @ design
        step = np.linalg.lstsq(curvature, design.T @ (weight * (target - p)), rcond=None)[0]
        step /= max(1.0, np.abs(step).max())  # a step too long overshoots where the curve is flat
        line += step
        if np.abs(step).max() < 1e-10:
            break
    if line[1] <= 0:
        raise ValueError(
            f"expected matches with higher scores than mismatches, got means of {matches.mean():.3g} and "
            f"{mismatches.mean():.3g}"
        )
    return float(line[0] - logit(prior) - line[1] * centre / scale), float(line[1] / scale)


def raised(scores: Any, falls_short: Callable[[Any], Any]) -> Any:
    """Return scores raised by what rounding left them short of: to the next float, or as far as it takes.

    Parameters
    ----------
    scores : float or ndarray
        Finite.
    falls_short : callable
        Says of scores, elementwise, which are too low; none is that is high enough.

    Returns
    -------
    float or ndarray of float64
        Of the shape of `scores`; those that did not fall short are as they were.

    Examples
    --------
    >>> float(raised(0.1 + 0.7, lambda score: score < 0.8))
    0.8
    """
    scores = np.array(scores, dtype=np.float64)
    step = np.spacing(np.maximum(np.abs(scores), 1e-3))
    while (low := falls_short(scores)).any():
        scores, step = np.where(low, scores + step, scores), 2 * step
    return scores[()]  # a number where it was one


def check_scores(scores: Any, name: str) -> np.ndarray:
    """Return scores as float64, of the shape that they have.

    Raises
    ------
    ValueError
        They are not numbers, or not finite.
    """
    scores = np.asarray(scores)
    if scores.dtype.kind not in "fiu":
        raise ValueError(f"{name} must be numbers, got {scores.dtype}")
    if not np.isfinite(scores).all():
        raise ValueError(f"{name} must be finite, got {np.count_nonzero(~np.isfinite(scores))} that are not")
    return scores.astype(np.float64)
