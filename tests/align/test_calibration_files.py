"""Calibrators on disk."""

import json

import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from sklearn.exceptions import NotFittedError

from isthmus.align import MeanCollapse, save_aligner
from isthmus.align.calibration import MatchCalibrator
from isthmus.align.calibration_files import (
    CalibratedOn,
    load_calibrator,
    read_calibrated_on,
    save_calibrator,
)
from isthmus.align.provenance import FittedOn


@pytest.mark.parametrize("query", [False, "x"])
@pytest.mark.parametrize("method", ["isotonic", "logistic"])
def test_a_file_gives_the_same_probabilities(pairs, tmp_path, method, query):
    found = MatchCalibrator(method, query, prior=0.1, seed=4).fit(*pairs)
    told = CalibratedOn(
        FittedOn("image", "clip:b32"), FittedOn("text"), aligner="ab12", held_out={"ece": 0.1}
    )
    save_calibrator(found, tmp_path / "c.safetensors", calibrated_on=told)
    loaded = load_calibrator(tmp_path / "c.safetensors")
    assert loaded.get_params() == found.get_params()
    assert (loaded.predict_proba(*pairs) == found.predict_proba(*pairs)).all()
    assert loaded.threshold_at(precision=0.5) == found.threshold_at(precision=0.5)
    assert read_calibrated_on(tmp_path / "c.safetensors") == told
    with safe_open(tmp_path / "c.safetensors", framework="numpy") as file:
        assert json.loads(file.metadata()["isthmus.calibrator"])["format"] == 1
    save_calibrator(loaded, tmp_path / "again.safetensors", calibrated_on=told)
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "c.safetensors").read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


def test_foreign_files_are_refused(pairs, tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(NotFittedError):
        save_calibrator(MatchCalibrator(), path)
    assert not path.exists()
    save_aligner(MeanCollapse().fit(*pairs), path)
    with pytest.raises(
        ValueError, match=r"a\.safetensors holds no calibrator: expected one that `isthmus cal"
    ):
        load_calibrator(path)
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_calibrator(tmp_path / "none")
    save_calibrator(MatchCalibrator().fit(*pairs), path)
    tensors = load_file(path)
    for change, message in (
        ({"format": 2}, "written by a later isthmus: format 2, known 1"),
        ({"learned": {"fit": 1}}, "unknown learned attribute 'fit'"),
    ):
        story = {"format": 1, "params": {}, "learned": {}, "calibrated_on": {}} | change
        save_file(tensors, path, {"isthmus.calibrator": json.dumps(story)})
        with pytest.raises(ValueError, match=message):
            load_calibrator(path)


def test_what_json_does_not_have_is_refused(pairs, tmp_path):
    path, told = tmp_path / "c.safetensors", CalibratedOn(held_out={"threshold": -float("inf")})
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_calibrator(MatchCalibrator().fit(*pairs), path, calibrated_on=told)
    assert not list(tmp_path.iterdir())
