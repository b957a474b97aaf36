"""The weight of the texts, chosen where it is not judged: every aligner is shown at the one that suits it."""

from collections.abc import Hashable
from typing import Any

import numpy as np

from isthmus.evaluate.arithmetic.result import CHOSEN, Key, Tally


def weight_of(answer: str) -> float:
    """Return what the texts were multiplied with.

    Parameters
    ----------
    answer : str
        "arithmetic", or "weight " and a number.

    Returns
    -------
    float
        1 for "arithmetic".

    Examples
    --------
    >>> weight_of("weight 0.5"), weight_of("arithmetic")
    (0.5, 1.0)
    """
    return float(answer.removeprefix("weight ")) if is_weight(answer) else 1.0


def is_weight(answer: str) -> bool:
    """Return whether an answer has a weight in its name.

    Examples
    --------
    >>> is_weight("weight 0.5"), is_weight("chosen weight")
    (True, False)
    """
    return answer.startswith("weight ")


def choose_weights(tally: Tally) -> None:
    """Add what each query finds at the weight that finds most on the queries of the other seeds.

    The weight is chosen for a modality, a wording and an aligner, over all
    kinds of query together; of weights equally good, the smallest. With one
    seed there is nothing to choose on, and nothing is added.

    Parameters
    ----------
    tally : Tally
        Whose queries are tuples that begin with their seed; it gets further entries, "chosen weight".

    Examples
    --------
    >>> tally = Tally()
    >>> for seed in (0, 1):
    ...     for answer, recall in {"arithmetic": 0.0, "weight 2": 1.0}.items():
    ...         key = ("image", "add", "word", "raw", answer)
    ...         tally.add(key, (seed, "add", 0), {"recall_at_1": recall})
    >>> choose_weights(tally)
    >>> tally.found["image", "add", "word", "raw", "chosen weight"][0, "add", 0]
    {'recall_at_1': 1.0}
    """
    parts: dict[tuple[str, str, str], list[Key]] = {}
    for key in tally.found:
        modality, _, prompt, method, answer = key
        if answer == "arithmetic" or is_weight(answer):
            parts.setdefault((modality, prompt, method), []).append(key)
    for keys in parts.values():
        answers = sorted({key[4] for key in keys}, key=weight_of)
        kinds = list(dict.fromkeys(key[1] for key in keys))
        first = keys[0][:4]
        by_answer = {
            answer: [tally.found[_with(first, kind, answer)] for kind in kinds] for answer in answers
        }
        seeds = sorted({_seed(query) for queries in by_answer[answers[0]] for query in queries})
        if len(seeds) < 2 or len(answers) < 2:
            continue
        best = {
            seed: max(answers, key=lambda answer, seed=seed: _recall_elsewhere(by_answer[answer], seed))
            for seed in seeds
        }
        for kind in kinds:
            for query in tally.found[_with(first, kind, answers[0])]:
                answer = best[_seed(query)]
                tally.add(_with(first, kind, CHOSEN), query, tally.found[_with(first, kind, answer)][query])


def _with(key: tuple[str, ...], kind: str, answer: str) -> Key:
    return key[0], kind, key[2], key[3], answer


def _seed(query: Hashable) -> Any:
    assert isinstance(query, tuple)
    return query[0]


def _recall_elsewhere(kinds: list[dict[Hashable, dict[str, float]]], seed: Any) -> float:
    """Average R@1 over the queries of all kinds, but those of a seed."""
    return float(
        np.mean([f["recall_at_1"] for queries in kinds for q, f in queries.items() if _seed(q) != seed])
    )
