"""An aligner as the state of a plain ``torch.nn.Sequential`` in safetensors: no code in the file is run."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from isthmus.align.affine import PairedAligner
from isthmus.align.export.layers import Modality, layers_of
from isthmus.whole import write_whole

_MODULES = {"relu": "ReLU", "gelu": "GELU", "tanh": "Tanh"}


def write_torch(
    aligner: PairedAligner,
    path: str | Path,
    *,
    modality: Modality = "x",
    about: Mapping[str, str] | None = None,
) -> None:
    """Write one map of an aligner as the state of a Sequential of Linear layers and activations.

    The tensors are named as ``nn.Sequential.state_dict`` does: "0.weight" (dim_out, dim), "0.bias", and, of
    a network, "2.weight" and so on. The metadata entry "config" is JSON: "layers", such as
    ``[["Linear", 512, 1024], ["GELU"], ["Linear", 1024, 512]]``, "residual", "normalize", always true:
    rows are scaled to unit length before and after, and "about". Needs no torch to write.

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
    >>> from safetensors.numpy import load_file
    >>> path = Path(tempfile.mkdtemp()) / "x.safetensors"
    >>> write_torch(MeanShift().fit(np.eye(2), [[0.0, 1.0], [1.0, 1.0]]), path)
    >>> sorted(load_file(path))
    ['0.bias', '0.weight']
    """
    from safetensors.numpy import save

    layers = layers_of(aligner, modality)
    tensors: dict[str, np.ndarray] = {}
    plan: list[list[str | int]] = []
    for weight, bias in zip(layers.weights, layers.biases, strict=True):
        if plan:
            plan.append([_MODULES[layers.activation or ""]])
        tensors |= {f"{len(plan)}.weight": np.ascontiguousarray(weight.T), f"{len(plan)}.bias": bias}
        plan.append(["Linear", *weight.shape])
    config = {"layers": plan, "residual": layers.residual, "normalize": True, "about": dict(about or {})}
    metadata = {"config": json.dumps(config, sort_keys=True)}  # one entry: several have no fixed order
    write_whole(path, save(tensors, metadata))
