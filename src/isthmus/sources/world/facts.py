"""What can be told of a scene, and whether what was told is so."""

from dataclasses import astuple, dataclass
from itertools import permutations

import numpy as np

THING_FACTS = {
    "shape": ("circle", "square", "triangle", "diamond", "cross", "ring"),
    "colour": ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink"),
    "size": ("small", "large"),
    "place": (
        *("top left", "top", "top right", "left", "centre", "right"),
        *("bottom left", "bottom", "bottom right"),
    ),
    "motion": ("still", "left", "right", "up", "down", "growing"),
}
TEXTURES = ("plain", "striped", "dotted", "checkered")
LIGHTS = ("bright", "dim")


@dataclass(frozen=True)
class Told:
    """What is told of one thing; None where nothing is.

    Parameters
    ----------
    shape, colour, size, place, motion : str, optional
        One of `THING_FACTS`.

    Examples
    --------
    >>> Told(shape="circle").fits(Told("circle", "red", "small", "top", "still"))
    True
    """

    shape: str | None = None
    colour: str | None = None
    size: str | None = None
    place: str | None = None
    motion: str | None = None

    def fits(self, truth: "Told") -> bool:
        """Return whether everything told here is so in `truth`."""
        return all(a is None or a == b for a, b in zip(astuple(self), astuple(truth), strict=True))

    def __len__(self) -> int:
        """Return how many facts are told."""
        return sum(value is not None for value in astuple(self))


@dataclass(frozen=True)
class Facts:
    """What a caption tells of a scene.

    Parameters
    ----------
    things : tuple of Told
        The things that are mentioned, in order.
    texture, light : str, optional
        One of `TEXTURES` and `LIGHTS`.

    Examples
    --------
    >>> facts = Facts((Told("ring", "red"), Told(size="small")), light="dim")
    >>> len(facts)
    4
    """

    things: tuple[Told, ...] = ()
    texture: str | None = None
    light: str | None = None

    def __len__(self) -> int:
        """Return how many facts are told."""
        return sum(len(thing) for thing in self.things) + sum(v is not None for v in self._background)

    @property
    def _background(self) -> tuple[str | None, str | None]:
        return self.texture, self.light

    def fits(self, truth: "Facts") -> bool:
        """Return whether everything told is so: the things can be found in `truth`, each another one.

        Parameters
        ----------
        truth : Facts
            All facts of a scene.

        Returns
        -------
        bool
            True if nothing is told that is not so.

        Examples
        --------
        >>> truth = Facts((Told("ring", "red"), Told("cross", "red")), "plain", "dim")
        >>> Facts((Told(colour="red"), Told("ring"))).fits(truth)
        True
        >>> Facts((Told("ring"), Told("ring"))).fits(truth)
        False
        """
        if any(a is not None and a != b for a, b in zip(self._background, truth._background, strict=True)):
            return False
        found = ([a.fits(b) for b in truth.things] for a in self.things)
        return _can_assign([list(row) for row in found], len(truth.things))

    def agreement(self, truth: "Facts") -> int:
        """Count the facts told that are so, under the assignment of things that favours them most.

        Precision is this over ``len(self)``, recall this over ``len(truth)``.

        Parameters
        ----------
        truth : Facts
            Facts of a scene, or of another caption.

        Returns
        -------
        int
            At most the smaller of both lengths.

        Examples
        --------
        >>> truth = Facts((Told("ring", "red"), Told("cross", "blue")), "plain")
        >>> Facts((Told("cross", "red"), Told("ring")), "plain").agreement(truth)
        3
        """
        background = sum(
            a is not None and a == b for a, b in zip(self._background, truth._background, strict=True)
        )
        few, many = sorted((self.things, truth.things), key=len)
        agreed = [[_agreed(a, b) for b in many] for a in few]
        best = max(
            (
                sum(agreed[i][j] for i, j in enumerate(chosen))
                for chosen in permutations(range(len(many)), len(few))
            ),
            default=0,
        )
        return background + best


def fitting(told: list[Facts], truths: list[Facts], *, without: tuple[str, ...] = ()) -> np.ndarray:
    """Return which captions fit which scenes.

    Parameters
    ----------
    told : list of Facts, length m
        What the captions tell.
    truths : list of Facts, length n
        All facts of the scenes.
    without : tuple of str
        Kinds of fact to leave out of account, such as "light", because a
        modality does not show them.

    Returns
    -------
    ndarray of bool, shape (m, n)
        As `Facts.fits` says for each.

    Raises
    ------
    ValueError
        There is no such kind of fact.

    Examples
    --------
    >>> truths = [Facts((Told("ring"),), light="dim"), Facts((Told("ring"),), light="bright")]
    >>> fitting([Facts((Told("ring"),), light="dim")], truths)
    array([[ True, False]])
    """
    if unknown := set(without) - {*THING_FACTS, "texture", "light"}:
        known = ", ".join((*THING_FACTS, "texture", "light"))
        raise ValueError(f"without must name kinds of fact, among {known}, got {sorted(unknown)[0]!r}")
    kinds = [k for k in THING_FACTS if k not in without]
    most = max((len(t.things) for t in truths), default=0)
    scenes = np.zeros((len(truths), most, len(kinds)), object)  # (n, things, kinds)
    backgrounds = {k: np.array([getattr(t, k) for t in truths], object) for k in ("texture", "light")}
    for i, truth in enumerate(truths):
        for j, thing in enumerate(truth.things):
            scenes[i, j] = [getattr(thing, kind) for kind in kinds]
    shows = {(c, value): scenes[:, :, c] == value for c, k in enumerate(kinds) for value in THING_FACTS[k]}
    held = np.array([len(t.things) for t in truths], int)
    exists = np.arange(most) < held[:, None]  # (n, things): a scene of two things has no third
    result = np.ones((len(told), len(truths)), bool)
    for row, facts in zip(result, told, strict=True):
        for kind, values in backgrounds.items():
            if kind not in without and getattr(facts, kind) is not None:
                row &= values == getattr(facts, kind)
        row &= _assignable(
            [_matches(thing, kinds, shows, exists) for thing in facts.things], scenes.shape[:2]
        )
    return result


def _matches(
    thing: Told, kinds: list[str], shows: dict[tuple[int, str], np.ndarray], exists: np.ndarray
) -> np.ndarray:
    """Return which things of which scenes a mention fits, shape (n, things)."""
    told = [(c, getattr(thing, kind)) for c, kind in enumerate(kinds) if getattr(thing, kind) is not None]
    return np.logical_and.reduce([exists, *(shows[key] for key in told)])


def _assignable(matches: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Return for which scenes every mention can have a thing of its own, shape (n,)."""
    n, things = shape
    possible = np.zeros(n, bool)
    for chosen in permutations(range(things), len(matches)):
        possible |= np.logical_and.reduce(
            [np.ones(n, bool), *(m[:, j] for m, j in zip(matches, chosen, strict=True))]
        )
    return possible


def _can_assign(found: list[list[bool]], things: int) -> bool:
    return any(
        all(row[j] for row, j in zip(found, chosen, strict=True))
        for chosen in permutations(range(things), len(found))
    )


def _agreed(a: Told, b: Told) -> int:
    return sum(u is not None and u == v for u, v in zip(astuple(a), astuple(b), strict=True))
