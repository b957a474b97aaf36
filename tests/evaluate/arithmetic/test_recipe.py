"""recipes/arithmetic.py writes its tables and its picture."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from isthmus.align import MeanCollapse, save_aligner
from isthmus.align.provenance import FittedOn, Provenance, hash_items
from isthmus.encoders import CallableEncoder, open_encoder
from isthmus.evaluate.arithmetic import ArithmeticOptions, read_relations, score_relations

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


def relations(tmp_path):
    listed = (
        ("a cat", "aeiou", "a raised hand", "two cats"),
        ("a dog", "two dogs", "the sun", "six roses"),
    )
    lines = [json.dumps(dict(zip(("a", "b", "c", "answer"), words, strict=True))) for words in listed]
    (path := tmp_path / "list.jsonl").write_text("\n".join(lines))
    return path


def test_relations_through_an_aligner(recipe, monkeypatch, tmp_path, capsys):
    rng = np.random.default_rng(0)
    aligner = MeanCollapse().fit(rng.normal(size=(9, 8)), rng.normal(size=(9, 8)) + 3)
    save_aligner(aligner, path := tmp_path / "collapse.safetensors")
    listed = relations(tmp_path)
    words = ("--relations", listed, "--aligner", path, "--encoder", "toy", "--out", tmp_path / "out")
    call(recipe, monkeypatch, *words)
    told = json.loads((tmp_path / "out" / "relations.json").read_text())
    expected = score_relations(toy(), read_relations(listed), aligner=aligner)
    assert told == expected.to_dict()
    assert expected != score_relations(toy(), read_relations(listed))
    for revision, dim, message in (
        ("2", 8, "was fitted on image by toy, revision 2, not on image"),
        (None, 4, "fitted on dim 4"),
    ):
        x = FittedOn("image", "toy", revision)
        known = Provenance(x, FittedOn("text"), pairs=9, items=hash_items("abcdefghi"))
        small = MeanCollapse().fit(rng.normal(size=(9, dim)), rng.normal(size=(9, dim)))
        save_aligner(small, path, provenance=known)
        assert message in refused(recipe, monkeypatch, capsys, *words)


def refused(recipe, monkeypatch, capsys, *words):
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        call(recipe, monkeypatch, *words)
    assert left.value.code == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err


def test_what_is_wrong_is_said_in_a_line(recipe, monkeypatch, tmp_path, capsys):
    path = tmp_path / "other.jsonl"
    words = ("--relations", path, "--encoder", "toy", "--out", tmp_path)
    assert refused(recipe, monkeypatch, capsys, *words) == f"no such file: {path}\n"
    path.write_text("France, Paris\n")
    assert f"{path}, line 1, is not JSON" in refused(recipe, monkeypatch, capsys, *words)
    path.write_bytes('{"a": "Malm\u00f6"}'.encode("latin-1"))
    err = refused(recipe, monkeypatch, capsys, *words)
    assert err.startswith(f"{path} must be text in UTF-8: ")
    err = refused(recipe, monkeypatch, capsys, "--aligner", path, "--out", tmp_path)
    assert err == "--aligner does not apply: it is of --relations\n"
    monkeypatch.setattr(recipe, "open_encoder", open_encoder)
    err = refused(recipe, monkeypatch, capsys, "--encoder", "nobody:x", "--out", tmp_path / "new")
    assert "nobody" in err
    assert not (tmp_path / "new").exists()
