"""Scenes with something changed are as the world would have drawn them."""

from dataclasses import replace

import numpy as np
import pytest

from isthmus.evaluate.arithmetic.editing import (
    BACKGROUND,
    VALUES,
    edited,
    is_possible,
    key_of,
    kinds_shown,
    neighbours,
    swapped,
    value_of,
)
from isthmus.sources.world import WIDTH, draw_picture, draw_scene

SCENES = [draw_scene(0, i) for i in range(60)]


def things(scene):
    return [(None, kind) for kind in BACKGROUND] + [
        (i, kind) for i in range(len(scene.things)) for kind in VALUES if kind not in BACKGROUND
    ]


def test_one_fact_is_another_and_nothing_else():
    for scene in SCENES[:10]:
        for thing, kind in things(scene):
            for value in VALUES[kind]:
                other = edited(scene, thing, kind, value)
                assert value_of(other, thing, kind) == value
                for place in things(scene):
                    if place != (thing, kind):
                        assert value_of(other, *place) == value_of(scene, *place)
                back = edited(other, thing, kind, value_of(scene, thing, kind))
                for a, b in zip(scene.things, back.things, strict=True):
                    assert (a.facts, a.angle, a.tint) == (b.facts, b.angle, b.tint)
                    np.testing.assert_allclose([a.x, a.y, a.radius], [b.x, b.y, b.radius], rtol=1e-12)


def test_things_look_as_their_facts_say():
    """Radii and centres lie where the world puts those of such facts."""
    radii = {
        size: [t.radius for s in SCENES for t in s.things if t.facts.size == size] for size in VALUES["size"]
    }
    for scene in SCENES:
        for i, thing in enumerate(scene.things):
            for size, known in radii.items():
                radius = edited(scene, i, "size", size).things[i].radius
                assert min(known) * 0.98 < radius < max(known) * 1.02
            for number, place in enumerate(VALUES["place"]):
                moved = edited(scene, i, "place", place).things[i]
                assert abs(moved.x - (number % 3 + 0.5) * WIDTH / 3) <= 0.8 + 1e-9
                assert abs(moved.y - (number // 3 + 0.5) * WIDTH / 3) <= 0.8 + 1e-9
                assert moved.radius == thing.radius


def test_pictures_differ_where_the_fact_is():
    scene = replace(SCENES[0], light="bright")
    before = draw_picture(scene).astype(int)
    x, y = (int(c) for c in (scene.things[0].x, scene.things[0].y))
    after = draw_picture(
        edited(scene, 0, "colour", "blue" if scene.things[0].facts.colour != "blue" else "red")
    )
    changed = np.argwhere(np.abs(after - before).max(axis=2) > 3)
    assert len(changed)
    assert np.abs(changed - [y, x]).max() <= WIDTH / 3
    assert draw_picture(edited(scene, None, "light", "dim")).mean() < 0.7 * before.mean()


def test_swaps():
    for scene in SCENES:
        for kind in ("colour", "place"):
            other = swapped(scene, 0, 1, kind)
            a, b = (value_of(scene, i, kind) for i in (0, 1))
            assert (value_of(other, 0, kind), value_of(other, 1, kind)) == (b, a)
            assert swapped(other, 1, 0, kind).facts == scene.facts


def test_what_the_world_never_draws_is_not_possible():
    assert all(map(is_possible, SCENES))
    scene = SCENES[0]
    a, b = scene.things[:2]
    same = replace(a, facts=replace(a.facts, shape=b.facts.shape, colour=b.facts.colour))
    assert not is_possible(replace(scene, things=(same, *scene.things[1:])))
    assert not is_possible(edited(scene, 0, "place", b.facts.place))


def differences(a, b):
    return sum(value_of(a, *place) != value_of(b, *place) for place in things(a))


@pytest.mark.parametrize("modality", ["image", "audio", "video"])
def test_neighbours_are_all_scenes_one_fact_away(modality):
    kinds = kinds_shown(modality)
    for scene in SCENES[:8]:
        found = list(neighbours(scene, kinds))
        assert all(differences(scene, other) == 1 and is_possible(other) for other in found)
        keys = {key_of(other, modality) for other in found}
        assert len(keys) == len(found)
        assert key_of(scene, modality) not in keys
        n = len(scene.things)
        clashes = sum(
            sum(
                (a.facts.shape != b.facts.shape and a.facts.colour == b.facts.colour)
                or (a.facts.shape == b.facts.shape and a.facts.colour != b.facts.colour)
                for b in scene.things
            )
            for a in scene.things
        )
        every = n * (5 + 7 + 1 + (9 - n) + 5 * ("motion" in kinds)) + 4 * ("light" in kinds)
        assert len(found) == every - clashes


def test_keys_are_blind_to_order_and_to_what_is_hidden():
    scene = SCENES[1]
    turned = replace(scene, things=scene.things[::-1])
    moved = edited(scene, 0, "motion", "up" if scene.things[0].facts.motion != "up" else "down")
    assert key_of(scene, "video") == key_of(turned, "video") != key_of(moved, "video")
    assert key_of(scene, "image") == key_of(moved, "image")
