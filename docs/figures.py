"""Draw what the pages show: ``python docs/figures.py [NAME ...]`` writes docs/figures/."""

import sys
from collections.abc import Callable
from pathlib import Path

from isthmus.evaluate import Protocol, compare
from isthmus.measure import geometry
from isthmus.report import summarize
from isthmus.report.drawing import house_style, inline_svg, svg_file
from isthmus.report.front import front
from isthmus.report.geometry_figures import draw_geometry
from isthmus.report.pictures import clouds, histograms
from isthmus.report.simulation_figures import simulation_svg
from isthmus.theory import (
    OptimizationConfig,
    cone,
    dimensional_collapse,
    gap_shift,
    initialization,
    optimization,
    sample,
    stable_region,
)

OUT = Path(__file__).parent / "figures"


def report() -> dict[str, str]:
    """Draw a report's pictures, of pairs simulated with CLIP's constants."""
    x, y, _ = sample(1000)
    comparison = compare(x, y, protocol=Protocol(folds=3, keep_recall=0.95))
    summary = summarize(comparison, aligner="shared", names=("image", "text"))
    drawn = {f"clouds-{space}": svg_file(svg) for space, svg in clouds(summary).items()}
    drawn |= {f"cosines-{space}": svg_file(svg) for space, svg in histograms(summary).items()}
    return drawn | {"front": svg_file(front(summary, width=760))}


def shape() -> dict[str, str]:
    """Draw the statistics of the geometry of such pairs."""
    figure = draw_geometry(geometry(*sample(5000)[:2]).to_dict(), names=("image", "text"))
    alt = "Gap length and direction, orthogonality, noise and cones of simulated pairs as histograms."
    with house_style():
        return {"geometry": svg_file(inline_svg(figure, name="geometry", alt=alt))}


DRAWN: dict[str, Callable[[], dict[str, str]]] = {
    "report": report,
    "geometry": shape,
    "initialization": lambda: {"initialization": simulation_svg(initialization())},
    "optimization": lambda: {"optimization": simulation_svg(optimization(OptimizationConfig().coarser(100)))},
    "depth": lambda: {"depth": simulation_svg(dimensional_collapse(stack="all", repeats=1))},
    "cone": lambda: {"cone": simulation_svg(cone())},
    "gap-shift": lambda: {"gap-shift": simulation_svg(gap_shift())},
    "stable-region": lambda: {"stable-region": simulation_svg(stable_region())},
}


def main() -> None:
    """Write the pictures, or those that are named."""
    OUT.mkdir(exist_ok=True)
    for name in sys.argv[1:] or DRAWN:
        for file, svg in DRAWN[name]().items():
            (OUT / f"{file}.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
