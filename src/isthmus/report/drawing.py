"""Pictures as inline SVG: one style, the same bytes for the same numbers, and no trace of the machine."""

import io
import re
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, RULE = "#22272e", "#5c6570", "#c9ced6"
X_COLOUR, Y_COLOUR = "#0072b2", "#d55e00"  # Okabe and Ito's blue and vermilion, told apart by all eyes
ACCENT = "#0b6e69"
_AT_NIGHT = {
    INK: "#e6e8eb",
    MUTED: "#a9b1bb",
    RULE: "#4a525c",
    X_COLOUR: "#56b4e9",
    Y_COLOUR: "#f08a3c",
    ACCENT: "#4fc1b9",
}

_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "isthmus",
    "svg.fonttype": "none",  # text stays text, set in the page's own font
    "text.parse_math": False,  # a name may hold a dollar
    "font.size": 12,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 1,
    "hatch.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
}


@contextmanager
def house_style() -> Generator[None]:
    """Draw in the page's style, whatever the user's own settings are, and leave those as they were."""
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        # The browser sets the text: that the font used for measuring it lacks a letter is no matter.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def canvas(width: int, height: int, margins: tuple[int, int, int, int]) -> tuple["Figure", "Axes"]:
    """Return a figure of so many CSS pixels and its axes, `margins` left, bottom, right and top of them."""
    from matplotlib.figure import Figure

    left, bottom, right, top = margins
    figure = Figure(figsize=(width / 72, height / 72), dpi=72)
    figure.patch.set_visible(False)
    box = (left / width, bottom / height, (width - left - right) / width, (height - bottom - top) / height)
    return figure, figure.add_axes(box, facecolor="none")


def panels(
    count: int, *, size: tuple[int, int], margins: tuple[int, int, int, int], columns: int | None = None
) -> tuple["Figure", list["Axes"]]:
    """Return a figure of panels, row by row, each of `size` CSS pixels, with `margins` as of `canvas`."""
    from matplotlib.figure import Figure

    columns = columns or count
    rows = -(-count // columns)
    (width, height), (left, bottom, right, top) = size, margins
    whole = columns * width, rows * height
    figure = Figure(figsize=(whole[0] / 72, whole[1] / 72), dpi=72)
    figure.patch.set_visible(False)
    room = (width - left - right) / whole[0], (height - bottom - top) / whole[1]
    axes = []
    for k in range(count):
        row, column = divmod(k, columns)
        corner = (column * width + left) / whole[0], ((rows - 1 - row) * height + bottom) / whole[1]
        axes.append(figure.add_axes((*corner, *room), facecolor="none"))
    return figure, axes


def inline_svg(figure: "Figure", *, name: str, alt: str) -> Markup:
    """Return a figure as an SVG element: ids begin with `name`, which must differ within a page.

    Examples
    --------
    >>> with house_style():
    ...     svg = inline_svg(canvas(100, 80, (20, 20, 5, 5))[0], name="empty", alt="Nothing < all")
    >>> print(svg.split(" viewBox")[0])
    <svg class="picture" role="img" aria-label="Nothing &lt; all"
    """
    buffer = io.StringIO()
    nothing: dict[str, Any] = {"Date": None, "Creator": None, "Format": None, "Type": None}
    figure.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue()
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text[text.index("<svg ") :], flags=re.DOTALL)
    size = re.search(r'viewBox="[^"]*"', text)
    assert size is not None
    body = text[text.index(">") + 1 :]
    for before in (' id="', 'xlink:href="#', "url(#"):
        body = body.replace(before, f"{before}{name}-")
    head = f'<svg class="picture" role="img" aria-label="{escape(alt)}" {size[0]}'
    return Markup(f'{head} xmlns:xlink="http://www.w3.org/1999/xlink">{body}')


def svg_file(svg: str) -> str:
    """Return what `inline_svg` gives as the text of a file, whose inks turn light where a page is dark.

    Examples
    --------
    >>> with house_style():
    ...     svg = svg_file(inline_svg(canvas(100, 80, (20, 20, 5, 5))[0], name="empty", alt="Nothing"))
    >>> svg[:39], "prefers-color-scheme: dark" in svg
    ('<svg xmlns="http://www.w3.org/2000/svg"', True)
    """
    style = f"<style>@media (prefers-color-scheme: dark) {{ {night_rules()} }}</style>"
    head, rest = str(svg).split(">", 1)
    head = head.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" ', 1)
    return f"{head}>{style}{rest}\n"


def night_rules() -> str:
    """Return the CSS that turns the inks of pictures light, for where a page is dark."""
    return " ".join(
        f'[style*="{what}: {day}"] {{ {what}: {night} !important }}'
        for day, night in _AT_NIGHT.items()
        for what in ("fill", "stroke")
    )
