"""isthmus calibrate"""

import hashlib
import io
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from cyclopts import App, Parameter

from isthmus.align import PairedAligner, load_aligner
from isthmus.align.calibration import MatchCalibrator
from isthmus.align.calibration_files import (
    CalibratedOn,
    calibrator_beside,
    load_calibrator,
    read_calibrated_on,
    save_calibrator,
)
from isthmus.align.files import aligner_name, is_aligner, read_provenance
from isthmus.align.provenance import FittedOn
from isthmus.checks import blocks, check_embeddings
from isthmus.cli.apply import known_of, modality_of
from isthmus.cli.origin import embedded_by, provenance_of
from isthmus.cli.show import check_output, progress_bar, say, show
from isthmus.evaluate.reliability import Reliability, held_out_reliability
from isthmus.measure import find_items
from isthmus.store import Pairs, open_embeddings, open_pairs
from isthmus.whole import refuse_existing, write_whole

calibrate = App(
    name="calibrate",
    help="Learn how probable a match is at each cosine, verify it on held-out pairs, and save it.",
)


@dataclass
class Settings:
    """Options of `isthmus calibrate`.

    Parameters
    ----------
    method : {"isotonic", "logistic"}
        A map that follows the pairs, or a smooth one that needs fewer.
    per_query : {"x", "y"}
        Which modality searches: a cosine is then seen against the query's other cosines.
    prior : float
        Probability of a match before the cosine is known: 0.5 is one match to one mismatch, 0.001 one match
        among 1,000 candidates. Another one can be given when it is used.
    groups : str
        The item of each row, as for `isthmus measure`.
    modalities : list of str
        Which two of a store, as for `isthmus measure`.
    seed : int
        Of the folds, the mismatches that are drawn and the resamples.
    """

    method: Literal["isotonic", "logistic"] = "isotonic"
    per_query: Literal["x", "y"] | None = None
    prior: float = 0.5
    groups: str | None = None
    modalities: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)] = None
    seed: int = 0


@calibrate.default
def fit(
    x: str,
    y: str | None = None,
    /,
    *,
    out: Path | None = None,
    aligner: Path | None = None,
    settings: Annotated[Settings, Parameter("*")] = Settings(),  # noqa: B008
    as_json: Annotated[bool, Parameter("--json", negative="")] = False,
    report: Path | None = None,
) -> None:
    """Learn the probability that two rows match from their cosine, verify it on held-out items, and save it.

    It is learned from the pairs and from their mismatches. Pairs that the aligner has learned from lie nearer
    to each other in its space than others: of these, cosines are taken after copies of it that are fitted on
    the rest.

    Parameters
    ----------
    x : str
        Embeddings of the first modality, as for `isthmus measure`; not yet aligned.
    y : str
        Embeddings of the second modality.
    out : Path
        File to save the calibrator in (.safetensors); a calibrator that is there is replaced. By default that
        of the aligner, with .calibrator.safetensors in place of .safetensors.
    aligner : Path
        File that `isthmus align` saved: calibrate the cosines of what it maps.
    as_json : bool
        Print one JSON object.
    report : Path
        Also draw how reliable the probabilities are, before and after (.svg); one that is there is replaced.
    """
    if out is None:
        if aligner is None:
            raise ValueError(
                "expected --out with a file to save the calibrator in, or --aligner, got neither"
            )
        out = calibrator_beside(aligner)
    check_output(out, ".safetensors")
    check_output(report, ".svg")
    if out.exists():
        load_calibrator(out)  # nothing but a calibrator is overwritten
    options = {k: v for k, v in asdict(settings).items() if k not in ("groups", "modalities", "per_query")}
    calibrator = MatchCalibrator(**options, per_query=settings.per_query or False)
    calibrator.check_options()
    pairs = open_pairs(x, y, groups=settings.groups, modalities=settings.modalities)
    fitted, again = None, True
    if aligner is not None:
        fitted = _opened(aligner, pairs)
        again = _has_learned(aligner, pairs, x, settings.groups)
    group = find_items(pairs.x, pairs.y, pairs.groups).group
    named = (aligner_name(fitted), fitted) if fitted is not None else None
    with progress_bar("calibrating"):
        data = {"groups": group, "again": again}
        found = held_out_reliability(pairs.x, pairs.y, calibrator=calibrator, aligner=named, **data)
        calibrator.fit(pairs.x, pairs.y, aligner=fitted, **data)
    figures = found.to_dict()
    told = CalibratedOn(
        *(embedded_by(name) for name in pairs.names),
        aligner=None if aligner is None else _digest(aligner),
        held_out=figures,
    )
    save_calibrator(calibrator, out, calibrated_on=told)
    show({"out": str(out)} | figures if as_json else found, as_json=as_json)
    say(f"calibrator: {out}")
    if report is not None:
        _draw(found, report)


