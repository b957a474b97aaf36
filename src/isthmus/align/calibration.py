"""MatchCalibrator: from a cosine to the probability that two rows match."""

from typing import Any, Literal, Self

import numpy as np
from scipy.special import expit, logit
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from isthmus.align.affine import PairedAligner, _is_lazy, check_second
from isthmus.align.evidence import check_scores, isotonic, logistic, raised
from isthmus.align.matching import FOLDS, collect_trials, cosines, mapped, standing
from isthmus.checks import check_embeddings, check_number, check_pairs, unit_rows
from isthmus.measure.items import find_items

_FLOATS = (np.float64, np.float32)
_LEVELS = 2000  # thresholds that are kept, at most
_OPEN = "(0, 1)"


class MatchCalibrator(BaseEstimator):
    r"""Turn cosines into probabilities that a pair matches.

    A cosine's weight of evidence is how much more often pairs have it than mismatches do,
    ``log p(score | match) / p(score | mismatch)``. It depends on no prior; with the log odds of one added, it
    is the log odds of a match. So a probability refers to a prior that is stated, and may refer to another
    one at any time.

    Parameters
    ----------
    method : {"isotonic", "logistic"}, default="isotonic"
        "isotonic": any rising map, by pooling adjacent violators [1]_; the evidence at a step does not depend
        on the prior, and scores between two steps lie on a straight line. One match and one mismatch are
        added at both ends, so that no probability is 0 or 1; below and above all scores seen, the evidence
        stays as it is. "logistic": the evidence is a straight line in the score, fitted at the prior with
        Platt's targets [2]_, and bounded by what as many scores could tell; it needs fewer pairs.
    per_query : {False, "x", "y"}, default=False
        Which modality searches, if scores are to be relative to the query: how many standard deviations a
        cosine lies above the mean of the query's cosines with a fixed sample of the other modality [3]_.
        Takes away what a query has in common with everything.
    prior : float, default=0.5
        Probability of a match before the cosine is known, in (0, 1): 0.5 is one match to one mismatch,
        0.001 one match among 1,000 candidates.
    background : int, default=1000
        Rows of that sample, at most.
    seed : int, default=0
        Of the sample, the folds and the mismatches that are drawn.

    Attributes
    ----------
    knots_, evidence_ : ndarray of shape (k,)
        Scores, ascending, and their evidence, not falling. Of "isotonic".
    slope_, intercept_ : float
        Of the evidence as a line in the score. Of "logistic".
    levels_, recall_, false_alarms_ : ndarray of shape (m,)
        Thresholds, ascending, with the share of matches and of mismatches that are no lower.
    background_ : ndarray of shape (b, dim)
        Unit rows that a query is compared with; absent without `per_query`.

    References
    ----------
    .. [1] Zadrozny and Elkan, "Transforming Classifier Scores into Accurate Multiclass Probability
       Estimates", KDD 2002. That the steps' evidence does not depend on the prior: Brummer and du Preez, "The
       PAV Algorithm Optimizes Binary Proper Scoring Rules", 2013, arXiv:1304.2331.
    .. [2] Platt, "Probabilistic Outputs for Support Vector Machines", 1999, section 2.2.
    .. [3] Auckenthaler, Carey and Lloyd-Thomas, "Score Normalization for Text-Independent Speaker
       Verification Systems", Digital Signal Processing 2000: the Z-norm.

    Examples
    --------
    >>> image, noise = np.random.default_rng(0).normal(size=(2, 400, 64))
    >>> calibrator = MatchCalibrator().fit(image, image + 2 * noise)
    >>> calibrator.probability([0.1, 0.25, 0.35]).round(2)
    array([0.  , 0.73, 0.97])
    >>> calibrator.probability([0.1, 0.25, 0.35], prior=0.001).round(2)
    array([0.  , 0.  , 0.03])
    """

    n_features_in_: int

    def __init__(
        self,
        method: Literal["isotonic", "logistic"] = "isotonic",
        per_query: bool | str = False,
        prior: float = 0.5,
        background: int = 1000,
        seed: int = 0,
    ):
        self.method = method
        self.per_query = per_query
        self.prior = prior
        self.background = background
        self.seed = seed

    def fit(
        self,
        X: Any,
        Y: Any,
        *,
        groups: Any = None,
        aligner: PairedAligner | None = None,
        again: bool = True,
    ) -> Self:
        """Learn from pairs, and from their mismatches: rows of different items.

        At most 20,000 pairs are used, with all of their mismatches where these are no more than a million.

        Parameters
        ----------
        X, Y : array-like of shape (n, dim)
            Row ``i`` of both embeds the same item.
        groups : array-like of shape (n,), optional
            The item of each pair. By default, pairs that share an identical row are one item.
        aligner : PairedAligner, optional
            A fitted one, whose cosines are calibrated: what the calibrator is given later must have gone
            through it.
        again : bool, default=True
            The aligner may have learned from these pairs, which lie nearer to each other in its space than
            new ones: cosines are taken on held-out items after copies of it that are fitted on the others.
            False if it has not.

        Returns
        -------
        Self
            The fitted calibrator.

        Raises
        ------
        ValueError
            The pairs are bad, an option is out of range, or "logistic" finds matches no nearer than
            mismatches.
        """
        self.check_options()
        X, Y = self._check_pairs(X, Y, reset=True)
        items = find_items(X, Y, groups)
        folds = max(2, min(FOLDS, items.count // 2)) if aligner is not None and again else 1
        if aligner is not None:
            check_is_fitted(aligner)
        trials = collect_trials(
            X,
            Y,
            items,
            space=(aligner, again),
            query=(self.per_query, self.background),
            seed=self.seed,
            folds=folds,
        )
        self.fit_scores(trials.score, trials.match)
        if self.per_query:
            rng = np.random.default_rng(self.seed)
            rows = np.sort(rng.choice(len(X), min(self.background, len(X)), replace=False))
            self.background_ = mapped(aligner, X[rows], Y[rows])[self.per_query == "x"]
        return self

    def check_options(self) -> None:
        """Raise ValueError, as `fit` does before it looks at any row, if an option is out of range."""
        if self.method not in ("isotonic", "logistic"):
            raise ValueError(f"method must be isotonic or logistic, got {self.method!r}")
        if self.per_query not in (False, "x", "y"):
            raise ValueError(f"per_query must be False, x or y, got {self.per_query!r}")
        self._prior(None)
        check_number(self.background, "background", "[2, inf)", integer=True)
        check_number(self.seed, "seed", "[0, inf)", integer=True)

    def fit_scores(self, scores: Any, match: Any) -> Self:
        """Learn from scores alone, such as those of judged search results.

        Parameters
        ----------
        scores : array-like of shape (n,)
            Cosines, or what else is higher for matches; standardised by the caller, if `per_query` is set.
        match : array-like of bool, shape (n,)
            Whether each is of a match.

        Returns
        -------
        Self
            The calibrator, which maps such scores.

        Raises
        ------
        ValueError
            There are no matches or no mismatches, or an option is out of range.

        Examples
        --------
        >>> found = MatchCalibrator().fit_scores([0.1, 0.2, 0.3, 0.4], [False, True, False, True])
        >>> found.probability([0.2, 0.3, 0.9]).round(2)
        array([0.5 , 0.5 , 0.67])
        """
        self.check_options()
        scores, match = check_scores(scores, "scores"), np.asarray(match)
        if match.dtype != bool or match.shape != scores.shape or scores.ndim != 1:
            raise ValueError(
                f"match must be one bool per score, shape {scores.shape}, got {match.dtype} of {match.shape}"
            )
        matches, mismatches = np.sort(scores[match]), np.sort(scores[~match])
        if not len(matches) or not len(mismatches):
            raise ValueError(f"expected matches and mismatches, got {len(matches)} and {len(mismatches)}")
        self.n_matches_, self.n_mismatches_ = len(matches), len(mismatches)
        if self.method == "isotonic":
            self.knots_, self.evidence_ = isotonic(matches, mismatches)
        else:
            self.intercept_, self.slope_ = logistic(matches, mismatches, self.prior)
        at = np.linspace(0, len(matches) - 1, min(len(matches), _LEVELS)).astype(int)
        self.levels_ = np.unique(matches[at])
        below = np.searchsorted(matches, self.levels_), np.searchsorted(mismatches, self.levels_)
        self.recall_ = 1 - below[0] / len(matches)
        self.false_alarms_ = (len(mismatches) - below[1] + 1) / (len(mismatches) + 1)
        return self

    def weigh(self, scores: Any) -> np.ndarray:
        """Return the weight of evidence of scores: the log of how much likelier a match makes them.

        Parameters
        ----------
        scores : array-like
            Cosines; or standardised ones, if `per_query` is set.

        Returns
        -------
        ndarray
            Of the same shape, in nats. Above 0 speaks for a match. Never falls with the score.
        """
        check_is_fitted(self, "levels_")
        scores = check_scores(scores, "scores")
        if self.method == "isotonic":
            return np.interp(scores, self.knots_, self.evidence_)
        return np.clip(self.intercept_ + self.slope_ * scores, *self._bounds())

    def probability(self, cosines: Any, *, queries: Any = None, prior: float | None = None) -> np.ndarray:
        """Return the probability that pairs with these cosines match.

        Parameters
        ----------
        cosines : array-like
            Of any shape: of pairs, or of queries and their nearest, (n, k). If `per_query` is set, (n,) or
            (n, k).
        queries : array-like of shape (n, dim), optional
            The rows that search, where `per_query` is set; otherwise they do not matter.
        prior : float, optional
            Probability of a match before the cosine is known, by default that of the calibrator.

        Returns
        -------
        ndarray
            Of the shape of `cosines`, in (0, 1); never falls with the cosine of a query.

        Raises
        ------
        ValueError
            A cosine or the prior is out of range, or the queries are missing, or do not fit.
        """
        check_is_fitted(self, "levels_")
        cosines = check_scores(cosines, "cosines")
        if (np.abs(cosines) > 1 + 1e-3).any():
            raise ValueError(
                f"cosines must be in [-1, 1], got one of {cosines[np.abs(cosines) > 1 + 1e-3][0]}"
            )
        odds = logit(self._prior(prior))
        if not self.per_query:
            return expit(self.weigh(cosines) + odds)
        mean, std = self._standing(queries)
        if cosines.ndim not in (1, 2) or len(cosines) != len(mean):
            raise ValueError(
                f"cosines must have a row per query, shape ({len(mean)},) or ({len(mean)}, k), "
                f"got {cosines.shape}"
            )
        spread = (slice(None), *[None] * (cosines.ndim - 1))
        return expit(self.weigh((cosines - mean[spread]) / std[spread]) + odds)

    def predict_proba(self, X: Any, Y: Any, *, prior: float | None = None) -> np.ndarray:
        """Return the probabilities that row ``i`` of X and row ``i`` of Y do not match, and that they do.

        Parameters
        ----------
        X, Y : array-like of shape (n, dim)
            Embeddings, mapped by the aligner if the calibrator is one of an aligner's cosines.
        prior : float, optional
            Probability of a match before the cosine is known, by default that of the calibrator.

        Returns
        -------
        ndarray of shape (n, 2)
            Mismatch, match; rows sum to 1.

        Raises
        ------
        ValueError
            The rows do not pair, or their width is not that of ``fit``.
        """
        check_is_fitted(self, "levels_")
        X, Y = self._check_pairs(X, Y, reset=False)
        u, v = mapped(None, X[:], Y[:])
        rows = np.arange(len(u))
        queries = u if self.per_query == "x" else v
        match = self.probability(cosines(u, v, rows, rows), queries=queries, prior=prior)
        return np.stack([1 - match, match], axis=1)

    def threshold_at(
        self,
        *,
        probability: float | None = None,
        precision: float | None = None,
        queries: Any = None,
        prior: float | None = None,
    ) -> Any:
        """Return the lowest cosine to accept.

        Parameters
        ----------
        probability : float, optional
            Accept pairs that match with this probability or more, as `probability` gives it.
        precision : float, optional
            Accept as many as possible while this share of what is accepted matches, as among the pairs
            of ``fit``.
        queries : array-like of shape (n, dim), optional
            Where `per_query` is set: give the threshold of each as a cosine. Without, it is in standard
            deviations above a query's mean.
        prior : float, optional
            Probability of a match before the cosine is known, by default that of the calibrator.

        Returns
        -------
        float, or ndarray of shape (n,)
            -inf where even the lowest will do.

        Raises
        ------
        ValueError
            Not one of `probability` and `precision` is given, it is out of range, or no cosine reaches it.
        """
        check_is_fitted(self, "levels_")
        if (probability is None) == (precision is None):
            raise ValueError("expected one of probability and precision")
        prior = self._prior(prior)
        if probability is not None:
            check_number(probability, "probability", _OPEN)
            odds = logit(prior)
            threshold = self._reaching(probability, odds)
            falls_short = lambda score: expit(self.weigh(score) + odds) < probability  # noqa: E731
        else:
            check_number(precision, "precision", _OPEN)
            right = prior * self.recall_
            precisions = right / (right + (1 - prior) * self.false_alarms_)
            if not (precisions >= precision).any():
                raise ValueError(
                    f"precision of at most {precisions.max():.3g} is reached at a prior of {prior:g}, "
                    f"got {precision}"
                )
            threshold = float(self.levels_[int(np.argmax(precisions >= precision))])
            falls_short = lambda score: score < threshold  # noqa: E731
        mean, std = (0.0, 1.0) if queries is None or not self.per_query else self._standing(queries)
        lowest = mean + std * threshold
        return lowest if threshold == -np.inf else raised(lowest, lambda c: falls_short((c - mean) / std))

    def _reaching(self, probability: float, odds: float) -> float:
        """Return the lowest score with this probability, but for rounding."""
        evidence = self.evidence_ if self.method == "isotonic" else np.array(self._bounds())
        reached = expit(evidence + odds)  # ascending
        at = int(np.searchsorted(reached, probability))
        if at == len(reached):
            told = f"probability of at most {reached[-1]:.3g} is reached at a prior of {expit(odds):g}"
            raise ValueError(f"{told}, got {probability}")
        if at == 0:
            return -np.inf
        needed = float(logit(probability) - odds)
        if self.method == "logistic":
            return (needed - self.intercept_) / self.slope_
        return float(np.interp(needed, evidence[at - 1 : at + 1], self.knots_[at - 1 : at + 1]))

    def _bounds(self) -> tuple[float, float]:
        """Return the least and the most evidence that isotonic regression could find in as many scores."""
        return -float(np.log(self.n_matches_ + 2)), float(np.log(self.n_mismatches_ + 2))

    def _standing(self, queries: Any) -> tuple[np.ndarray, np.ndarray]:
        if queries is None or not hasattr(self, "background_"):
            found = "none" if queries is None else "a calibrator of scores, without background rows"
            raise ValueError(
                f"queries must be given, since scores are relative to each query's own, got {found}"
            )
        queries = check_embeddings(queries, "queries", self.background_.shape[1])
        return standing(unit_rows(queries[:], np.float32), self.background_)

    def _prior(self, prior: float | None) -> float:
        check_number(self.prior if prior is None else prior, "prior", _OPEN)
        return self.prior if prior is None else prior

    def _check_pairs(self, X: Any, Y: Any, reset: bool) -> tuple[Any, Any]:
        if _is_lazy(X):
            X = validate_data(self, X, reset=reset, skip_check_array=True)
        else:
            least = {"ensure_min_samples": 1 + reset, "ensure_min_features": 1 + reset}
            X = validate_data(self, X, reset=reset, dtype=_FLOATS, **least)
        if reset:
            return check_pairs(X, check_second(Y), ("X", "Y"))
        Y = check_second(Y, self.n_features_in_)
        if len(X) != len(Y):
            raise ValueError(f"X and Y must pair row by row: X has {len(X)} rows, Y has {len(Y)}")
        return check_embeddings(X, "X"), check_embeddings(Y, "Y")
