"""`isthmus geometry` as a user calls it."""

import json

import numpy as np
import pytest

from isthmus.measure import geometry
from isthmus.theory import Geometry, sample

SMALL = Geometry(dim=24, shared_dimension=6, noise_dimension=8)


@pytest.fixture
def files(tmp_path):
    x, y, groups = sample(120, SMALL, captions=2, seed=1)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    (tmp_path / "groups.csv").write_text("image\n" + "".join(f"im{g // 2}\n" for g in groups))
    return tmp_path


def test_geometry_prints_every_figure(run, files):
    x, y = files / "x.npy", files / "y.npy"
    code, out, err = run("geometry", x, y, "--groups-of", 20, "--seed", 3, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found == geometry(np.load(x), np.load(y), groups_of=20, seed=3).to_dict()
    assert (found["pairs"], found["items"], found["groups"]) == (240, 120, 6)
    code, out, _ = run("geometry", x, y, "--groups-of", 20, "--seed", 3)
    assert code == 0
    assert f"{found['gap_length']['mean']:.4f}" in out
    assert "constant length: holds" in out
    assert "noise isotropic: does not hold" in out


def test_groups_are_read(run, files):
    words = ("geometry", files / "x.npy", files / "y.npy", "--groups-of", 20, "--json")
    code, out, err = run(*words, "--groups", f"{files}/groups.csv:image")
    assert code == 0, err
    assert (json.loads(out)["items"], json.loads(out)["groups"]) == (60, 3)


def test_two_modalities_of_a_clip(run, realdata):
    file = realdata / "liang2022" / "features_clip.npy"
    code, out, err = run("geometry", f"{file}:0", f"{file}:1", "--json")
    assert code == 0, err
    assert json.loads(out)["gap_length"]["mean"] == pytest.approx(0.854, abs=0.001)


@pytest.mark.parametrize(
    "words, message",
    [
        ((), "expected at least 2 groups of 100 pairs of different items, got 120 items in 240 pairs"),
        (("--groups-of", "1"), "groups_of must be a whole number in [2, 2000], got 1"),
        (("--groups", "groups.csv:name"), "groups.csv"),
    ],
)
def test_bad_input_exits_2_with_a_message(run, files, monkeypatch, words, message):
    monkeypatch.chdir(files)
    code, out, err = run("geometry", "x.npy", "y.npy", *words)
    assert code == 2
    assert message in " ".join(err.split())
    assert not out
