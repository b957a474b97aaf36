"""Scenes of the world: what is there, and what nobody mentions."""

import math
from dataclasses import dataclass

import numpy as np

from isthmus.sources.world.facts import LIGHTS, TEXTURES, THING_FACTS, Facts, Told

WIDTH = 32  # of a picture, in pixels
MIN_THINGS, MAX_THINGS = 2, 3
_CELL = WIDTH / 3
_RADII = {"small": 3.0, "large": 5.0}


@dataclass(frozen=True)
class Thing:
    """One object: its facts, and how exactly it looks.

    Parameters
    ----------
    facts : Told
        Shape, colour, size, place and motion, all of them.
    x, y : float
        Centre, in pixels from the top left.
    radius : float
        In pixels.
    angle : float
        Of rotation, in radians.
    tint : float
        How far the colour is off, in [-1, 1].

    Examples
    --------
    >>> draw_scene(0, 0).things[0].facts.shape
    'ring'
    """

    facts: Told
    x: float
    y: float
    radius: float
    angle: float
    tint: float


@dataclass(frozen=True)
class Scene:
    """Two or three things before a background.

    Parameters
    ----------
    seed, index : int
        What the scene was drawn from.
    things : tuple of Thing
        In no order that matters.
    texture, light : str
        Of the background.

    Examples
    --------
    >>> draw_scene(0, 0).facts.light
    'bright'
    """

    seed: int
    index: int
    things: tuple[Thing, ...]
    texture: str
    light: str

    @property
    def facts(self) -> Facts:
        """All that could be told of the scene."""
        return Facts(tuple(thing.facts for thing in self.things), self.texture, self.light)

    def rng(self, purpose: int) -> np.random.Generator:
        """Return the random numbers of one purpose: the picture's noise, the captions' words, ..."""
        return np.random.default_rng([self.seed, self.index, purpose])


def draw_scene(seed: int, index: int) -> Scene:
    """Draw a scene, which depends on nothing but the two numbers.

    Parameters
    ----------
    seed : int
        Which world.
    index : int
        Which scene of it.

    Returns
    -------
    Scene
        Its things are in different places, and no two agree in both shape and colour.

    Examples
    --------
    >>> draw_scene(0, 5) == draw_scene(0, 5)
    True
    """
    rng = np.random.default_rng([seed, index, 0])
    count = int(rng.integers(MIN_THINGS, MAX_THINGS + 1))
    places = rng.permutation(len(THING_FACTS["place"]))[:count]
    shapes, colours = len(THING_FACTS["shape"]), len(THING_FACTS["colour"])
    looks = rng.permutation(shapes * colours)[:count]
    things = []
    for place, look in zip(places, looks, strict=True):
        size, motion = (
            THING_FACTS[kind][rng.integers(len(THING_FACTS[kind]))] for kind in ("size", "motion")
        )
        shift_x, shift_y, grow, turn, tint = rng.uniform(-1, 1, 5)
        told = Told(
            THING_FACTS["shape"][look // colours],
            THING_FACTS["colour"][look % colours],
            size,
            THING_FACTS["place"][place],
            motion,
        )
        x = (place % 3 + 0.5) * _CELL + 0.8 * shift_x
        y = (place // 3 + 0.5) * _CELL + 0.8 * shift_y
        radius = _RADII[size] * (1 + 0.08 * grow)
        things.append(Thing(told, float(x), float(y), float(radius), float(turn * math.pi / 24), float(tint)))
    texture, light = TEXTURES[rng.integers(len(TEXTURES))], LIGHTS[rng.integers(len(LIGHTS))]
    return Scene(seed, index, tuple(things), texture, light)
