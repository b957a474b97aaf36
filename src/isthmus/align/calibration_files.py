"""Calibrators on disk: one safetensors file, its configuration as JSON metadata; loading runs no code."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from isthmus.align.calibration import MatchCalibrator
from isthmus.align.files import read_told
from isthmus.align.provenance import FittedOn
from isthmus.whole import write_whole

_FORMAT = 1
_ENTRY = "isthmus.calibrator"


@dataclass(frozen=True)
class CalibratedOn:
    """What a calibrator's cosines are of, and how it did.

    Parameters
    ----------
    x, y : FittedOn
        The two modalities.
    aligner : str, optional
        SHA-256 of the file of the aligner that rows must have gone through.
    held_out : dict, optional
        Its figures on held-out items, as JSON has them.

    Examples
    --------
    >>> CalibratedOn(x=FittedOn("image")).to_dict()["x"]["modality"]
    'image'
    """

    x: FittedOn = field(default_factory=FittedOn)
    y: FittedOn = field(default_factory=FittedOn)
    aligner: str | None = None
    held_out: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> Self:
        """Return what `to_dict` was called on."""
        x, y = (FittedOn(**told[name]) for name in "xy")
        return cls(x, y, aligner=told["aligner"], held_out=told["held_out"])


def save_calibrator(
    calibrator: MatchCalibrator, path: str | Path, *, calibrated_on: CalibratedOn | None = None
) -> None:
    """Write a fitted calibrator to one safetensors file; the same calibrator gives the same bytes.

    Parameters
    ----------
    calibrator : MatchCalibrator
        Fitted.
    path : str or Path
        Written under a temporary name, then renamed.
    calibrated_on : CalibratedOn, optional
        What its cosines are of, and how it did.

    Raises
    ------
    NotFittedError
        The calibrator is not fitted.
    ValueError
        A figure of `calibrated_on` is NaN or infinite, which JSON does not have.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "calibrator.safetensors"
    >>> save_calibrator(MatchCalibrator().fit_scores([0.1, 0.3], [False, True]), path)
    >>> load_calibrator(path)
    MatchCalibrator()
    """
    from safetensors.numpy import save

    check_is_fitted(calibrator, "levels_")
    learned = {k: v for k, v in vars(calibrator).items() if k.endswith("_") and not k.startswith("_")}
    tensors = {k: np.ascontiguousarray(v) for k, v in learned.items() if isinstance(v, np.ndarray)}
    story = {
        "format": _FORMAT,
        "params": calibrator.get_params(),
        "learned": {k: v for k, v in learned.items() if k not in tensors},
        "calibrated_on": (calibrated_on or CalibratedOn()).to_dict(),
    }
    write_whole(path, save(tensors, {_ENTRY: json.dumps(story, sort_keys=True, allow_nan=False)}))


def load_calibrator(path: str | Path) -> MatchCalibrator:
    """Read a calibrator that :func:`save_calibrator` wrote; never executes code from the file.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    MatchCalibrator
        Fitted.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is not a file of a calibrator, is corrupt, or was written by a later version.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "calibrator.safetensors"
    >>> fitted = MatchCalibrator(prior=0.1).fit_scores([0.1, 0.3], [False, True])
    >>> save_calibrator(fitted, path)
    >>> bool(load_calibrator(path).probability(0.2) == fitted.probability(0.2))
    True
    """
    story, tensors = _read(path)
    calibrator = MatchCalibrator(**story["params"])
    for name, value in {**story["learned"], **tensors}.items():
        if not name.endswith("_"):
            raise ValueError(f"{path} has an unknown learned attribute {name!r}")
        setattr(calibrator, name, value)
    check_is_fitted(calibrator, "levels_")
    return calibrator


def read_calibrated_on(path: str | Path) -> CalibratedOn:
    """Return what the cosines of a saved calibrator are of, and how it did.

    Parameters
    ----------
    path : str or Path
        The calibrator's file.

    Returns
    -------
    CalibratedOn
        Empty where nobody said.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is not a file of a calibrator.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "calibrator.safetensors"
    >>> fitted = MatchCalibrator().fit_scores([0.1, 0.3], [False, True])
    >>> save_calibrator(fitted, path, calibrated_on=CalibratedOn(y=FittedOn("text")))
    >>> str(read_calibrated_on(path).y)
    'text'
    """
    return CalibratedOn.from_dict(_read(path)[0]["calibrated_on"])


def calibrator_beside(aligner: str | Path) -> Path:
    """Return where an aligner's calibrator lies by default: a file of its own, beside the aligner's.

    Parameters
    ----------
    aligner : str or Path
        The aligner's file.

    Returns
    -------
    Path
        Ends in ``.calibrator.safetensors``; it need not be there.

    Examples
    --------
    >>> calibrator_beside("a.safetensors").name
    'a.calibrator.safetensors'
    """
    aligner = Path(aligner)
    return aligner.with_name(aligner.name.removesuffix(".safetensors") + ".calibrator.safetensors")


def _read(path: str | Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    return read_told(Path(path), _ENTRY, kind="calibrator", command="isthmus calibrate", newest=_FORMAT)
