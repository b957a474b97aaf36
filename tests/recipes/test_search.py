"""Recipes for vector databases: run as they are, and the counts they print against a search by hand."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from isthmus.align import SharedSpace, save_aligner
from isthmus.align.provenance import FittedOn, Provenance, hash_items
from isthmus.store import Store
from isthmus.theory import sample

RECIPES = Path(__file__).parents[2] / "recipes"


LIBRARIES = [("lancedb_search", "lancedb"), ("qdrant_search", "qdrant_client")]
CLIP = {"encoder": "clip:b32"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A store of 150 images with two texts each, and an aligner of it."""
    folder = tmp_path_factory.mktemp("recipe")
    x, y, item = sample(150, captions=2, seed=1)
    x, y = x.astype(np.float32), y.astype(np.float32)
    fill(folder / "store", x, y, item, CLIP)
    aligner = SharedSpace(noise="separate", shrinkage=0.8, strength=8).fit(x, y)
    both = FittedOn("image", "clip:b32"), FittedOn("text", "clip:b32")
    told = Provenance(*both, pairs=len(x), items=hash_items(map(str, item)))
    save_aligner(aligner, folder / "a.safetensors", provenance=told)
    return folder, item, {"raw": (x, y), "aligned": aligner.transform(x, y)}


def fill(root, x, y, item, encoder):
    store = Store.create(root, {"image": encoder, "text": encoder})
    store.append({"image": x, "text": y}, {"group": [f"im{i:03}" for i in item]})


def by_hand(x, y, item):
    """Mean numbers of images and texts among the ten nearest of other items, and shares of own images."""
    counts = []
    for q in np.unique(np.linspace(0, len(y) - 1, 100).astype(int)):
        of_images = [(x[i] @ y[q], "image", item[i]) for i in range(0, len(x), 2)]  # two texts each
        of_texts = [(y[i] @ y[q], "text", item[i]) for i in range(len(y)) if item[i] != item[q]]
        nearest = sorted(of_images + of_texts, key=lambda one: -one[0])[:10]
        images = [owner for _, modality, owner in nearest if modality == "image"]
        counts.append([len(images), 10 - len(images), item[q] in images])
    return np.mean(counts, axis=0)


def searched(recipe, *words):
    command = [sys.executable, RECIPES / f"{recipe}.py", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("recipe, library", LIBRARIES)
def test_recipe_counts_what_a_search_by_hand_finds(made, recipe, library):
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed: it is needed by recipes/{recipe}.py alone")
    folder, item, rows = made
    done = searched(recipe, folder / "a.safetensors", folder / "store")
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()[1:]
    counts = {words[0]: [float(word) for word in words[1:]] for words in map(str.split, printed)}
    assert counts["raw"] == [0.0, 10.0, 0.0]
    assert counts["aligned"][0] > 2
    for name in ("raw", "aligned"):
        x, y = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in rows[name])
        assert counts[name] == pytest.approx(by_hand(x, y, item), abs=0.11)
        assert counts[name][2] == pytest.approx(by_hand(x, y, item)[2], abs=0.011)


@pytest.mark.parametrize("recipe, library", LIBRARIES)
def test_another_encoders_store_is_refused(made, tmp_path, recipe, library):
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed: it is needed by recipes/{recipe}.py alone")
    folder, item, rows = made
    fill(tmp_path / "store", *rows["raw"], item, {"encoder": "clip:l14"})
    done = searched(recipe, folder / "a.safetensors", tmp_path / "store")
    assert done.returncode == 1
    assert "img_emb is image by clip:l14: expected image by clip:b32, which" in done.stderr


@pytest.mark.parametrize("recipe, library", LIBRARIES)
def test_bad_input_is_one_line(made, tmp_path, monkeypatch, recipe, library):
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed: it is needed by recipes/{recipe}.py alone")
    folder, item, rows = made
    monkeypatch.chdir(tmp_path)
    x, y = rows["raw"]
    fill("narrow", x[:, :9], y[:, :9], item, CLIP)
    for name, part in (("one", x[:1]), ("all", x)):
        np.save(f"{name}.npy", part)
    aligner = folder / "a.safetensors"
    for words, message in (
        (("none.safetensors", folder / "store"), "no such file: none.safetensors"),
        ((aligner, "none"), "no such file or folder: none"),
        ((aligner, "one.npy", "one.npy"), "expected at least 2 pairs, got 1 in one.npy and one.npy"),
        ((aligner, "one.npy", "all.npy"), "one.npy has 1 rows, all.npy has 300"),
        ((aligner, "narrow"), f"narrow/img_emb has dim 9, {aligner} was fitted on dim {x.shape[1]}"),
    ):
        done = searched(recipe, *words)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1), done.stderr
        assert message in done.stderr


@pytest.mark.parametrize(
    "recipe, words, message",
    [
        ("calibration", ["none.npy"] * 4, "no such file or folder: none.npy"),
        (
            "mixed_search",
            ["flickr", "--out", "out", "--realdata", "none"],
            "No such file or directory: 'none",
        ),
    ],
)
def test_a_missing_file_is_one_line(tmp_path, monkeypatch, recipe, words, message):
    monkeypatch.chdir(tmp_path)
    done = searched(recipe, *words)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1), done.stderr
    assert message in done.stderr


def test_files_are_searched_as_a_store_is(made, tmp_path):
    pytest.importorskip("qdrant_client", reason="qdrant-client is not installed")
    folder, _, rows = made
    for name, part in zip(("x.npy", "y.npy"), rows["raw"], strict=True):
        np.save(tmp_path / name, part)
    words = (folder / "a.safetensors", tmp_path / "x.npy", tmp_path / "y.npy")
    of_store = searched("qdrant_search", folder / "a.safetensors", folder / "store")
    of_files = searched("qdrant_search", *words)
    assert of_files.stdout == of_store.stdout != ""
