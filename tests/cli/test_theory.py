import importlib
import inspect
import json

import numpy as np
import pytest

NAMES = {
    "initialization": ("--n", 40, "--seeds", 3),
    "optimization": ("--n", 30, "--quick", "--steps", 2000),
    "gradients": ("--n", 12, "--dim", 8, "--effective", 2, 3),
    "stable-region": ("--n", 8, "--dim", 16, "--temperatures", 0.05, 0.1),
    "dimensional-collapse": ("--depth", 5, "--width", 32, "--n", 50, "--stack", "mlp"),
    "cone": ("--dim", 16, "--n", 50),
    "gap-shift": ("--rows", 60, "--temperatures", 0.1),
}


@pytest.mark.parametrize("name", NAMES)
def test_each_simulation_prints_and_writes_the_same(run, tmp_path, name):
    code, out, err = run("theory", name, *NAMES[name], "--json", "--out", tmp_path / "new")
    assert code == 0, err
    told = json.loads(out)
    (written,) = (tmp_path / "new").glob("*.json")
    assert json.loads(written.read_text()) == told
    assert told["lines"]
    assert all(line["measured"] is not None for line in told["lines"])
    kept = sorted(path.suffix for path in (tmp_path / "new").iterdir())
    assert kept == ([".json"] if name == "gradients" else [".json", ".svg"])


def test_the_gap_of_ones_own_pairs_is_shifted(run, tmp_path):
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(50, 16))
    for name, sign in (("x", 1), ("y", -1)):
        np.save(tmp_path / f"{name}.npy", shared + 0.3 * rng.normal(size=(50, 16)) + sign)
    code, out, err = run("theory", "gap-shift", tmp_path / "x.npy", tmp_path / "y.npy", "--json")
    assert (code, json.loads(out)["settings"]["n"]) == (0, 50), err


def test_a_file_cannot_be_the_folder(run, tmp_path):
    (tmp_path / "a").write_text("")
    code, out, err = run("theory", "cone", "--out", tmp_path / "a")
    assert (code, out) == (2, "")
    assert "--out must be a folder" in err


def test_one_pair_of_each_item_is_shifted(run, tmp_path):
    """An image's other captions would count as wrong answers."""
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(40, 16))
    x, y = (
        np.repeat(shared + 1, 3, axis=0),
        np.repeat(shared - 1, 3, axis=0) + rng.normal(size=(120, 16)) / 40,
    )
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    code, out, err = run("theory", "gap-shift", tmp_path / "x.npy", tmp_path / "y.npy", "--json")
    told = json.loads(out)
    assert (code, told["settings"]["n"]) == (0, 40), err
    recall = {line["name"]: line["measured"] for line in told["lines"]}
    assert recall["R@1 x to y, gap as it is"] > 0.6  # with three rows an image, a third at most


def test_a_folder_that_cannot_be_made_is_told_before_the_work(run, tmp_path):
    (tmp_path / "a").write_text("")
    code, out, err = run("theory", "cone", "--out", tmp_path / "a" / "b")
    assert (code, out) == (2, "")
    assert "--out: " in err


@pytest.mark.parametrize(
    "name, file",
    [
        ("cone", "cone.json"),
        ("cone", "cone.svg"),
        ("cone", "cone.json.writing"),
        ("gradients", "gradients.json"),
        ("stable-region", "stable-region.svg"),
        ("optimization", "optimization.npz.partial"),
    ],
)
def test_what_cannot_be_written_is_told_before_the_work(run, tmp_path, monkeypatch, name, file):
    (tmp_path / file).mkdir()
    monkeypatch.setattr("isthmus.theory.simulation.Simulation.__init__", None)  # no work is done
    code, out, err = run("theory", name, *NAMES[name], "--out", tmp_path)
    assert (code, out) == (2, "")
    assert "--out: " in err
    assert f"{file} is to be a file, and is a folder" in err.replace("\n", "")


def test_a_run_that_diverges_names_its_option(run, tmp_path):
    words = ("--n", 20, "--steps", 30, "--reading", "free", "--learning-rate", 1e6, "--out", tmp_path)
    code, out, err = run("theory", "optimization", *words)
    assert (code, out) == (2, "")
    assert "--learning-rate: the learning rate 1e+06 is too high" in err
    assert "Warning" not in err


@pytest.mark.parametrize(
    "name, room, option",
    [
        ("stable-region", "stable_region", "temperatures"),
        ("gap-shift", "gap_shift", "temperatures"),
        ("cone", "cone", "constants"),
    ],
)
def test_defaults_of_lists_are_in_the_help(run, name, room, option):
    """The simulations' own, which the commands do not repeat."""
    simulate = getattr(importlib.import_module(f"isthmus.theory.{room}"), room)
    *first, last = (f"{value:g}" for value in inspect.signature(simulate).parameters[option].default)
    out = " ".join(run("theory", name, "--help")[1].replace("│", " ").split())
    assert f"By default {', '.join(first)} and {last}." in out


def test_no_option_empties_what_must_be_two_numbers(run):
    for name in NAMES:
        assert "--empty-" not in run("theory", name, "--help")[1]


def test_the_items_of_ones_own_pairs_may_be_given(run, tmp_path):
    rng = np.random.default_rng(0)
    for name, sign in (("x", 1), ("y", -1)):
        np.save(tmp_path / f"{name}.npy", rng.normal(size=(60, 8)) + sign)
    np.save(tmp_path / "items.npy", np.arange(60) // 2)
    files = [tmp_path / f"{name}.npy" for name in ("x", "y")]
    code, out, err = run("theory", "gap-shift", *files, "--groups", tmp_path / "items.npy", "--json")
    assert (code, json.loads(out)["settings"]["n"]) == (0, 30), err


@pytest.mark.parametrize("name", ["initialization", "gradients", "stable-region", "cone", "gap-shift"])
def test_a_bad_seed_is_named(run, name):
    code, out, err = run("theory", name, "--seed", -1)
    assert (code, out) == (2, "")
    assert "seed must be a whole number in [0, inf), got -1" in err


@pytest.mark.parametrize(
    "words, message",
    [
        (
            ("gap-shift", "--modalities", "a", "b"),
            "--modalities: expected embeddings of them first, got none",
        ),
        (("gap-shift", "--groups", "items.npy"), "--groups: expected embeddings of them first, got none"),
        (
            ("dimensional-collapse", "--width", 8, "--n", 30, "--stack", "mlp"),
            "width must be larger for mlp at depth 50: with 8,",
        ),
        (
            ("cone", "--dim", 16, "--constants", 0),
            "constants must not hold 0 where all 16 dimensions are collapsed",
        ),
    ],
)
def test_what_cannot_be_simulated_is_named(run, words, message):
    code, _, err = run("theory", *words)
    assert (code, message in err) == (2, True), err


def test_the_coldest_temperature_does_not_overflow(run):
    code, out, err = run("theory", "stable-region", "--n", 8, "--dim", 16, "--temperatures", 0.0001, "--json")
    assert (code, err) == (0, "")
    angle = next(x for x in json.loads(out)["lines"] if x["name"].startswith("angle at"))
    assert 30 < angle["measured"] < 120
