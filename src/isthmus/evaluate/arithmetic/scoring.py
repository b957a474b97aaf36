"""How near an item comes to the truth of a query: the facts that were to change, and those to keep."""

from dataclasses import dataclass
from itertools import permutations

from isthmus.evaluate.arithmetic.editing import BACKGROUND, kinds_shown
from isthmus.evaluate.arithmetic.queries import Query
from isthmus.sources.world import Scene


@dataclass(frozen=True)
class Right:
    """Shares of facts that are right, in [0, 1].

    Examples
    --------
    >>> Right(0.0, 1.0)  # of the operand itself
    Right(changed=0.0, kept=1.0)
    """

    changed: float
    kept: float


def facts_right(query: Query, found: Scene) -> Right:
    """Compare a scene with the answer of a query.

    Things are taken for one another so that most facts agree. Where a thing
    was to be removed, what had to change is the number of things.

    Parameters
    ----------
    query : Query
        With its answer, and which facts of it are not those of the operand.
    found : Scene
        What was found in its place.

    Returns
    -------
    Right
        Of the facts that the modality shows.

    Examples
    --------
    >>> import numpy as np
    >>> from isthmus.evaluate.arithmetic.queries import draw_query
    >>> from isthmus.sources.world import draw_scene
    >>> query = draw_query(draw_scene(0, 3), "change", "image", np.random.default_rng(0))
    >>> facts_right(query, query.scene), facts_right(query, query.answer)
    (Right(changed=0.0, kept=1.0), Right(changed=1.0, kept=1.0))
    """
    kinds = kinds_shown(query.modality)
    of_things, of_background = ([k for k in kinds if (k in BACKGROUND) == behind] for behind in (False, True))
    answer = query.answer
    slots: list[int | None] = [*range(len(found.things)), *([None] * len(answer.things))]
    best = max(
        (_agreed(query, found, chosen, of_things) for chosen in set(permutations(slots, len(answer.things)))),
        key=lambda right: (right.changed + right.kept, right.changed),
    )
    changed, kept = best.changed, best.kept
    for kind in of_background:
        if (None, kind) in query.changed:
            changed += getattr(found, kind) == getattr(answer, kind)
        else:
            kept += getattr(found, kind) == getattr(answer, kind)
    if (None, "count") in query.changed:
        changed += len(found.things) == len(answer.things)
    facts = len(of_things) * len(answer.things) + len(of_background)
    changing = len(query.changed - {(None, "count")})
    return Right(changed / len(query.changed), kept / (facts - changing))


def _agreed(query: Query, found: Scene, chosen: tuple[int | None, ...], kinds: list[str]) -> Right:
    """Count the facts of the answer's things that agree, each with the thing chosen for it, if any."""
    changed = kept = 0
    for number, other in enumerate(chosen):
        if other is None:
            continue
        a, b = query.answer.things[number].facts, found.things[other].facts
        for kind in kinds:
            if getattr(a, kind) == getattr(b, kind):
                changed += (number, kind) in query.changed
                kept += (number, kind) not in query.changed
    return Right(changed, kept)
