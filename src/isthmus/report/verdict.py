"""The verdict on one aligner, in two plain sentences."""

import math
from typing import Any

_WORDS = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten")
_CLOSED = 0.25  # of the raw distance of the means: at most this much is left of a gap that is "closed"
_MANY = 50  # times as many pairs: more is not a number worth giving


def judge(comparison: dict[str, Any], aligner: str) -> dict[str, Any]:
    """Say whether to use an aligner, from a comparison as a dict.

    Parameters
    ----------
    comparison : dict
        From :meth:`isthmus.evaluate.Comparison.to_dict`.
    aligner : str
        Which of its aligners; "raw" is the embeddings as they are.

    Returns
    -------
    dict
        ``status``: "use", "uncertain" (an interval leaves it open), "no_gain", "collapsed" or
        "raw"; ``headline``; ``sentences``, two. No gap figure stands without its recall.

    Examples
    --------
    >>> from isthmus.evaluate import compare
    >>> from isthmus.theory import sample
    >>> comparison = compare(*sample(200)[:2], aligners=["linear"]).to_dict()
    >>> judge(comparison, "raw")["headline"]
    'Leave the embeddings as they are'
    """
    if aligner == "raw":
        sentences = _of_raw(comparison)
        return {"status": "raw", "headline": "Leave the embeddings as they are", "sentences": sentences}
    verdict, raw = comparison["aligners"][aligner], comparison["aligners"]["raw"]
    if verdict["collapsed"]:
        sentences = [_of_collapsed(comparison, aligner), _instead(comparison)]
        return {"status": "collapsed", "headline": f"Do not use “{aligner}”", "sentences": sentences}
    if verdict["rmg"]["value"] >= raw["rmg"]["value"]:
        first = (
            f"“{aligner}” does not narrow the gap: the relative modality gap goes from "
            f"{_move(comparison, aligner)} on held-out pairs, while it {_keeps(comparison, aligner)}."
        )
        sentences = [first, _instead(comparison)]
        return {"status": "no_gain", "headline": f"“{aligner}” does not help", "sentences": sentences}
    doubts = _doubts(comparison, aligner)
    closed = verdict["l2m"]["value"] <= _CLOSED * raw["l2m"]["value"]
    opening = f"The gap can{' probably' if doubts else ''} be {'closed' if closed else 'narrowed'}"
    first = (
        f"{opening}: “{aligner}” lowers the relative modality gap from {_move(comparison, aligner)} on "
        f"held-out pairs and {_keeps(comparison, aligner)}."
    )
    if doubts:
        second = f"That is not certain, and more pairs are needed: {' and '.join(doubts)}."
        headline = f"“{aligner}” looks usable, but that is not certain"
        return {"status": "uncertain", "headline": headline, "sentences": [first, second]}
    return {
        "status": "use",
        "headline": f"Use “{aligner}”",
        "sentences": [first, _others(comparison, aligner)],
    }


def percent(value: float, threshold: float) -> str:
    """Return a share in percent, with as many decimals as tell it from the threshold.

    Examples
    --------
    >>> percent(0.8812, 0.85), percent(0.8531, 0.85), percent(0.8496, 0.85), percent(0.85, 0.85)
    ('88%', '85.3%', '84.96%', '85%')
    """
    return f"{100 * value:.4g}%" if value == threshold else f"{100 * value:.{_decimals(value, threshold)}f}%"


def _decimals(value: float, threshold: float) -> int:
    apart = {
        round(100 * limit, 6) for limit in (threshold, 1.0) if limit != value
    }  # nor round up to all of it
    return next((k for k in range(4) if round(100 * value, k) not in apart), 4)


def _interval(figure: dict[str, float], threshold: float) -> str:
    decimals = max(1, _decimals(figure["low"], threshold), _decimals(figure["high"], threshold))
    low, high = (f"{100 * figure[end]:.{decimals}f}%" for end in ("low", "high"))
    return f"{low} to {high}"


def _move(comparison: dict[str, Any], aligner: str) -> str:
    before, after = (comparison["aligners"][name]["rmg"]["value"] for name in ("raw", aligner))
    return f"{before:.3f} to {after:.3f}"


def _keeps(comparison: dict[str, Any], aligner: str) -> str:
    """What is left of R@1, as the end of a sentence about the aligner."""
    kept, threshold = comparison["aligners"][aligner]["kept_recall"], comparison["keep_recall"]
    share = percent(kept["value"], threshold)
    if kept["low"] > 1:
        return f"raises R@1 to {share} of the raw one"
    if kept["value"] >= 1:
        return f"keeps all of R@1 ({share} of the raw one)"
    return f"keeps {share} of R@1"


def _doubts(comparison: dict[str, Any], aligner: str) -> list[str]:
    """What the intervals leave open about an aligner that did not collapse and lowers the gap."""
    verdict, raw, needed = (
        comparison["aligners"][aligner],
        comparison["aligners"]["raw"],
        comparison["keep_recall"],
    )
    kept, gap, doubts = verdict["kept_recall"], verdict["rmg"], []
    if kept["low"] < needed:
        more = _times_as_many(kept["value"] - kept["low"], kept["value"] - needed)
        doubts.append(
            f"the 95% interval of kept recall, {_interval(kept, needed)}, straddles the "
            f"{percent(needed, needed)} that must be kept ({more})"
        )
    if gap["high"] >= raw["rmg"]["low"]:
        doubts.append(
            f"the 95% intervals of the relative modality gap before, {raw['rmg']['low']:.3f} to "
            f"{raw['rmg']['high']:.3f}, and after, {gap['low']:.3f} to {gap['high']:.3f}, overlap"
        )
    return doubts


