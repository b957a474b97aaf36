"""The page: one HTML file that needs nothing beside itself."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from isthmus.evaluate import Comparison
from isthmus.report.definitions import DEFINITIONS, label_of
from isthmus.report.front import front
from isthmus.report.pictures import clouds, histograms, spectrum
from isthmus.report.summary import Pictures, summarize
from isthmus.whole import write_whole


def render(summary: dict[str, Any]) -> str:
    """Render a summary as one self-contained HTML page: no script, and nothing fetched.

    Parameters
    ----------
    summary : dict
        From :func:`isthmus.report.summarize`, also after a way through JSON.

    Returns
    -------
    str
        HTML; equal summaries give equal text.

    Examples
    --------
    >>> from isthmus.evaluate import compare
    >>> from isthmus.theory import sample
    >>> html = render(summarize(compare(*sample(200)[:2], aligners=["collapse"])))
    >>> html[:15], "<script" in html
    ('<!doctype html>', False)
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"figure": _figure, "delta": _delta, "percent": _percent}
    template = environment.from_string(files("isthmus.report").joinpath("report.html.j2").read_text("utf-8"))
    x, y = summary["names"]
    pictures = {
        "clouds": clouds(summary),
        "cosines": histograms(summary),
        "spectrum": spectrum(summary),
        "front": {"wide": front(summary, width=940), "narrow": front(summary, width=400)},
    }
    definitions = [
        {"labels": [label_of(d, key, (x, y)) for key in d.keys], "meaning": d.meaning, "source": d.source}
        for d in DEFINITIONS
    ]
    spaces = [space for space in ("before", "after") if space in summary["clouds"]]
    return template.render(**summary, pictures=pictures, definitions=definitions, spaces=spaces)


def write_report(
    comparison: Comparison,
    path: str | Path,
    *,
    aligner: str | None = None,
    names: Sequence[str] = ("x", "y"),
    labels: Sequence[str] | None = None,
    aligner_path: str | None = None,
    pictures: Pictures | None = None,  # a seventh parameter: all of them are about what the page shows
) -> None:
    """Write the report on an aligner as one HTML file.

    Parameters
    ----------
    comparison : Comparison
        From :func:`isthmus.evaluate.compare`.
    path : str or Path
        Written under a temporary name, then renamed.
    aligner : str, optional
        Which of its aligners the report is on; by default the best.
    names : sequence of two str, default=("x", "y")
        What to call the modalities.
    labels : sequence of str, optional
        Text for each row of the input, such as its caption.
    aligner_path : str, optional
        File of the fitted aligner, for the instructions on how to apply it.
    pictures : callable, optional
        From a list of rows of x to PNG files of some of them, by row: shown where captions search.

    Raises
    ------
    ValueError
        The comparison has no such aligner, or `names` or `labels` do not fit it.

    Examples
    --------
    >>> import tempfile
    >>> from isthmus.evaluate import compare
    >>> from isthmus.theory import sample
    >>> path = Path(tempfile.mkdtemp()) / "report.html"
    >>> write_report(compare(*sample(200)[:2], aligners=["collapse"]), path)
    >>> path.stat().st_size < 2_000_000
    True
    """
    summary = summarize(
        comparison,
        aligner=aligner,
        names=names,
        labels=labels,
        aligner_path=aligner_path,
        pictures=pictures,
    )
    write_whole(path, render(summary).encode())


def _figure(value: float, form: str = "number") -> str:
    """Format a figure: three decimals, a share in percent, or a rank."""
    if form == "percent":
        return f"{100 * value:.1f}%"
    text = f"{value:.0f}" if form == "rank" else f"{value:.3f}"
    return text.replace("-", "−") if text.strip("-0.") else text.lstrip("-")


def _delta(change: dict[str, Any]) -> str:
    difference = change["after"]["value"] - change["before"]["value"]
    text = _figure(difference, change["form"])
    if not text.strip("-0.%"):
        return "no change" if difference == 0 else text.lstrip("-")
    return text.replace("-", "−") if difference < 0 else f"+{text}"


def _percent(value: float) -> str:
    return f"{100 * value:.4g}%"
