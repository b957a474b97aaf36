"""A picture of each simulation: what was measured as marks, what theory predicts as lines."""

from collections.abc import Callable
from typing import Any

import numpy as np

from isthmus.measure.dimension import spectrum_dimension
from isthmus.report.drawing import (
    ACCENT,
    INK,
    MUTED,
    X_COLOUR,
    Y_COLOUR,
    house_style,
    inline_svg,
    panels,
    svg_file,
)
from isthmus.theory import Simulation

_PURPLE = "#cc79a7"
_ORDER = (X_COLOUR, Y_COLOUR, ACCENT, _PURPLE, MUTED, INK)  # of curves: also unlike in grey
_MARKS = "o^sDvP"
_SIZE, _MARGINS = (430, 330), (62, 46, 16, 30)


def draw_simulation(simulation: Simulation) -> Any:
    """Draw a simulation.

    Parameters
    ----------
    simulation : Simulation
        What one of :mod:`isthmus.theory` returns.

    Returns
    -------
    matplotlib.figure.Figure
        Colours that all eyes tell apart, with marks that differ too.

    Raises
    ------
    ValueError
        There is no picture of a simulation of this name.

    Examples
    --------
    >>> from isthmus.theory.cone import cone
    >>> figure = draw_simulation(cone(dim=16, n=50))
    >>> [axes.get_xlabel() for axes in figure.axes][-1]
    'share of dimensions that are constant'
    """
    if simulation.name not in _FIGURES:
        raise ValueError(f"no picture of {simulation.name!r}: expected one of {', '.join(_FIGURES)}")
    with house_style():
        return _FIGURES[simulation.name](simulation)


def simulation_svg(simulation: Simulation) -> str:
    """Return the text of an SVG file that shows a simulation.

    Examples
    --------
    >>> from isthmus.theory.cone import cone
    >>> simulation_svg(cone(dim=16, n=50))[:4]
    '<svg'
    """
    figure = draw_simulation(simulation)
    told = "; ".join(f"{line.name} {line.measured:.3g}" for line in simulation.lines[:8])
    with house_style():
        return svg_file(
            inline_svg(figure, name=simulation.name.replace("_", "-"), alt=f"{simulation.title}: {told}.")
        )


def _cone(simulation: Simulation) -> Any:
    """Draw Figure 14 from the side, and the mean cosine by the share of dimensions that are constant."""
    found = simulation.curves
    figure, (before, after, axes) = panels(3, size=(340, 310), margins=(66, 46, 14, 30))
    for panel, points, title in ((before, found["before"], "z free"), (after, found["after"], "z constant")):
        panel.plot(
            points[:, 0], points[:, 2], "o", color=X_COLOUR, markersize=3, alpha=0.5, markeredgewidth=0
        )
        panel.plot(0, 0, "+", color=INK)
        panel.set_xlim(-1.1, 1.1)
        panel.set_ylim(-1.1, 1.1)
        panel.set_xlabel("x, unit rows")
        panel.set_ylabel("z")
        panel.set_title(title, fontsize=12)
    for k, value in enumerate(found["constants"]):
        colour, mark = _ORDER[k % len(_ORDER)], _MARKS[k % len(_MARKS)]
        axes.plot(found["share"], found["predicted"][k], color=colour, linewidth=1.2)
        axes.plot(found["share"], found["measured"][k], mark, color=colour, markersize=5, label=f"{value:g}")
    axes.set_xlabel("share of dimensions that are constant")
    axes.set_ylabel("mean cosine of two rows")
    axes.legend(title="their value", frameon=False, fontsize=10, title_fontsize=10)
    axes.set_title("marks measured, lines predicted", fontsize=12)
    return figure