def _times_as_many(half_width: float, margin: float) -> str:
    """How many more pairs shrink the interval, which goes as 1 / sqrt(n), to the margin."""
    times = math.ceil((half_width / margin) ** 2) if margin > half_width / _MANY else _MANY + 1
    if times > _MANY:
        return f"more than {_MANY} times as many would settle it, if the value holds"
    return f"about {'twice' if times <= 2 else f'{times} times'} as many would settle it, if the value holds"


def _of_collapsed(comparison: dict[str, Any], aligner: str) -> str:
    verdict, raw, needed = (
        comparison["aligners"][aligner],
        comparison["aligners"]["raw"],
        comparison["keep_recall"],
    )
    kept = verdict["kept_recall"]
    lower = verdict["rmg"]["value"] < raw["rmg"]["value"]
    what = (
        "lowers the relative modality gap from"
        if lower
        else "does not even lower the relative modality gap, from"
    )
    doubt = (
        f"; its 95% interval, {_interval(kept, needed)}, straddles that, so it is not certain and more pairs "
        "are needed"
        if kept["high"] >= needed
        else ""
    )
    return (
        f"Do not use “{aligner}”, it collapses retrieval: on held-out pairs it {what} "
        f"{_move(comparison, aligner)}, but keeps only {percent(kept['value'], needed)} of R@1 where "
        f"{percent(needed, needed)} must be kept{doubt}."
    )


def _instead(comparison: dict[str, Any]) -> str:
    best = comparison["best"]
    if best == "raw":
        return (
            "Nothing else that was compared lowers the gap and keeps enough R@1: leave the embeddings as "
            "they are."
        )
    doubt = "; its intervals leave that open, so see its own report" if _doubts(comparison, best) else ""
    return (
        f"Look at “{best}” instead, which takes the relative modality gap from {_move(comparison, best)} and "
        f"{_keeps(comparison, best)}{doubt}."
    )


def _others(comparison: dict[str, Any], aligner: str) -> str:
    gap, needed = comparison["aligners"][aligner]["rmg"]["value"], comparison["keep_recall"]
    others = {k: v for k, v in comparison["aligners"].items() if k not in ("raw", aligner)}
    lower = {k: v for k, v in others.items() if v["rmg"]["value"] < gap}
    if usable := [k for k, v in lower.items() if not v["collapsed"]]:
        best = min(usable, key=lambda k: lower[k]["rmg"]["value"])
        return (
            f"“{best}” lowers it further, to {lower[best]['rmg']['value']:.3f}, and "
            f"{_keeps(comparison, best)}: look at that one too."
        )
    if not lower:
        return (
            "No other aligner that was compared lowers it further."
            if others
            else "It was the only one compared."
        )
    kept = sorted(v["kept_recall"]["value"] for v in lower.values())
    low, high = percent(kept[0], needed), percent(kept[-1], needed)
    span = low if low == high else f"{low} to {high}"
    lowers = "lowers" if len(lower) == 1 else "lower"
    return (
        f"{_count(len(lower), 'other aligner')} ({', '.join(lower)}) {lowers} it further only by collapsing "
        f"retrieval, to {span} of R@1."
    )


def _of_raw(comparison: dict[str, Any]) -> list[str]:
    aligners, needed, best = comparison["aligners"], comparison["keep_recall"], comparison["best"]
    raw = aligners["raw"]
    r1 = (raw["recall_at_1_x_to_y"]["value"] + raw["recall_at_1_y_to_x"]["value"]) / 2
    state = f"with a relative modality gap of {raw['rmg']['value']:.3f} and a mean R@1 of {r1:.3f}"
    others = {k: v for k, v in aligners.items() if k != "raw"}
    if not others:
        return [f"These are the embeddings as they are, {state}.", "No aligner was compared."]
    if best != "raw":
        return [f"These are the embeddings as they are, {state}.", _instead(comparison)]
    first = (
        f"No aligner of the {len(others)} compared lowers the gap on held-out pairs and keeps "
        f"{percent(needed, needed)} of R@1: use the embeddings as they are, {state}."
    )
    lower = [k for k, v in others.items() if v["rmg"]["value"] < raw["rmg"]["value"]]
    if not lower:
        return [first, "None lowers the gap at all."]
    near = max(lower, key=lambda k: others[k]["kept_recall"]["value"])
    kept = others[near]["kept_recall"]
    second = (
        f"The nearest, “{near}”, takes the gap from {_move(comparison, near)} but keeps only "
        f"{percent(kept['value'], needed)} of R@1"
    )
    if kept["high"] >= needed:
        second += (
            f"; its 95% interval, {_interval(kept, needed)}, straddles what must be kept, so that is not "
            "certain and more pairs are needed"
        )
    return [first, second + "."]


def _count(n: int, noun: str) -> str:
    return f"{_WORDS[n] if n < len(_WORDS) else n} {noun}{'s' * (n != 1)}"
