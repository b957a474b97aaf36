"""The latent model behind SharedSpace: from means and covariances to maps."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from isthmus.measure.statistics import GapStatistics

Unpaired = tuple[int, np.ndarray, np.ndarray]  # rows, mean, covariance
Map = tuple[np.ndarray | None, np.ndarray]  # matrix (dim, dim_out), None for the identity; offset

_GRID = {
    "separate": ((0.8, 0.9), (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128)),
    "common": ((0.1, 0.5), (0.25, 0.5, 0.75, 1, 1.5, 2, 3)),
    "none": ((0.0,), (1.0,)),
}
_SHIFTS = (0.0, 0.25, 0.5, 0.75, 1.0)  # strengths of noise "none" when only x may move


@dataclass(frozen=True)
class Dials:
    """What SharedSpace's map depends on beside the data."""

    noise: str  # "common", "separate" or "none"
    shrinkage: float  # share of the noise that is made isotropic
    strength: float  # how strongly noisy directions are turned down


def candidates(noise: str, shrinkage: float | str, strength: float | str, target: str) -> list[Dials]:
    """Return the dials to choose among: the grid, with what is given in place of "auto".

    Raises
    ------
    ValueError
        `noise` is unknown.

    Examples
    --------
    >>> candidates("common", 0.9, 1, "shared")
    [Dials(noise='common', shrinkage=0.9, strength=1.0)]
    """
    if noise not in ("auto", *_GRID):
        raise ValueError(f"noise must be one of auto, {', '.join(_GRID)}, got {noise!r}")
    out = []
    for kind, (shrinkages, strengths) in _GRID.items():
        if kind == "none" and noise == "auto" and (shrinkage, strength) != ("auto", "auto"):
            continue  # a given number asks for a noise that it applies to
        if kind == "none" and target == "y":
            strengths = _SHIFTS
        if noise in ("auto", kind):
            chosen = shrinkages if shrinkage == "auto" else (float(shrinkage),)
            out += [
                Dials(kind, a, float(t))
                for a in chosen
                for t in (strengths if strength == "auto" else (strength,))
            ]
    return out


