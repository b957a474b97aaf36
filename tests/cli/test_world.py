"""isthmus world: towers trained, measured and described, as a user calls it."""

import contextlib
import functools
import io
import json
import re
import sys
from dataclasses import asdict

import pytest

from isthmus.cli import main
from isthmus.encoders.world.encoder import SHIPPED
from isthmus.sources.world import SPLITS, captions, draw_picture, draw_scene

pytest.importorskip("torch", reason="torch is an extra")

OPTIONS = ("--scenes", 48, "--paired", 32, "--detail", 0.5, "--epochs", 2, "--paired-epochs", 1)
OPTIONS += ("--batch-size", 16, "--learning-rate", 0.002, "--seed", 3, "--precision", "float32")


def call(*words):
    """Exit code, standard output and standard error."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.setattr(sys, "argv", ["isthmus", "world", *(str(word) for word in words)])
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def small():
    """Towers and held-out scenes so few that training and measuring take seconds."""
    from isthmus.cli import world
    from isthmus.encoders.world import training
    from isthmus.encoders.world.towers import TowerSizes

    with pytest.MonkeyPatch.context() as patch:
        towers = TowerSizes(4, 8, 1, 2)
        patch.setattr(training, "WorldTraining", functools.partial(training.WorldTraining, towers=towers))
        patch.setattr(world, "evaluate", functools.partial(world.evaluate, scenes=60))
        yield


@pytest.fixture(scope="module")
def trained(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "world"
    return folder, call("train", "--out", folder, *OPTIONS)


def test_train_writes_towers_figures_and_a_card(trained):
    folder, (code, out, err) = trained
    assert code == 0, err
    towers = [f"{name}.safetensors" for name in ("image", "text", "video", "audio")]
    expected = [*towers, "training.json", "figures.json", "MODEL_CARD.md"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(expected)
    assert err.endswith(f"model card: {folder}/MODEL_CARD.md\n")
    assert "60 scenes, 300 captions" in out
    card = (folder / "MODEL_CARD.md").read_text()
    figures = json.loads((folder / "figures.json").read_text())
    for name in ("image", "video", "audio"):
        assert f"{name}-text" in out
        assert f"{figures['pairs'][name]['direction_cosine']:.4f}" in card


def test_options_reach_the_training(trained):
    settings = json.loads((trained[0] / "training.json").read_text())["settings"]
    scenes = settings.pop("scenes")
    assert (scenes["count"], scenes["paired"], scenes["detail"], scenes["seed"]) == (48, 32, 0.5, 3)
    assert settings == settings | {
        "epochs": 2,
        "paired_epochs": 1,
        "batch_size": 16,
        "learning_rate": 0.002,
        "seed": 3,
        "precision": "float32",
    }


def test_the_cards_command_trains_the_same(trained, small, monkeypatch):
    from isthmus.encoders.world import training

    card = (trained[0] / "MODEL_CARD.md").read_text()
    (words,) = re.findall(r"^ +isthmus world (train --out FOLDER.*)$", card, re.MULTILINE)
    asked = []
    monkeypatch.setattr(training, "train_world", lambda out, config, progress: asked.append((out, config)))
    monkeypatch.setattr("isthmus.cli.world.evaluate", lambda **options: asked.append(options))
    assert call(*words.split())[0] == 0
    (out, config), options = asked
    assert str(out) == "FOLDER"
    assert options == {"weights": out, "card": True}
    assert asdict(config) == json.loads((trained[0] / "training.json").read_text())["settings"]


def test_defaults_are_those_of_the_library(monkeypatch):
    from isthmus.encoders.world import training

    asked = []
    monkeypatch.setattr(training, "train_world", lambda out, config, progress: asked.append(config))
    monkeypatch.setattr("isthmus.cli.world.evaluate", lambda **options: None)
    assert call("train", "--out", "x")[0] == 0
    assert asked == [training.WorldTraining()]


def test_evaluate_prints_the_figures_of_the_card(trained):
    folder = trained[0]
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    code, out, err = call("evaluate", "--weights", folder, "--scenes", 60, "--json")
    assert code == 0, err
    assert json.loads(out) == json.loads((folder / "figures.json").read_text())
    assert before == {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    other = json.loads(call("evaluate", "--weights", folder, "--scenes", 50, "--json")[1])
    assert (other["scenes"], other["captions"]) == (50, 250)


def test_figures_are_of_scenes_that_training_never_saw(trained):
    """The same figure from the parts: the encoder, the split "test", captions of the detail learned from."""
    from isthmus.encoders import open_encoder
    from isthmus.measure import l2m

    encoder = open_encoder(f"world:{trained[0]}", device="cpu")
    scenes = [draw_scene(3, SPLITS["test"] + i) for i in range(60)]
    texts = [captions(scene, detail=0.5) for scene in scenes]
    y = encoder.encode([text for each in texts for text in each], "text")
    x = encoder.encode([draw_picture(scene) for scene in scenes], "image").repeat(5, axis=0)
    figures = json.loads((trained[0] / "figures.json").read_text())
    assert figures["pairs"]["image"]["l2m"]["value"] == pytest.approx(l2m(x, y), abs=1e-5)


def test_train_again_changes_nothing(trained, small):
    folder = trained[0]
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    code, _, err = call("train", "--out", folder, *OPTIONS)
    assert code == 0, err
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}
    code, _, err = call("train", "--out", folder, *OPTIONS[:-4], "--seed", 4, "--precision", "float32")
    assert code == 2
    assert "were trained with other settings" in err
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    "words, message",
    [
        (("evaluate", "--weights", "nowhere"), "nowhere does not hold a trained world"),
        (("evaluate", "--scenes", "1"), "scenes must be a whole number in [2, inf), got 1"),
        (("train", "--out", "x", "--detail", "2"), "detail must be a number in [0, 1], got 2.0"),
        (("train", "--out", "x", "--scenes", "1"), "count must be a whole number in [2, inf), got 1"),
        (("train", "--out", "x", "--precision", "int8"), "precision must be float32 or bfloat16, got 'int8'"),
        (("train",), "--out"),
    ],
)
def test_bad_input_exits_2(words, message):
    code, out, err = call(*words)
    assert code == 2
    assert message in out + err
    assert "Traceback" not in err


def test_help():
    assert all(verb in call("--help")[1] for verb in ("train", "evaluate"))
    code, out, _ = call("train", "--help")
    assert code == 0
    for option in OPTIONS[::2]:
        assert option in out
    evaluate = call("evaluate", "--help")[1]
    assert all(option in evaluate for option in ("--weights", "--scenes", "--card", "--json"))


@pytest.mark.slow
def test_shipped_figures_are_what_the_shipped_weights_give():
    if not SHIPPED.is_dir():
        pytest.skip(f"no weights have been trained into {SHIPPED} yet")
    code, out, err = call("evaluate", "--json")
    assert code == 0, err
    found, card = json.loads(out), json.loads((SHIPPED / "figures.json").read_text())
    assert (found["scenes"], found["captions"]) == (card["scenes"], card["captions"]) == (2000, 10000)
    assert set(found["pairs"]) == set(card["pairs"]) == {"image", "video", "audio"}
    for name, pair in card["pairs"].items():
        ours = found["pairs"][name]
        flat = [(pair[k], ours[k]) for k in ("l2m", "alignment")]
        flat += [
            (pair[w][k], ours[w][k]) for w in ("from_text", "to_text") for k in ("recall", "ceiling", "share")
        ]
        for expected, value in flat:
            assert value == pytest.approx(expected, abs=2e-3), name
        assert ours["direction_cosine"] == pytest.approx(pair["direction_cosine"], abs=2e-3)
