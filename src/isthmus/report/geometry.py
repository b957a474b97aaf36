"""The page on a geometry: one HTML file that needs nothing beside itself."""

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from isthmus.measure import GeometrySummary
from isthmus.measure.geometry_table import LABELS
from isthmus.report.drawing import house_style, inline_svg, night_rules
from isthmus.report.geometry_figures import draw_geometry, draw_spectra
from isthmus.whole import write_whole


def render_geometry(found: Mapping[str, Any], *, names: tuple[str, str] = ("x", "y")) -> str:
    """Render a geometry as one self-contained HTML page: no script, and nothing fetched.

    Parameters
    ----------
    found : mapping
        :meth:`isthmus.measure.GeometrySummary.to_dict`, also after a way through JSON.
    names : tuple of str, default=("x", "y")
        What to call the modalities.

    Returns
    -------
    str
        HTML; equal figures give equal text.

    Examples
    --------
    >>> from isthmus.measure import geometry
    >>> from isthmus.theory import sample
    >>> html = render_geometry(geometry(*sample(400)[:2]).to_dict(), names=("image", "text"))
    >>> html[:15], "span of image" in html, "<script" in html
    ('<!doctype html>', True, False)
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(
        files("isthmus.report").joinpath("geometry.html.j2").read_text("utf-8")
    )
    with house_style():
        histograms = inline_svg(
            draw_geometry(found, names=names), name="geometry", alt="The statistics of Table 1 as histograms."
        )
        spectra = inline_svg(
            draw_spectra(found, names=names), name="spectra", alt="Singular values of both modalities."
        )
    return template.render(
        x=names[0],
        y=names[1],
        found=found,
        histograms=histograms,
        spectra=spectra,
        rows=[_row(found[key], _named(label, names)) for key, (label, _) in LABELS.items() if found[key]],
        named=lambda text: _named(text, names),
        night=night_rules(),
    )


def write_geometry_report(
    found: GeometrySummary, path: str | Path, *, names: tuple[str, str] = ("x", "y")
) -> None:
    """Write the page on a geometry.

    Parameters
    ----------
    found : GeometrySummary
        From :func:`isthmus.measure.geometry`.
    path : str or Path
        Written under a temporary name, then renamed.
    names : tuple of str, default=("x", "y")
        What to call the modalities.

    Examples
    --------
    >>> import tempfile
    >>> from isthmus.measure import geometry
    >>> from isthmus.theory import sample
    >>> path = Path(tempfile.mkdtemp()) / "geometry.html"
    >>> write_geometry_report(geometry(*sample(400)[:2]), path)
    >>> path.stat().st_size < 1_000_000
    True
    """
    write_whole(path, render_geometry(found.to_dict(), names=names).encode())


def _named(text: str, names: tuple[str, str]) -> str:
    """Call x and y by their names."""
    return re.sub(r"\b[xy]\b", lambda found: names["xy".index(found[0])], text)


def _row(one: Mapping[str, Any], label: str) -> dict[str, str]:
    if "value" in one:  # a single value
        interval = "" if one["low"] is None else f"{one['low']:z.4f} to {one['high']:z.4f}"
        value, std, paper, isotropic = one["value"], "", "", _short(one["isotropic"])
    else:
        paper = "" if one["paper_mean"] is None else f"{one['paper_mean']:.2f} ± {one['paper_std']:.2f}"
        interval, value, std = "", one["mean"], _short(one["std"])
        isotropic = f"{_short(one['isotropic_mean'])} ± {_short(one['isotropic_std'])}"
    return {
        "label": label,
        "value": _short(value),
        "std": std,
        "interval": interval,
        "isotropic": isotropic,
        "paper": paper,
    }


def _short(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:z.4f}".replace("-", "−") if value == 0 or abs(value) >= 5e-5 else f"{value:.0e}"
