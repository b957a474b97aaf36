"""Scenes drawn as pictures and as videos."""

import math

import numpy as np

from isthmus.sources.world.scene import WIDTH, Scene, Thing

FRAMES = 8  # of a video
_PICTURE, _VIDEO = 2, 3  # purposes of the random numbers
_TRAVEL = 5.0  # how far a thing moves, in pixels from the first frame to the last
_GROWTH = 0.7  # how much its radius grows
_COLOURS = {
    "red": (225, 45, 40),
    "orange": (245, 140, 25),
    "yellow": (245, 225, 60),
    "green": (60, 180, 60),
    "cyan": (60, 215, 220),
    "blue": (50, 85, 225),
    "purple": (145, 50, 190),
    "pink": (250, 140, 195),
}
_TINT = np.array([1, -1, 1], np.float32)  # what a thing's colour is off towards
_BRIGHTNESS = {"bright": 1.0, "dim": 0.5}
_ROWS, _COLUMNS = np.mgrid[0:WIDTH, 0:WIDTH].astype(np.float32) + np.float32(0.5)


def draw_picture(scene: Scene) -> np.ndarray:
    """Draw a scene.

    Parameters
    ----------
    scene : Scene
        What to draw.

    Returns
    -------
    ndarray of uint8, shape (32, 32, 3)
        Its things are where the first frame of the video has them.

    Examples
    --------
    >>> from isthmus.sources.world import draw_scene
    >>> draw_picture(draw_scene(0, 0)).shape
    (32, 32, 3)
    """
    return _draw(scene, np.zeros(1, np.float32), scene.rng(_PICTURE))[0]


def draw_video(scene: Scene) -> np.ndarray:
    """Draw a scene whose things move.

    Parameters
    ----------
    scene : Scene
        What to draw.

    Returns
    -------
    ndarray of uint8, shape (8, 32, 32, 3)
        The noise and the clutter are not those of the picture.

    Examples
    --------
    >>> from isthmus.sources.world import draw_scene
    >>> draw_video(draw_scene(0, 0)).shape
    (8, 32, 32, 3)
    """
    return _draw(scene, np.linspace(0, 1, FRAMES, dtype=np.float32), scene.rng(_VIDEO))


def _draw(scene: Scene, times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    canvas = np.repeat(_background(scene, rng)[None], len(times), axis=0)  # (times, 32, 32, 3)
    for thing in scene.things:
        colour = np.array(_COLOURS[thing.facts.colour or "red"], np.float32) / 255
        colour = np.clip(colour + 0.06 * thing.tint * _TINT, 0, 1)
        cover = _cover(thing, times)[..., None]
        canvas += cover * (colour - canvas)
    x, y = rng.uniform(-1, 1, 2).astype(np.float32)
    shade = 1 + 0.12 * (x * (_COLUMNS / WIDTH - 0.5) + y * (_ROWS / WIDTH - 0.5))
    canvas *= (_BRIGHTNESS[scene.light] * shade * np.float32(rng.uniform(0.92, 1.05)))[..., None]
    canvas += np.float32(rng.uniform(0.01, 0.03)) * rng.standard_normal(canvas.shape, np.float32)
    return np.round(255 * np.clip(canvas, 0, 1)).astype(np.uint8)


def _background(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Draw what is behind the things, shape (32, 32, 3), with specks that nobody mentions."""
    base = np.float32(rng.uniform(0.45, 0.6)) + rng.uniform(-0.06, 0.06, 3).astype(np.float32)
    period, phase_x, phase_y = rng.uniform(5, 7), rng.uniform(0, 7), rng.uniform(0, 7)
    u, v = (_COLUMNS + phase_x) * (2 * math.pi / period), (_ROWS + phase_y) * (2 * math.pi / period)
    pattern = {
        "plain": lambda: np.zeros_like(u),
        "striped": lambda: np.sign(np.sin(u if rng.random() < 0.5 else (u + v) / math.sqrt(2))),
        "dotted": lambda: np.where(np.sin(u) + np.sin(v) > 1.2, 1.6, -0.2),
        "checkered": lambda: np.sign(np.sin(u / 1.5) * np.sin(v / 1.5)),
    }[scene.texture]()
    canvas = base + np.float32(0.14) * pattern.astype(np.float32)[..., None]
    for _ in range(int(rng.integers(0, 4))):
        row, column = rng.integers(0, WIDTH, 2)
        canvas[row, column] = rng.uniform(0.1, 0.9)
    return canvas


def _cover(thing: Thing, times: np.ndarray) -> np.ndarray:
    """Return how much of each pixel the thing covers at each time, shape (times, 32, 32)."""
    motion, t = thing.facts.motion, times[:, None, None]
    dx = {"left": -1.0, "right": 1.0}.get(motion or "", 0.0) * _TRAVEL
    dy = {"up": -1.0, "down": 1.0}.get(motion or "", 0.0) * _TRAVEL
    r = thing.radius * (1 + (_GROWTH if motion == "growing" else 0.0) * t)
    x, y = _COLUMNS - thing.x - dx * t, _ROWS - thing.y - dy * t
    sin, cos = math.sin(thing.angle), math.cos(thing.angle)
    distance = _distance(thing.facts.shape or "circle", cos * x + sin * y, cos * y - sin * x, r)
    return np.clip(0.5 - distance, 0, 1).astype(np.float32)


def _distance(shape: str, x: np.ndarray, y: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Return the distance of points from the outline of a shape of radius r, negative inside."""
    a, b = np.abs(x), np.abs(y)
    if shape == "circle":
        return np.hypot(x, y) - r
    if shape == "ring":
        return np.abs(np.hypot(x, y) - 0.78 * r) - 0.27 * r
    if shape == "square":
        return np.maximum(a, b) - 0.85 * r
    if shape == "diamond":
        return (a + b - 1.2 * r) / math.sqrt(2)
    if shape == "cross":
        return np.maximum(np.minimum(a, b) - 0.33 * r, np.maximum(a, b) - 1.05 * r)
    return np.maximum(y - 0.8 * r, (math.sqrt(3.2) * a - y - 1.05 * r) / math.sqrt(4.2))  # triangle, tip up
