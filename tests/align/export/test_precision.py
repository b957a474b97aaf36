"""Every format against transform, to 1e-6, where float32 keeps few digits: rows in a narrow cone."""

import numpy as np
import onnxruntime
import pytest

from isthmus.align import ALIGNERS, LinearMap, Procrustes, RegularizedCCA
from isthmus.align.export import faiss_chain, write_numpy, write_onnx, write_torch

CLOSED_FORM = [name for name in ALIGNERS if name != "nonlinear"]


def by_onnx(fitted, modality, rows, folder):
    """Rows one by one, a few at a time, and all at once."""
    write_onnx(fitted, folder / "a.onnx", modality=modality)
    session = onnxruntime.InferenceSession(folder / "a.onnx", providers=["CPUExecutionProvider"])
    sizes = (1, 7, len(rows))
    return [session.run(None, {"embeddings": rows[:n]})[0] for n in sizes]


def by_numpy(fitted, modality, rows, folder):
    """As docs/shipping.md writes it."""
    write_numpy(fitted, folder / "a.npz", modality=modality)
    file = np.load(folder / "a.npz", allow_pickle=False)
    double = rows.astype(np.float64)
    out = double / np.linalg.norm(double, axis=1, keepdims=True) @ file["weight"] + file["bias"]
    return [out / np.linalg.norm(out, axis=1, keepdims=True)]


def by_faiss(fitted, modality, rows, folder):
    pytest.importorskip("faiss", reason="faiss is an extra: isthmus[search]")
    for part in faiss_chain(fitted, modality):
        rows = part.apply(rows)
    return [rows]


def by_torch(fitted, modality, rows, folder):
    """As docs/shipping.md writes it."""
    torch = pytest.importorskip("torch", reason="torch is an extra")
    from safetensors.torch import load_file

    write_torch(fitted, folder / "a.safetensors", modality=modality)
    state = load_file(folder / "a.safetensors")
    linear, normalize = torch.nn.Linear(*reversed(state["0.weight"].shape)), torch.nn.functional.normalize
    torch.nn.Sequential(linear).load_state_dict(state)
    with torch.no_grad():
        return [normalize(linear.double()(normalize(torch.from_numpy(rows).double()))).numpy()]


def by_sentence_transformers(fitted, modality, rows, folder):
    torch = pytest.importorskip("torch", reason="torch is an extra")
    pytest.importorskip("sentence_transformers", reason="sentence-transformers is an extra: isthmus[clip]")
    from isthmus.align.export.sentence_transformers import AlignerModule

    features = {"sentence_embedding": torch.from_numpy(rows), "modality": modality}
    return [AlignerModule(fitted, ("x", "y"))(features)["sentence_embedding"].numpy()]


FORMATS = [by_onnx, by_numpy, by_torch, by_faiss, by_sentence_transformers]


def farthest(found, expected):
    return max(float(np.abs(part - expected[: len(part)]).max()) for part in found)


@pytest.fixture(scope="module", params=["clip", "clip_random", "convirt", "videoclip", "clasp"])
def real(request, realdata):
    """Every closed-form aligner, fitted on one of five sets, and its rows."""
    x, y = np.load(realdata / "liang2022" / f"features_{request.param}.npy").astype(np.float32)
    return {name: ALIGNERS[name]().fit(x, y) for name in CLOSED_FORM}, {"x": x, "y": y}


@pytest.mark.parametrize("write", FORMATS, ids=lambda write: write.__name__)
def test_formats_are_transform_on_real_embeddings(real, write, tmp_path):
    """Mean cosines of 0.1 to 0.9; of untrained CLIP and CLASP, float32 loses most."""
    apart = {}
    for name, fitted in real[0].items():
        for modality, rows in real[1].items():
            expected = fitted._transform(rows, modality)
            assert farthest([expected], fitted._transform(rows.astype(np.float64), modality)) < 5e-7
            apart[name, modality] = farthest(write(fitted, modality, rows, tmp_path), expected)
    assert {of: size for of, size in apart.items() if size > 6e-7} == {}


def narrow_cone(cosine):
    """Pairs whose rows have this mean cosine, with the spectrum of embeddings: few large directions."""
    rng = np.random.default_rng(0)
    spread = np.linspace(0, -2, 64)
    shared = rng.normal(size=(400, 64)) * 10**spread
    noise = rng.normal(size=(2, 400, 64)) * 10**spread / 2
    size = np.sqrt(1 / cosine - 1) / np.sqrt((1.25 * 100**spread).sum())
    axis = np.linalg.qr(rng.normal(size=(64, 2)))[0].T
    return [(a + size * (shared + n)).astype(np.float32) for a, n in zip(axis, noise, strict=True)]


@pytest.mark.parametrize("write", FORMATS, ids=lambda write: write.__name__)
@pytest.mark.parametrize("cosine", [0.9, 0.99])
@pytest.mark.parametrize("aligner", [RegularizedCCA(), LinearMap(), Procrustes()], ids=str)
def test_formats_are_transform_in_a_narrow_cone(aligner, cosine, write, tmp_path):
    x, y = narrow_cone(cosine)
    fitted = aligner.fit(x, y)
    for modality, rows in (("x", x), ("y", y)):
        expected = fitted._transform(rows, modality)
        exact = fitted._transform(rows.astype(np.float64), modality)
        assert farthest([expected], exact) < 8.5e-7
        assert farthest(write(fitted, modality, rows, tmp_path), expected) < 1e-6