def _stable_region(simulation: Simulation) -> Any:
    """Draw Figure 5 as figures: the margin that is needed, and how far a row may lie from its own."""
    found = simulation.curves
    figure, (margins, angles) = panels(2, size=_SIZE, margins=_MARGINS)
    at = found["temperatures"]
    margins.fill_between(at, found["necessary"], found["sufficient"], color=MUTED, alpha=0.15, linewidth=0)
    margins.plot(at, found["sufficient"], "--", color=MUTED, label="enough for any negatives")
    margins.plot(at, found["lemma"], color=Y_COLOUR, label="enough by Lemma 2")
    margins.plot(at, found["found"], "o", color=X_COLOUR, markersize=5, label="needed, found on the loss")
    margins.plot(at, found["necessary"], ":", color=MUTED, label="needed with one negative")
    margins.set_ylabel("margin to the hardest negative, cosine")
    margins.set_yscale("log")
    angles.plot(at, found["widest"], "s-", color=ACCENT, markersize=5, label="widest direction")
    angles.plot(at, found["angle_predicted"], color=X_COLOUR, linewidth=1.2)
    angles.plot(
        at, found["angle"], "o", color=X_COLOUR, markersize=5, label="random direction (line: predicted)"
    )
    angles.plot(at, found["hardest"], "v-", color=Y_COLOUR, markersize=5, label="towards a negative")
    angles.set_ylabel("angle to its own at most, degrees")
    for axes in (margins, angles):
        axes.set_xscale("log")
        axes.set_xlabel("temperature")
        axes.legend(frameon=False, fontsize=10)
    _plain_ticks(margins.xaxis, margins.yaxis, angles.xaxis)
    return figure


def _initialization(simulation: Simulation) -> Any:
    """Draw Figure 4's left half: which dimensions vary before any training, and the gap over draws."""
    found = simulation.curves
    figure, (variances, gaps) = panels(2, size=_SIZE, margins=_MARGINS)
    _variances(variances, found["variance_x"], found["variance_y"])
    variances.set_title("variance before training", fontsize=12)
    for key, colour, mark, name in (
        ("gap", X_COLOUR, "o", "whole"),
        ("ineffective_gap", Y_COLOUR, "^", "over dimensions that do not vary"),
    ):
        line = simulation[key.replace("_", " ")]
        gaps.plot(np.arange(len(found[key])), found[key], mark, color=colour, markersize=5, label=name)
        if line.predicted is not None:
            gaps.axhline(line.predicted, color=colour, linewidth=1.2)
    gaps.set_ylim(0, None)
    gaps.locator_params(axis="x", integer=True)
    gaps.set_xlabel("draw (line: expected)")
    gaps.set_ylabel("distance of the means")
    gaps.legend(frameon=False, fontsize=10)
    return figure


def _optimization(simulation: Simulation) -> Any:
    """Draw Figure 4: variances before and after, and the gap along the way."""
    found = simulation.curves
    figure, (before, after, gaps) = panels(3, size=(340, 310), margins=(66, 46, 14, 30))
    for axes, when in ((before, "before"), (after, "after")):
        _variances(axes, found[f"variance_x_{when}"], found[f"variance_y_{when}"])
        axes.set_title(f"variance {when}", fontsize=12)
    gaps.plot(found["step"], found["gap"], color=X_COLOUR, label="gap")
    gaps.plot(
        found["step"], found["ineffective_gap"], "--", color=Y_COLOUR, label="over ineffective dimensions"
    )
    gaps.plot(found["step"], found["pair_cosine"], ":", color=ACCENT, linewidth=2, label="cosine of pairs")
    gaps.set_ylim(min(0.0, *found["pair_cosine"]) * 1.1, None)
    gaps.locator_params(axis="x", nbins=4)
    gaps.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    gaps.set_xlabel("step")
    gaps.legend(frameon=False, fontsize=10)
    return figure


def _variances(axes: Any, x: np.ndarray, y: np.ndarray) -> None:
    """Draw the variance of each dimension of both modalities, in thousandths."""
    for values, colour, dashes, name in ((x, X_COLOUR, "-", "image"), (y, Y_COLOUR, "--", "text")):
        axes.plot(1000 * values, dashes, color=colour, linewidth=1.2, label=name)
    axes.set_xlabel("dimension")
    axes.set_ylabel("variance, thousandths")
    axes.legend(frameon=False, fontsize=10)


