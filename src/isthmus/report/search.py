"""What captions find among both modalities at once, before and after."""

from typing import Any

import numpy as np

from isthmus.evaluate import HeldOut
from isthmus.measure.items import Items

_QUERIES = 4
_SHOWN = 6

Modalities = tuple[np.ndarray, np.ndarray]


def mixed_search(
    held_out: HeldOut, items: Items, spaces: dict[str, Modalities], *, seed: int
) -> list[dict[str, Any]]:
    """Let some rows of y search all held-out rows of both modalities, in each space.

    Parameters
    ----------
    held_out : HeldOut
        Says which rows of the input these are.
    items : Items
        Of the held-out pairs. The texts of the query's own item are left out.
    spaces : dict of str to tuple of two ndarray of shape (n, dim)
        Unit rows of both modalities, by space.
    seed : int
        Of which rows search.

    Returns
    -------
    list of dict
        ``row`` of the query and, by space, the nearest: ``modality`` "x" or
        "y", ``row`` of the input, ``cosine``, and ``right``: whether it is of
        the query's item.
    """
    rng = np.random.default_rng(seed)
    queries = rng.permutation(items.y_rows)[:_QUERIES]
    gallery = [("x", int(i)) for i in items.x_rows] + [("y", int(i)) for i in items.y_rows]
    found: list[dict[str, Any]] = []
    for query in queries:
        own = items.group[query]
        entry: dict[str, Any] = {"row": int(held_out.rows[query])}
        for space, (x, y) in spaces.items():
            cosine = np.concatenate([x[items.x_rows] @ y[query], y[items.y_rows] @ y[query]])
            cosine[len(items.x_rows) :][items.group[items.y_rows] == own] = -2
            nearest = np.argsort(-cosine, kind="stable")[:_SHOWN]
            entry[space] = [
                {
                    "modality": gallery[i][0],
                    "row": int(held_out.rows[gallery[i][1]]),
                    "cosine": round(float(cosine[i]), 4),
                    "right": bool(items.group[gallery[i][1]] == own),
                }
                for i in nearest
            ]
        found.append(entry)
    return found
