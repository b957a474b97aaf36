"""From a comparison to everything the page shows, as one JSON-able dict."""

import json
import shlex
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from textwrap import shorten
from typing import Any

from isthmus.align import ALIGNERS
from isthmus.evaluate import Comparison, Protocol
from isthmus.measure.items import find_items
from isthmus.report.definitions import DEFINITIONS, label_of
from isthmus.report.held_out import cosines, gap_spectrum, project, worst_pairs
from isthmus.report.search import searches
from isthmus.report.verdict import judge

Pictures = Callable[[Sequence[int]], Mapping[int, bytes]]
_LABEL_WIDTH = 240  # characters of a caption that the table of worst pairs holds


def summarize(
    comparison: Comparison,
    *,
    aligner: str | None = None,
    names: Sequence[str] = ("x", "y"),
    labels: Sequence[str] | None = None,
    aligner_path: str | None = None,
    pictures: Pictures | None = None,
) -> dict[str, Any]:
    """Gather everything that a report on one aligner shows.

    Parameters
    ----------
    comparison : Comparison
        From :func:`isthmus.evaluate.compare`.
    aligner : str, optional
        Which of its aligners the report is on; by default the best.
    names : sequence of two str, default=("x", "y")
        What to call the modalities.
    labels : sequence of str, optional
        Text for each row of the input, such as its caption.
    aligner_path : str, optional
        File of the fitted aligner, for the instructions on how to apply it.
    pictures : callable, optional
        From a list of rows of x to PNG files of some of them, by row.

    Returns
    -------
    dict
        Pure JSON: figures with their intervals, the verdict, and what the pictures are drawn from.
        Where `aligner` is "raw" there is a "before" and no "after".

    Raises
    ------
    ValueError
        The comparison has no such aligner, or `names` or `labels` do not fit it.

    Examples
    --------
    >>> from isthmus.evaluate import compare
    >>> from isthmus.theory import sample
    >>> x, y, _ = sample(200)
    >>> summary = summarize(compare(x, y, aligners=["collapse"]), names=("image", "text"))
    >>> summary["aligner"], summary["held_out"]["pairs"], len(summary["worst"])
    ('collapse', 40, 10)
    """
    aligner = comparison.best if aligner is None else aligner
    if aligner not in comparison.verdicts:
        raise ValueError(f"aligner must be one of {', '.join(comparison.verdicts)}, got {aligner!r}")
    if isinstance(names, str) or len(names) != 2:
        raise ValueError(f"names must be two, of x and of y, got {names!r}")
    if labels is not None and len(labels) != comparison.pairs:
        raise ValueError(f"labels must be one for each of the {comparison.pairs} rows, got {len(labels)}")
    x_name, y_name = (str(name) for name in names)
    held, seed, compared = comparison.held_out, comparison.protocol.seed, comparison.to_dict()
    spaces = {"before": held.mapped["raw"]}
    if aligner != "raw":
        spaces["after"] = held.mapped[aligner]
    items = find_items(*spaces["before"], groups=held.group)
    worst = worst_pairs(held, items, spaces)
    for pair in worst:
        pair["label"] = None if labels is None else _label(labels, pair["row"])
    found = [] if labels is None else searches(held, items, spaces, seed=seed)
    results = [result for search in found for space in spaces for result in search[space]["nearest"]]
    images = pictures(sorted({r["row"] for r in results})) if pictures is not None and results else {}
    for entry in (*found, *results):
        entry["label"] = _label(labels or (), entry["row"])
    for result in results:
        png = images.get(result["row"])
        result["picture"] = None if png is None else b64encode(png).decode()
    return {
        "names": [x_name, y_name],
        "aligner": aligner,
        "comparison": compared,
        "protocol": asdict(comparison.protocol),
        "held_out": {
            "pairs": len(held.rows),
            "items": items.count,
            "x_rows": len(items.x_rows),
            "y_rows": len(items.y_rows),
        },
        "verdict": judge(compared, aligner),
        "changes": _changes(compared, aligner, (x_name, y_name)),
        "clouds": {space: project(pairs, seed=seed) for space, pairs in spaces.items()},
        "cosines": cosines(spaces, held.group, seed=seed),
        "spectrum": gap_spectrum(spaces, items),
        "pareto": _pareto(compared),
        "fit_seconds": {
            name: round(v.seconds, 2) for name, v in comparison.verdicts.items() if name != "raw"
        },
        "worst": worst,
        "searches": found,
        "steps": _steps(compared, aligner, aligner_path),
    }


def _label(labels: Sequence[str], row: int) -> str:
    return shorten(str(labels[row]), _LABEL_WIDTH, placeholder=" …")


def _changes(compared: dict[str, Any], aligner: str, names: tuple[str, str]) -> list[dict[str, Any]]:
    """Every figure before and after, and whether the change is certain and good."""
    out = []
    for definition in DEFINITIONS:
        for key in definition.keys:
            before, after = compared["aligners"]["raw"][key], compared["aligners"][aligner][key]
            change = None
            if after["low"] > before["high"]:
                change = "better" if definition.better == "higher" else "worse"
            elif after["high"] < before["low"]:
                change = "better" if definition.better == "lower" else "worse"
            out.append(
                {
                    "key": key,
                    "label": label_of(definition, key, names),
                    "group": definition.group,
                    "better": definition.better,
                    "form": definition.form,
                    "before": before,
                    "after": None if aligner == "raw" else after,
                    "change": change,
                }
            )
    return out


def _pareto(compared: dict[str, Any]) -> list[str]:
    """Aligners that no other one beats in both kept recall and RMG, by kept recall ascending."""
    points = {k: (v["kept_recall"]["value"], v["rmg"]["value"]) for k, v in compared["aligners"].items()}
    front, lowest = [], float("inf")
    for name in sorted(points, key=lambda k: (-points[k][0], points[k][1])):
        if points[name][1] < lowest:
            front.append(name)
            lowest = points[name][1]
    return front[::-1]


def _steps(compared: dict[str, Any], aligner: str, path: str | None) -> list[dict[str, str]]:
    """How to make and apply the aligner; nothing where there is none to recommend."""
    if aligner == "raw" or compared["aligners"][aligner]["collapsed"]:
        return []
    steps = []
    if path is None:
        path = f"{aligner}.safetensors"
        steps.append({"title": "Fit it on all pairs, and save it", "code": _fitting(compared, aligner, path)})
    python = (
        "import isthmus\n\n"
        f"aligner = isthmus.load_aligner({json.dumps(path, ensure_ascii=False)})\n"
        "new_x = aligner.transform(x)\n"
        "new_y = aligner.transform_y(y)"
    )
    command = "\n".join(
        f"isthmus apply {shlex.quote(path)} {of.upper()} --modality {of} --out NEW_{of.upper()}"
        for of in "xy"
    )
    return [
        *steps,
        {"title": "Apply it in Python", "code": python},
        {"title": "Or on the command line", "code": command},
    ]


def _fitting(compared: dict[str, Any], aligner: str, path: str) -> str:
    if aligner not in ALIGNERS:
        return f"isthmus.save_aligner(aligner.fit(x, y), {json.dumps(path, ensure_ascii=False)})"
    needed = compared["keep_recall"]
    keep = "" if needed == Protocol().keep_recall else f" --keep-recall {needed:g}"
    return f"isthmus align X Y --aligner {aligner}{keep} --out {shlex.quote(path)}"
