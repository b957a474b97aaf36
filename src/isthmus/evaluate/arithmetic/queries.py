"""What is asked of arithmetic: a scene, what is to change in it, the words for that, and the right answer."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from isthmus.evaluate.arithmetic.editing import (
    BACKGROUND,
    VALUES,
    edited,
    is_possible,
    kinds_shown,
    swapped,
    value_of,
)
from isthmus.evaluate.world import shown
from isthmus.sources.world import Facts, Scene, Thing, Told, draw_scene, write_caption
from isthmus.sources.world.words import PHRASES

KINDS = ("change", "combine", "add", "remove", "swap")
PROMPTS = {  # ways to put a change into words
    "word": "bare words of the facts that change",
    "phrase": "a caption of what changes",
    "contrast": "that caption against 'a scene', where it would stand alone",
    "caption": "captions of all facts of both scenes",
}
_NEITHER = "a scene"  # what is told of nothing
_LOOK = ("shape", "colour")  # by which a caption tells a thing from the others


@dataclass(frozen=True)
class Words:
    """The texts of an expression: the scene - `minus` + `plus`.

    Examples
    --------
    >>> str(Words("red", "blue"))
    "- text:'red' + text:'blue'"
    """

    minus: str | None
    plus: str | None

    def __str__(self) -> str:
        parts = (("-", self.minus), ("+", self.plus))
        return " ".join(f"{sign} text:{text!r}" for sign, text in parts if text is not None)


@dataclass(frozen=True)
class Query:
    """One expression and its truth.

    Examples
    --------
    >>> query = draw_query(draw_scene(0, 3), "change", "image", np.random.default_rng(0))
    >>> print(query.words["word"])
    - text:'in bright light' + text:'in dim light'
    """

    kind: str  # one of KINDS
    modality: str  # that shows the scene
    scene: Scene  # the operand
    answer: Scene  # where the expression should lead
    changed: frozenset[tuple[int | None, str]]  # facts of the answer that are not the scene's: thing and kind
    words: dict[str, Words]  # by way to put it, where there is one


def draw_query(scene: Scene, kind: str, modality: str, rng: np.random.Generator) -> Query | None:
    """Ask for a change of a scene.

    Parameters
    ----------
    scene : Scene
        Of the world.
    kind : str
        "change" one fact of a thing or the background; "combine" what is in the scene with a colour or
        size for all of it; "add" a thing; "remove" one; or "swap" the colours or the places of two.
    modality : str
        "image", "audio" or "video": what it does not show is not asked for.
    rng : numpy.random.Generator
        Chooses what is changed.

    Returns
    -------
    Query or None
        None where the scene allows no such change.

    Raises
    ------
    ValueError
        There is no such kind.

    Examples
    --------
    >>> query = draw_query(draw_scene(0, 3), "swap", "image", np.random.default_rng(1))
    >>> print(query.words["phrase"].plus)
    a red cross and a cyan diamond
    """
    if kind not in _DRAW:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    found = _DRAW[kind](scene, modality, rng)
    if found is None or not is_possible(found.answer):
        return None
    old, new = (write_caption(shown(each.facts, modality)) for each in (scene, found.answer))
    words = {**found.words, "caption": Words(old, new)}
    phrase = words["phrase"]
    if phrase.minus is None or phrase.plus is None:
        words["contrast"] = Words(phrase.minus or _NEITHER, phrase.plus or _NEITHER)
    return replace(found, words={name: words[name] for name in PROMPTS if name in words})


def draw_queries(scenes: Iterator[Scene], kind: str, modality: str, *, count: int, seed: int) -> list[Query]:
    """Ask for as many changes, each of another scene.

    Parameters
    ----------
    scenes : iterator of Scene
        Endless; those that do not allow the change are passed over.
    kind, modality : str
        As for `draw_query`.
    count : int
        How many.
    seed : int
        Of what is changed.

    Returns
    -------
    list of Query
        In the order of the scenes.

    Examples
    --------
    >>> scenes = (draw_scene(0, i) for i in range(1000))
    >>> [len(q.answer.things) for q in draw_queries(scenes, "add", "image", count=3, seed=0)]
    [3, 3, 3]
    """
    rng = np.random.default_rng([seed, KINDS.index(kind), 7])
    queries: list[Query] = []
    while len(queries) < count:
        query = draw_query(next(scenes), kind, modality, rng)
        if query is not None:
            queries.append(query)
    return queries


def _change(scene: Scene, modality: str, rng: np.random.Generator) -> Query:
    kinds = kinds_shown(modality)
    kind = kinds[rng.integers(len(kinds))]
    thing = None if kind in BACKGROUND else int(rng.integers(len(scene.things)))
    old = value_of(scene, thing, kind)
    others = [value for value in VALUES[kind] if value != old]
    answer = edited(scene, thing, kind, new := others[rng.integers(len(others))])
    words = {
        "word": Words(_word(kind, old), _word(kind, new)),
        "phrase": Words(_phrase(scene, thing, kind), _phrase(answer, thing, kind)),
    }
    return Query("change", modality, scene, answer, frozenset({(thing, kind)}), words)


def _combine(scene: Scene, modality: str, rng: np.random.Generator) -> Query | None:
    kind = ("colour", "size")[rng.integers(2)]
    value = VALUES[kind][rng.integers(len(VALUES[kind]))]
    answer = scene
    for number in range(len(scene.things)):
        answer = edited(answer, number, kind, value)
    changed = frozenset((i, kind) for i in range(len(scene.things)) if value_of(scene, i, kind) != value)
    told = tuple(Told(shape=thing.facts.shape, **{kind: value}) for thing in answer.things)
    words = {"word": Words(None, _word(kind, value)), "phrase": Words(None, write_caption(Facts(told)))}
    return Query("combine", modality, scene, answer, changed, words) if changed else None


def _add(scene: Scene, modality: str, rng: np.random.Generator) -> Query | None:
    if len(scene.things) > 2:
        return None
    other = draw_scene(int(rng.integers(2**31)), 0)  # of another world, whose thing comes over
    added = other.things[rng.integers(len(other.things))]
    answer = replace(scene, things=(*scene.things, added))
    number = len(scene.things)
    changed = frozenset((number, kind) for kind in kinds_shown(modality) if kind not in BACKGROUND)
    words = {
        "word": Words(None, _words(added, modality)),
        "phrase": Words(None, _told(answer, number, modality)),
    }
    return Query("add", modality, scene, answer, changed, words)


def _remove(scene: Scene, modality: str, rng: np.random.Generator) -> Query | None:
    if len(scene.things) < 3:
        return None
    number = int(rng.integers(len(scene.things)))
    answer = replace(scene, things=(*scene.things[:number], *scene.things[number + 1 :]))
    words = {
        "word": Words(_words(scene.things[number], modality), None),
        "phrase": Words(_told(scene, number, modality), None),
    }
    return Query("remove", modality, scene, answer, frozenset({(None, "count")}), words)


def _swap(scene: Scene, modality: str, rng: np.random.Generator) -> Query | None:
    kind = ("colour", "place")[rng.integers(2)]
    first, second = (int(i) for i in rng.permutation(len(scene.things))[:2])
    a, b = (scene.things[i].facts for i in (first, second))
    if a.colour == b.colour or a.shape == b.shape:  # their captions would not tell the swap
        return None
    answer = swapped(scene, first, second, kind)
    told = [
        write_caption(Facts(tuple(_only(each.things[i], (*_LOOK, kind)) for i in (first, second))))
        for each in (scene, answer)
    ]
    changed = frozenset({(first, kind), (second, kind)})
    return Query("swap", modality, scene, answer, changed, {"phrase": Words(*told)})  # words are the same


_DRAW: dict[str, Callable[[Scene, str, np.random.Generator], Query | None]] = {
    "change": _change,
    "combine": _combine,
    "add": _add,
    "remove": _remove,
    "swap": _swap,
}


def _word(kind: str, value: str) -> str:
    return PHRASES[kind, value][0]


def _words(thing: Thing, modality: str) -> str:
    """Write the words of all facts of a thing that a modality shows, without an article."""
    kinds = (k for k in ("size", "colour", "shape", "place", "motion") if k in kinds_shown(modality))
    return " ".join(_word(kind, getattr(thing.facts, kind)) for kind in kinds)


def _phrase(scene: Scene, thing: int | None, kind: str) -> str:
    """Tell one fact: of a thing with its shape and colour, of the background as of a scene."""
    if thing is None:
        return f"{_NEITHER} {_word(kind, value_of(scene, None, kind))}"
    return write_caption(Facts((_only(scene.things[thing], (*_LOOK, kind)),)))


def _told(scene: Scene, number: int, modality: str) -> str:
    """Tell all facts of a thing that a modality shows."""
    return write_caption(Facts((_only(scene.things[number], kinds_shown(modality)),)))


def _only(thing: Thing, kinds: tuple[str, ...]) -> Told:
    return Told(**{kind: getattr(thing.facts, kind) for kind in kinds if kind not in BACKGROUND})
