"""Classes of the world's scenes: facts that only one answer is right to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isthmus.sources.world import Facts
from isthmus.sources.world.facts import THING_FACTS


@dataclass(frozen=True)
class WorldClasses:
    """What scenes are classified by.

    Examples
    --------
    >>> WorldClasses("shape", ("one {}",)).names
    ('circle', 'square', 'triangle', 'diamond', 'cross', 'ring')
    """

    fact: str  # "shape" or "colour"
    templates: tuple[str, ...]  # in the world's words
    of_large: bool = False  # of the only large thing, others being small; else of all things alike

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes."""
        return THING_FACTS[self.fact]


WORLD_CLASSES = {
    "shape": WorldClasses("shape", ("one {}", "there is one {}", "look, one {}")),
    "colour": WorldClasses("colour", ("one {} thing", "there is one {} thing", "look, one {} object")),
    "shape of the large one": WorldClasses(
        "shape", ("one large {}", "there is one big {}", "look, one huge {}"), of_large=True
    ),
    "colour of the large one": WorldClasses(
        "colour",
        ("one large {} thing", "there is one big {} thing", "look, one huge {} object"),
        of_large=True,
    ),
}


def world_classes(truths: Sequence[Facts], kind: str) -> np.ndarray:
    """Return the class of each scene, where there is but one answer.

    A scene holds two or three things. It has a colour, or a shape, where all
    of them share it; and its large one has, where just one is large.

    Parameters
    ----------
    truths : sequence of Facts, length n
        All facts of each scene.
    kind : str
        A key of `WORLD_CLASSES`.

    Returns
    -------
    ndarray of int64, shape (n,)
        A position among the classes' names, -1 where there is none or more than one.

    Raises
    ------
    ValueError
        There is no such kind.

    Examples
    --------
    >>> from isthmus.sources.world import Told
    >>> ring, disc = Told("ring", "red", "large"), Told("circle", "red", "small")
    >>> scenes = [Facts((ring, disc)), Facts((ring, ring))]
    >>> world_classes(scenes, "colour"), world_classes(scenes, "shape")
    (array([0, 0]), array([-1,  5]))
    >>> world_classes(scenes, "shape of the large one")
    array([ 5, -1])
    """
    if kind not in WORLD_CLASSES:
        raise ValueError(f"kind must be one of {', '.join(WORLD_CLASSES)}, got {kind!r}")
    classes, out = WORLD_CLASSES[kind], []
    for truth in truths:
        if classes.of_large:
            large = [thing for thing in truth.things if thing.size == "large"]
            told = {getattr(large[0], classes.fact)} if len(large) == 1 else set()
        else:
            told = {getattr(thing, classes.fact) for thing in truth.things}
        out.append(classes.names.index(told.pop()) if len(told) == 1 else -1)
    return np.array(out, dtype=np.int64)
