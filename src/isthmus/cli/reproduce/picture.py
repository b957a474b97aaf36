"""A table as a picture: ours with intervals, and beside it the paper's figures on their own scale."""

from collections.abc import Mapping, Sequence
from typing import Any

from isthmus.cli.reproduce.table import MEASURES
from isthmus.report.drawing import (
    ACCENT,
    INK,
    MUTED,
    RULE,
    X_COLOUR,
    Y_COLOUR,
    canvas,
    house_style,
    inline_svg,
    svg_file,
)

_COLOURS = (MUTED, X_COLOUR, "#cc79a7", Y_COLOUR, ACCENT, INK)
_MARKS = "osD^vP"
_WIDTH = 860
_LABELS = 170  # pixels for the names of rows
_GAP = 60  # between the panels


def draw(report: Mapping[str, Any], *, shared: str, across: str = "") -> str:
    """Return the picture as SVG.

    Parameters
    ----------
    report : mapping
        Of a `Reproduction`.
    shared : str
        The measure that is shown beside the paper's.
    across : str
        What of a row runs along the horizontal axis: "share", "gap", or nothing: then a line is a row.

    Returns
    -------
    str
        A file's text.
    """
    with house_style():
        figure = _lines(report, shared, across) if across else _dots(report, shared)
        alt = f"{report['title']}: facts F1 and {MEASURES[shared]} on the world, beside the paper's figures"
        return svg_file(inline_svg(figure, name=report["table"], alt=alt))


def _dots(report: Mapping[str, Any], shared: str) -> Any:
    """Draw a line per row, with a panel per measure."""
    rows, height = report["rows"], 84 + 22 * len(report["rows"])
    figure, left = canvas(_WIDTH, height, (_LABELS, 44, (_WIDTH - _LABELS) // 2 + _GAP // 2, 24))
    right = figure.add_axes(
        ((_LABELS + _WIDTH + _GAP) / 2 / _WIDTH, left.get_position().y0, 0.36, left.get_position().height)
    )
    right.set_facecolor("none")
    places = range(len(rows))
    for axes, key in ((left, "facts_f1"), (right, shared)):
        _ours(axes, places, [row["figures"].get(key) for row in rows], upright=False, label="ours, the world")
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_yticks(places, [row["name"] for row in rows] if axes is left else ["" for _ in rows])
        axes.grid(axis="y", color=RULE, linewidth=0.5)
        axes.set_xlabel(f"{MEASURES[key]}, %")
    given = [(place, found["value"]) for place, row in enumerate(rows) if (found := row["paper"].get(shared))]
    values, heights = [value for _, value in given], [place for place, _ in given]
    right.plot(values, heights, "o", color=Y_COLOUR, fillstyle="none", label=_of_the_paper(report))
    right.legend(frameon=False, fontsize=10, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    _from_zero(left, right)
    return figure


def _lines(report: Mapping[str, Any], shared: str, across: str) -> Any:
    """Draw a curve per method, with a panel for ours and one for the paper's."""
    figure, left = canvas(_WIDTH, 380, (60, 48, _WIDTH // 2 + 20, 28))
    box = left.get_position()
    right = figure.add_axes((0.5 + 60 / _WIDTH, box.y0, box.width, box.height), facecolor="none")
    methods = list(dict.fromkeys(row["method"] for row in report["rows"]))
    for method, colour, mark in zip(methods, _COLOURS, _MARKS, strict=False):
        rows = [row for row in report["rows"] if row["method"] == method]
        x = [row[across] * (100 if across == "share" else 1) for row in rows]
        style = {"colour": colour, "mark": f"{mark}-", "label": method}
        _ours(left, x, [row["figures"].get(shared) for row in rows], upright=True, **style)
        given = [(at, p["value"]) for at, row in zip(x, rows, strict=True) if (p := row["paper"].get(shared))]
        if given:
            right.plot(*zip(*given, strict=True), f"{mark}--", color=colour, fillstyle="none", label=method)
    left.set_title("ours, on the world", fontsize=12)
    right.set_title(_of_the_paper(report), fontsize=12)
    for axes in (left, right):
        axes.set_ylabel(f"{MEASURES[shared]}, %")
        axes.set_xlabel("pairs, %" if across == "share" else "length of the gap")
        if across == "share":
            ticks = sorted({row["share"] * 100 for row in report["rows"]})
            axes.set_xscale("log")
            axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            axes.minorticks_off()
    left.legend(frameon=False, fontsize=10)
    if across == "gap":
        _from_zero(left, right)
    return figure


def _ours(
    axes: Any,
    places: Sequence[float],
    figures: Sequence[Mapping[str, float] | None],
    *,
    upright: bool,
    label: str,
    colour: str = X_COLOUR,
    mark: str = "o",
) -> None:
    """Draw means with their intervals."""
    kept = [(place, figure) for place, figure in zip(places, figures, strict=True) if figure]
    at = [place for place, _ in kept]
    values = [100 * figure["mean"] for _, figure in kept]
    error = [
        [max(0.0, 100 * (figure["mean"] - figure["low"])) for _, figure in kept],
        [max(0.0, 100 * (figure["high"] - figure["mean"])) for _, figure in kept],
    ]
    style = {"fmt": mark, "color": colour, "capsize": 2, "label": label, "markersize": 5}
    if upright:
        axes.errorbar(at, values, yerr=error, **style)
    else:
        axes.errorbar(values, at, xerr=error, **style)


def _of_the_paper(report: Mapping[str, Any]) -> str:
    return f"paper, on {report['paper']['data'].partition(',')[0]}"


def _from_zero(*panels: Any) -> None:
    for axes in panels:
        way = axes.set_xlim if axes.yaxis_inverted() else axes.set_ylim
        way(0, None)
