"""recipes/arithmetic.py writes its tables and its picture."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from isthmus.encoders import CallableEncoder
from isthmus.evaluate.arithmetic import ArithmeticOptions

RECIPE = Path(__file__).resolve().parents[3] / "recipes" / "arithmetic.py"


def toy():
    def words(texts):
        return [np.r_[len(t), [t.count(c) for c in "aeiors"], 3] for t in texts]

    def look(images):
        return [np.r_[i.mean((0, 1)), i.std((0, 1)), 90, 90] for i in images]

    return CallableEncoder({"image": look, "text": words}, name="toy", dim=8, revision="1")


@pytest.fixture
def recipe(monkeypatch):
    if not RECIPE.is_file():
        pytest.skip(f"the recipe is not at {RECIPE}: this is no checkout")
    spec = importlib.util.spec_from_file_location("recipe_of_arithmetic", RECIPE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    tiny = ArithmeticOptions(3, 500, (0,), ("image",), ("change", "add"))
    monkeypatch.setattr(module, "open_encoder", lambda name: toy())
    monkeypatch.setattr(ArithmeticOptions, "quick", classmethod(lambda cls: tiny))
    monkeypatch.setattr(module, "_HELD_OUT", {True: 30})
    monkeypatch.setattr(module, "ALIGNERS", ("collapse", "linear", "nonlinear"))
    return module


def call(recipe, monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["arithmetic.py", *map(str, words)])
    recipe.main()


def test_quick(recipe, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("ISTHMUS_REALDATA", str(tmp_path / "nowhere"))
    call(recipe, monkeypatch, "--quick", "--out", tmp_path / "out")
    told = json.loads((tmp_path / "out" / "arithmetic.json").read_text())
    assert told["benchmark"]["options"]["queries"] == 3
    assert set(told["pairs"]) == {"the world, toy"}
    assert {row["method"] for row in told["benchmark"]["rows"]} == {"raw", "collapse", "linear"}
    page = (tmp_path / "out" / "arithmetic.md").read_text()
    assert "**image: R@1 by kind of query, worded as a phrase**" in page
    assert "**the world, toy: 60 pairs of 30 items, 6 held out at a time**" in page
    picture = (tmp_path / "out" / "arithmetic.svg").read_text()
    assert picture.startswith("<svg xmlns=")
    assert ">collapse<" in picture
    out, err = capsys.readouterr()
    assert out.strip() == page.strip()
    assert "CLIP's embeddings are not at" in err


def test_relations(recipe, monkeypatch, tmp_path, capsys):
    line = {"a": "a cat", "b": "two cats", "c": "a dog", "answer": "two dogs"}
    (tmp_path / "list.jsonl").write_text(json.dumps(line))
    call(recipe, monkeypatch, "--relations", tmp_path / "list.jsonl", "--encoder", "toy", "--out", tmp_path)
    told = json.loads((tmp_path / "relations.json").read_text())
    assert (told["relations"], told["found"]) == (1, ["two dogs"])
    assert json.loads(capsys.readouterr().out)["candidates"] == 4
