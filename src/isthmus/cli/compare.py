"""isthmus compare"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from isthmus.cli.examples import captions_and_pictures
from isthmus.cli.show import check_output, progress_bar, say, short, show
from isthmus.evaluate import Protocol
from isthmus.evaluate import compare as compare_aligners
from isthmus.store import open_pairs


@dataclass
class Settings:
    """Options of `isthmus compare`.

    Parameters
    ----------
    groups : str
        The item of each row, as for `isthmus measure`; an item is never split between training and test.
    labels : str
        A text for each row, for the report's worst pairs: a file or metadata column, as for --groups.
    modalities : list of str
        Which two of a store, as for `isthmus measure`.
    folds : int
        Of the cross-validation over items.
    keep_recall : float
        Share of the raw mean R@1 below which an aligner counts as collapsed.
    seed : int
        Of the folds and the resamples.
    """

    groups: str | None = None
    labels: str | None = None
    modalities: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)] = None
    folds: int = 5
    keep_recall: float = 0.99
    seed: int = 0


def compare(
    x: str,
    y: str | None = None,
    /,
    *,
    aligner: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)] = None,
    settings: Annotated[Settings, Parameter("*")] = Settings(),  # noqa: B008
    as_json: Annotated[bool, Parameter("--json", negative="")] = False,
    report: Path | None = None,
) -> None:
    """Compare aligners on held-out pairs: what each gains, and what it costs.

    Parameters
    ----------
    x : str
        Embeddings of the first modality, as for `isthmus measure`.
    y : str
        Embeddings of the second modality.
    aligner : list of str
        Which to compare with the raw embeddings: collapse, shift, linear, procrustes, cca, shared,
        nonlinear; may be repeated. By default all.
    as_json : bool
        Print one JSON object.
    report : Path
        Also write an HTML report on the best aligner.
    """
    check_output(report, ".html")
    pairs = open_pairs(x, y, groups=settings.groups, labels=settings.labels, modalities=settings.modalities)
    protocol = Protocol(folds=settings.folds, keep_recall=settings.keep_recall, seed=settings.seed)
    with progress_bar("comparing") as advance:
        comparison = compare_aligners(
            pairs.x,
            pairs.y,
            groups=pairs.groups,
            aligners=aligner,
            protocol=protocol,
            progress=lambda done, total, text: advance(done, total, text),
        )
    show(comparison, as_json=as_json)
    if report is not None:
        from isthmus.report import write_report

        labels, pictures = captions_and_pictures(x, len(pairs)) if y is None else (None, None)
        write_report(
            comparison, report, names=short(pairs.names), labels=pairs.labels or labels, pictures=pictures
        )
        say(f"report: {report}")
