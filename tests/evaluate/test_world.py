"""A space that holds the world, measured."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from isthmus.evaluate import measure_world, recall_and_ceiling
from isthmus.measure import alignment, gap_direction_cosine, l2m
from isthmus.sources.world import Facts, captions, draw_scene, fitting, read_caption

SCENES = [draw_scene(0, i) for i in range(80)]
TRUTHS = [scene.facts for scene in SCENES]
TEXTS = [text for scene in SCENES for text in captions(scene, detail=0.5, motion=True, count=3)]
ITEM = np.repeat(np.arange(80), 3)
RNG = np.random.default_rng(0)
X = {name: RNG.normal(size=(80, 6)) + 0.3 for name in ("image", "video", "audio")}
SPACE = {**X, "text": X["image"][ITEM] + 0.5 * RNG.normal(size=(240, 6)) - 0.6}


@pytest.fixture(scope="module")
def figures():
    return measure_world(SPACE, TEXTS, TRUTHS, ITEM)


def blind(facts, kinds):
    """What is left of facts for one who does not see some kinds."""
    hidden = dict.fromkeys(kinds)
    things = tuple(replace(t, **{k: v for k, v in hidden.items() if hasattr(t, k)}) for t in facts.things)
    return Facts(things, *(None if k in kinds else getattr(facts, k) for k in ("texture", "light")))


@pytest.mark.parametrize(
    "name, hidden", [("image", ["motion"]), ("video", []), ("audio", ["texture", "light", "motion"])]
)
def test_every_figure_is_what_it_is_called(figures, name, hidden):
    pair, x, y = figures.pairs[name], SPACE[name][ITEM], SPACE["text"]
    assert pair.l2m.value == pytest.approx(l2m(x, y))
    assert pair.alignment.value == pytest.approx(alignment(x, y))
    assert pair.direction_cosine == pytest.approx(gap_direction_cosine(x, y, groups_of=100))
    fits = fitting([blind(read_caption(text), hidden) for text in TEXTS], TRUTHS)
    expected = recall_and_ceiling(SPACE[name], y, fits, item=ITEM)
    assert (pair.from_text, pair.to_text) == expected


def test_what_a_modality_does_not_show_lowers_its_ceiling(figures):
    video, image, audio = (figures.pairs[n].from_text.ceiling.value for n in ("video", "image", "audio"))
    assert video > image > audio > 1 / 80


def test_counts_and_table(figures):
    assert (figures.scenes, figures.captions, list(figures.pairs)) == (80, 240, ["image", "video", "audio"])
    Console(width=200, file=(out := io.StringIO())).print(figures)
    table = out.getvalue()
    assert "80 scenes, 240 captions" in table
    for name, pair in figures.pairs.items():
        (line,) = [line for line in table.splitlines() if f"{name}-text" in line]
        for a in (pair.from_text, pair.to_text):
            assert f"{a.recall.value:.3f} / {a.ceiling.value:.3f} = {a.share.value:.2f}" in line
        for value in (pair.l2m.value, pair.alignment.value, pair.direction_cosine):
            assert f"{value:.3f}" in line


def test_dict_is_json_and_holds_everything(figures):
    found = json.loads(json.dumps(figures.to_dict()))
    assert (found["scenes"], found["captions"]) == (80, 240)
    for name, pair in figures.pairs.items():
        held = found["pairs"][name]
        assert held["l2m"] == pair.l2m._asdict()
        assert held["alignment"] == pair.alignment._asdict()
        assert held["direction_cosine"] == pair.direction_cosine
        for way in ("from_text", "to_text"):
            for figure in ("recall", "ceiling", "share"):
                assert held[way][figure] == getattr(getattr(pair, way), figure)._asdict()


def test_order_of_scenes_does_not_matter(figures):
    order = np.random.default_rng(3).permutation(80)
    moved = {name: rows[order] if name != "text" else rows for name, rows in SPACE.items()}
    again = measure_world(moved, TEXTS, [TRUTHS[i] for i in order], np.argsort(order)[ITEM])
    for name, pair in figures.pairs.items():
        for way in ("from_text", "to_text"):
            a, b = getattr(pair, way), getattr(again.pairs[name], way)
            assert (a.recall.value, a.ceiling.value) == pytest.approx((b.recall.value, b.ceiling.value))
        assert again.pairs[name].l2m.value == pytest.approx(pair.l2m.value)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"item": ITEM[1:]}, "item must name one of 80 scenes for each of 240 captions"),
        ({"item": ITEM + 1}, "item must name one of 80 scenes for each of 240 captions"),
        ({"item": ITEM - 1}, "item must name one of 80 scenes for each of 240 captions"),
        (
            {"space": SPACE | {"video": X["video"][1:]}},
            "expected 80 rows of video and 240 of text, got 79 and 240",
        ),
        ({"space": SPACE | {"text": SPACE["text"][1:]}}, "240 of text, got 80 and 239"),
        (
            {"texts": ["a small red ring at the top", *TEXTS[1:]]},
            r"fits\[0\]: the caption does not fit its own",
        ),
        ({"space": {"image": X["image"]}}, "embeddings must hold text, got image"),
    ],
)
def test_errors(change, message):
    given = {"space": SPACE, "texts": TEXTS, "item": ITEM} | change
    with pytest.raises(ValueError, match=message):
        measure_world(given["space"], given["texts"], TRUTHS, given["item"])
