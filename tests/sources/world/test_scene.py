"""Scenes: a function of two numbers, and as various as the world should be."""

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from scipy.stats import chisquare

from isthmus.sources.world import SPLITS, draw_scene
from isthmus.sources.world.facts import LIGHTS, TEXTURES, THING_FACTS
from isthmus.sources.world.scene import MAX_THINGS, MIN_THINGS

SCENES = [draw_scene(0, i) for i in range(3000)]
THINGS = [thing for scene in SCENES for thing in scene.things]
KINDS = [*THING_FACTS, "texture", "light", "count"]


def seen(kind):
    """Every value of a kind of fact in `SCENES`, and the values that there are."""
    if kind in THING_FACTS:
        return [getattr(thing.facts, kind) for thing in THINGS], THING_FACTS[kind]
    if kind == "count":
        return [len(scene.things) for scene in SCENES], range(MIN_THINGS, MAX_THINGS + 1)
    return [getattr(scene, kind) for scene in SCENES], {"texture": TEXTURES, "light": LIGHTS}[kind]


def test_scene_depends_on_its_two_numbers_alone():
    forwards = [draw_scene(3, i) for i in range(20)]
    np.random.seed(1)  # noqa: NPY002  the global state must not matter
    assert [draw_scene(3, i) for i in reversed(range(20))] == forwards[::-1]
    code = "from isthmus.sources.world import draw_scene; print([draw_scene(3, i) for i in range(20)])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == str(forwards)


def test_seeds_and_splits_are_different_worlds():
    starts = [(seed, first) for seed in (0, 1, 2**31, 2**32 - 1) for first in SPLITS.values()]
    drawn = [draw_scene(seed, first + i).things for seed, first in starts for i in range(20)]
    assert len(set(drawn)) == len(drawn)
    assert SPLITS["train"] < SPLITS["val"] < SPLITS["test"]


def test_random_numbers_of_purposes_differ():
    scene = SCENES[0]
    draws = [scene.rng(purpose).random() for purpose in range(5)]
    assert len(set(draws)) == 5
    assert scene.rng(1).random() == draws[1]


@pytest.mark.parametrize("seed, index", [(-1, 0), (0, -1)])
def test_negative_numbers_draw_nothing(seed, index):
    with pytest.raises(ValueError, match="non-negative"):
        draw_scene(seed, index)


def test_things_are_told_apart():
    for scene in SCENES:
        facts = [thing.facts for thing in scene.things]
        assert len({told.place for told in facts}) == len(facts)
        assert len({(told.shape, told.colour) for told in facts}) == len(facts)
        assert len(scene.facts) == 5 * len(facts) + 2


def test_a_thing_is_where_and_how_large_its_facts_say():
    names = [*("top left", "top", "top right", "left", "centre", "right"), *("bottom left", "bottom")]
    names.append("bottom right")
    for thing in THINGS:
        row, column = divmod(names.index(thing.facts.place), 3)
        assert abs(thing.x - (column + 0.5) * 32 / 3) <= 0.8
        assert abs(thing.y - (row + 0.5) * 32 / 3) <= 0.8
        assert abs(thing.radius / {"small": 3, "large": 5}[thing.facts.size] - 1) <= 0.08
        assert abs(thing.tint) <= 1
        assert abs(np.degrees(thing.angle)) <= 7.5
    small, large = ([t.radius for t in THINGS if t.facts.size == size] for size in ("small", "large"))
    assert max(small) < min(large)


@pytest.mark.parametrize("kind", KINDS)
def test_every_value_is_as_frequent_as_the_others(kind):
    found, values = seen(kind)
    counts = Counter(found)
    assert set(counts) == set(values)
    assert chisquare([counts[value] for value in values]).pvalue > 0.001


def test_facts_do_not_depend_on_each_other():
    pairs = [("shape", "colour"), ("size", "motion"), ("place", "size"), ("colour", "place")]
    for a, b in pairs:
        counts = Counter((getattr(t.facts, a), getattr(t.facts, b)) for t in THINGS)
        cells = [counts[u, v] for u in THING_FACTS[a] for v in THING_FACTS[b]]
        assert chisquare(cells).pvalue > 0.001, (a, b)
    counts = Counter((scene.texture, scene.light, len(scene.things)) for scene in SCENES)
    assert len(counts) == 16
    assert chisquare(list(counts.values())).pvalue > 0.001
