"""Scenes of the world with something changed: what an expression should lead to, and what it should not."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from isthmus.evaluate.world import HIDDEN, shown
from isthmus.sources.world import WIDTH, Facts, Scene, Thing
from isthmus.sources.world.facts import LIGHTS, TEXTURES, THING_FACTS

VALUES: dict[str, tuple[str, ...]] = {**THING_FACTS, "texture": TEXTURES, "light": LIGHTS}
BACKGROUND = ("texture", "light")
_CELL = WIDTH / 3
_LARGER = 5 / 3  # radius of a large thing over that of a small one


def kinds_shown(modality: str) -> tuple[str, ...]:
    """Return the kinds of fact that a modality shows.

    Parameters
    ----------
    modality : str
        "image", "audio" or "video".

    Returns
    -------
    tuple of str
        Those of things first.

    Examples
    --------
    >>> kinds_shown("audio")
    ('shape', 'colour', 'size', 'place')
    """
    return tuple(kind for kind in VALUES if kind not in HIDDEN.get(modality, ()))


def value_of(scene: Scene, thing: int | None, kind: str) -> str:
    """Return a fact of a thing of a scene, or of its background.

    Parameters
    ----------
    scene : Scene
        Of the world.
    thing : int or None
        Number of the thing; None for the background.
    kind : str
        Of the fact.

    Returns
    -------
    str
        One of `VALUES` of the kind.

    Examples
    --------
    >>> from isthmus.sources.world import draw_scene
    >>> value_of(draw_scene(0, 0), 0, "shape"), value_of(draw_scene(0, 0), None, "light")
    ('ring', 'bright')
    """
    return getattr(scene if thing is None else scene.things[thing].facts, kind)


def edited(scene: Scene, thing: int | None, kind: str, value: str) -> Scene:
    """Return a scene with one fact replaced, all that nobody mentions as it was.

    Parameters
    ----------
    scene : Scene
        Which stays as it is.
    thing : int or None
        Number of the thing; None for the background.
    kind : str
        Of the fact.
    value : str
        In place of the one there.

    Returns
    -------
    Scene
        Drawn with the same noise: of the same seed and index. A moved thing stands in its new place as
        it stood in the old one, a larger one is larger by as much as it was off before.

    Examples
    --------
    >>> from isthmus.sources.world import draw_scene
    >>> edited(draw_scene(0, 0), 0, "colour", "blue").things[0].facts.colour
    'blue'
    """
    if thing is None:
        return replace(scene, **{kind: value})
    return _with(scene, thing, _edited(scene.things[thing], kind, value))


def swapped(scene: Scene, first: int, second: int, kind: str) -> Scene:
    """Return a scene in which two things have exchanged a fact.

    Parameters
    ----------
    scene : Scene
        Which stays as it is.
    first, second : int
        Numbers of the things.
    kind : str
        Of the fact.

    Returns
    -------
    Scene
        Everything else as it was.

    Examples
    --------
    >>> from isthmus.sources.world import draw_scene
    >>> scene = draw_scene(0, 0)
    >>> [thing.facts.colour for thing in scene.things[:2]]
    ['blue', 'green']
    >>> [thing.facts.colour for thing in swapped(scene, 0, 1, "colour").things[:2]]
    ['green', 'blue']
    """
    a, b = value_of(scene, first, kind), value_of(scene, second, kind)
    return edited(edited(scene, first, kind, b), second, kind, a)


def is_possible(scene: Scene) -> bool:
    """Return whether a scene obeys the world: no two things in one place, nor of one shape and colour.

    Parameters
    ----------
    scene : Scene
        Of the world.

    Returns
    -------
    bool
        Whether `draw_scene` might have drawn it.

    Examples
    --------
    >>> from isthmus.sources.world import draw_scene
    >>> scene = draw_scene(0, 0)
    >>> is_possible(edited(scene, 0, "place", scene.things[1].facts.place))
    False
    """
    places = {thing.facts.place for thing in scene.things}
    looks = {(thing.facts.shape, thing.facts.colour) for thing in scene.things}
    return len(places) == len(looks) == len(scene.things)


def neighbours(scene: Scene, kinds: tuple[str, ...]) -> Iterator[Scene]:
    """Yield every possible scene that differs in exactly one fact of some kinds.

    Parameters
    ----------
    scene : Scene
        Not among them.
    kinds : tuple of str
        As `kinds_shown` gives them.

    Yields
    ------
    Scene
        About 20 for each thing, and 4 for the background.

    Examples
    --------
    >>> from isthmus.sources.world import draw_scene
    >>> len(list(neighbours(draw_scene(0, 0), ("light", "size"))))
    4
    """
    for kind in kinds:
        for thing in (None,) if kind in BACKGROUND else range(len(scene.things)):
            for value in VALUES[kind]:
                other = edited(scene, thing, kind, value)
                if value != value_of(scene, thing, kind) and is_possible(other):
                    yield other


def key_of(scene: Scene, modality: str) -> tuple[Any, ...]:
    """Return what tells scenes apart that a modality shows to be different, whatever the order of things.

    Parameters
    ----------
    scene : Scene
        Of the world.
    modality : str
        "image", "audio" or "video".

    Returns
    -------
    tuple
        Equal for scenes that the modality shows with the same facts.

    Examples
    --------
    >>> from isthmus.sources.world import draw_scene
    >>> scene = draw_scene(0, 0)
    >>> dark = edited(scene, None, "light", "dim")
    >>> key_of(scene, "audio") == key_of(dark, "audio"), key_of(scene, "image") == key_of(dark, "image")
    (True, False)
    """
    facts: Facts = shown(scene.facts, modality)
    return (*sorted(facts.things, key=repr), facts.texture, facts.light)


def _with(scene: Scene, number: int, thing: Thing) -> Scene:
    return replace(scene, things=(*scene.things[:number], thing, *scene.things[number + 1 :]))


def _edited(thing: Thing, kind: str, value: str) -> Thing:
    old = getattr(thing.facts, kind)
    told: dict[str, Any] = {kind: value}
    look: dict[str, Any] = {}
    if kind == "size" and value != old:
        look["radius"] = thing.radius * (_LARGER if value == "large" else 1 / _LARGER)
    if kind == "place":
        (row, column), (to_row, to_column) = (divmod(VALUES["place"].index(p), 3) for p in (old, value))
        look["x"] = thing.x + (to_column - column) * _CELL
        look["y"] = thing.y + (to_row - row) * _CELL
    return replace(thing, facts=replace(thing.facts, **told), **look)