@calibrate.command
def score(
    calibrator: Path,
    x: str,
    y: str | None = None,
    /,
    *,
    out: Path | None = None,
    aligner: Path | None = None,
    prior: float | None = None,
    modalities: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)] = None,
) -> None:
    """Give the probability that row i of both modalities matches, for each row.

    Parameters
    ----------
    calibrator : Path
        File that `isthmus calibrate` saved; or that of the aligner beside which it lies, which then need not
        be given again.
    x : str
        Embeddings of the first modality, as for `isthmus measure`; not yet aligned.
    y : str
        Embeddings of the second modality.
    out : Path
        File to write the probabilities to (.npy), float32 of shape (n,); must not exist. By default they are
        printed, one a line.
    aligner : Path
        The aligner that it was calibrated with, if it was.
    prior : float
        Probability of a match before the cosine is known. By default the calibrator's.
    modalities : list of str
        Which two of a store, as for `isthmus measure`.
    """
    check_output(out, ".npy")
    if out is not None:
        refuse_existing(out)
    calibrator, aligner = _beside(calibrator, aligner)
    fitted, told = load_calibrator(calibrator), read_calibrated_on(calibrator)
    _check_aligner(told, calibrator, aligner)
    pairs = _open_to_score(x, y, modalities)
    _check_dim(pairs, fitted, calibrator)
    for name, space in zip(pairs.names, (told.x, told.y), strict=True):
        if not space.admits(source := embedded_by(name)):
            raise ValueError(f"{name} is {source}: expected {space}, which {calibrator} was fitted on")
    mapping = None if aligner is None else load_aligner(aligner)
    found = np.empty(len(pairs), np.float32)
    for rows in blocks(*pairs.x.shape):
        u, v = np.asarray(pairs.x[rows]), np.asarray(pairs.y[rows])
        if mapping is not None:
            u, v = mapping.transform(u, v)
        found[rows] = fitted.predict_proba(u, v, prior=prior)[:, 1]
    if out is None:
        print("\n".join(f"{p:.6g}" for p in found))
        return
    buffer = io.BytesIO()
    np.save(buffer, found)
    write_whole(out, buffer.getvalue())
    say(f"{len(found)} probabilities: {out}")


def _open_to_score(x: str, y: str | None, modalities: list[str] | None) -> Pairs:
    """Open pairs; of two files, one row of each is enough."""
    if y is not None and modalities is None:
        u, v = open_embeddings(x), open_embeddings(y)
        if len(u) == len(v) == 1 and u.shape == v.shape:
            return Pairs(check_embeddings(u, x), check_embeddings(v, y), names=(x, y))
    return open_pairs(x, y, modalities=modalities)


def _beside(calibrator: Path, aligner: Path | None) -> tuple[Path, Path | None]:
    """Return the files of calibrator and aligner: an aligner in place of the calibrator stands for both."""
    if not is_aligner(calibrator):
        return calibrator, aligner
    if aligner not in (None, calibrator):
        raise ValueError(f"{calibrator} is an aligner: expected no other --aligner, got {aligner}")
    beside = calibrator_beside(calibrator)
    if not beside.is_file():
        raise FileNotFoundError(
            f"{calibrator} is an aligner: expected its calibrator in {beside}, which is not there; "
            "give the calibrator's own file, or run `isthmus calibrate` with this --aligner"
        )
    return beside, calibrator


def _opened(aligner: Path, pairs: Pairs) -> PairedAligner:
    """Return the aligner, if it is one for these pairs."""
    fitted, told = load_aligner(aligner), read_provenance(aligner)
    _check_dim(pairs, fitted, aligner)
    sides: tuple[Literal["x", "y"], Literal["x", "y"]] = ("x", "y")
    for name, which in zip(pairs.names, sides, strict=True):
        if told is not None and (source := known_of(name)) != FittedOn():
            modality_of(source, told, which, name=name, aligner=aligner)
    return fitted


def _check_dim(pairs: Pairs, fitted: PairedAligner | MatchCalibrator, path: Path) -> None:
    dim, expected = pairs.x.shape[1], fitted.n_features_in_
    if dim != expected:
        raise ValueError(f"{pairs.names[0]} has dim {dim}, {path} was fitted on dim {expected}")


def _has_learned(aligner: Path, pairs: Pairs, x: str, groups: str | None) -> bool:
    """Return whether the aligner may have learned from any of these pairs, and say so."""
    told = read_provenance(aligner)
    if told is None:
        say(f"{aligner} does not tell what it was fitted on: taken to be these pairs")
        return True
    here = provenance_of(pairs, x, groups=groups, keep_recall=0.0)
    if here.named_by != told.named_by:
        say(f"{aligner} names its items otherwise: taken to have been fitted on these pairs")
        return True
    seen = int(np.isin(here.items, told.items).sum())
    say(f"{aligner} was fitted on {seen} of these {len(here.items)} items")
    return seen > 0


def _check_aligner(told: CalibratedOn, calibrator: Path, aligner: Path | None) -> None:
    """Raise unless `aligner` is the one that the calibrator's cosines come from."""
    if told.aligner is None and aligner is not None:
        raise ValueError(f"{calibrator} was fitted on cosines of embeddings as they are: leave out --aligner")
    if told.aligner is not None:
        given = None if aligner is None else _digest(aligner)
        if given != told.aligner:
            found = "none" if aligner is None or given is None else f"{aligner}, of {given[:12]}"
            raise ValueError(
                f"{calibrator} was fitted on cosines after an aligner: expected --aligner with its file, "
                f"of SHA-256 {told.aligner[:12]}, got {found}"
            )


def _draw(found: Reliability, report: Path) -> None:
    from isthmus.report.drawing import svg_file
    from isthmus.report.reliability import reliability_picture

    write_whole(report, svg_file(reliability_picture(found)).encode())
    say(f"report: {report}")


def _digest(path: Path) -> str:
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    return hashlib.sha256(path.read_bytes()).hexdigest()
