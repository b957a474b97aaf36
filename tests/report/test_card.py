"""The model card: every figure, and what was trained how."""

import copy
import json

import jinja2
import pytest

from isthmus.encoders.world.encoder import SHIPPED
from isthmus.report import render_card

SETTINGS = {
    "scenes": {"count": 1234, "paired": 432, "held_out": 17, "detail": 0.37, "captions": 4, "seed": 8},
    "towers": {"channels": 4, "width": 8, "layers": 1, "heads": 2},
    "epochs": 3,
    "paired_epochs": 2,
    "batch_size": 61,
    "learning_rate": 0.0021,
    "weight_decay": 0.071,
    "seed": 9,
    "precision": "float32",
    "device": "cpu",
}
STAGES = {
    name: {
        "scenes": 1000 + i,
        "steps": 57 + i,
        "parameters": 98765 + i,
        "best_epoch": 41 + i,
        "losses": [4.5 + i, 3.25 + i],
        "validations": [5.125 + i, 6.0625 + i],
        "seconds": 90.0 + 60 * i,
    }
    for i, name in enumerate(("image-text", "video", "audio"))
}
STORY = {
    "identity": "x",
    "settings": SETTINGS,
    "isthmus": "7.8.9",
    "code": "c0ffee",
    "torch": "6.5.4",
    "stages": STAGES,
}


def figure(start):
    return {"value": start, "low": start - 0.001, "high": start + 0.002}


def figures():
    """Figures of three pairs, none of them like another."""
    pairs, at = {}, 0.1
    for name in ("image", "video", "audio"):
        ways = {}
        for way in ("from_text", "to_text"):
            ways[way] = {k: figure(at + 0.01 * j) for j, k in enumerate(("recall", "ceiling", "share"))}
            at += 0.05
        pairs[name] = {
            "l2m": figure(at),
            "alignment": figure(at + 0.01),
            "direction_cosine": at + 0.0123,
            **ways,
        }
        at += 0.1
    return {"scenes": 321, "captions": 1284, "pairs": pairs}


CARD = render_card(STORY, figures())


def row(start, width):
    """The row of a table that begins so; the two tables differ in width."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in CARD.splitlines()]
    (found,) = [cells for cells in rows if cells[0] == start and len(cells) == width]
    return found


def told(f):
    return f"{f['value']:.3f} ({f['low']:.3f} to {f['high']:.3f})"


@pytest.mark.parametrize("name", ["image", "video", "audio"])
def test_every_figure_of_a_pair_stands_in_its_column(name):
    pair = figures()["pairs"][name]
    expected = [f"{name}-text", told(pair["l2m"]), told(pair["alignment"]), f"{pair['direction_cosine']:.4f}"]
    for way in ("from_text", "to_text"):
        recall, ceiling, share = (pair[way][k] for k in ("recall", "ceiling", "share"))
        expected += [f"{recall['value']:.3f} / {ceiling['value']:.3f}", told(share)]
    assert row(f"{name}-text", 8) == expected
    heads = row("pair", 8)
    assert len(heads) == len(expected)
    assert heads[4:] == ["R@1 from text / ceiling", "share", "R@1 to text / ceiling", "share"]


@pytest.mark.parametrize("name", STAGES)
def test_every_stage_is_told(name):
    stage, minutes = STAGES[name], {"image-text": "1.5", "video": "2.5", "audio": "3.5"}[name]
    numbers = [str(stage[k]) for k in ("scenes", "steps", "parameters")]
    assert row(name, 6) == [name, *numbers, minutes, str(stage["best_epoch"])]
    losses = ", ".join(
        f"{a:.3f} / {b:.3f}" for a, b in zip(stage["losses"], stage["validations"], strict=True)
    )
    assert f"\n- {name}: {losses}\n" in CARD


def test_settings_are_told():
    for words in (
        "Scenes drawn from seed 8; captions tell 0.37 of",
        "facts, 4 per scene",
        "chosen on 17\nscenes",
        "AdamW, learning rate 0.0021 along a cosine, weight decay 0.071,\nbatches of 61, float32, seed 9;",
        "isthmus 7.8.9, torch 6.5.4, code c0ffee.",
        "321 scenes, 1284 captions",
        "    isthmus world train --out FOLDER --scenes 1234 --paired 432 --detail 0.37 --epochs 3 "
        "--paired-epochs 2 --batch-size 61 --learning-rate 0.0021 --seed 9 --precision float32\n",
    ):
        assert words in CARD
    assert "{{" not in CARD
    assert "{%" not in CARD
    assert ", code" not in render_card(STORY | {"code": None}, figures())


def test_it_is_markdown():
    lines = CARD.splitlines()
    assert lines[0] == "# The encoders of the world"
    assert [line for line in lines if line.startswith("## ")] == [
        *("## Data", "## Training", "## Held-out figures", "## Limits")
    ]
    for i, line in enumerate(lines):
        if set(line) == {"|", "-"}:
            table = [lines[i - 1], line]
            table += [each for each in lines[i + 1 : i + 4] if each.startswith("|")]
            assert len({each.count("|") for each in table}) == 1
            assert len(table) == 5


def test_nothing_may_be_missing():
    for path in (("settings", "weight_decay"), ("stages", "video", "steps"), ("torch",)):
        story = copy.deepcopy(STORY)
        holder = story
        for key in path[:-1]:
            holder = holder[key]
        del holder[path[-1]]
        with pytest.raises(jinja2.UndefinedError, match=path[-1]):
            render_card(story, figures())
    with pytest.raises(jinja2.UndefinedError, match="captions"):
        render_card(STORY, {"scenes": 1, "pairs": {}})


def test_shipped_card_is_of_the_shipped_figures():
    if not SHIPPED.is_dir():
        pytest.skip(f"no weights have been trained into {SHIPPED} yet")
    story, shipped = (json.loads((SHIPPED / f"{name}.json").read_text()) for name in ("training", "figures"))
    assert (SHIPPED / "MODEL_CARD.md").read_text(encoding="utf-8") == render_card(story, shipped)
