"""The state of a contrastive optimisation, and the file that it is kept in."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np

from isthmus.theory.optimization_descent import Descent
from isthmus.whole import write_whole

CURVES = ("step", "gap", "ineffective_gap", "loss", "pair_cosine", "scale")


def save(path: Path, descent: Descent, records: list[dict[str, float]]) -> None:
    """Write a run to a file, under a temporary name that is then renamed.

    Parameters
    ----------
    path : Path
        The file; its folder is made where it is missing.
    descent : Descent
        The run after any of its steps.
    records : list of dict
        Points of the curves so far.

    Examples
    --------
    >>> import tempfile
    >>> from isthmus.theory.optimization_config import OptimizationConfig
    >>> config = OptimizationConfig(n=3, dim=4, effective=(1, 1))
    >>> descent = Descent(*np.random.default_rng(0).normal(size=(2, 3, 4)), config)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(Path(folder) / "run.npz", descent, [])
    ...     load(Path(folder) / "run.npz", descent)
    []
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    np.savez(
        content,
        x=descent.x,
        y=descent.y,
        done=descent.step,
        log_scale=descent.log_scale,
        config=json.dumps(descent.config.to_dict()),
        curves=np.array([[record[name] for name in CURVES] for record in records]),
    )
    write_whole(path, content.getvalue())


def load(path: Path, descent: Descent) -> list[dict[str, float]]:
    """Take up the run in a file, if there is one.

    Parameters
    ----------
    path : Path
        The file.
    descent : Descent
        A run of the same settings, changed in place.

    Returns
    -------
    list of dict
        Points of the curves so far; none where there is no file.

    Raises
    ------
    ValueError
        The file is no checkpoint, or of a run with other settings.

    Examples
    --------
    >>> from isthmus.theory.optimization_config import OptimizationConfig
    >>> config = OptimizationConfig(n=3, dim=4, effective=(1, 1))
    >>> load(Path("nowhere.npz"), Descent(np.eye(3), np.eye(3), config))
    []
    """
    if not path.exists():
        return []
    try:
        held = _read(path)
        there = json.loads(str(held["config"]))
        points = [dict(zip(CURVES, map(float, point), strict=True)) for point in held["curves"]]
        state = int(held["done"]), float(held["log_scale"])
        here = descent.config.to_dict()
        unlike = [name for name in sorted(here.keys() | there.keys()) if here.get(name) != there.get(name)]
        for name, rows in (("x", descent.x), ("y", descent.y)):
            if not unlike and held[name].shape != rows.shape:
                raise ValueError(f"{name} must be {rows.shape}, is {held[name].shape}")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{path} is not a checkpoint of an optimization ({error}): delete it to start afresh"
        ) from error
    if unlike:
        sides = "; ".join(
            f"{name} is {there.get(name)!r} there and {here.get(name)!r} here" for name in unlike
        )
        raise ValueError(
            f"{path} is the checkpoint of other settings: {sides}. Delete it, or write somewhere else"
        )
    descent.x[:], descent.y[:] = held["x"], held["y"]
    descent.step, descent.log_scale = state
    descent.refresh()
    return points


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, TypeError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError("no whole archive of arrays") from error  # NumPy would advise to load pickles
