"""Aligners on disk: one safetensors file, its configuration as JSON metadata; loading runs no code."""

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.align.affine import PairedAligner
from isthmus.align.latent import Dials
from isthmus.align.provenance import Provenance
from isthmus.align.registry import ALIGNERS, make_aligner
from isthmus.training import TrainingConfig
from isthmus.whole import write_whole

_FORMAT = 2  # since there is provenance; a file without is still of format 1, which older versions read
_ENTRY = "isthmus"
_ITEMS = "provenance.items"  # the array of hashes
_RECORDS = {"dials_": Dials, "training": TrainingConfig}


def save_aligner(
    aligner: PairedAligner,
    path: str | Path,
    *,
    verified: dict[str, Any] | None = None,
    provenance: Provenance | None = None,
) -> None:
    """Write a fitted aligner to one safetensors file; the same aligner gives the same bytes.

    Parameters
    ----------
    aligner : PairedAligner
        Fitted, and of a class in :data:`isthmus.align.ALIGNERS`.
    path : str or Path
        Written under a temporary name, then renamed.
    verified : dict, optional
        What it was verified to do, kept in the file's metadata; must be JSON.
    provenance : Provenance, optional
        What it was fitted on.

    Raises
    ------
    ValueError
        The class is not one of isthmus's.
    NotFittedError
        The aligner is not fitted.

    Examples
    --------
    >>> import tempfile
    >>> from isthmus.align import MeanCollapse
    >>> path = Path(tempfile.mkdtemp()) / "collapse.safetensors"
    >>> save_aligner(MeanCollapse().fit(np.eye(3), np.ones((3, 3))), path)
    >>> load_aligner(path)
    MeanCollapse()
    """
    from safetensors.numpy import save
    from sklearn.utils.validation import check_is_fitted

    check_is_fitted(aligner)
    name_of_aligner = aligner_name(aligner)
    learned = {k: v for k, v in vars(aligner).items() if k.endswith("_") and not k.startswith("_")}
    tensors, values = {}, {}
    for name, value in learned.items():
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            tensors[name] = np.ascontiguousarray(value)
        elif isinstance(value, list):
            tensors |= {f"{name}.{i}": np.ascontiguousarray(v) for i, v in enumerate(value)}
            values[name] = len(value)
        else:
            values[name] = _plain(value)
    params = {k: _plain(v) for k, v in aligner.get_params(deep=False).items()}
    story = {
        "format": 1 if provenance is None else _FORMAT,
        "aligner": name_of_aligner,
        "params": params,
        "learned": values,
        "verified": verified,
    }
    if provenance is not None:
        story["provenance"] = provenance.to_dict()
        tensors[_ITEMS] = provenance.items
    write_whole(path, save(tensors, {_ENTRY: json.dumps(story, sort_keys=True)}))


def load_aligner(path: str | Path) -> PairedAligner:
    """Read an aligner that :func:`save_aligner` wrote; never executes code from the file.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    PairedAligner
        Fitted.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is not a file of an aligner, is corrupt, or was written by a later version.

    Examples
    --------
    >>> import tempfile
    >>> from isthmus.align import MeanShift
    >>> path = Path(tempfile.mkdtemp()) / "shift.safetensors"
    >>> save_aligner(MeanShift(strength=0.5).fit(np.eye(3), np.ones((3, 3))), path)
    >>> load_aligner(path).strength
    0.5
    """
    story, tensors = _read(Path(path))
    tensors.pop(_ITEMS, None)
    params = {k: _record(k, v) for k, v in story["params"].items()}
    aligner = make_aligner(story["aligner"], **params)
    for name in (*story["learned"], *tensors):
        if not name.split(".")[0].endswith("_"):
            raise ValueError(f"{path} has an unknown learned attribute {name!r}")
    for name, value in story["learned"].items():
        if f"{name}.0" in tensors:
            value = [tensors.pop(f"{name}.{i}") for i in range(value)]
        setattr(aligner, name, _record(name, value))
    for name, value in tensors.items():
        setattr(aligner, name, value)
    return aligner


