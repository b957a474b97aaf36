"""Does closing the gap make arithmetic work? Scenes with something changed, whose right answer is known.

    python recipes/arithmetic.py [--quick] --out FOLDER
    python recipes/arithmetic.py --relations LIST.jsonl [--aligner FILE] --encoder ENCODER --out FOLDER

The claim of the Non-Linear Aligner paper, section 3.3. Fits every aligner on scenes of the world, asks each
for scenes with something changed, and looks where expressions of held-out pairs lead, on the world and,
where $ISTHMUS_REALDATA has them, on CLIP's embeddings of Flickr8k and MS-COCO. Takes some six minutes on one
core, --quick one. Writes arithmetic.json, arithmetic.md and arithmetic.svg; of relations relations.json.
"""

import argparse
import csv
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from isthmus.align import ALIGNERS, PairedAligner, load_aligner
from isthmus.align.files import read_provenance
from isthmus.align.provenance import FittedOn
from isthmus.encoders import Encoder, open_encoder
from isthmus.evaluate.arithmetic import (
    ArithmeticOptions,
    ArithmeticResult,
    PairArithmetic,
    arithmetic_benchmark,
    fit_aligners,
    pair_arithmetic,
    read_relations,
    score_relations,
)
from isthmus.evaluate.arithmetic.fitting import embed_scenes
from isthmus.evaluate.arithmetic.pairs import POINTS
from isthmus.evaluate.arithmetic.tables import SHOWN, Sheet, sheets
from isthmus.evaluate.arithmetic.weighing import is_weight, weight_of
from isthmus.report.drawing import (
    ACCENT,
    INK,
    MUTED,
    X_COLOUR,
    Y_COLOUR,
    canvas,
    house_style,
    inline_svg,
    svg_file,
)
from isthmus.sources.world import captions, draw_scene
from isthmus.sources.world.source import DETAIL, SPLITS

_REALDATA = Path(__file__).resolve().parents[1].parent / "shared" / "realdata"
_LEAVE = "nonlinear"  # slow to fit: only once where there is time
_HELD_OUT = {
    False: 1000,
    True: 400,
}  # pairs of the world that expressions are made of, by whether it is quick
_COLOURS = (INK, X_COLOUR, "#cc79a7", Y_COLOUR, ACCENT, MUTED, "#e69f00", "#56b4e9")


def main() -> None:
    """Fit, ask, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--quick", action="store_true", help="fewer queries, and no nonlinear aligner")
    parser.add_argument("--encoder", default="world", help="of the benchmark, or of relations")
    parser.add_argument("--relations", type=Path, help="only score this list of relations")
    parser.add_argument("--aligner", type=Path, help="of relations: goes over their embeddings first")
    arguments = parser.parse_args()
    if arguments.aligner is not None and arguments.relations is None:
        _refuse("--aligner does not apply: it is of --relations")
    try:
        encoder = open_encoder(arguments.encoder)
        arguments.out.mkdir(parents=True, exist_ok=True)
        if arguments.relations is not None:
            _relations(encoder, arguments.relations, arguments.aligner, arguments.out)
            return
    except (ValueError, OSError, ImportError) as error:
        _refuse(str(error))
    start = time.monotonic()
    options = ArithmeticOptions.quick() if arguments.quick else ArithmeticOptions()
    names = [name for name in ALIGNERS if not (arguments.quick and name == _LEAVE)]
    aligners = fit_aligners(
        encoder, names, modalities=options.modalities, pairs=1000 if arguments.quick else 4000, progress=_say
    )
    result = arithmetic_benchmark(
        encoder,
        aligners,
        options=options,
        progress=lambda done, total, what: _say(f"{done} of {total}: {what}"),
    )
    walks = {}
    for name, (x, y, groups) in _pairs(encoder, quick=arguments.quick):
        _say(f"expressions of pairs: {name}")
        walks[name] = pair_arithmetic(x, y, groups=groups, aligners=names)
    told = {"seconds": round(time.monotonic() - start), "benchmark": result.to_dict()}
    told["pairs"] = {name: walk.to_dict() for name, walk in walks.items()}
    _write(arguments.out / "arithmetic.json", json.dumps(told, indent=1) + "\n")
    text = _page(result, walks)
    _write(arguments.out / "arithmetic.md", text)
    _write(arguments.out / "arithmetic.svg", _picture(result))
    print(text)


def _relations(encoder: Encoder, path: Path, aligner: Path | None, out: Path) -> None:
    """Score a list of relations."""
    fitted = None if aligner is None else _aligner(aligner, encoder)
    scores = score_relations(encoder, read_relations(path), aligner=fitted).to_dict()
    _write(out / "relations.json", json.dumps(scores, indent=1) + "\n")
    print(json.dumps({k: v for k, v in scores.items() if k != "found"}))


def _aligner(path: Path, encoder: Encoder) -> PairedAligner:
    """Load an aligner of the encoder's images and texts."""
    fitted, told = load_aligner(path), read_provenance(path)
    if told is not None:
        for space, modality in ((told.x, "image"), (told.y, "text")):
            here = FittedOn(modality, encoder.name, encoder.revision)
            if not space.admits(here):
                raise ValueError(f"{path} was fitted on {space}, not on {here}")
    if fitted.n_features_in_ != encoder.dim:
        raise ValueError(
            f"{path} was fitted on dim {fitted.n_features_in_}, {encoder.name} gives dim {encoder.dim}"
        )
    return fitted


