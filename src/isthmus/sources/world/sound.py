"""Scenes heard: every thing sounds."""

import math

import numpy as np

from isthmus.sources.item import Audio
from isthmus.sources.world.facts import THING_FACTS
from isthmus.sources.world.scene import WIDTH, Scene, Thing

RATE = 8000  # samples per second
SECONDS = 1.0
_SOUND = 4  # the purpose of the random numbers
_LOWEST = 220.0  # pitch of the first colour, in hertz; the next are three semitones apart each
_TONE = 0.3  # seconds that a thing sounds
_LOUDNESS = {"small": 0.08, "large": 0.24}
_PARTIALS: dict[str, tuple[tuple[float, float], ...]] = {  # multiple of the pitch, amplitude
    "circle": ((1, 1.0),),
    "square": ((1, 1.0), (3, 1 / 3), (5, 1 / 5), (7, 1 / 7)),
    "triangle": ((1, 0.8), (2, 0.8), (4, 0.4)),
    "diamond": tuple((k, 1 / k) for k in range(1, 9)),
    "cross": tuple((k, 1 / k) for k in range(1, 9)),
    "ring": ((1, 0.8), (2.76, 0.5), (5.4, 0.25)),
}
_STRUCK = ("cross", "ring")  # they fade from the start; the others swell and fade
_TIME = np.arange(int(_TONE * RATE)) / RATE


def play(scene: Scene) -> Audio:
    """Play a scene.

    Parameters
    ----------
    scene : Scene
        What to play: a thing's timbre is its shape, its pitch its colour, its
        loudness its size; it sounds early if it is at the top, from the left
        if it is on the left. The background is not heard.

    Returns
    -------
    Audio
        One second in stereo, 8000 samples of shape (8000, 2).

    Examples
    --------
    >>> from isthmus.sources.world import draw_scene
    >>> play(draw_scene(0, 0)).samples.shape
    (8000, 2)
    """
    rng = scene.rng(_SOUND)
    length = int(SECONDS * RATE)
    samples = rng.uniform(0.001, 0.006) * rng.standard_normal((length, 2))
    for thing in scene.things:
        start = int(RATE * (thing.y / WIDTH * SECONDS - _TONE / 2 + rng.uniform(-0.01, 0.01)))
        start = min(max(start, 0), length - len(_TIME))
        angle = thing.x / WIDTH * math.pi / 2  # equal power: left is 0, right is a quarter turn
        loudness = _LOUDNESS[thing.facts.size or "small"] * rng.uniform(0.9, 1.1)
        tone = loudness * _tone(thing, rng)
        samples[start : start + len(tone)] += tone[:, None] * [math.cos(angle), math.sin(angle)]
    return Audio(np.clip(samples, -1, 1).astype(np.float32), RATE)


def _tone(thing: Thing, rng: np.random.Generator) -> np.ndarray:
    """Return the thing's sound by itself, with a root mean square of about 0.5."""
    colour = THING_FACTS["colour"].index(thing.facts.colour or "red")
    pitch = _LOWEST * 2 ** ((3 * colour + 0.15 * thing.tint) / 12)
    shape = thing.facts.shape or "circle"
    partials = [(pitch * k, a) for k, a in _PARTIALS[shape] if pitch * k < 0.48 * RATE]
    power = math.sqrt(sum(a * a for _, a in partials))
    wave = sum(a * np.sin(2 * math.pi * (f * _TIME + rng.random())) for f, a in partials) / power
    if shape in _STRUCK:
        return 1.5 * wave * np.exp(-_TIME / 0.08) * np.minimum(1, _TIME / 0.003)
    return wave * np.sin(math.pi * _TIME / _TONE)
