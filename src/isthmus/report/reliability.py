"""The picture of a calibration: how often pairs match, against how often they are said to."""

from typing import Any

from markupsafe import Markup

from isthmus.evaluate.reliability import Reading, Reliability
from isthmus.report.drawing import MUTED, RULE, X_COLOUR, Y_COLOUR, house_style, inline_svg, panels

_SIZE = (380, 380)
_MARGINS = (58, 48, 14, 34)
_STYLES = ((X_COLOUR, "o"), (Y_COLOUR, "^"))
_LARGEST = 9.0  # marker of a bin that holds everything
_LEAST = 0.005  # of the weight that a bin must hold to be drawn: fewer pairs say nothing


def reliability_picture(found: Reliability, *, name: str = "reliability") -> Markup:
    """Draw cosines read as probabilities, and calibrated ones, against the share that matches.

    Bins that hold less than 0.5% of the pairs, as the prior weighs them, are left out.

    Parameters
    ----------
    found : Reliability
        Of :func:`isthmus.evaluate.reliability.held_out_reliability`.
    name : str, default="reliability"
        What ids in the picture begin with.

    Returns
    -------
    Markup
        An SVG element.

    Examples
    --------
    >>> import numpy as np
    >>> from isthmus.align.calibration import MatchCalibrator
    >>> from isthmus.evaluate.reliability import held_out_reliability
    >>> image, noise = np.random.default_rng(0).normal(size=(2, 40, 16))
    >>> found = held_out_reliability(image, image + noise, calibrator=MatchCalibrator())
    >>> print(reliability_picture(found).partition(" aria")[0])
    <svg class="picture" role="img"
    """
    spaces = [key.removesuffix(", calibrated") for key in found.readings if key.endswith(", calibrated")]
    before = {space: found.readings[f"{space} cosine"] for space in spaces}
    after = {space: _calibrated(found, space) for space in spaces}
    with house_style():
        figure, axes = panels(2, size=_SIZE, margins=_MARGINS)
        for panel, readings, title in (
            (axes[0], before, "cosine, read as a probability"),
            (axes[1], after, "calibrated"),
        ):
            _draw(panel, readings)
            panel.set_title(title, color=MUTED, fontsize=12, loc="left", pad=12)
            panel.set_xlabel(f"said to match, at a prior of {found.prior:g}")
        axes[0].set_ylabel("do match")
        axes[0].legend(frameon=False, loc="upper left", bbox_to_anchor=(0.0, 1.0))
        told = "; ".join(
            f"{space}, expected calibration error {_ece(before[space])} before and {_ece(after[space])} after"
            for space in spaces
        )
        alt = f"Share of held-out pairs that match, against the probability that they are given: {told}."
        return inline_svg(figure, name=name, alt=alt)


def _calibrated(found: Reliability, space: str) -> Reading:
    plain = found.readings[f"{space}, calibrated"]
    return found.readings.get(f"{space}, calibrated per query", plain)


def _ece(reading: Reading) -> str:
    return f"{reading.figures['ece'].value:.3f}"


def _draw(axes: Any, readings: dict[str, Reading]) -> None:
    """Draw the bins of each reading: where they lie, their intervals, and, by size, what they hold."""
    axes.plot([0, 1], [0, 1], color=RULE, linewidth=1, linestyle=(0, (3, 3)), zorder=1)
    for (space, reading), (colour, marker) in zip(readings.items(), _STYLES, strict=False):
        held = [k for k, share in enumerate(reading.bins["share"]) if share >= _LEAST]
        bins = {name: [values[k] for k in held] for name, values in reading.bins.items()}
        axes.plot(bins["predicted"], bins["observed"], color=colour, linewidth=1.2, alpha=0.7, zorder=2)
        for at, low, high in zip(bins["predicted"], bins["low"], bins["high"], strict=True):
            axes.plot([at, at], [low, high], color=colour, linewidth=1, zorder=2)
        for at, observed, share in zip(bins["predicted"], bins["observed"], bins["share"], strict=True):
            size = 3 + (_LARGEST - 3) * share**0.5
            axes.plot(at, observed, marker, color=colour, markersize=size, markeredgewidth=0, zorder=3)
        axes.plot([], [], marker=marker, color=colour, linewidth=1.2, markersize=6, label=space)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks([0, 0.25, 0.5, 0.75, 1])
        axis.set_major_formatter(lambda value, _: f"{value:g}")
