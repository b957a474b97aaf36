"""An aligner's map of one modality as layers of weights, which every format can hold."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from sklearn.utils.validation import check_is_fitted

from isthmus.align.affine import AffineAligner, PairedAligner, centred
from isthmus.align.nonlinear import NonLinearAligner

Modality = Literal["x", "y"]


@dataclass(frozen=True, eq=False)
class Layers:
    """What happens to a row between two scalings to unit length.

    Each layer is ``row @ weight + bias``, with the activation between two layers; with `residual` the unit
    row is added to what the last one gives.
    """

    weights: tuple[np.ndarray, ...]  # (width_in, width_out) each, float32
    biases: tuple[np.ndarray, ...]  # (width_out,) each, float32
    activation: str | None = None  # "relu", "gelu" (by erf) or "tanh"; None where there is one layer
    residual: bool = False
    identity: bool = False  # whether the only weight is the identity, which need not be multiplied by
    # A row (width_in,) to subtract before the only weight, and the bias (width_out,) that is then left: the
    # same map, with more digits.
    centred: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def is_linear(self) -> bool:
        """Whether it is one matrix and a bias."""
        return len(self.weights) == 1 and not self.residual


def layers_of(aligner: PairedAligner, modality: Modality = "x") -> Layers:
    """Return the map of one modality, the scales and means of a network folded into its weights.

    Parameters
    ----------
    aligner : PairedAligner
        Fitted, closed-form or nonlinear.
    modality : {"x", "y"}, default="x"
        The first or the second.

    Returns
    -------
    Layers
        In float32, computed in float64.

    Raises
    ------
    NotFittedError
        The aligner is not fitted.
    ValueError
        The modality is unknown, or the aligner is of another kind.

    Examples
    --------
    >>> from isthmus.align import MeanShift
    >>> layers_of(MeanShift().fit([[1.0, 0], [1, 0]], [[0.0, 1], [0, 1]])).biases[0]
    array([-0.5,  0.5], dtype=float32)
    """
    check_is_fitted(aligner)
    if modality not in ("x", "y"):
        raise ValueError(f"modality must be 'x' or 'y', got {modality!r}")
    if isinstance(aligner, AffineAligner):
        matrix = getattr(aligner, f"{modality}_matrix_")
        return _affine(matrix, getattr(aligner, f"{modality}_offset_"))
    if isinstance(aligner, NonLinearAligner):
        return _affine(None, np.zeros_like(aligner.y_mean_)) if modality == "y" else _network(aligner)
    raise ValueError(
        f"cannot export a {type(aligner).__name__}: expected a closed-form aligner or NonLinearAligner"
    )


def _affine(matrix: np.ndarray | None, offset: np.ndarray) -> Layers:
    weight = np.eye(len(offset)) if matrix is None else matrix
    centre, left = (None, offset) if matrix is None else centred(matrix, offset)
    about = None if centre is None else (centre, _single(left))
    return Layers((_single(weight),), (_single(offset),), identity=matrix is None, centred=about)


def _network(aligner: NonLinearAligner) -> Layers:
    """Fold ``(unit - x_mean) * scale`` into the first layer, ``/ scale + y_mean`` into the last."""
    learned = [weight.astype(np.float64) for weight in aligner.weights_]
    weights, biases = learned[0::2], learned[1::2]
    scale = np.sqrt(aligner.n_features_in_)
    x_mean, y_mean = (mean.astype(np.float64) for mean in (aligner.x_mean_, aligner.y_mean_))
    biases[0] = biases[0] - scale * x_mean @ weights[0]
    weights[0] = weights[0] * scale
    biases[-1] = biases[-1] / scale + y_mean - (x_mean if aligner.residual else 0)
    weights[-1] = weights[-1] / scale
    if len(weights) == 1:  # no hidden layer: a linear map, whatever it is called
        return Layers((_single(weights[0] + aligner.residual * np.eye(len(y_mean))),), (_single(biases[0]),))
    return Layers(
        tuple(map(_single, weights)),
        tuple(map(_single, biases)),
        activation=aligner.activation,
        residual=aligner.residual,
    )


def _single(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, dtype=np.float32)
