"""The front: what each aligner closes against what it keeps."""

from itertools import pairwise
from typing import Any

import numpy as np
from markupsafe import Markup

from isthmus.report.drawing import ACCENT, INK, MUTED, canvas, house_style, inline_svg

_FONT = 12.5
_GREY = "#8b929b"

Box = tuple[float, float, float, float]  # left, bottom, right, top, in pixels


def front(summary: dict[str, Any], *, width: int) -> Markup:
    """Draw all aligners: kept recall to the right, relative modality gap upwards, the threshold between.

    Parameters
    ----------
    summary : dict
        From :func:`isthmus.report.summarize`.
    width : int
        Of the picture, in CSS pixels.
    """
    aligners, needed = summary["comparison"]["aligners"], summary["comparison"]["keep_recall"]
    with house_style():
        figure, axes = canvas(width, 420 if width > 500 else 380, (62, 48, 12, 12))
        _limits(axes, aligners, needed, room=1.6 if width > 500 else 4)
        _collapsed_side(axes, needed)
        pareto = [aligners[name] for name in summary["pareto"]]
        axes.plot(
            [v["kept_recall"]["value"] for v in pareto],
            [v["rmg"]["value"] for v in pareto],
            color=ACCENT,
            linewidth=1.2,
            alpha=0.6,
            drawstyle="steps-pre",
            linestyle=(0, (2, 2)),
            zorder=2,
        )
        for name, verdict in aligners.items():
            _point(axes, name, verdict, subject=name == summary["aligner"])
        _label(axes, aligners, subject=summary["aligner"], needed=needed, stairs=_stairs(axes, pareto))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        meaning = ": mean R@1, share of the raw one" if width > 500 else ""
        axes.set_xlabel(f"kept recall{meaning} (more is better)")
        axes.set_ylabel("relative modality gap (less is better)")
        told = "; ".join(
            f"{name} keeps {v['kept_recall']['value']:.0%} at a gap of {v['rmg']['value']:.3f}"
            + (", collapsed" if v["collapsed"] else "")
            for name, v in aligners.items()
        )
        return inline_svg(
            figure, name=f"front-{width}", alt=f"Kept recall against relative modality gap: {told}."
        )


def _limits(axes: Any, aligners: dict[str, Any], needed: float, *, room: float) -> None:
    """Hold all points, with room on the right for the names of those that keep the most."""
    for figure, also, set_limits in (
        ("kept_recall", (needed, 1.0), axes.set_xlim),
        ("rmg", (), axes.set_ylim),
    ):
        ends = [v[figure][end] for v in aligners.values() for end in ("low", "high", "value")] + list(also)
        low, high = min(ends), max(ends)
        pad = 0.09 * (high - low) or 0.05
        set_limits(
            low - pad, high + (1.6 if figure == "kept_recall" else 1) * pad
        )  # room for the best's name


def _collapsed_side(axes: Any, needed: float) -> None:
    low = axes.get_xlim()[0]
    axes.axvspan(low, needed, facecolor="#f1f2f4", edgecolor="#d9dce1", hatch="///", linewidth=0, zorder=0)
    axes.axvline(needed, color=MUTED, linewidth=1.2, zorder=1)


def _point(axes: Any, name: str, verdict: dict[str, Any], *, subject: bool) -> None:
    kept, gap = verdict["kept_recall"], verdict["rmg"]
    colour = _colour(verdict, subject)
    axes.plot(
        [kept["low"], kept["high"]], [gap["value"]] * 2, color=colour, linewidth=1.3, alpha=0.7, zorder=3
    )
    axes.plot(
        [kept["value"]] * 2, [gap["low"], gap["high"]], color=colour, linewidth=1.3, alpha=0.7, zorder=3
    )
    marker = "X" if verdict["collapsed"] else "s" if name == "raw" else "o"
    axes.plot(
        [kept["value"]],
        [gap["value"]],
        marker,
        color=colour if name != "raw" else "white",
        markeredgecolor="white" if name != "raw" else colour,
        markeredgewidth=0.8 if name != "raw" else 1.6,
        markersize=11 if subject else 8,
        zorder=5 if subject else 4,
    )


def _colour(verdict: dict[str, Any], subject: bool) -> str:
    if verdict["collapsed"]:
        return "#6a717b" if subject else _GREY
    return ACCENT if subject else INK


def _stairs(axes: Any, pareto: list[dict[str, Any]]) -> list[Box]:
    """The strokes of the Pareto front, as boxes that labels keep off."""
    boxes = []
    points = [axes.transData.transform((v["kept_recall"]["value"], v["rmg"]["value"])) for v in pareto]
    for (x, y), (next_x, next_y) in pairwise(points):
        boxes += [(x - 1, y, x + 1, next_y), (x, next_y - 1, next_x, next_y + 1)]
    return boxes


