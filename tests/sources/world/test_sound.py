"""Sounds tell of things as they should: pitch, timbre, loudness, time and side."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy.signal import find_peaks

from isthmus.sources.world import RATE, draw_scene, play
from isthmus.sources.world.facts import THING_FACTS
from tests.sources.world.by_hand import lone, sound_pitch, spectrum

PLACES = {"top": 16 / 3, "middle": 16.0, "bottom": 80 / 3}


def heard(**how):
    """The sound of a lone thing, shape (8000, 2)."""
    return play(lone(**how)).samples.astype(float)


def power(samples):
    return np.square(samples).mean()


def test_one_second_in_stereo():
    for i in range(50):
        scene = draw_scene(1, i)
        samples, rate = play(scene)
        assert (samples.shape, samples.dtype, rate) == ((8000, 2), np.float32, RATE)
        assert 0.01 < np.abs(samples).max() <= 1
        assert np.array_equal(samples, play(draw_scene(1, i)).samples)
    assert not np.array_equal(play(draw_scene(1, 0)).samples, play(draw_scene(1, 1)).samples)


@pytest.mark.parametrize("shape", THING_FACTS["shape"])
def test_pitch_is_the_colour(shape):
    for colour in THING_FACTS["colour"]:
        level = spectrum(heard(shape=shape, colour=colour).sum(axis=1))
        peaks, _ = find_peaks(level, height=level.max() / 2)
        assert peaks[0] == pytest.approx(sound_pitch(colour), rel=0.02), colour


def test_timbre_is_the_shape():
    pitch = 220

    def partials(shape):
        level = spectrum(heard(shape=shape, colour="red").sum(axis=1))
        near = [level[int(k * pitch) - 4 : int(k * pitch) + 5].max() for k in (1, 2, 3, 4, 5, 2.76, 5.4)]
        return np.array(near) / near[0]

    assert np.allclose(partials("circle")[1:], 0, atol=0.05)
    assert np.allclose(partials("square"), [1, 0, 1 / 3, 0, 1 / 5, 0, 0], atol=0.06)
    assert np.allclose(partials("triangle"), [1, 1, 0, 0.5, 0, 0, 0], atol=0.06)
    assert np.allclose(partials("diamond"), [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5, 0, 0], atol=0.06)
    assert np.allclose(partials("cross"), [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5, 0, 0], atol=0.1)
    assert np.allclose(partials("ring"), [1, 0, 0, 0, 0, 5 / 8, 5 / 16], atol=0.1)


def test_a_struck_thing_fades_from_the_start():
    late = {}
    for shape in THING_FACTS["shape"]:
        sounding = heard(shape=shape)[RATE // 2 - 1200 :][:2400]
        late[shape] = power(sounding[800:]) / power(sounding[:800])
    assert max(late["cross"], late["ring"]) < 0.2
    assert min(v for k, v in late.items() if k not in ("cross", "ring")) > 1


@pytest.mark.parametrize("shape", THING_FACTS["shape"])
def test_loudness_is_the_size(shape):
    small, large = (power(heard(shape=shape, size=size)) for size in ("small", "large"))
    assert 4 < large / small < 14  # three times the amplitude, each within a tenth


@pytest.mark.parametrize("shape", THING_FACTS["shape"])
def test_time_is_the_height(shape):
    middles = []
    for y in PLACES.values():
        energy = np.square(heard(shape=shape, y=y)).sum(axis=1)
        middles.append((energy @ np.arange(8000)) / energy.sum() / 8000)
    assert np.diff(middles).min() > 0.2
    silent = heard(shape=shape, y=PLACES["top"])[4400:]
    assert np.abs(silent).max() < 0.05


def test_side_is_the_place():
    for shape, colour in product(THING_FACTS["shape"], ("red", "pink")):
        shares = []
        for x in PLACES.values():
            left, right = (power(channel) for channel in heard(shape=shape, colour=colour, x=x).T)
            shares.append(left / (left + right))
        assert shares == pytest.approx([np.cos(np.pi / 12) ** 2, 0.5, np.sin(np.pi / 12) ** 2], abs=0.03)


def test_every_thing_of_a_scene_is_heard():
    for scene in (draw_scene(4, i) for i in range(30)):
        level = spectrum(play(scene).samples.sum(axis=1))
        for thing in scene.things:
            pitch = sound_pitch(thing.facts.colour)
            around = level[int(0.98 * pitch) : int(1.02 * pitch) + 1].max()
            assert around > 4 * np.median(level), thing.facts


def test_background_and_motion_are_not_heard():
    scene = draw_scene(0, 3)
    things = tuple(replace(t, facts=replace(t.facts, motion="growing")) for t in scene.things)
    for other in (
        replace(scene, light="dim" if scene.light == "bright" else "bright"),
        replace(scene, texture="plain" if scene.texture != "plain" else "dotted"),
        replace(scene, things=things),
    ):
        assert other != scene
        assert np.array_equal(play(other).samples, play(scene).samples)
