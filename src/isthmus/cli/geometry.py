"""isthmus geometry"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from isthmus.cli.show import check_output, progress_bar, say, short, show
from isthmus.measure import geometry as measure_geometry
from isthmus.store import open_pairs


@dataclass
class Settings:
    """Options of `isthmus geometry`.

    Parameters
    ----------
    groups_of : int
        Pairs of a random group, whose mean difference is one measurement of the gap; left-over pairs are
        in none.
    groups : str
        The item of each row, as for `isthmus measure`; one pair of each item is in the groups.
    modalities : list of str
        Which two of a store, as for `isthmus measure`.
    seed : int
        Of the groups, the samples and the resamples.
    """

    groups_of: int = 100
    groups: str | None = None
    modalities: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)] = None
    seed: int = 0


def geometry(
    x: str,
    y: str | None = None,
    /,
    *,
    settings: Annotated[Settings, Parameter("*")] = Settings(),  # noqa: B008
    as_json: Annotated[bool, Parameter("--json", negative="")] = False,
    report: Path | None = None,
) -> None:
    """Measure whether the gap is constant and orthogonal, and its noise Gaussian, as C3 proposes.

    Parameters
    ----------
    x : str
        Embeddings of the first modality, as for `isthmus measure`.
    y : str
        Embeddings of the second modality; row i of both embeds the same item.
    as_json : bool
        Print one JSON object, with histograms and spectra.
    report : Path
        Also write an HTML page with the pictures.
    """
    check_output(report, ".html")
    pairs = open_pairs(x, y, groups=settings.groups, modalities=settings.modalities)
    with progress_bar("measuring") as advance:
        found = measure_geometry(
            pairs.x,
            pairs.y,
            groups_of=settings.groups_of,
            groups=pairs.groups,
            seed=settings.seed,
            progress=advance,
        )
    show(found, as_json=as_json)
    if report is not None:
        from isthmus.report.geometry import write_geometry_report

        write_geometry_report(found, report, names=short(pairs.names))
        say(f"report: {report}")
