"""Draw what README and the pages show: ``python docs/figures.py [NAME ...]``, all by default."""

import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from isthmus.align import SharedSpace
from isthmus.align.calibration import MatchCalibrator
from isthmus.encoders import open_encoder
from isthmus.evaluate import CLOSED_FORM, Protocol, compare
from isthmus.evaluate.reliability import held_out_reliability
from isthmus.measure import geometry
from isthmus.report import summarize
from isthmus.report.drawing import house_style, inline_svg, svg_file
from isthmus.report.front import front
from isthmus.report.geometry_figures import draw_geometry, draw_spectra
from isthmus.report.pictures import clouds, histograms
from isthmus.report.reliability import reliability_picture
from isthmus.report.simulation_figures import simulation_svg
from isthmus.sources import open_source
from isthmus.store import EmbeddingOptions, embed, open_pairs
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
from isthmus.theory.depth_clip import random_clip

OUT = Path(__file__).parent / "figures"


@cache
def world_pairs() -> tuple[Any, Any, Any]:
    """Embed pictures and captions of the world that its encoder has not seen: images, texts and items."""
    with TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        options = EmbeddingOptions(modalities=("image", "text"))
        embed(open_source("world:1000", split="test"), open_encoder("world"), store, options=options)
        pairs = open_pairs(str(store))
        return pairs.x[:], pairs.y[:], pairs.groups


@cache
def summary() -> dict[str, Any]:
    """Compare aligners on the world."""
    x, y, groups = world_pairs()
    protocol = Protocol(folds=3, keep_recall=0.85)
    comparison = compare(x, y, groups=groups, aligners=CLOSED_FORM, protocol=protocol)
    return summarize(comparison, aligner="shared", names=("image", "text"))


def gap() -> dict[str, str]:
    """Draw the README's picture: both modalities before and after, and every aligner's gap and retrieval."""
    drawn = clouds(summary())
    panels = {
        "before: two cones": drawn["before"],
        "after SharedSpace": drawn["after"],
        "what each aligner closes, and what it keeps": front(summary(), width=760),
    }
    out, left = [], 10
    for title, svg in ((title, str(svg)) for title, svg in panels.items()):
        box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
        assert box is not None
        width, height = (float(size) for size in box.groups())
        scaled = width * 300 / height
        svg = svg.replace("<svg ", f'<svg x="{left}" y="34" width="{scaled:.0f}" height="300" ', 1)
        out += [f'<text x="{left + 14}" y="22" font-size="15" font-weight="bold">{title}</text>', svg]
        left += round(scaled) + 10
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left} 344" font-family="sans-serif">'
    return {"../gap": "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *out, "</svg>\n"])}


def report() -> dict[str, str]:
    """Draw a report's pictures."""
    drawn = {f"clouds-{space}": svg_file(svg) for space, svg in clouds(summary()).items()}
    drawn |= {f"cosines-{space}": svg_file(svg) for space, svg in histograms(summary()).items()}
    return drawn | {"front": svg_file(front(summary(), width=760))}


def shape() -> dict[str, str]:
    """Draw the statistics of the geometry of such pairs, and how many directions they use."""
    found = geometry(*sample(5000)[:2]).to_dict()
    drawn = {
        "geometry": (
            draw_geometry(found, names=("image", "text")),
            "Gap length and direction, orthogonality, noise and cones of simulated pairs as histograms.",
        ),
        "spectra": (
            draw_spectra(found, names=("image", "text")),
            "Singular values of the covariances of simulated images, texts and their differences.",
        ),
    }
    with house_style():
        return {
            name: svg_file(inline_svg(figure, name=name, alt=alt)) for name, (figure, alt) in drawn.items()
        }


def untrained() -> dict[str, str]:
    """Draw the spectra of a CLIP that was never trained, on scenes of the world."""
    found = random_clip(open_source("world:200"), patch=32)
    return {"random-clip": simulation_svg(found)}


def reliability() -> dict[str, str]:
    """Draw how often pairs of the world match, against their cosine and their calibrated probability."""
    x, y, groups = world_pairs()
    aligner = SharedSpace(keep_recall=0.85).fit(x, y, groups=groups)
    found = held_out_reliability(
        x, y, calibrator=MatchCalibrator(), groups=groups, aligner=("shared", aligner)
    )
    return {"reliability": svg_file(reliability_picture(found))}


DRAWN: dict[str, Callable[[], dict[str, str]]] = {
    "gap": gap,
    "report": report,
    "geometry": shape,
    "random-clip": untrained,
    "reliability": reliability,
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
