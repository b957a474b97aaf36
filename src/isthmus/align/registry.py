"""Every aligner by the name it has on the command line."""

from typing import Any

from isthmus.align.affine import PairedAligner
from isthmus.align.nonlinear import NonLinearAligner
from isthmus.align.paired import LinearMap, MeanShift, Procrustes, RegularizedCCA
from isthmus.align.shared import SharedSpace
from isthmus.align.unpaired import MeanCollapse

ALIGNERS: dict[str, type[PairedAligner]] = {
    "collapse": MeanCollapse,
    "shift": MeanShift,
    "linear": LinearMap,
    "procrustes": Procrustes,
    "cca": RegularizedCCA,
    "shared": SharedSpace,
    "nonlinear": NonLinearAligner,
}


def make_aligner(name: str, **params: Any) -> PairedAligner:
    """Return an unfitted aligner by name.

    Parameters
    ----------
    name : str
        A key of :data:`ALIGNERS`.
    **params
        Of the aligner.

    Returns
    -------
    PairedAligner
        Unfitted.

    Raises
    ------
    ValueError
        The name or a parameter is unknown.

    Examples
    --------
    >>> make_aligner("shift", strength=0.5)
    MeanShift(strength=0.5)
    """
    if name not in ALIGNERS:
        raise ValueError(f"unknown aligner {name!r}: expected one of {', '.join(ALIGNERS)}")
    return ALIGNERS[name]().set_params(**params)
