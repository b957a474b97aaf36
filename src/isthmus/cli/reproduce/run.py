"""A table from beginning to end: scenes embedded, captioners trained, captions scored, orders judged."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.cli.reproduce.experiment import QUICK, Experiment, claim
from isthmus.cli.reproduce.jobs import jobs_of, run_all
from isthmus.cli.reproduce.orders import judge
from isthmus.cli.reproduce.picture import draw
from isthmus.cli.reproduce.scoring import JUDGED
from isthmus.cli.reproduce.table import MEASURES, Reproduction, markdown
from isthmus.cli.reproduce.tables import TABLES, Row, Table
from isthmus.cli.reproduce.workshop import ENCODER, Advance, Workshop, read_results, recipe_of
from isthmus.whole import write_whole


def run_table(
    name: str,
    folder: Path,
    *,
    experiment: Experiment,
    seeds: Sequence[int],
    workers: int,
    advance: Advance,
) -> Reproduction:
    """Run one of TABLES, or what is left of it, and write it as JSON, as Markdown and as a picture.

    Parameters
    ----------
    name : str
        Key of TABLES.
    folder : Path
        New, empty, or begun with the same experiment: by this table or another one.
    experiment : Experiment
        Sizes.
    seeds : sequence of int
        Captioners of each method.
    workers : int
        Processes that train side by side.
    advance : callable
        Called with what is done, of how much, and what it is.

    Returns
    -------
    Reproduction
        Of all seeds asked for.

    Raises
    ------
    ValueError
        The folder was begun with another experiment, or holds something else.
    """
    from isthmus.encoders import open_encoder

    table = TABLES[name]
    encoder = open_encoder(ENCODER)
    claim(folder, experiment, encoder=f"{encoder.name} {encoder.revision}")
    workshop = Workshop(folder, experiment)
    media = any(row.modality in ("audio", "video") for row in table.rows)
    workshop.embed(advance, media=media, workers=0 if workers == 1 else None)
    stages = jobs_of(workshop, table.rows, seeds)
    run_all(workshop, stages, workers=workers, advance=advance)
    results = {row: read_results(workshop, row, seeds) for row in table.rows}
    report = gather(table, results, name=name, experiment=experiment, seeds=seeds)
    write_whole(folder / f"{name}.json", (json.dumps(report, indent=1) + "\n").encode())
    write_whole(folder / f"{name}.md", markdown(report).encode())
    picture = draw(report, shared=table.shared, across=table.across)
    write_whole(folder / f"{name}.svg", picture.encode())
    return Reproduction(report)


def gather(
    table: Table,
    results: Mapping[Row, Sequence[Mapping[str, Any]]],
    *,
    name: str,
    experiment: Experiment,
    seeds: Sequence[int],
) -> dict[str, Any]:
    """Return the report on a table.

    Parameters
    ----------
    table : Table
        What was run.
    results : mapping of Row to sequence
        What each row came to, seed by seed.
    name : str
        Key of TABLES.
    experiment : Experiment
        Sizes.
    seeds : sequence of int
        Those of the results.

    Returns
    -------
    dict
        Pure JSON: see `Reproduction`.
    """
    scores = {
        measure: {
            row.name: np.stack([_ratios(one["scenes"][measure]) for one in found])
            for row, found in results.items()
        }
        for measure in JUDGED
    }
    skipped: dict[str, str] = {}
    for found in results.values():
        for one in found:
            skipped |= one["skipped"]
    return {
        "table": name,
        "title": table.title,
        "quick": experiment == QUICK,
        "experiment": experiment.to_dict(),
        "seeds": list(seeds),
        "rows": [_row(table, row, found, experiment) for row, found in results.items()],
        "orders": [
            verdict for measure in JUDGED for verdict in judge(table.orders, scores[measure], measure=measure)
        ],
        "paper": {"name": table.paper.name, "data": table.paper.data, "metrics": list(table.paper.metrics)},
        "skipped": skipped,
        "notes": list(table.notes),
    }


def _row(
    table: Table, row: Row, found: Sequence[Mapping[str, Any]], experiment: Experiment
) -> dict[str, Any]:
    measures = [key for key in MEASURES if all(key in one["figures"] for one in found)]
    items = len(found[0]["captions"])
    paper = {metric: table.paper.figure(table.paper_row(row), metric) for metric in table.paper.metrics}
    return {
        "name": row.name,
        "method": row.method,
        "trained": recipe_of(row).name,
        "modality": row.modality,
        "share": row.share,
        "gap": row.gap,
        "items": items,
        "fewer": items < experiment.test,
        "figures": {key: _over_seeds([one["figures"][key] for one in found]) for key in measures},
        "paper": {metric: figure and figure._asdict() for metric, figure in paper.items()},
    }


def _ratios(scenes: Sequence[Any]) -> np.ndarray:
    """Return what the sums of a score are over, of shape (items, 2)."""
    values = np.asarray(scenes, float)
    return values if values.ndim == 2 else np.stack([values, np.ones(len(values))], axis=1)


def _over_seeds(figures: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Return mean and standard deviation over seeds, and the mean of their intervals."""
    values = [figure["value"] for figure in figures]
    return {
        "mean": float(np.mean(values)),
        "spread": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        "low": float(np.mean([figure["low"] for figure in figures])),
        "high": float(np.mean([figure["high"] for figure in figures])),
        "by_seed": values,
    }