def _pairs(encoder: Encoder, *, quick: bool) -> Iterator[tuple[str, tuple[Any, Any, Any]]]:
    """Yield pairs that expressions are made of: held-out scenes of the world, and CLIP's of real images."""
    scenes = [draw_scene(0, SPLITS["val"] + i) for i in range(_HELD_OUT[quick])]
    told = [captions(scene, detail=DETAIL, count=2) for scene in scenes]
    x = np.repeat(embed_scenes(encoder, scenes, "image"), 2, axis=0)
    y = encoder.encode([text for texts in told for text in texts], "text")
    yield f"the world, {encoder.name}", (x, y, np.repeat(np.arange(len(scenes)), 2))
    folder = Path(os.environ.get("ISTHMUS_REALDATA", _REALDATA))
    if not folder.is_dir():
        _say(f"CLIP's embeddings are not at {folder}; set ISTHMUS_REALDATA to their folder")
        return
    with (folder / "flickr8k-clip" / "metadata.csv").open(encoding="utf-8", newline="") as file:
        groups = [row["image_id"] for row in csv.DictReader(file)]
    x, y = (np.load(folder / "flickr8k-clip" / f"{name}_embeddings.npy") for name in ("image", "text"))
    yield "Flickr8k, CLIP ViT-B/32", (x, y, groups)
    x, y = np.load(folder / "liang2022" / "features_clip.npy")
    yield "MS-COCO, CLIP ViT-B/32", (x, y, None)


def _page(result: ArithmeticResult, walks: dict[str, PairArithmetic]) -> str:
    parts = [f"In percent, with 95% intervals; {result.encoder}, {json.dumps(result.options)}\n"]
    parts += [sheet.markdown() for sheet in sheets(result)]
    parts += [_walk(name, walk).markdown() for name, walk in walks.items()]
    return "\n".join(parts)


def _walk(title: str, walk: PairArithmetic) -> Sheet:
    heads = (
        "aligner",
        "point",
        "nearest x",
        "nearest y",
        "secluded, %",
        "among x, %",
        "R@1 to x, %",
        "R@1 to y, %",
    )
    rows = []
    for name, found in walk.points.items():
        for point in POINTS:
            cells = []
            for key, figure in vars(found[point]).items():
                scale, digits = (1, 2) if key.startswith("nearest") else (100, 0)
                low, value, high = ("-",) * 3 if figure is None else (
                    f"{scale * each:.{digits}f}" for each in (figure.low, figure.value, figure.high)
                )  # fmt: skip
                cells.append("-" if figure is None else f"{value} ({low} to {high})")
            rows.append(
                (f"{name}, pairs {walk.matched[name].value:.2f}" if point == "x" else "", point, *cells)
            )
    return Sheet(
        f"{title}: {walk.pairs} pairs of {walk.items} items, {walk.gallery} held out at a time",
        heads,
        tuple(rows),
    )


def _picture(result: ArithmeticResult) -> str:
    """Draw R@1 against the weight of the texts, a line per aligner and a panel per modality."""
    modalities = list(dict.fromkeys(row.modality for row in result.rows))
    width, height, gap = 860, 330, 44
    with house_style():
        figure, first = canvas(width, height, (56, 84, 16, 30))
        box = first.get_position()
        share = (box.width - gap / width * (len(modalities) - 1)) / len(modalities)
        first.set_position((box.x0, box.y0, share, box.height))
        panels = [first]
        for k in range(1, len(modalities)):
            place = (box.x0 + k * (share + gap / width), box.y0, share, box.height)
            panels.append(figure.add_axes(place, sharey=first, facecolor="none"))
        for axes, modality in zip(panels, modalities, strict=True):
            rows = [r for r in result.rows if (r.modality, r.kind, r.prompt) == (modality, "all", SHOWN)]
            methods = list(dict.fromkeys(row.method for row in rows))
            for method, colour in zip(methods, _COLOURS, strict=False):
                mine = [r for r in rows if r.method == method and _weighed(r.answer)]
                mine.sort(key=lambda row: weight_of(row.answer))
                found = [row.figures["recall_at_1"] for row in mine]
                axes.errorbar(
                    [weight_of(row.answer) for row in mine],
                    [100 * f.value for f in found],
                    yerr=[[100 * (f.value - f.low) for f in found], [100 * (f.high - f.value) for f in found]],
                    fmt="o-", color=colour, capsize=2, markersize=4, label=method,
                )  # fmt: skip
            axes.set_xscale("log", base=2)
            weights = sorted({weight_of(row.answer) for row in rows if _weighed(row.answer)})
            axes.set_xticks(weights, [f"{weight:g}" for weight in weights])
            axes.set_title(f"{modality} and text", fontsize=12)
            axes.set_xlabel("weight of the texts")
        first.set_ylabel("R@1, %")
        first.set_ylim(0, None)
        figure.legend(
            *first.get_legend_handles_labels(), frameon=False, fontsize=10, loc="lower center", ncols=8
        )
        alt = "How often arithmetic finds the changed scene, by aligner and by the weight of the texts"
        return svg_file(inline_svg(figure, name="arithmetic", alt=alt))


def _weighed(answer: str) -> bool:
    return answer == "arithmetic" or is_weight(answer)


def _write(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".writing")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def _refuse(message: str) -> NoReturn:
    _say(message)
    raise SystemExit(2)


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
