"""Pictures and videos show what the facts say."""

import subprocess
import sys
import zlib
from dataclasses import replace

import numpy as np
import pytest

from isthmus.checks import unit_rows
from isthmus.sources.world import FRAMES, WIDTH, Told, draw_picture, draw_scene, draw_video
from isthmus.sources.world.facts import THING_FACTS
from tests.sources.world.by_hand import lone

NAMED = {  # as a painter would, not as the code has them
    "red": (230, 30, 30),
    "orange": (250, 150, 20),
    "yellow": (250, 235, 60),
    "green": (40, 170, 50),
    "cyan": (50, 220, 225),
    "blue": (40, 80, 230),
    "purple": (140, 40, 185),
    "pink": (255, 150, 200),
}
SCENES = [draw_scene(2, i) for i in range(150)]


def coloured(frame):
    """Which pixels are no shade of grey: those of the things."""
    return np.ptp(frame.astype(int), axis=-1) > 70


def centroid(mask):
    rows, columns = np.nonzero(mask)
    return np.array([columns.mean(), rows.mean()]) + 0.5


def test_shapes_and_types():
    picture, video = draw_picture(SCENES[0]), draw_video(SCENES[0])
    assert (picture.shape, picture.dtype) == ((WIDTH, WIDTH, 3), np.uint8)
    assert (video.shape, video.dtype) == ((FRAMES, WIDTH, WIDTH, 3), np.uint8)


def test_pixels_depend_on_the_two_numbers_alone():
    np.random.seed(0)  # noqa: NPY002  the global state must not matter
    code = (
        "from isthmus.sources.world import *; import zlib; scenes = [draw_scene(7, i) for i in (3, 1, 2)];"
        "print([zlib.crc32(f(s).tobytes()) for s in scenes for f in (draw_video, draw_picture)])"
    )
    scenes = [draw_scene(7, i) for i in (3, 1, 2)]
    drawn = [zlib.crc32(f(s).tobytes()) for s in scenes for f in (draw_video, draw_picture)]
    assert str(drawn) == subprocess.check_output([sys.executable, "-c", code], text=True).strip()
    assert len(set(drawn)) == 6


def test_dim_is_darker_than_bright():
    for scene in SCENES[:40]:
        for draw in (draw_picture, draw_video):
            dim, bright = (draw(replace(scene, light=light)).mean() for light in ("dim", "bright"))
            assert dim / bright == pytest.approx(0.5, abs=0.05)
    means = {
        light: [draw_picture(s).mean() for s in SCENES if s.light == light] for light in ("dim", "bright")
    }
    assert np.mean(np.less.outer(means["dim"], means["bright"])) > 0.995


def test_a_thing_has_its_colour_where_it_is():
    right, seen = 0, 0
    names, palette = list(NAMED), unit_rows(list(NAMED.values()))  # hues: lamps and shades differ
    for scene in SCENES:
        plain = replace(scene, texture="plain", light="bright")
        for picture in (draw_picture(plain), draw_video(plain)[0]):
            for thing in scene.things:
                if thing.facts.shape == "ring":
                    continue
                here = picture[int(thing.y), int(thing.x)].astype(float)
                nearest = names[int((palette @ here).argmax())]
                right, seen = right + (nearest == thing.facts.colour), seen + 1
    assert seen > 500
    assert right / seen > 0.97


def test_a_ring_is_hollow_and_a_cross_has_arms():
    ring, disc = (coloured(draw_picture(lone(shape=shape))) for shape in ("ring", "circle"))
    assert not ring[15:17, 15:17].any()
    assert disc[15:17, 15:17].all()
    assert ring.sum() < disc.sum()
    diamond = coloured(draw_picture(lone(shape="diamond")))
    assert diamond[11, 16] and diamond[16, 11] and not diamond[12, 12]  # noqa: PT018
    cross = coloured(draw_picture(lone(shape="cross")))
    assert cross[12, 16] and cross[16, 12] and not cross[12, 12]  # noqa: PT018
    square = coloured(draw_picture(lone(shape="square")))
    assert square[12:20, 12:20].all()
    triangle = coloured(draw_picture(lone(shape="triangle"))).sum(axis=1)
    assert triangle[12] < triangle[15] < triangle[19]  # tip up


def test_large_covers_more_than_small():
    for shape in THING_FACTS["shape"]:
        for colour in THING_FACTS["colour"]:
            small, large = (
                coloured(draw_picture(lone(shape=shape, colour=colour, size=size))).sum()
                for size in ("small", "large")
            )
            assert large > 1.5 * small > 0, (shape, colour)


def test_textures_are_seen_behind_the_things():
    empty = [replace(scene, things=(), light="bright") for scene in SCENES[:20]]
    for texture in ("plain", "striped", "dotted", "checkered"):
        greys = [draw_picture(replace(scene, texture=texture)).mean(-1) for scene in empty]
        steps = [np.percentile(np.abs(np.diff(grey, axis=1)), 97) for grey in greys]
        assert max(steps) < 25 if texture == "plain" else min(steps) > 40, texture
    striped = [draw_picture(replace(scene, texture="striped")).mean(-1) for scene in empty]
    down = [grey.std(axis=0).mean() / grey.std() for grey in striped]
    assert min(down) < 0.5 < max(down)  # upright in some, slanted in others


def test_video_begins_as_the_picture():
    shared = []
    for scene in SCENES[:60]:
        plain = replace(scene, texture="plain", light="bright")
        picture, first = coloured(draw_picture(plain)), coloured(draw_video(plain)[0])
        shared.append((picture & first).sum() / (picture | first).sum())
    assert min(shared) > 0.6
    assert np.mean(shared) > 0.85
    assert not np.array_equal(draw_picture(SCENES[0]), draw_video(SCENES[0])[0])


@pytest.mark.parametrize(
    "motion, way",
    [("left", (-5, 0)), ("right", (5, 0)), ("up", (0, -5)), ("down", (0, 5)), ("still", (0, 0))],
)
@pytest.mark.parametrize("shape", THING_FACTS["shape"])
def test_a_thing_moves_as_told(motion, way, shape):
    frames = [coloured(frame) for frame in draw_video(lone(shape=shape, motion=motion))]
    path = np.array([centroid(frame) for frame in frames]) - centroid(frames[0])
    steady = np.linspace(0, 1, FRAMES)[:, None] * way
    assert np.abs(path - steady).max() < 0.6
    assert frames[-1].sum() == pytest.approx(frames[0].sum(), rel=0.15)


@pytest.mark.parametrize("shape", THING_FACTS["shape"])
def test_a_growing_thing_grows_where_it_is(shape):
    frames = [coloured(frame) for frame in draw_video(lone(shape=shape, motion="growing"))]
    areas = [frame.sum() for frame in frames]
    assert areas[-1] / areas[0] == pytest.approx(1.7**2, rel=0.25)
    assert areas == sorted(areas)
    assert np.abs(centroid(frames[-1]) - centroid(frames[0])).max() < 1


def test_a_picture_shows_no_motion():
    scene = SCENES[1]
    for motion in THING_FACTS["motion"]:
        things = tuple(replace(t, facts=replace(t.facts, motion=motion)) for t in scene.things)
        assert np.array_equal(draw_picture(replace(scene, things=things)), draw_picture(scene))


def test_what_is_told_is_not_what_is_drawn_by():
    """Where a thing is comes from its centre, so that a caption cannot be drawn by accident."""
    scene = lone()
    moved = replace(scene, things=(replace(scene.things[0], facts=Told("circle", "red", place="top")),))
    assert np.array_equal(draw_picture(scene), draw_picture(moved))
