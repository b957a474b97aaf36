"""Does closing the gap help search among images, texts and both at once? The tables of docs/mixed-search.md.

    python recipes/mixed_search.py flickr --realdata ../shared/realdata --out FOLDER
    python recipes/mixed_search.py coco   --realdata ../shared/realdata --out FOLDER
    isthmus embed world:2000 --split test --encoder world --modality image text --out FOLDER/test
    isthmus embed world:1000 --split val  --encoder world --modality image text --out FOLDER/val
    isthmus embed "world:2000?detail=0.75" --split test --encoder world --modality image text --out FOLDER/test-rich
    isthmus embed "world:1000?detail=0.75" --split val  --encoder world --modality image text --out FOLDER/val-rich
    python recipes/mixed_search.py world --out FOLDER

Writes flickr.json and flickr.md, and so on. Two to ten minutes each on one core.
"""

import argparse
import csv
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.align import ALIGNERS
from isthmus.evaluate.mixed import (
    METHODS,
    Calibration,
    MixedOptions,
    MixedResult,
    Mixture,
    Varied,
    by_facts,
    by_item,
    calibration_sizes,
    choose_weights,
    corpus_ratios,
    cross_search,
    every_row,
    make_documents,
    mix,
    mixed_search,
    query_centring,
    query_kinds,
    split_queries,
)
from isthmus.sources.world import draw_scene
from isthmus.store import Store
from isthmus.store.groups import read_labels

ALL = (
    *("raw", "zscore", "zscore-corpus", "rrf", "gr-clip"),
    *(name for name in ALIGNERS if name != "nonlinear"),  # a network: it is fitted for one table of each
    *("shared-mixed", "gr-clip+zscore-corpus", "shared-mixed+zscore-corpus"),
)
FEW = ("raw", "zscore-corpus", "gr-clip", "cca", "shared-mixed", "shared-mixed+zscore-corpus")
SIZED = ("raw", "zscore-corpus", "gr-clip", "cca", "shared-mixed")
ASKED = Mixture(queries=("text", "image"))
OPTIONS = MixedOptions(against=("gr-clip", "zscore-corpus"))


