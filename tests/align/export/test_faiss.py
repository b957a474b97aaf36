"""FAISS with an aligner in front of it against ours."""

import numpy as np
import pytest

from isthmus.align import LinearMap, Procrustes, RegularizedCCA
from isthmus.align.export import faiss_chain, layers_of, to_faiss

faiss = pytest.importorskip("faiss", reason="faiss is an extra: isthmus[search]")


def through(chain, rows):
    for part in chain:
        rows = part.apply(rows)
    return rows


@pytest.fixture
def moderate(rows):
    """FAISS squares lengths in float32, so they may not be as extreme as ours."""
    rng = np.random.default_rng(1)
    return {
        name: (z / np.abs(z).max(axis=1, keepdims=True) * rng.uniform(0.1, 10, (len(z), 1))).astype(
            np.float32
        )
        for name, z in rows.items()
    }


def test_vectors_are_ours(fitted, modality, moderate):
    if not layers_of(fitted, modality).is_linear:
        with pytest.raises(ValueError, match=r"FAISS takes linear maps only: .* got NonLinearAligner"):
            to_faiss(fitted, modality)
        return
    rows = moderate[modality]
    expected = fitted.transform(rows) if modality == "x" else fitted.transform_y(rows)
    assert through(faiss_chain(fitted, modality), rows) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("aligner", [LinearMap(), RegularizedCCA(components=5)], ids=str)
def test_searches_find_what_ours_find(aligner, moderate, tmp_path):
    x, y = moderate["x"], moderate["y"]
    fitted = aligner.fit(x, y)
    index = faiss.IndexPreTransform(faiss.IndexFlatIP(fitted.transform(x[:1]).shape[1]))
    for part in reversed(faiss_chain(fitted, "x")):
        index.prepend_transform(part)
    index.add(x)
    queries = fitted.transform_y(y)
    cosines = queries @ fitted.transform(x).T
    order = np.argsort(-cosines, axis=1)[:, :5]
    faiss.write_index(index, str(tmp_path / "index"))
    for searched in (index, faiss.read_index(str(tmp_path / "index"))):
        inner = faiss.downcast_index(searched.index)
        score, found = inner.search(through(faiss_chain(fitted, "y"), y), 5)
        assert (found == order).mean() > 0.999  # ties aside
        assert score == pytest.approx(np.take_along_axis(cosines, order, axis=1), abs=1e-5)


def test_one_transform_alone_is_matrix_and_bias(moderate):
    x, y = moderate["x"], moderate["y"]
    fitted = RegularizedCCA(components=5).fit(x, y)
    transform = to_faiss(fitted, "y")
    assert (transform.d_in, transform.d_out) == (24, 5)
    assert transform.apply(y) == pytest.approx(y @ fitted.y_matrix_ + fitted.y_offset_, abs=1e-4)


def test_a_rotation_can_be_taken_back(moderate):
    """FAISS allows it where it knows the matrix to be orthonormal."""
    fitted = Procrustes().fit(moderate["x"], moderate["y"])
    transform, unit = to_faiss(fitted), faiss_chain(fitted)[0].apply(moderate["x"])
    assert transform.reverse_transform(transform.apply(unit)) == pytest.approx(unit, abs=1e-5)
    with pytest.raises(RuntimeError, match="orthonormal"):
        to_faiss(LinearMap().fit(moderate["x"], moderate["y"])).reverse_transform(unit)


def test_missing_library_is_named(monkeypatch, moderate):
    import sys

    fitted = LinearMap().fit(moderate["x"], moderate["y"])
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ImportError, match=r'pip install "isthmus\[search\]"'):
        to_faiss(fitted)
