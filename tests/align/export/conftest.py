"""Every aligner, fitted, and rows as people have them: of any length."""

import numpy as np
import pytest
from sklearn.base import clone

from isthmus.theory import Geometry, sample
from tests.align.test_estimators import ALL, FAST


@pytest.fixture(scope="session")
def rows():
    """Two modalities in float32, of lengths from 1e-25 to 1e25."""
    x, y, _ = sample(260, Geometry(dim=24, shared_dimension=6, noise_dimension=8), seed=1)
    length = 10.0 ** np.random.default_rng(0).integers(-25, 26, size=(260, 1))
    return {"x": (x * length).astype(np.float32), "y": (y * length).astype(np.float32)}


def _named(aligner):
    return str(aligner).replace("\n", " ")


@pytest.fixture(scope="session", params=[*ALL, "relu", "tanh", "bare", "linear", "deep"], ids=_named)
def fitted(request, rows):
    """Every aligner, and every kind of network."""
    from isthmus.align import NonLinearAligner

    networks = {
        "relu": {"widths": (8,), "activation": "relu"},
        "tanh": {"widths": (8,), "activation": "tanh", "residual": False},
        "bare": {"widths": ()},
        "linear": {"widths": (), "residual": False},
        "deep": {"widths": (8, 12, 8)},
    }
    chosen = request.param
    if isinstance(chosen, str):
        chosen = NonLinearAligner(training=FAST, **networks[chosen])
    found = clone(chosen).fit(rows["x"], rows["y"])
    if isinstance(found, NonLinearAligner):  # three epochs leave it next to linear
        rng = np.random.default_rng(0)
        found.weights_ = [rng.normal(scale=0.5, size=w.shape).astype(np.float32) for w in found.weights_]
    return found


@pytest.fixture(params=["x", "y"])
def modality(request):
    return request.param


@pytest.fixture
def expected(fitted, rows, modality):
    """What the aligner itself gives for one modality."""
    return fitted.transform(rows["x"]) if modality == "x" else fitted.transform_y(rows["y"])