def _label(axes: Any, aligners: dict[str, Any], *, subject: str, needed: float, stairs: list[Box]) -> None:
    """Write each name beside its point, and the threshold's beside its line, where they hide least."""
    taken, room = list(stairs), tuple(axes.bbox.extents)
    at = {
        n: axes.transData.transform((v["kept_recall"]["value"], v["rmg"]["value"]))
        for n, v in aligners.items()
    }
    for name, v in aligners.items():
        (left, bottom), (right, top) = (
            axes.transData.transform((v["kept_recall"][end], v["rmg"][end])) for end in ("low", "high")
        )
        px, py = at[name]
        taken += [
            (px - 6, py - 6, px + 6, py + 6),
            (left, py - 1, right, py + 1),
            (px - 1, bottom, px + 1, top),
        ]
    line = float(axes.transData.transform((needed, 0))[0])
    taken.append((line - 1, room[1], line + 1, room[3]))
    for names in _together(sorted(aligners, key=lambda n: (n != subject, -at[n][0])), at):
        name, text = names[0], ", ".join(names)
        if aligners[name]["collapsed"] and name == subject:
            text += ": collapsed"
        beyond = (
            (line, room[1], room[2], room[3]) if at[name][0] < line else (room[0], room[1], line, room[3])
        )
        box, far = _place(at[name], text, taken=taken, room=room, beyond=beyond)
        taken.append(box)
        centre = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        if far:
            end = (np.clip(at[name][0], box[0], box[2]), np.clip(at[name][1], box[1], box[3]))
            ends = axes.transData.inverted().transform([at[name], end])
            axes.plot(*ends.T, color=_GREY, linewidth=0.7, zorder=3)
        colour = "#5c6570" if aligners[name]["collapsed"] else _colour(aligners[name], name == subject)
        _write(axes, centre, text, colour, name == subject)
    _name_threshold(axes, line, needed, taken, room)


def _together(names: list[str], at: dict[str, np.ndarray]) -> list[list[str]]:
    """Names whose points lie on one another, so that one label serves them."""
    groups: list[list[str]] = []
    for name in names:
        near = (group for group in groups if np.abs(at[group[0]] - at[name]).max() < 4)
        group = next(near, None)
        if group is None:
            groups.append([name])
        else:
            group.append(name)
    return groups


def _name_threshold(axes: Any, line: float, needed: float, taken: list[Box], room: tuple[float, ...]) -> None:
    text, candidates = f"collapsed: keeps < {100 * needed:.4g}%", []
    width, height = _size(text)
    for middle in (room[3] - height, room[1] + height):
        for centre in (line - width / 2 - 6, line + width / 2 + 6):
            box = (centre - width / 2, middle - height / 2, centre + width / 2, middle + height / 2)
            outside = max(0.0, room[0] - box[0]) + max(0.0, box[2] - room[2])
            hidden = sum(_overlap(box, other) for other in taken)
            candidates.append((hidden + 100 * outside + 40 * (centre > line), centre, middle))
    _, centre, middle = min(candidates)
    words = text if centre < line else f"← {text}"
    _write(axes, (centre, middle), words, MUTED, False)


def _place(
    point: np.ndarray, text: str, *, taken: list[Box], room: tuple[float, ...], beyond: Box
) -> tuple[Box, bool]:
    """Return where in the room a label hides least, and whether that is so far off that it needs a leader.

    `beyond` is the other side of the threshold, where a name would be misread.
    """
    width, height = _size(text)
    best: tuple[float, Box, bool] | None = None
    for radius in (9, 20, 34, 50, 70):
        for angle in np.arange(16) * np.pi / 8:
            across, up = np.cos(angle), np.sin(angle)
            x = point[0] + across * (radius + width / 2)
            y = point[1] + up * (radius + height / 2)
            box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
            outside = max(0, room[0] - box[0], box[2] - room[2], room[1] - box[1], box[3] - room[3])
            cost = sum(_overlap(box, other) for other in taken) + 0.2 * _overlap(box, beyond)
            cost += 1000 * outside + 1.5 * radius - 4 * abs(across)
            if best is None or cost < best[0] - 1e-6:
                best = (cost, box, radius > 20)
    assert best is not None
    return best[1:]


def _overlap(a: Box, b: Box) -> float:
    across, up = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return 8 + across * up if across > 0 and up > 0 else 0.0


def _size(text: str) -> tuple[float, float]:
    return 0.56 * _FONT * len(text) + 4, 1.25 * _FONT


def _write(axes: Any, centre: tuple[float, float], text: str, colour: str, bold: bool) -> None:
    x, y = axes.transData.inverted().transform(centre)
    axes.text(x, y, text, color=colour, fontsize=_FONT, ha="center", va="center_baseline", zorder=6,
              fontweight="bold" if bold else "normal")  # fmt: skip