def _depth(simulation: Simulation) -> Any:
    """Draw Figure 13 as curves: effective dimension and mean cosine against depth, by kind of network."""
    found = simulation.curves
    figure, (dimensions, cosines) = panels(2, size=_SIZE, margins=_MARGINS)
    stacks = [name.removesuffix("_cosine_before") for name in found if name.endswith("_cosine_before")]
    for k, stack in enumerate(stacks):
        colour, mark = _ORDER[k], _MARKS[k]
        for axes, key in ((dimensions, f"{stack}_dimension_before"), (cosines, f"{stack}_cosine_before")):
            axes.plot(found["layers"], found[key], mark, color=colour, markersize=5, label=stack)
            if f"{key}_predicted" in found:
                axes.plot(found["layers"], found[f"{key}_predicted"], color=colour, linewidth=1.2)
    for axes, name in ((dimensions, "effective dimension"), (cosines, "mean cosine of two rows")):
        axes.set_ylim(0, None)
        axes.set_xlabel("layers")
        axes.set_ylabel(name)
    cosines.legend(frameon=False, fontsize=10)
    cosines.set_title("marks measured, lines predicted", fontsize=12)
    return figure


def _random_clip(simulation: Simulation) -> Any:
    """Draw Figure 3: the singular values of the covariances of images and captions."""
    found = simulation.curves
    figure, (axes,) = panels(1, size=(520, 320), margins=(74, 46, 16, 14))
    for name, key, colour, dashes in (
        ("images", "spectrum_x", X_COLOUR, "-"),
        ("a caption each", "spectrum_y", Y_COLOUR, "--"),
        ("all captions", "spectrum_captions", INK, ":"),
    ):
        shares = found[key][found[key] > 1e-9]
        place = spectrum_dimension(shares)
        label = f"{name}: {place} dimensions hold 99%"
        axes.plot(np.arange(1, len(shares) + 1), shares, dashes, color=colour, linewidth=1.5, label=label)
        axes.plot(place, shares[place - 1], "o", color=colour, markersize=6)
    axes.set_yscale("log")
    _plain_ticks(axes.yaxis)
    axes.set_xlabel("singular value of the covariance, the largest first")
    axes.set_ylabel("share of the variance")
    axes.legend(frameon=False, fontsize=10)
    return figure


def _gap_shift(simulation: Simulation) -> Any:
    """Draw loss and recall against the gap that is left, a curve per temperature."""
    found = simulation.curves
    figure, (losses, recalls) = panels(2, size=_SIZE, margins=_MARGINS)
    order = np.argsort(found["gap"])
    at = found["gap"][order]
    for k, temperature in enumerate(found["temperatures"]):
        colour, mark = _ORDER[k % len(_ORDER)], _MARKS[k % len(_MARKS)]
        rise = found["loss"][k] - found["loss"][k].min()
        losses.plot(
            at, rise[order], f"{mark}-", color=colour, markersize=4, linewidth=1, label=f"{temperature:g}"
        )
    losses.set_ylabel("loss above its least, nats")
    losses.set_yscale("symlog", linthresh=0.01)
    losses.set_ylim(0, None)
    losses.set_xlim(at.min() - 0.35 * np.ptp(at), None)
    losses.legend(title="temperature", frameon=False, fontsize=10, title_fontsize=10, loc="center left")
    for values, colour, mark, name in ((found["recall"][0], X_COLOUR, "o", "image to text"),
                                       (found["recall"][1], Y_COLOUR, "^", "text to image")):  # fmt: skip
        recalls.plot(at, values[order], f"{mark}-", color=colour, markersize=4, linewidth=1, label=name)
    recalls.set_ylim(0, None)
    recalls.set_ylabel("R@1")
    recalls.legend(frameon=False, fontsize=10)
    as_is = float(found["gap"][np.argmin(np.abs(found["shifts"]))])
    for axes in (losses, recalls):
        axes.axvline(as_is, color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
        axes.set_xlabel("signed gap after the shift (dotted: as it is)")
    _plain_ticks(losses.yaxis)
    return figure


def _plain_ticks(*logarithmic: Any) -> None:
    """Write 0.01 where matplotlib would write a power of ten."""
    for axis in logarithmic:
        axis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set_minor_formatter(lambda *_: "")


_FIGURES: dict[str, Callable[[Simulation], Any]] = {
    "cone": _cone,
    "dimensional_collapse": _depth,
    "gap_shift": _gap_shift,
    "initialization": _initialization,
    "optimization": _optimization,
    "random_clip": _random_clip,
    "stable_region": _stable_region,
}
PICTURED = frozenset(_FIGURES)  # names of the simulations that have a picture
