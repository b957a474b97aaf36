"""Scenes with one thing in them, made by hand, and facts drawn at random."""

import math
from itertools import permutations

import numpy as np

from isthmus.sources.world import Facts, Scene, Thing, Told
from isthmus.sources.world.facts import LIGHTS, TEXTURES, THING_FACTS


def lone(
    *, shape="circle", colour="red", size="large", motion="still", x=16.0, y=16.0, texture="plain", index=0
):
    """A bright scene of one thing, upright and of its exact colour."""
    radius = {"small": 3.0, "large": 5.0}[size]
    thing = Thing(Told(shape, colour, size, "centre", motion), x, y, radius, 0.0, 0.0)
    return Scene(0, index, (thing,), texture, "bright")


def random_told(rng, share, kinds=tuple(THING_FACTS), few=None):
    """A thing of which about a share of the facts is told; `few` values of each kind occur."""
    values = {kind: str(rng.choice(THING_FACTS[kind][:few])) for kind in kinds}
    return Told(**{kind: value for kind, value in values.items() if rng.random() < share})


def random_facts(rng, share, *, most=3, few=None):
    things = tuple(random_told(rng, share, few=few) for _ in range(rng.integers(most + 1)))
    texture, light = (str(rng.choice(values[:few])) for values in (TEXTURES, LIGHTS))
    return Facts(things, texture if rng.random() < share else None, light if rng.random() < share else None)


def tells(told):
    """The facts of a thing or of a background, as a dict."""
    kinds = THING_FACTS if isinstance(told, Told) else ("texture", "light")
    return {kind: value for kind in kinds if (value := getattr(told, kind)) is not None}


def fits(told, truth, without=()):
    """By definition: some way to give every mention a thing of its own makes everything told so."""

    def so(a, b):
        return all(tells(b).get(kind) == value for kind, value in tells(a).items() if kind not in without)

    if not so(told, truth):
        return False
    if len(told.things) > len(truth.things):
        return False
    return any(
        all(so(a, b) for a, b in zip(told.things, order, strict=False))
        for order in permutations(truth.things)
    )


def agreement(a, b):
    """By definition: the most facts in common, over all ways to lay the things side by side."""
    size = max(len(a.things), len(b.things))
    left, right = ([*facts.things, *[Told()] * (size - len(facts.things))] for facts in (a, b))

    def common(u, v):
        return len(tells(u).items() & tells(v).items())

    most = max(sum(map(common, left, order)) for order in permutations(right))
    return common(a, b) + most


def sound_pitch(colour):
    """Hertz of the note of a colour: three semitones from one to the next."""
    return 220 * math.pow(2, THING_FACTS["colour"].index(colour) / 4)


def spectrum(wave):
    """Amplitude by whole hertz, of one second of sound at 8000 samples."""
    return np.abs(np.fft.rfft(wave * np.hanning(len(wave)), 8000))
