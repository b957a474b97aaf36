"""`isthmus export` as a user calls it."""

import json

import numpy as np
import onnxruntime
import pytest
from safetensors import safe_open

from isthmus.align import load_aligner
from tests.cli.test_apply import aligner, arrays, store  # noqa: F401


def test_every_format_is_written_and_told_of(run, aligner, arrays, tmp_path):  # noqa: F811
    x, y, _ = arrays
    for format, name in (("onnx", "y.onnx"), ("torch", "y.safetensors"), ("numpy", "y.npz")):
        words = ("export", aligner, "--format", format, "--modality", "y", "--out", tmp_path / name)
        code, _, err = run(*words)
        assert (code, f"text by clip:b32: {tmp_path / name}" in err) == (0, True), err
        code, _, err = run(*words)
        assert (code, f"{name} exists: remove it" in err) == (2, True)
    session = onnxruntime.InferenceSession(tmp_path / "y.onnx")
    (found,) = session.run(None, {"embeddings": 7 * y})
    assert found == pytest.approx(load_aligner(aligner).transform_y(y), abs=1e-6)
    told = session.get_modelmeta().custom_metadata_map
    assert (told["encoder"], told["revision"], told["aligner"]) == ("clip:b32", "r1", "linear")
    assert set(json.loads(told["verified"])) == {"raw", "linear"}
    assert json.loads(str(np.load(tmp_path / "y.npz")["about"])) == told
    with safe_open(tmp_path / "y.safetensors", framework="numpy") as file:
        assert json.loads(file.metadata()["config"])["about"] == told
    assert run("export", aligner, "--out", tmp_path / "x.onnx")[0] == 0
    (found,) = onnxruntime.InferenceSession(tmp_path / "x.onnx").run(None, {"embeddings": x})
    assert found == pytest.approx(load_aligner(aligner).transform(x), abs=1e-6)


def test_card_beside_the_file(run, aligner, tmp_path):  # noqa: F811
    words = ("export", aligner, "--out", tmp_path / "x.onnx", "--card", tmp_path / "card.md")
    assert run(*words)[0] == 0
    assert (tmp_path / "card.md").read_text().startswith("# a.safetensors\n")
    (tmp_path / "card.md").write_text("mine")
    words = ("export", aligner, "--out", tmp_path / "y.onnx", "--card", tmp_path / "card.md")
    code, _, err = run(*words)
    assert (code, "card.md exists: remove it, or write elsewhere" in err) == (2, True)
    assert (tmp_path / "card.md").read_text() == "mine"
    assert not (tmp_path / "y.onnx").exists()


@pytest.mark.parametrize(
    "words, message",
    [
        (("a.safetensors", "--out", "x.npz"), "x.npz must end in .onnx"),
        (("a.safetensors", "--out", "a.safetensors", "--format", "torch"), "a.safetensors exists"),
        (("a.safetensors", "--out", "no/x.onnx"), "no such folder"),
        (("none.safetensors", "--out", "x.onnx"), "no such file: none.safetensors"),
        (("a.safetensors", "--out", "x.onnx", "--card", "card.html"), "card.html must end in .md"),
        (("a.safetensors", "--out", "x.onnx", "--modality", "image"), "image"),
    ],
)
def test_bad_input_exits_2_and_writes_nothing(run, aligner, tmp_path, monkeypatch, words, message):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    code, out, err = run("export", *words)
    assert code == 2
    assert message in out + err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
