"""An aligner as a .npz file, which NumPy alone applies in two lines."""

import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from isthmus.align.affine import PairedAligner
from isthmus.align.export.layers import Modality, layers_of
from isthmus.whole import write_whole


def write_numpy(
    aligner: PairedAligner,
    path: str | Path,
    *,
    modality: Modality = "x",
    about: Mapping[str, str] | None = None,
) -> None:
    """Write one map of an aligner as plain arrays; nothing in the file is pickled.

    A closed-form aligner gives "weight" (dim, dim_out) and "bias" (dim_out,), the mean being part of the
    bias. A network gives "weight_0", "bias_0", "weight_1" and so on, "activation" and "residual". "about" is
    a JSON text.

    Parameters
    ----------
    aligner : PairedAligner
        Fitted.
    path : str or Path
        Written under a temporary name, then renamed.
    modality : {"x", "y"}, default="x"
        Which map.
    about : mapping of str to str, optional
        What to keep beside it, such as :func:`isthmus.align.export.about` gives.

    Raises
    ------
    NotFittedError
        The aligner is not fitted.
    ValueError
        The modality is unknown.

    Examples
    --------
    >>> import tempfile
    >>> from isthmus.align import MeanShift
    >>> path, x = Path(tempfile.mkdtemp()) / "x.npz", np.eye(2)
    >>> aligner = MeanShift().fit(x, [[0.0, 1.0], [1.0, 1.0]])
    >>> write_numpy(aligner, path)
    >>> file = np.load(path)
    >>> out = x / np.linalg.norm(x, axis=1, keepdims=True) @ file["weight"] + file["bias"]
    >>> out /= np.linalg.norm(out, axis=1, keepdims=True)
    >>> bool(np.allclose(out, aligner.transform(x)))
    True
    """
    layers = layers_of(aligner, modality)
    if layers.is_linear:
        arrays = {"weight": layers.weights[0], "bias": layers.biases[0]}
    else:
        arrays = {f"weight_{i}": weight for i, weight in enumerate(layers.weights)}
        arrays |= {f"bias_{i}": bias for i, bias in enumerate(layers.biases)}
        arrays |= {"activation": np.array(layers.activation or ""), "residual": np.array(layers.residual)}
    arrays["about"] = np.array(json.dumps(dict(about or {}), sort_keys=True))
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    write_whole(path, content.getvalue())
