"""Pictures of a geometry: the statistics of Table 1 as histograms, and the spectra."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from isthmus.report.drawing import INK, MUTED, X_COLOUR, Y_COLOUR, house_style, panels

_SIZE, _MARGINS = (330, 250), (54, 44, 14, 26)


def draw_geometry(found: Mapping[str, Any], *, names: tuple[str, str] = ("x", "y")) -> Any:
    """Draw Figures 8 and 9 of C3: gap length, direction and orthogonality, noise, cones.

    Parameters
    ----------
    found : mapping
        :meth:`isthmus.measure.GeometrySummary.to_dict`, also after a way through JSON.
    names : tuple of str
        Of the two modalities.

    Returns
    -------
    matplotlib.figure.Figure
        Six panels. Outlines in grey are normal densities with the mean and the standard deviation that
        isotropic noise and spans would give.

    Examples
    --------
    >>> from isthmus.measure import geometry
    >>> from isthmus.theory import sample
    >>> figure = draw_geometry(geometry(*sample(400)[:2]).to_dict())
    >>> len(figure.axes)
    6
    """
    with house_style():
        figure, axes = panels(6, size=_SIZE, margins=_MARGINS, columns=3)
        shown = (
            ("length of the gap, by group", {"": "gap_length"}),
            ("cosine of two groups' gaps", {"": "direction"}),
            (
                "cosine of gap and differences",
                dict(zip(names, ("orthogonality_x", "orthogonality_y"), strict=True)),
            ),
            ("cosine of two residuals", {"": "residual_cosine"}),
            ("std of the noise, by dimension", {"": "residual_std"}),
            ("cosine of two rows", dict(zip(names, ("cone_x", "cone_y"), strict=True))),
        )
        for panel, (title, keys) in zip(axes, shown, strict=True):
            _histograms(panel, {name: found[key] for name, key in keys.items()})
            panel.set_title(title, fontsize=12)
        for left in axes[::3]:
            left.set_ylabel("density")
    return figure


def _histograms(axes: Any, distributions: Mapping[str, Mapping[str, Any]]) -> None:
    """Draw one distribution or two, and in grey what isotropic noise would give."""
    for (name, one), colour, dashes in zip(
        distributions.items(), (X_COLOUR, Y_COLOUR), ("-", "--"), strict=False
    ):
        edges, counts = np.asarray(one["edges"]), np.asarray(one["counts"], dtype=float)
        joined = max(
            1, len(counts) // max(8, min(40, int(np.sqrt(one["count"]) * 2)))
        )  # few values, wide bins
        bins, width = -(-len(counts) // joined), edges[1] - edges[0]  # the last one may be empty in part
        counts = np.pad(counts, (0, bins * joined - len(counts))).reshape(bins, joined).sum(axis=1)
        edges = edges[0] + width * joined * np.arange(bins + 1)
        density = counts / max(one["count"], 1) / np.diff(edges)
        axes.stairs(density, edges, fill=True, facecolor=colour, alpha=0.18, edgecolor="none")
        axes.stairs(density, edges, color=colour, linewidth=1.4, linestyle=dashes, label=name or None)
        _normal(axes, one["isotropic_mean"], one["isotropic_std"], edges)
    if len(distributions) > 1:
        axes.legend(frameon=False, fontsize=10)
    axes.set_ylim(0, None)
    axes.locator_params(axis="x", nbins=5)


def _normal(axes: Any, mean: float | None, std: float | None, edges: np.ndarray) -> None:
    if mean is None or not std:
        return
    at = np.linspace(min(edges[0], mean - 4 * std), max(edges[-1], mean + 4 * std), 200)
    density = np.exp(-0.5 * ((at - mean) / std) ** 2) / std / np.sqrt(2 * np.pi)
    axes.plot(at, density, color=MUTED, linewidth=1, linestyle=(0, (2, 2)))


def draw_spectra(found: Mapping[str, Any], *, names: tuple[str, str] = ("x", "y")) -> Any:
    """Draw Figures 3 and 12 of C3: the singular values of each modality's covariance, and of the noise's.

    Parameters
    ----------
    found : mapping
        As for `draw_geometry`.
    names : tuple of str
        Of the two modalities.

    Returns
    -------
    matplotlib.figure.Figure
        Shares of the variance on a logarithmic scale; a mark stands where 99% is reached.

    Examples
    --------
    >>> from isthmus.measure import geometry
    >>> from isthmus.theory import sample
    >>> figure = draw_spectra(geometry(*sample(400)[:2]).to_dict())
    >>> len(figure.axes)
    1
    """
    with house_style():
        figure, (axes,) = panels(1, size=(520, 320), margins=(74, 46, 16, 14))
        for name, key, colour, dashes in (
            (names[0], "spectrum_x", X_COLOUR, "-"),
            (names[1], "spectrum_y", Y_COLOUR, "--"),
            ("noise", "spectrum_noise", INK, ":"),
        ):
            one = found[key]
            shares = np.asarray(one["shares"])
            shares = shares[shares > 1e-12]
            place = min(one["effective_dimension"], len(shares))
            label = f"{name}: {one['effective_dimension']} dimensions hold 99%"
            axes.plot(np.arange(1, len(shares) + 1), shares, dashes, color=colour, linewidth=1.5, label=label)
            axes.plot(place, shares[place - 1], "o", color=colour, markersize=6)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.2%}" if value >= 1e-4 else f"{value:.0e}")
        axes.set_xlabel("singular value of the covariance, the largest first")
        axes.set_ylabel("share of the variance")
        axes.legend(frameon=False, fontsize=10)
    return figure
