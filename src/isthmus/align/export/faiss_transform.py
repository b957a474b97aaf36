"""An aligner in front of a FAISS index."""

from typing import Any

import numpy as np

from isthmus.align.affine import PairedAligner
from isthmus.align.export.layers import Layers, Modality, layers_of


def to_faiss(aligner: PairedAligner, modality: Modality = "x") -> Any:
    """Return one map of a closed-form aligner as a ``faiss.LinearTransform``.

    It takes unit rows and does not scale what it gives: a ``faiss.NormalizationTransform(dim, 2)`` belongs
    before it and one after it, as :func:`faiss_chain` puts them.

    Parameters
    ----------
    aligner : PairedAligner
        Fitted, closed-form.
    modality : {"x", "y"}, default="x"
        Which map.

    Returns
    -------
    faiss.LinearTransform
        From dim to dim_out, with a bias.

    Raises
    ------
    ImportError
        faiss is not installed.
    NotFittedError
        The aligner is not fitted.
    ValueError
        The aligner is a network, or the modality is unknown.

    Examples
    --------
    >>> from isthmus.align import MeanShift
    >>> to_faiss(MeanShift().fit(np.eye(3), np.ones((3, 3)))).d_out
    3
    """
    layers = _linear_layers(aligner, modality)
    return _linear(layers.weights[0], layers.biases[0])


def faiss_chain(aligner: PairedAligner, modality: Modality = "x") -> list[Any]:
    """Return the transforms that together do what ``transform`` does, in the order that rows meet them.

    An ``IndexPreTransform`` sends what is added and what is asked for through one chain. Where the two are of
    different modalities, chain what is in the index, and map the queries with the other map before they reach
    the inner index.

    Parameters
    ----------
    aligner : PairedAligner
        Fitted, closed-form.
    modality : {"x", "y"}, default="x"
        Which map.

    Returns
    -------
    list of faiss.VectorTransform
        To unit length, less the mean where that keeps more digits, the map, to unit length.

    Raises
    ------
    ImportError
        faiss is not installed.
    NotFittedError
        The aligner is not fitted.
    ValueError
        The aligner is a network, or the modality is unknown.

    Examples
    --------
    >>> from isthmus.align import MeanShift
    >>> import faiss
    >>> images, texts = np.eye(3, dtype=np.float32), np.ones((3, 3), dtype=np.float32)
    >>> aligner = MeanShift().fit(images, texts)
    >>> index = faiss.IndexPreTransform(faiss.IndexFlatIP(3))
    >>> for part in reversed(faiss_chain(aligner, "x")):
    ...     index.prepend_transform(part)
    >>> index.add(images)
    >>> nearest = index.index.search(aligner.transform_y(texts), 1)  # texts do not go through the images' map
    """
    layers, faiss = _linear_layers(aligner, modality), _faiss()
    weight, bias = layers.weights[0], layers.biases[0]
    first, last = (faiss.NormalizationTransform(dim, 2.0) for dim in weight.shape)
    if layers.centred is None:
        return [first, _linear(weight, bias), last]
    centre, left = layers.centred
    less = faiss.CenteringTransform(len(centre))
    faiss.copy_array_to_vector(centre, less.mean)
    less.is_trained = True
    return [first, less, _linear(weight, left), last]


def _linear_layers(aligner: PairedAligner, modality: Modality) -> Layers:
    layers = layers_of(aligner, modality)
    if not layers.is_linear:
        raise ValueError(
            f"FAISS takes linear maps only: expected a closed-form aligner, got {aligner}; "
            "map its rows with transform, or export it to ONNX"
        )
    return layers


def _linear(weight: np.ndarray, bias: np.ndarray) -> Any:
    faiss = _faiss()
    transform = faiss.LinearTransform(*weight.shape, True)
    faiss.copy_array_to_vector(np.ascontiguousarray(weight.T).ravel(), transform.A)
    faiss.copy_array_to_vector(bias, transform.b)
    transform.set_is_orthonormal()
    transform.is_trained = True
    return transform


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise ImportError('FAISS is not installed: pip install "isthmus[search]"') from error
    return faiss
