"""The pictures of the held-out pairs, drawn from a summary."""

from typing import Any

import numpy as np
from markupsafe import Markup

from isthmus.report.drawing import INK, MUTED, X_COLOUR, Y_COLOUR, canvas, house_style, inline_svg

_PANEL = (460, 380)
_MARGINS = (60, 46, 18, 10)


def clouds(summary: dict[str, Any]) -> dict[str, Markup]:
    """Draw both modalities before and after, each on its own first two singular vectors, at one scale."""
    pictures, spaces = {}, summary["clouds"]
    points = np.concatenate([np.asarray(space[of]) for space in spaces.values() for of in "xy"])
    left, bottom, right, top = _MARGINS
    room = np.array([_PANEL[0] - left - right, _PANEL[1] - bottom - top])
    reach = room * max(1.06 * (np.abs(points).max(axis=0) / room).max(), 1e-6)  # one scale on both axes
    for space, cloud in spaces.items():
        with house_style():
            figure, axes = canvas(*_PANEL, _MARGINS)
            axes.set_xlim(-reach[0], reach[0])
            axes.set_ylim(-reach[1], reach[1])
            axes.locator_params(nbins=6)
            x, y = np.asarray(cloud["x"]), np.asarray(cloud["y"])
            for i in cloud["joined"]:
                axes.plot(*np.stack([x[i], y[i]]).T, color=INK, alpha=0.16, linewidth=0.7, zorder=1)
            for rows, colour, marker in ((y, Y_COLOUR, "^"), (x, X_COLOUR, "o")):
                axes.plot(*rows.T, marker, color=colour, markersize=4, alpha=0.5, markeredgewidth=0, zorder=2)
            first, second = cloud["share"]
            axes.set_xlabel(f"1st singular direction ({first:.0%} of the spread)")
            axes.set_ylabel(f"2nd ({second:.0%})")
            circles, triangles = summary["names"]
            alt = (
                f"{space.capitalize()}: {circles} (circles) and {triangles} (triangles) on the "
                f"first two singular directions, holding {first:.0%} and {second:.0%} of the spread."
            )
            pictures[space] = inline_svg(figure, name=f"cloud-{space}", alt=alt)
    return pictures


def histograms(summary: dict[str, Any]) -> dict[str, Markup]:
    """Draw the cosines of matched and of mismatched pairs, before and after, on one scale."""
    pictures, found = {}, summary["cosines"]
    edges, spaces = np.asarray(found["edges"]), [space for space in ("before", "after") if space in found]
    top = max(max(found[space][kind]) for space in spaces for kind in ("matched", "mismatched"))
    for space in spaces:
        with house_style():
            figure, axes = canvas(460, 270, (60, 46, 18, 36))
            for kind, colour, hatch in (("mismatched", MUTED, "////"), ("matched", X_COLOUR, None)):
                share = np.asarray(found[space][kind])
                axes.stairs(share, edges, fill=True, facecolor=colour, alpha=0.22, edgecolor="none")
                if hatch:
                    axes.stairs(share, edges, fill=True, facecolor="none", edgecolor=colour, hatch=hatch,
                                alpha=0.5, linewidth=0)  # fmt: skip
                axes.stairs(share, edges, color=colour, linewidth=1.4)
            axes.set_xlim(edges[0], edges[-1])
            axes.set_ylim(0, top * 1.05)
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
            axes.set_xlabel("cosine")
            axes.set_ylabel("share of pairs")
            means = {kind: found[space][f"{kind}_mean"] for kind in ("mismatched", "matched")}
            for kind, colour in (("mismatched", MUTED), ("matched", X_COLOUR)):
                axes.axvline(means[kind], color=colour, linewidth=1, linestyle=(0, (3, 3)))
            _name_means(axes, means)
            alt = (
                f"{space.capitalize()}: cosines of matched pairs, on average {_plain(means['matched'])}, and "
                f"of mismatched pairs, on average {_plain(means['mismatched'])}."
            )
            pictures[space] = inline_svg(figure, name=f"cosines-{space}", alt=alt)
    return pictures


def _name_means(axes: Any, means: dict[str, float]) -> None:
    """Write what each histogram is above its mean, in two rows, so that they never meet."""
    low, high = axes.get_xlim()
    for row, kind, colour in ((0, "mismatched", MUTED), (1, "matched", X_COLOUR)):
        to_left = means[kind] > (low + high) / 2
        axes.annotate(
            f"{kind} {_plain(means[kind])}",
            (means[kind], 1),
            xycoords=("data", "axes fraction"),
            xytext=(-4 if to_left else 4, 4 + 15 * row),
            textcoords="offset points",
            ha="right" if to_left else "left",
            color=colour,
        )


def _plain(value: float) -> str:
    return f"{round(value, 2) + 0:.2f}".replace("-", "−")  # + 0 makes -0 a 0


def spectrum(summary: dict[str, Any]) -> Markup:
    """Draw which share of the gap its largest dimensions hold."""
    found = summary["spectrum"]
    dimensions = found["dimensions"]
    with house_style():
        figure, axes = canvas(460, 300, (60, 46, 14, 14))
        for space, colour, dashes in (("before", INK, (0, ())), ("after", "#7a4fa3", (0, (5, 2)))):
            if space in found:
                axes.plot(
                    dimensions, found[space], color=colour, linewidth=1.8, linestyle=dashes, label=space
                )
        axes.set_xscale("log")
        axes.set_xlim(1, max(dimensions[-1], 2))
        axes.set_ylim(0, 1.02)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.minorticks_off()
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.set_xlabel("dimensions, the largest of the gap first")
        axes.set_ylabel("share of the squared gap")
        if "after" in found:
            axes.legend(frameon=False, loc="lower right")
        half = {
            s: dimensions[int(np.argmax(np.asarray(found[s]) >= 0.5))]
            for s in ("before", "after")
            if s in found
        }
        told = "; ".join(
            f"{space}, {k} of {dimensions[-1]} dimensions hold half" for space, k in half.items()
        )
        return inline_svg(figure, name="spectrum", alt=f"Share of the gap by dimension: {told}.")
