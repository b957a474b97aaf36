"""SharedSpace: the part that both modalities see, estimated in closed form from pairs."""

from typing import Any, Literal, Self

import numpy as np

from isthmus.align.affine import AffineAligner
from isthmus.align.latent import Dials, LatentModel, candidates
from isthmus.align.selection import choose_dials, fold_statistics
from isthmus.checks import check_embeddings, check_groups, check_number
from isthmus.measure.statistics import GapStatistics, moments


class SharedSpace(AffineAligner):
    r"""Map both modalities onto what they share, in closed form.

    The model is C3's geometry [1]_ with the alignment noise made explicit,
    ``x = m_x + s + n_x`` and ``y = m_y + s + n_y``. The covariance ``S`` of
    ``s`` is the symmetrised cross-covariance of the pairs; what is left of
    each modality's covariance is its noise, which `shrinkage` pulls toward
    its isotropic part. Then, about each mean and before scaling to unit length:

    - noise "common": ``N``, the mean of both, for both; rows are whitened by
      ``N^-1/2`` and each eigen-direction ``k`` of ``N^-1/2 S N^-1/2`` is
      weighted by ``(k / (k + 1)) ** strength``. One matrix for both.
      Best where pairs are many.
    - noise "separate": with ``S = R R'`` and ``s = R z``, the posterior mean
      of ``z`` under the modality's own noise, ``(t I + R' N_x^-1 R)^-1
      R' N_x^-1 (x - m_x)`` with ``t = strength``. Best where pairs are few.
    - noise "none": the means are subtracted, and nothing else.

    What comes out has the width that came in: shared directions lie where they lay in the input.

    Parameters
    ----------
    noise : {"auto", "common", "separate", "none"}, default="auto"
        Which of these.
    shrinkage : float or "auto", default="auto"
        Share of the noise that is made isotropic, in [0, 1].
    strength : float or "auto", default="auto"
        How strongly directions that are mostly noise are turned down: a
        higher one closes more of the gap, and costs more retrieval.
    keep_recall : float, default=0.99
        What "auto" settles by cross-validation over the training items: the lowest relative
        modality gap that keeps this share of the raw mean R@1.
    target : {"shared", "y"}, default="shared"
        "shared": both modalities move. "y": the second stays as it is, so
        that an index of it needs no rebuilding, and the first is placed in it: what the first shares,
        mapped as above onto the principal directions of S, is given y's mean and y's variance about it.
        There "none" shifts the first by `strength` times the gap.
    seed : int, default=0
        Of the cross-validation's folds.

    Attributes
    ----------
    dials_ : Dials
        Noise, shrinkage and strength taken.
    x_matrix_, y_matrix_ : ndarray of shape (dim, dim) or None
        Linear part of each map; None is the identity.
    x_offset_, y_offset_ : ndarray of shape (dim,)
        Added after it.

    References
    ----------
    .. [1] Zhang et al., "Connect, Collapse, Corrupt", ICLR 2024, Proposition 1.
    .. [2] Bach and Jordan, "A Probabilistic Interpretation of Canonical Correlation Analysis", 2005:
       posterior means of a shared latent variable.

    Examples
    --------
    >>> from isthmus.theory import sample
    >>> image, text, _ = sample(400)
    >>> aligner = SharedSpace(noise="separate", shrinkage=0.8, strength=8).fit(image, text)
    >>> mapped_image, mapped_text = aligner.transform(image, text)
    >>> cosines = (image * text).sum(axis=1), (mapped_image * mapped_text).sum(axis=1)
    >>> print(f"{cosines[0].mean():.1f} -> {cosines[1].mean():.1f}")
    0.3 -> 0.8
    """

    def __init__(
        self,
        noise: Literal["auto", "common", "separate", "none"] = "auto",
        shrinkage: float | Literal["auto"] = "auto",
        strength: float | Literal["auto"] = "auto",
        keep_recall: float = 0.99,
        target: Literal["shared", "y"] = "shared",
        seed: int = 0,
    ):
        self.noise = noise
        self.shrinkage = shrinkage
        self.strength = strength
        self.keep_recall = keep_recall
        self.target = target
        self.seed = seed

    def fit(
        self, X: Any, Y: Any, *, groups: Any = None, unpaired_x: Any = None, unpaired_y: Any = None
    ) -> Self:
        """Learn from paired embeddings, and from unpaired ones where there are any.

        Parameters
        ----------
        X, Y : array-like of shape (n, dim)
            Row ``i`` of both embeds the same item. Arrays on disk are read block by block.
        groups : array-like of shape (n,), optional
            The item of each pair; cross-validation holds out whole items.
        unpaired_x, unpaired_y : array-like of shape (m, dim), optional
            More embeddings of either modality: they improve its mean, and its covariance where noise is
            "separate".

        Returns
        -------
        Self
            The fitted aligner.

        Raises
        ------
        ValueError
            The pairs are bad, an option is out of range, or nothing is shared by the pairs.
        """
        options = self._candidates()
        X, Y = self._check_fit(X, Y)
        group = np.arange(len(X)) if groups is None else check_groups(groups, len(X))
        extra = [
            None if rows is None else _unpaired(check_embeddings(rows, name, X.shape[1]))
            for rows, name in ((unpaired_x, "unpaired_x"), (unpaired_y, "unpaired_y"))
        ]
        if len(options) == 1:
            self.dials_ = options[0]
            statistics = GapStatistics(covariance=True).update(X, Y)
        else:
            folds = fold_statistics(X, Y, group, seed=self.seed)
            self.dials_ = choose_dials(
                folds, options, extra=extra, target=self.target, keep_recall=self.keep_recall
            )
            statistics = folds.total
        self._place(LatentModel.of(statistics, extra))
        return self

    def _place(self, model: LatentModel) -> None:
        (x_matrix, x_offset), (y_matrix, y_offset) = model.maps(self.dials_, self.target)
        self._set("x", x_matrix, x_offset)
        self._set("y", y_matrix, y_offset)

    def _candidates(self) -> list[Dials]:
        if self.target not in ("shared", "y"):
            raise ValueError(f"target must be 'shared' or 'y', got {self.target!r}")
        check_number(self.keep_recall, "keep_recall", "(0, 1]")
        check_number(self.seed, "seed", "[0, inf)", integer=True)
        if self.shrinkage != "auto":
            check_number(self.shrinkage, "shrinkage", "[0, 1]")
        if self.strength != "auto":
            check_number(self.strength, "strength", "[0, inf)")
        return candidates(self.noise, self.shrinkage, self.strength, self.target)


def _unpaired(rows: Any) -> tuple[int, np.ndarray, np.ndarray]:
    return len(rows), *moments(rows)
