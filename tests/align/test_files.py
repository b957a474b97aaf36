import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from sklearn.exceptions import NotFittedError

from isthmus.align import (
    MeanCollapse,
    PairedAligner,
    load_aligner,
    make_aligner,
    read_verification,
    save_aligner,
)


@pytest.fixture
def saved(pairs, tmp_path):
    path = tmp_path / "aligner.safetensors"
    save_aligner(MeanCollapse().fit(*pairs), path, verified={"rmg": 0.3})
    return path


def test_verification_is_kept(saved):
    assert read_verification(saved) == {"rmg": 0.3}


def test_unfitted_and_foreign_aligners_are_not_saved(tmp_path, pairs):
    with pytest.raises(NotFittedError):
        save_aligner(MeanCollapse(), tmp_path / "a")

    class Mine(MeanCollapse):
        pass

    with pytest.raises(ValueError, match="cannot save a Mine: expected one of collapse, shift"):
        save_aligner(Mine().fit(*pairs), tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_corrupt_and_foreign_files_are_named(saved, tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_aligner(tmp_path / "none")
    whole = saved.read_bytes()
    saved.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"aligner\.safetensors is not a readable safetensors file"):
        load_aligner(saved)
    save_file({"w": np.eye(2)}, saved)
    with pytest.raises(ValueError, match=r"aligner\.safetensors holds no aligner"):
        load_aligner(saved)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"format": 99}, "written by a later isthmus: format 99, known 1"),
        ({"aligner": "os.system"}, "unknown aligner 'os.system'"),
        ({"params": {"dials_": {"noise": "x", "rm": 1}}}, "dials_ has unknown entries rm"),
        ({"params": {"strength": 1}}, "Invalid parameter 'strength'"),
        ({"learned": {"transform": 1}}, "has an unknown learned attribute 'transform'"),
    ],
)
def test_tampered_metadata_is_refused(saved, change, message):
    tensors = load_file(saved)
    story = {"format": 1, "aligner": "collapse", "params": {}, "learned": {}, "verified": None}
    save_file(tensors, saved, {"isthmus": json.dumps(story | change)})
    with pytest.raises(ValueError, match=message):
        load_aligner(saved)


def test_unknown_names():
    with pytest.raises(ValueError, match="unknown aligner 'magic': expected one of collapse"):
        make_aligner("magic")
    assert isinstance(make_aligner("shared", keep_recall=0.5), PairedAligner)
