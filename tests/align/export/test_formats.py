"""Files of other formats do what ``transform`` does, and no more is needed to apply them than they hold."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
from safetensors import safe_open
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from isthmus.align import (
    LinearMap,
    MeanCollapse,
    MeanShift,
    NonLinearAligner,
    SharedSpace,
    save_aligner,
)
from isthmus.align.affine import PairedAligner
from isthmus.align.export import about, layers_of, write_numpy, write_onnx, write_torch
from isthmus.align.provenance import FittedOn, Provenance, hash_items
from tests.align.test_estimators import FAST

WRITERS = {write_onnx: "x.onnx", write_torch: "x.safetensors", write_numpy: "x.npz"}


def unit(rows):
    rows = rows.astype(np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def run(path, rows):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["aligned"], {"embeddings": rows})[0]


@pytest.fixture
def collapse():
    return MeanCollapse().fit([[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]])


def test_onnx_is_transform(fitted, modality, rows, expected, tmp_path):
    write_onnx(fitted, tmp_path / "a.onnx", modality=modality)
    for n in (1, 7, 260):
        found = run(tmp_path / "a.onnx", rows[modality][:n])
        assert found.dtype == np.float32
        assert found == pytest.approx(expected[:n], abs=1e-6)


def test_onnx_of_a_closed_form_aligner_is_one_product(rows, tmp_path):
    for aligner, products in ((LinearMap(), 1), (MeanShift(), 0), (NonLinearAligner(widths=(8,)), 2)):
        path = tmp_path / "a.onnx"
        if isinstance(aligner, NonLinearAligner):
            aligner.set_params(training=FAST)
            pytest.importorskip("torch", reason="torch is an extra")
        write_onnx(aligner.fit(rows["x"], rows["y"]), path)
        assert [node.op_type for node in onnx.load(path).graph.node].count("MatMul") == products


def test_onnx_is_of_an_old_opset_and_any_number_of_rows(collapse, tmp_path):
    path = tmp_path / "a.onnx"
    write_onnx(collapse, path)
    model = onnx.load(path)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 13)]
    assert model.ir_version == 7
    for value in (*model.graph.input, *model.graph.output):
        n, dim = value.type.tensor_type.shape.dim
        assert (n.dim_param, dim.dim_value) == ("n", 2)


def test_onnx_gives_nan_where_transform_refuses(collapse, tmp_path):
    path = tmp_path / "a.onnx"
    write_onnx(collapse, path)
    bad = np.array([[0, 0], [np.nan, 1], [np.inf, 1], [0, 1]], dtype=np.float32)
    assert np.isnan(run(path, bad)).all(axis=1).tolist() == [True, True, True, False]


def test_a_row_at_the_origin_stays_there(collapse, tmp_path):
    row = np.array([[5.0, 0.0]], dtype=np.float32)
    assert (collapse.transform(row) == 0).all()
    write_onnx(collapse, tmp_path / "a.onnx")
    assert (run(tmp_path / "a.onnx", row) == 0).all()


def test_numpy_file_is_transform(fitted, modality, rows, expected, tmp_path):
    """As docs/shipping.md writes it."""
    from scipy.special import erf

    path = tmp_path / "a.npz"
    write_numpy(fitted, path, modality=modality)
    file = np.load(path, allow_pickle=False)
    x = unit(rows[modality]).astype(np.float32)
    if "weight" in file:
        out = x @ file["weight"] + file["bias"]
    else:
        activations = {
            "relu": lambda h: np.maximum(h, 0),
            "tanh": np.tanh,
            "gelu": lambda h: h / 2 * (1 + erf(h / np.sqrt(2))),
        }
        out, i = x @ file["weight_0"] + file["bias_0"], 1
        while f"weight_{i}" in file:
            out = activations[str(file["activation"])](out) @ file[f"weight_{i}"] + file[f"bias_{i}"]
            i += 1
        out = out + x if file["residual"] else out
    assert out / np.linalg.norm(out, axis=1, keepdims=True) == pytest.approx(expected, abs=1e-6)


def test_torch_file_is_transform(fitted, modality, rows, expected, tmp_path):
    """As docs/shipping.md writes it: a plain Sequential, which takes the state as it is."""
    torch = pytest.importorskip("torch", reason="torch is an extra")
    from safetensors.torch import load_file

    path = tmp_path / "a.safetensors"
    write_torch(fitted, path, modality=modality)
    with safe_open(path, framework="pt") as file:
        config = json.loads(file.metadata()["config"])
    network = torch.nn.Sequential(*(getattr(torch.nn, name)(*sizes) for name, *sizes in config["layers"]))
    network.load_state_dict(load_file(path))
    x = torch.from_numpy(unit(rows[modality]).astype(np.float32))
    with torch.no_grad():
        out = network(x) + x if config["residual"] else network(x)
    out = torch.nn.functional.normalize(out).numpy()
    assert config["normalize"] is True
    assert out == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("write", WRITERS, ids=lambda w: w.__name__)
def test_same_aligner_gives_the_same_bytes_and_leaves_nothing_beside(write, collapse, tmp_path):
    told = {"encoder": "clip:b32", "aligner": "collapse"}
    written = []
    for name in "ab":
        (tmp_path / name).mkdir()
        write(
            collapse, tmp_path / name / WRITERS[write], about=dict(sorted(told.items(), reverse=name == "b"))
        )
        assert [path.name for path in (tmp_path / name).iterdir()] == [WRITERS[write]]
        written.append((tmp_path / name / WRITERS[write]).read_bytes())
    assert written[0] == written[1]
    assert b"clip:b32" in written[0].replace(b"\0", b"")


@pytest.fixture
def saved(collapse, tmp_path):
    path = tmp_path / "aligner.safetensors"
    image, text = FittedOn("image", "clip:b32", "abc"), FittedOn("text", "clip:b32")
    fitted = Provenance(image, text, pairs=2, items=hash_items(["dog"]), keep_recall=0.9)
    save_aligner(collapse, path, verified={"raw": {"rmg": 0.4}}, provenance=fitted)
    return path


def test_files_tell_where_they_come_from(saved, collapse, tmp_path):
    told = about(saved, "x")
    assert told["verified"] == '{"raw": {"rmg": 0.4}}'
    assert {key: told[key] for key in ("aligner", "modality", "modality_name", "encoder", "revision")} == {
        "aligner": "collapse",
        "modality": "x",
        "modality_name": "image",
        "encoder": "clip:b32",
        "revision": "abc",
    }
    assert (told["pairs"], told["items"], told["keep_recall"]) == ("2", "1", "0.9")
    assert "revision" not in about(saved, "y")
    write_onnx(collapse, tmp_path / "a.onnx", about=told)
    assert {entry.key: entry.value for entry in onnx.load(tmp_path / "a.onnx").metadata_props} == told
    write_torch(collapse, tmp_path / "a.st", about=told)
    with safe_open(tmp_path / "a.st", framework="numpy") as file:
        assert json.loads(file.metadata()["config"])["about"] == told
    write_numpy(collapse, tmp_path / "a.npz", about=told)
    assert json.loads(str(np.load(tmp_path / "a.npz")["about"])) == told


def test_an_aligner_that_tells_nothing(collapse, tmp_path):
    save_aligner(collapse, tmp_path / "a")
    assert set(about(tmp_path / "a")) == {"isthmus", "aligner", "modality"}


def test_what_cannot_be_exported_is_told(collapse):
    with pytest.raises(NotFittedError):
        layers_of(MeanShift())
    with pytest.raises(ValueError, match="modality must be 'x' or 'y', got 'image'"):
        layers_of(collapse, "image")

    class Mine(PairedAligner):
        _n_features_out = 2

        def fit(self, X, Y, *, groups=None):
            self.done_ = True
            return self

        def _map(self, unit, modality):
            return unit

    with pytest.raises(ValueError, match="cannot export a Mine: expected a closed-form aligner"):
        layers_of(Mine().fit(None, None))


def test_missing_library_is_named(collapse, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r'pip install "isthmus\[onnx\]"'):
        write_onnx(collapse, tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()


def test_onnx_of_real_embeddings(clip_pairs, tmp_path):
    x, y = clip_pairs
    fitted = SharedSpace(noise="separate", shrinkage=0.8, strength=8).fit(x[:400], y[:400])
    for modality, rows in (("x", x[400:]), ("y", y[400:])):
        write_onnx(fitted, tmp_path / "a.onnx", modality=modality)
        expected = fitted.transform(rows) if modality == "x" else fitted.transform_y(rows)
        assert run(tmp_path / "a.onnx", rows) == pytest.approx(expected, abs=1e-6)


def test_is_a_step_of_a_scikit_learn_pipeline(rows):
    """scikit-learn hands a pipeline's y to every step's fit: Y is the second modality."""
    x, y = rows["x"], rows["y"]
    double = FunctionTransformer(lambda rows: rows / np.linalg.norm(rows, axis=1, keepdims=True))
    x = x.astype(np.float64)
    pipeline = make_pipeline(double, LinearMap()).set_output(transform="default").fit(x, y)
    assert pipeline.transform(x) == pytest.approx(LinearMap().fit(x, y).transform(x), abs=1e-9)
    assert pipeline[-1].get_feature_names_out()[0] == "linearmap0"