def read_verification(path: str | Path) -> dict[str, Any] | None:
    """Return what a saved aligner was verified to do.

    Parameters
    ----------
    path : str or Path
        The aligner's file.

    Returns
    -------
    dict or None
        Figures on held-out pairs by aligner ("raw" and its own name), as JSON has them.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is not a file of an aligner.

    Examples
    --------
    >>> import tempfile
    >>> from isthmus.align import MeanCollapse
    >>> path = Path(tempfile.mkdtemp()) / "collapse.safetensors"
    >>> save_aligner(MeanCollapse().fit(np.eye(3), np.ones((3, 3))), path, verified={"rmg": 0.4})
    >>> read_verification(path)
    {'rmg': 0.4}
    """
    return _read(Path(path))[0]["verified"]


def read_provenance(path: str | Path) -> Provenance | None:
    """Return what a saved aligner was fitted on.

    Parameters
    ----------
    path : str or Path
        The aligner's file.

    Returns
    -------
    Provenance or None
        None where it was saved without.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is not a file of an aligner, or its provenance contradicts itself.

    Examples
    --------
    >>> import tempfile
    >>> from isthmus.align import MeanCollapse
    >>> from isthmus.align.provenance import FittedOn, hash_items
    >>> fitted_on = Provenance(FittedOn("image"), FittedOn("text"), pairs=3, items=hash_items("abc"))
    >>> path = Path(tempfile.mkdtemp()) / "collapse.safetensors"
    >>> save_aligner(MeanCollapse().fit(np.eye(3), np.ones((3, 3))), path, provenance=fitted_on)
    >>> str(read_provenance(path).y)
    'text'
    """
    story, tensors = _read(Path(path))
    if story.get("provenance") is None:
        return None
    try:
        return Provenance.from_dict(story["provenance"], tensors.get(_ITEMS, np.empty(0)))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def aligner_name(aligner: PairedAligner) -> str:
    """Return the name that an aligner has on the command line.

    Parameters
    ----------
    aligner : PairedAligner
        Of a class in :data:`isthmus.align.ALIGNERS`.

    Returns
    -------
    str
        A key of it.

    Raises
    ------
    ValueError
        The class is not one of isthmus's.

    Examples
    --------
    >>> from isthmus.align import MeanShift
    >>> aligner_name(MeanShift())
    'shift'
    """
    names = [name for name, kind in ALIGNERS.items() if type(aligner) is kind]
    if not names:
        raise ValueError(f"cannot save a {type(aligner).__name__}: expected one of {', '.join(ALIGNERS)}")
    return names[0]


def is_aligner(path: str | Path) -> bool:
    """Return whether a file is one that :func:`save_aligner` wrote; False where there is none.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    bool
        Whether it says so; nothing else in it is looked at.

    Examples
    --------
    >>> is_aligner("none.safetensors")
    False
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return _ENTRY in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def read_told(
    path: Path, entry: str, *, kind: str, command: str, newest: int
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the JSON in a metadata entry of a safetensors file, and its arrays; nothing is executed.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It cannot be read, lacks the entry, which `command` writes with a file of this `kind`, or is of a
        format later than the `newest`.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is not a readable safetensors file: {error}") from error
    if entry not in metadata:
        raise ValueError(f"{path} holds no {kind}: expected one that `{command}` wrote")
    story = json.loads(metadata[entry])
    if story["format"] > newest:
        raise ValueError(f"{path} was written by a later isthmus: format {story['format']}, known {newest}")
    return story, tensors


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    return read_told(path, _ENTRY, kind="aligner", command="isthmus align", newest=_FORMAT)


def _plain(value: Any) -> Any:
    """Return a value as JSON takes it."""
    if type(value) in _RECORDS.values():
        return asdict(value)
    if isinstance(value, np.generic):
        return value.item()
    return list(value) if isinstance(value, tuple) else value


def _record(name: str, value: Any) -> Any:
    """Return a value as it was before `_plain`."""
    if name in _RECORDS and isinstance(value, dict):
        known = {field.name for field in fields(_RECORDS[name])}
        if unknown := set(value) - known:
            raise ValueError(f"{name} has unknown entries {', '.join(sorted(unknown))}")
        return _RECORDS[name](**value)
    return tuple(value) if name == "widths" else value