def main() -> None:
    """Measure, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", choices=("flickr", "coco", "world"))
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--realdata", type=Path, default=Path("../shared/realdata"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    place = arguments.out if arguments.data == "world" else arguments.realdata
    told: dict[str, Any] = {}
    tables = []
    name = arguments.out / arguments.data
    for title, measured in {"flickr": flickr, "coco": coco, "world": world}[arguments.data](place):
        told[title] = measured if isinstance(measured, dict) else measured.to_dict()
        tables.append(f"### {title}\n\n{_table(measured)}")
        print(tables[-1], flush=True)
        name.with_suffix(".json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        name.with_suffix(".md").write_text("\n".join(tables), encoding="utf-8")


def flickr(realdata: Path) -> Iterator[tuple[str, Any]]:
    """100 images with five captions each, by cross-fitting; and methods that learned from other data."""
    folder = realdata / "flickr8k-clip"
    x, y = (np.load(folder / f"{name}_embeddings.npy").astype(np.float32) for name in ("image", "text"))
    with (folder / "metadata.csv").open(encoding="utf-8") as file:
        items = [row["image_id"] for row in csv.DictReader(file)]
    crossed = partial(cross_search, x, y, items=items)
    mixed = partial(_crossed, x, y, items)
    rows = every_row(x, y, items=items)
    elsewhere = partial(mixed_search, rows.corpus, rows.queries, options=OPTIONS)
    other = np.load(realdata / "liang2022" / "features_clip.npy").astype(np.float32)
    cifar = np.load(realdata / "cifar10-clip" / "image_embeddings.npy").astype(np.float32)
    names = np.load(realdata / "cifar10-clip" / "lvis_text_prototypes.npy").astype(np.float32)
    means = Calibration(cifar, names, np.arange(len(cifar)))  # unpaired: good for means alone
    yield (
        "Every image and every caption is a document of one corpus; each caption searches, and does not find "
        "itself; methods learned from the items of the other folds",
        crossed(methods=ALL, make=every_row, options=replace(OPTIONS, whole=True)),
    )
    yield (
        "The same, each fold a corpus of its own, in which there is no item that methods learned from",
        crossed(methods=(*ALL, "nonlinear"), make=every_row, options=OPTIONS),
    )
    yield "A third of the items are images, a third captions, a third both", mixed(ASKED, methods=ALL)
    centred = {
        "raw": METHODS["raw"],
        "means of other data": METHODS["gr-clip"](means),
        "own means": METHODS["gr-clip"],
    }
    for where, whole in (("one corpus", True), ("a corpus for each fold", False)):
        yield (
            f"Means of other data, CIFAR-10 images and names of LVIS classes, and of the other folds: {where}",
            crossed(methods=centred, make=every_row, options=MixedOptions(against=("raw",), whole=whole)),
        )
    yield (
        "Methods fitted to embeddings of another model: Liang et al.'s COCO pairs",
        elsewhere(methods=("raw", "gr-clip", "shared-mixed"), calibration=Calibration.of(*other)),
    )
    yield (
        "Calibration",
        calibration_sizes(
            lambda options: mixed(ASKED, methods=SIZED, options=options), sizes=(10, 30, 60), options=OPTIONS
        ),
    )
    yield "Kinds of query", query_kinds(mixed)


def coco(realdata: Path) -> Iterator[tuple[str, Any]]:
    """500 images with a caption each, by cross-fitting."""
    x, y = np.load(realdata / "liang2022" / "features_clip.npy").astype(np.float32)
    mixed = partial(_crossed, x, y, None)
    yield (
        "A third are images, a third captions, a third both; the part left out searches",
        mixed(ASKED, methods=ALL),
    )
    yield (
        "Calibration",
        calibration_sizes(lambda options: mixed(ASKED, methods=SIZED, options=options), options=OPTIONS),
    )
    yield "Ratios", corpus_ratios(mixed, mixture=ASKED)


def world(folder: Path) -> Iterator[tuple[str, Any]]:
    """2000 scenes; whoever shows or tells all that a caption tells answers it."""
    test, val = _store(folder / "test"), _store(folder / "val")
    calibration = Calibration.of(val["x"], val["y"], groups=val["items"])
    asked = Mixture()

    def search(mixture: Mixture, *, methods: Any = FEW, options: MixedOptions = OPTIONS) -> MixedResult:
        corpus, queries = _judged(test, mixture)
        return mixed_search(corpus, queries, methods=methods, calibration=calibration, options=options)

    def by_items(mixture: Mixture) -> MixedResult:
        made = mix(test["x"], test["y"], items=test["items"], mixture=mixture)
        return mixed_search(made.corpus, made.queries, methods=FEW, calibration=calibration, options=OPTIONS)

    rich, rich_val = _store(folder / "test-rich"), _store(folder / "val-rich")
    yield (
        "A third pictures, a third captions, a third both; a caption searches for all that it is true of",
        search(asked, methods=ALL),
    )
    yield (
        "Calibration",
        calibration_sizes(
            lambda options: search(asked, methods=SIZED, options=options),
            sizes=(10, 30, 100, 300),
            options=OPTIONS,
        ),
    )
    yield "Ratios", corpus_ratios(search, ratios=((9, 1, 0), (3, 1, 0), (1, 1, 0), (1, 3, 0), (1, 9, 0)))
    yield "Kinds of query (one right answer: the caption of the same scene)", query_kinds(by_items)
    yield (
        "Centring queries, long captions searched by short ones",
        query_centring(lambda methods: _short_asks_long(test, val, rich, rich_val, methods)),
    )
    yield "The same search by other methods", _short_asks_long(test, val, rich, rich_val, FEW)
    yield "Weight of the picture in documents of both", _weights(*_judged(test, asked), calibration)


def _crossed(
    x: Any, y: Any, items: Any, mixture: Mixture, *, methods: Any = FEW, options: MixedOptions = OPTIONS
) -> MixedResult:  # fmt: skip
    return cross_search(
        x, y, items=items, methods=methods, make=partial(mix, mixture=mixture), options=options
    )


def _store(folder: Path) -> dict[str, Any]:
    store = Store.open(folder)
    n = len(store)
    ids = np.array(read_labels("id", n, metadata=store.metadata)).astype(np.int64)
    captions = read_labels("caption", n, metadata=store.metadata)
    scenes = {i: draw_scene(0, int(i)).facts for i in np.unique(ids)}
    rows = {"x": np.asarray(store["image"][:]), "y": np.asarray(store["text"][:])}
    return rows | {"items": ids, "captions": captions, "facts": [scenes[i] for i in ids]}


def _judged(data: Mapping[str, Any], mixture: Mixture) -> tuple[Any, Any]:
    """A corpus, and captions that search it, judged by facts."""
    made = mix(data["x"], data["y"], items=data["items"], mixture=mixture)
    asked = [data["captions"][row] for row in made.queries.documents.text_row]
    judged = by_facts(asked, made.corpus, shows=data["facts"], tells=data["captions"])
    return made.corpus, replace(made.queries, relevant=judged)


def _short_asks_long(test: Any, val: Any, rich: Any, rich_val: Any, methods: Any) -> MixedResult:
    """Captions of little detail search for items whose documents have captions of much."""
    made = mix(rich["x"], rich["y"], items=rich["items"])
    short = np.unique(test["items"], return_index=True)[1]  # the first caption of each scene
    documents = make_documents(text=test["y"][short])
    judged = by_facts(
        [test["captions"][i] for i in short], made.corpus, shows=rich["facts"], tells=rich["captions"]
    )
    queries = replace(by_item(documents, made.items, made.items), relevant=judged)
    calibration = Calibration.of(rich_val["x"], rich_val["y"], groups=rich_val["items"], queries=val["y"])
    return mixed_search(made.corpus, queries, methods=methods, calibration=calibration, options=OPTIONS)


def _weights(corpus: Any, queries: Any, calibration: Calibration) -> dict[str, Any]:
    """Weights chosen on half of the queries, and what they gain on the other half."""
    first, second = split_queries(queries)
    methods = ("raw", "zscore-corpus", "gr-clip", "shared-mixed")
    rankers, chosen = choose_weights(corpus, first, methods=methods, calibration=calibration)
    equal = {name: replace(ranker, weight=0.5) for name, ranker in rankers.items()}
    both = {f"{name}, chosen": ranker for name, ranker in rankers.items()} | equal
    found = mixed_search(corpus, second, methods=both, options=OPTIONS)
    return {
        name: chosen[name].to_dict()
        | {
            "equal": found.figure(name)._asdict(),
            "chosen": found.figure(f"{name}, chosen")._asdict(),
            "gain": found.difference(f"{name}, chosen", name)._asdict(),
        }
        for name in rankers
    }


def _table(thing: Any) -> str:
    if isinstance(thing, Varied):
        return "".join(_varied(thing))
    return _result(thing) if isinstance(thing, MixedResult) else _weight_table(thing)


def _result(result: MixedResult) -> str:
    against = [name for name in result.options.against if name in result.answers]
    heads = ["method", "NDCG@10", "of what was found", "R@1", "R@10", *(f"NDCG@10 - {n}" for n in against)]
    heads += [f"log2 {kind}" for kind in result.kinds]
    lines = [
        f"{len(result)} queries; documents: {result.searched}.\n",
        _row(heads),
        _row(["---"] * len(heads)),
    ]
    for name in result.answers:
        cells = [f"{result.figure(name):.3f}", f"{result.figure(name, 'ndcg_of_found').value:.3f}"]
        cells += [f"{result.figure(name, f'recall_at_{k}').value:.3f}" for k in (1, 10)]
        cells += ["" if o == name else f"{result.difference(name, o):+.3f}" for o in against]
        cells += [f"{result.bias(name, kind).value:+.2f}" for kind in result.kinds]
        lines.append(_row([name, *cells]))
    return "\n".join(lines) + "\n"


def _varied(varied: Varied) -> list[str]:
    first = next(iter(varied.results.values()))
    names = list(first.answers)
    best = "shared-mixed" if "shared-mixed" in names and "gr-clip" in names else None
    heads = ["", "queries", *names] + ([f"{best} - gr-clip"] if best else [])
    lines = [f"{varied.question}\n\n", _row(heads) + "\n", _row(["---"] * len(heads)) + "\n"]
    for setting, result in varied.results.items():
        cells = [setting, str(len(result)), *(f"{result.figure(name).value:.3f}" for name in names)]
        if best:
            cells.append(f"{result.difference(best, 'gr-clip'):+.3f}")
        lines.append(_row(cells) + "\n")
    if best is None:
        lines += [
            f"\n{name}: {first.difference(name, names[0]):+.3f} over {names[0]}\n" for name in names[1:]
        ]
    return lines


def _weight_table(weights: Mapping[str, Any]) -> str:
    heads = ["method", "weight chosen", "NDCG@10 at 0.5", "at the weight chosen", "gain"]
    lines = [_row(heads), _row(["---"] * len(heads))]
    for name, told in weights.items():
        cells = [_figure(told[key]) for key in ("equal", "chosen", "gain")]
        lines.append(_row([name, f"{told['weight']:.1f}", *cells]))
    return "\n".join(lines) + "\n"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _figure(told: Mapping[str, float]) -> str:
    return f"{told['value']:.3f} [{told['low']:.3f}, {told['high']:.3f}]"


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError, ImportError) as error:
        sys.exit(str(error))
