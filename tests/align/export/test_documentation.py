"""The code on docs/shipping.md runs as it stands there, and gives what transform gives."""

import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone

from isthmus.align import LinearMap, RegularizedCCA, save_aligner
from isthmus.align.export import write_numpy, write_onnx, write_torch
from isthmus.align.provenance import FittedOn, Provenance, hash_items
from isthmus.theory import Geometry, sample

PAGE = Path(__file__).parents[3] / "docs" / "shipping.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(params=[LinearMap(), RegularizedCCA(components=7)], ids=["square", "narrower"])
def names(tmp_path, monkeypatch, request):
    """The files and arrays that the page speaks of, of aligners that keep the width and that do not."""
    monkeypatch.chdir(tmp_path)
    x, y, _ = (
        a.astype(np.float32) for a in sample(100, Geometry(dim=24, shared_dimension=6, noise_dimension=8))
    )
    aligner = clone(request.param).fit(x, y)
    told = Provenance(FittedOn("image"), FittedOn("text"), pairs=100, items=hash_items(["im7"]))
    save_aligner(aligner, "a.safetensors", provenance=told)
    write_onnx(aligner, "x.onnx", about={"aligner": "linear"})
    write_numpy(aligner, "x.npz")
    write_torch(aligner, "x_torch.safetensors")
    return {"x": 3 * x, "y": y}, aligner.transform(x, y)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.split()[1])
def test_code_of_the_page_runs(names, block):
    if "torch" in block:
        pytest.importorskip("torch", reason="torch is an extra")
    if "faiss" in block:
        pytest.importorskip("faiss", reason="faiss is an extra")
    known, (x, y) = names
    exec(block, known)
    if "make_pipeline" in block:  # an aligner of its own
        x = LinearMap().fit(known["x"], known["y"]).transform(known["x"])
    if "aligned" in known:
        assert known["aligned"] == pytest.approx(x, abs=1e-6)
    if "rows" in known:
        order = np.argsort(-(y @ x.T), axis=1)[:, :10]
        assert (known["rows"] == order).mean() > 0.99
    if "told" in known:
        assert known["told"].saw(["im7", "never seen"]).tolist() == [True, False]
    assert {"aligned", "rows", "told"} & set(known)


def test_every_way_of_the_page_is_run():
    assert len(BLOCKS) == 6
