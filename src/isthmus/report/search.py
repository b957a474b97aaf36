"""What captions find, before and after: pictures by themselves, and among both modalities."""

from typing import Any

import numpy as np

from isthmus.evaluate import HeldOut
from isthmus.measure.items import Items

_QUERIES = 4
_SHOWN = 6
_TOP = 10  # nearest rows of both modalities

Modalities = tuple[np.ndarray, np.ndarray]


def searches(
    held_out: HeldOut, items: Items, spaces: dict[str, Modalities], *, seed: int
) -> list[dict[str, Any]]:
    """Let some rows of y search the held-out rows, in each space.

    Parameters
    ----------
    held_out : HeldOut
        Says which rows of the input these are.
    items : Items
        Of the held-out pairs.
    spaces : dict of str to tuple of two ndarray of shape (n, dim)
        Unit rows of both modalities, by space.
    seed : int
        Of which rows search.

    Returns
    -------
    list of dict
        ``row`` of the query and, by space, ``nearest``: the rows of x that are
        nearest (``row`` of the input, ``cosine``, and ``right``: whether it is
        of the query's item), and ``mixed``: how many of the ten nearest of
        both modalities are of x, its own item's rows of y left out.
    """
    queries = np.random.default_rng(seed).permutation(items.y_rows)[:_QUERIES]
    found: list[dict[str, Any]] = []
    for query in queries:
        own = items.group[query]
        others = items.y_rows[items.group[items.y_rows] != own]
        entry: dict[str, Any] = {"row": int(held_out.rows[query])}
        for space, (x, y) in spaces.items():
            cosine = x[items.x_rows] @ y[query]
            nearest = np.argsort(-cosine, kind="stable")[:_SHOWN]
            both = np.argsort(-np.concatenate([cosine, y[others] @ y[query]]), kind="stable")[:_TOP]
            entry[space] = {
                "nearest": [
                    {
                        "row": int(held_out.rows[items.x_rows[i]]),
                        "cosine": round(float(cosine[i]), 4),
                        "right": bool(items.group[items.x_rows[i]] == own),
                    }
                    for i in nearest
                ],
                "mixed": int((both < len(cosine)).sum()),
            }
        found.append(entry)
    return found