class LatentModel:
    """Means, shared covariance and noises of two modalities, and the maps that follow from them.

    Parameters
    ----------
    means : ndarray of shape (2, dim)
        Of the unit rows of x and y.
    covariances : ndarray of shape (3, dim, dim)
        Of x, of y, and of x with y.
    common : ndarray of shape (dim, dim)
        Noise common to both: half the covariance of ``x - y``. It comes from pairs alone, in whose
        difference what they share cancels exactly; unpaired rows would bring its sampling error back.
    """

    def __init__(self, means: np.ndarray, covariances: np.ndarray, common: np.ndarray):
        self.means, self.covariances, self.common = means, covariances, common
        self.shared = (covariances[2] + covariances[2].T) / 2
        self._noises: dict[str, tuple[np.ndarray, ...]] = {}
        self._whitenings: dict[tuple[str, float], Whitening] = {}

    @classmethod
    def of(cls, statistics: GapStatistics, extra: list[Unpaired | None], dtype: Any = np.float64) -> Self:
        """Build the model from statistics of pairs and of unpaired rows of x and y."""
        means, covariances = statistics.means.copy(), statistics.covariances
        x, y, across = covariances
        common = (x + y - across - across.T) / 2
        for k, more in enumerate(extra):
            if more is not None:
                n, mean, covariance = more
                share = n / (n + statistics.pairs)
                shift = mean - means[k]
                covariances[k] += share * (covariance - covariances[k] + (1 - share) * np.outer(shift, shift))
                means[k] += share * shift
        return cls(means.astype(dtype), covariances.astype(dtype), common.astype(dtype))

    @cached_property
    def loadings(self) -> np.ndarray:
        """``R`` of ``S = R R'``, of shape (dim, rank), from the positive part of S."""
        value, vector = np.linalg.eigh(self.shared)
        kept = value > 1e-9 * max(value[-1], 0)
        if not kept.any():
            raise ValueError("the pairs share nothing: their cross-covariance has no positive direction")
        return vector[:, kept] * np.sqrt(value[kept])

    @property
    def shares(self) -> bool:
        """Whether the pairs share anything at all: a positive direction of S."""
        return bool(np.linalg.eigvalsh(self.shared)[-1] > 0)

    def whitening(self, noise: str, shrinkage: float) -> "Whitening":
        """Return what the maps of this noise and shrinkage have in common, whatever the strength."""
        if (noise, shrinkage) not in self._whitenings:
            self._whitenings[noise, shrinkage] = self._whiten(noise, shrinkage)
        return self._whitenings[noise, shrinkage]

    def _whiten(self, noise: str, shrinkage: float) -> "Whitening":
        if noise == "common":
            basis, evidence, vectors = self._evidence("common", shrinkage)
            basis = basis @ vectors / np.sqrt(evidence)
            return Whitening(noise, (basis, basis), (evidence, evidence), vectors, None)
        x_basis, x_evidence, x_vectors = self._evidence("x", shrinkage)
        y_basis, y_evidence, y_vectors = self._evidence("y", shrinkage)
        turn = x_vectors.T @ y_vectors  # y's latent axes seen in x's
        bases = (x_basis @ x_vectors, y_basis @ y_vectors)
        return Whitening(noise, bases, (x_evidence, y_evidence), x_vectors, turn)

    def _evidence(self, which: str, shrinkage: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """``N^-1 R`` (dim, rank), and the eigenvalues and vectors of ``R' N^-1 R``."""
        if which not in self._noises:
            x, y, _ = self.covariances
            noises = {"x": x - self.shared, "y": y - self.shared, "common": self.common}
            value, vector = np.linalg.eigh(noises[which])
            self._noises[which] = np.maximum(value, 0), vector, vector.T @ self.loadings
        value, vector, loadings = self._noises[which]
        mean = value.mean()
        value = (1 - shrinkage) * value + shrinkage * mean
        floor = 1e-6 * mean + 1e-10 * (self.loadings**2).sum() / len(value)  # noise-free pairs too
        weighed = loadings / np.maximum(value, floor)[:, None]
        evidence, vectors = np.linalg.eigh(loadings.T @ weighed)
        return vector @ weighed, np.maximum(evidence, 1e-12 * max(evidence[-1], 1e-30)), vectors

    def maps(self, dials: Dials, target: str) -> tuple[Map, Map]:
        """Return matrix and offset of both modalities' maps."""
        x_mean, y_mean = self.means
        stay: Map = None, np.zeros_like(y_mean)
        if dials.noise == "none":
            if target == "y":
                return (None, dials.strength * (y_mean - x_mean)), stay
            return (None, -x_mean), (None, -y_mean)
        whitening = self.whitening(dials.noise, dials.shrinkage)
        directions = self.loadings / np.linalg.norm(self.loadings, axis=0)
        back = whitening.axes.T @ directions.T  # latent axes to the principal directions of S: a rotation
        x_matrix, y_matrix = (m @ back for m in whitening.weigh(*whitening.bases, dials.strength))
        if target == "y":
            return self._into_y(x_matrix), stay
        return (x_matrix, -x_mean @ x_matrix), (y_matrix, -y_mean @ y_matrix)

    def _into_y(self, matrix: np.ndarray) -> Map:
        """Place x among the rows of y, given its map (dim, dim): about y's mean, with y's variance."""
        x_mean, y_mean = self.means
        x_covariance, y_covariance, _ = self.covariances
        variance = np.einsum("ij,ij->", matrix, x_covariance @ matrix)
        matrix = matrix * np.sqrt(np.trace(y_covariance) / max(variance, 1e-30))
        return matrix, y_mean - x_mean @ matrix


@dataclass(frozen=True)
class Whitening:
    """Bases (dim, rank) of both modalities, the evidence for each of their directions, and their turn."""

    noise: str
    bases: tuple[np.ndarray, np.ndarray]
    evidence: tuple[np.ndarray, np.ndarray]
    axes: np.ndarray  # (rank, rank): the common axes, seen in those of the loadings
    turn: np.ndarray | None  # (rank, rank): y's own axes to the common ones

    def weigh(self, x: np.ndarray, y: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
        """Weight coordinates (n, rank) of both modalities by the evidence, and bring them to common axes."""
        if self.noise == "common":
            weight = (self.evidence[0] / (self.evidence[0] + 1)) ** strength
            return x * weight, y * weight
        assert self.turn is not None
        return x / (strength + self.evidence[0]), (y / (strength + self.evidence[1])) @ self.turn.T
