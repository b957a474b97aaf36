"""An aligner as an ONNX file, which alone does what ``transform`` does."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.align.affine import PairedAligner
from isthmus.align.export.layers import Layers, Modality, layers_of
from isthmus.whole import write_whole

OPSET = 13  # of 2020: every runtime in use reads it; nothing that is needed here came later
_TINY = np.finfo(np.float32).tiny


def write_onnx(
    aligner: PairedAligner,
    path: str | Path,
    *,
    modality: Modality = "x",
    about: Mapping[str, str] | None = None,
) -> None:
    """Write one map of an aligner as an ONNX graph from "embeddings" (n, dim) to "aligned" (n, dim_out).

    Both are float32, and n is free. Rows go in at any length, as to ``transform``, and come out at unit
    length. A row that ``transform`` refuses, zero or not finite, comes out as NaN; others agree to 1e-6,
    in a cone of mean cosine 0.99 to some 2e-6. Lengths, and rows less their mean, are computed in float64,
    products in float32.

    Parameters
    ----------
    aligner : PairedAligner
        Fitted.
    path : str or Path
        Written under a temporary name, then renamed.
    modality : {"x", "y"}, default="x"
        Which map.
    about : mapping of str to str, optional
        Metadata, such as :func:`isthmus.align.export.about` gives.

    Raises
    ------
    ImportError
        onnx is not installed.
    NotFittedError
        The aligner is not fitted.
    ValueError
        The modality is unknown.

    Examples
    --------
    >>> import tempfile
    >>> from onnxruntime import InferenceSession
    >>> from isthmus.align import MeanShift
    >>> path, x = Path(tempfile.mkdtemp()) / "x.onnx", np.eye(2, dtype=np.float32)
    >>> aligner = MeanShift().fit(x, [[0.0, 1.0], [1.0, 1.0]])
    >>> write_onnx(aligner, path)
    >>> (out,) = InferenceSession(path).run(None, {"embeddings": 3 * x})
    >>> bool(np.allclose(out, aligner.transform(x)))
    True
    """
    try:
        import onnx
        from onnx import helper
    except ImportError as error:
        raise ImportError('an ONNX file needs onnx: pip install "isthmus[onnx]"') from error
    graph = _graph(layers_of(aligner, modality))
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(
        graph, opset_imports=opset, ir_version=helper.find_min_ir_version_for(opset), producer_name="isthmus"
    )
    for key, value in sorted((about or {}).items()):
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.checker.check_model(model, full_check=True)
    write_whole(path, model.SerializeToString(deterministic=True))


class _Nodes:
    """The nodes and constants of a graph that grows from its input."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, kind: str, *inputs: str, to: str | None = None, **attributes: Any) -> str:
        """Add a node, and return the name of what it gives."""
        from onnx import helper

        out = to or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], **attributes))
        return out

    def constant(self, name: str, value: Any, dtype: type[np.floating] = np.float32) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype=dtype), name))
        return name

    def cast(self, rows: str, dtype: type[np.floating], to: str | None = None) -> str:
        from onnx import helper

        out = to or f"cast_{len(self.nodes)}"
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self.nodes.append(helper.make_node("Cast", [rows], [out], to=kind))
        return out


def _graph(layers: Layers) -> Any:
    from onnx import TensorProto, helper

    graph = _Nodes()
    rows = graph.cast("embeddings", np.float64)
    rows = graph.add("Div", rows, _length(graph, rows))  # 0 / 0 is NaN
    biases = layers.biases
    if layers.centred:
        centre, left = layers.centred
        rows, biases = graph.add("Sub", rows, graph.constant("centre", centre, np.float64)), (left,)
    unit = rows = graph.cast(rows, np.float32)
    for i, (weight, bias) in enumerate(zip(layers.weights, biases, strict=True)):
        if i:
            rows = _ACTIVATIONS[layers.activation or ""](graph, rows)
        if not layers.identity:
            rows = graph.add("MatMul", rows, graph.constant(f"weight_{i}", weight))
        rows = graph.add("Add", rows, graph.constant(f"bias_{i}", bias))
    if layers.residual:
        rows = graph.add("Add", rows, unit)
    rows = graph.cast(rows, np.float64)
    tiny = graph.constant("tiny", _TINY, np.float64)
    floor = graph.add("Max", _length(graph, rows), tiny)  # a row at the origin stays there
    graph.cast(graph.add("Div", rows, floor), np.float32, to="aligned")
    dims = len(layers.weights[0]), len(layers.biases[-1])
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", dim])
        for name, dim in zip(("embeddings", "aligned"), dims, strict=True)
    ]
    return helper.make_graph(graph.nodes, "aligner", [ends[0]], [ends[1]], graph.constants)


def _length(graph: _Nodes, rows: str) -> str:
    """Return the lengths of rows in float64: their squares never overflow, and runtimes sum one by one."""
    return graph.add("ReduceL2", rows, axes=[1], keepdims=1)


def _gelu(graph: _Nodes, rows: str) -> str:
    """``x / 2 (1 + erf(x / sqrt 2))``: Gelu is an operator from opset 20 on only."""
    number = len(graph.nodes)
    scaled = graph.add("Mul", rows, graph.constant(f"sqrt_half_{number}", np.sqrt(0.5)))
    weight = graph.add("Add", graph.add("Erf", scaled), graph.constant(f"one_{number}", 1.0))
    half = graph.add("Mul", rows, graph.constant(f"half_{number}", 0.5))
    return graph.add("Mul", half, weight)


_ACTIVATIONS = {
    "relu": lambda graph, rows: graph.add("Relu", rows),
    "gelu": _gelu,
    "tanh": lambda graph, rows: graph.add("Tanh", rows),
}
