"""Recipes for vector databases: run as they are, and the counts they print against a search by hand."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from isthmus.align import SharedSpace, save_aligner
from isthmus.store import Store
from isthmus.theory import sample

RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A store of 300 pairs and an aligner of it."""
    folder = tmp_path_factory.mktemp("recipe")
    x, y, _ = (part.astype(np.float32) for part in sample(300, seed=1))
    clip = {"encoder": "clip:b32"}
    Store.create(folder / "store", {"image": clip, "text": clip}).append({"image": x, "text": y})
    aligner = SharedSpace(noise="separate", shrinkage=0.8, strength=8).fit(x, y)
    save_aligner(aligner, folder / "a.safetensors")
    return folder, {"raw": (x, y), "aligned": aligner.transform(x, y)}


def by_hand(x, y):
    """Mean numbers of images and texts among the ten nearest to each of the first 100 texts."""
    rows = np.concatenate([x, y])
    nearest = np.argsort(-(y[:100] @ rows.T), axis=1)[:, :10]
    images = (nearest < len(x)).sum(axis=1).mean()
    return [round(images, 1), round(10 - images, 1)]


@pytest.mark.parametrize(
    "recipe, library", [("lancedb_search", "lancedb"), ("qdrant_search", "qdrant_client")]
)
def test_recipe_counts_what_a_search_by_hand_finds(made, recipe, library):
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed: it is needed by recipes/{recipe}.py alone")
    folder, rows = made
    command = [sys.executable, RECIPES / f"{recipe}.py", folder / "a.safetensors", folder / "store"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    counts = {words[0]: [float(word) for word in words[1:]] for words in map(str.split, printed[1:])}
    assert counts["raw"] == [0.0, 10.0]
    assert counts["aligned"][0] > 2
    for name in ("raw", "aligned"):
        assert counts[name] == pytest.approx(by_hand(*rows[name]), abs=0.11)
