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
from isthmus.align.files import aligner_name, read_provenance
from isthmus.align.provenance import FittedOn, Provenance, hash_items

CLIP = {"encoder": "clip:b32", "revision": "abc"}


def fitted_on(**more):
    image, text = FittedOn("image", **CLIP), FittedOn("text", **CLIP)
    return Provenance(image, text, pairs=120, items=hash_items(["dog", "cat", "dog"]), **more)


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
        ({"format": 99}, "written by a later isthmus: format 99, known 2"),
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


def test_provenance_is_kept(pairs, tmp_path):
    path, told = tmp_path / "a.safetensors", fitted_on(keep_recall=0.9, isthmus="7.8")
    save_aligner(MeanCollapse().fit(*pairs), path, verified={"rmg": 0.3}, provenance=told)
    found = read_provenance(path)
    assert found.to_dict() == told.to_dict()
    assert (found.items == told.items).all()
    assert (found.x, found.y) == (told.x, told.y)
    assert str(found.y) == "text by clip:b32, revision abc"
    assert read_verification(path) == {"rmg": 0.3}
    assert (load_aligner(path).transform(pairs[0]) == MeanCollapse().fit(*pairs).transform(pairs[0])).all()


def test_same_aligner_and_provenance_give_the_same_bytes(pairs, tmp_path):
    for name, order in (("a", ["dog", "cat", "dog"]), ("b", ["cat", "dog"])):
        told = Provenance(FittedOn("image"), FittedOn("text"), pairs=3, items=hash_items(order))
        save_aligner(MeanCollapse().fit(*pairs), tmp_path / name, provenance=told)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_files_without_provenance_are_as_they_were(saved):
    """Format 1, which versions before provenance read, and write."""
    from safetensors import safe_open

    with safe_open(saved, framework="numpy") as file:
        story = json.loads(file.metadata()["isthmus"])
    assert (story["format"], "provenance" in story) == (1, False)
    assert read_provenance(saved) is None


def test_items_are_hashed_by_blake2b():
    """Independently: the definition, and no item twice."""
    import hashlib

    names = ["dog", "cat", "", "Straße", "dog"]
    expected = {
        int.from_bytes(hashlib.blake2b(n.encode("utf-8"), digest_size=8).digest(), "little") for n in names
    }
    assert hash_items(names).tolist() == sorted(expected)
    assert hash_items([n.encode() for n in names]).tolist() == sorted(expected)
    assert hash_items([]).shape == (0,)


def test_items_that_were_fitted_on_are_refused():
    told = fitted_on()
    assert told.saw(["cow", "cat", "Dog"]).tolist() == [False, True, False]
    told.refuse_seen(["cow", "Dog"])
    with pytest.raises(ValueError, match=r"^test: expected items .* found 2 of 3 that it was: cat, dog$"):
        told.refuse_seen(["cat", "cow", "dog"], "test")
    with pytest.raises(ValueError, match=r"found 1 of 2 that it was: row 1$"):
        told.refuse_seen([b"cow", b"cat"])


@pytest.mark.parametrize(
    "other, admitted",
    [
        (FittedOn(), True),
        (FittedOn("image"), True),
        (FittedOn("image", **CLIP), True),
        (FittedOn("image", "clip:b32"), True),
        (FittedOn("text", **CLIP), False),
        (FittedOn("image", "clip:l14", "abc"), False),
        (FittedOn("image", "clip:b32", "abd"), False),
    ],
)
def test_what_is_told_must_agree(other, admitted):
    assert FittedOn("image", **CLIP).admits(other) is admitted
    assert other.admits(FittedOn("image", **CLIP)) is admitted
    assert FittedOn().admits(other)


def test_tampered_provenance_is_refused(pairs, tmp_path):
    path = tmp_path / "a.safetensors"
    save_aligner(MeanCollapse().fit(*pairs), path)
    tensors = load_file(path)
    told = fitted_on().to_dict()
    story = {"format": 2, "aligner": "collapse", "params": {}, "learned": {}, "verified": None}
    for change, items, message in (
        ({"magic": 1}, 2, "expected the entries of Provenance, found .*magic"),
        ({"x": {"colour": "red"}}, 2, "expected the entries of Provenance"),
        ({"items": 3}, 2, r"expected 3 hashes of uint64, found uint64 of shape \(2,\)"),
        ({}, 0, r"expected 2 hashes of uint64, found float64 of shape \(0,\)"),
    ):
        arrays = {"provenance.items": hash_items(["dog", "cat"])} if items else {}
        save_file(tensors | arrays, path, {"isthmus": json.dumps(story | {"provenance": told | change})})
        with pytest.raises(ValueError, match=f"a.safetensors: provenance: {message}"):
            read_provenance(path)


def test_aligners_have_the_name_of_the_command_line():
    assert aligner_name(make_aligner("shared")) == "shared"
    with pytest.raises(ValueError, match="cannot save a PairedAligner"):
        aligner_name(PairedAligner.__new__(type("PairedAligner", (MeanCollapse,), {})))
