"""isthmus align"""

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from cyclopts import Parameter

from isthmus.align import NonLinearAligner, PairedAligner, load_aligner, save_aligner
from isthmus.checkpoint import forget
from isthmus.cli.examples import captions_and_pictures
from isthmus.cli.origin import provenance_of
from isthmus.cli.show import check_output, progress_bar, say, short, show
from isthmus.evaluate import CLOSED_FORM, Comparison, Protocol, configured, cross_validate, hold_out
from isthmus.measure import find_items
from isthmus.store import open_pairs
from isthmus.training import TrainingConfig
from isthmus.whole import refuse_existing, write_whole


@dataclass
class Settings:
    """Options of `isthmus align`.

    Parameters
    ----------
    groups : str
        The item of each row, as for `isthmus measure`.
    labels : str
        A text for each row, for the report's worst pairs: a file or metadata column, as for --groups.
    modalities : list of str
        Which two of a store, as for `isthmus measure`.
    option : list of str
        NAME=VALUE of the aligner, such as strength=8, or of its training, such as epochs=50; may be repeated.
    held_out : float
        Share of the items that it is verified on.
    keep_recall : float
        Share of the raw mean R@1 below which it counts as collapsed; SharedSpace aims at it.
    seed : int
        Of the split, the aligner and the resamples.
    """

    groups: str | None = None
    labels: str | None = None
    modalities: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)] = None
    option: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)] = None
    held_out: float = 0.2
    keep_recall: float = 0.99
    seed: int = 0


def align(
    x: str,
    y: str | None = None,
    /,
    *,
    out: Path,
    aligner: str = "shared",
    settings: Annotated[Settings, Parameter("*")] = Settings(),  # noqa: B008
    as_json: Annotated[bool, Parameter("--json", negative="")] = False,
    report: Path | None = None,
    card: Path | None = None,
) -> None:
    """Fit one aligner, verify it on held-out pairs, and save it.

    It is fitted on a training split, measured on the items that were held out, then fitted on all
    pairs and saved, with the figures and with what it was fitted on: encoders, modalities, and hashes
    of the items. `--aligner nonlinear` resumes where it was stopped.

    Parameters
    ----------
    x : str
        Embeddings of the first modality, as for `isthmus measure`.
    y : str
        Embeddings of the second modality.
    out : Path
        File to save the aligner in (.safetensors); an aligner that is there is replaced.
    aligner : str
        collapse, shift, linear, procrustes, cca, shared or nonlinear.
    as_json : bool
        Print one JSON object.
    report : Path
        Also write an HTML report, with the closed-form aligners beside this one.
    card : Path
        Also write a model card (.md): what it was fitted on, its figures, and how to use it; must not exist.
    """
    check_output(out, ".safetensors")
    check_output(report, ".html")
    check_card(card)
    if out.exists():
        load_aligner(out)  # nothing but an aligner is overwritten
    protocol = Protocol(held_out=settings.held_out, keep_recall=settings.keep_recall, seed=settings.seed)
    estimator = _with_options(configured(aligner, protocol), settings.option or [])
    pairs = open_pairs(x, y, groups=settings.groups, labels=settings.labels, modalities=settings.modalities)
    items = find_items(pairs.x, pairs.y, pairs.groups)
    others = [name for name in CLOSED_FORM if name != aligner] if report is not None else []
    with progress_bar(aligner) as advance:
        fit = _Fit(out.with_name(out.name + ".partial"), advance)
        comparison = cross_validate(
            pairs.x,
            pairs.y,
            items,
            estimators={aligner: estimator} | {name: configured(name, protocol) for name in others},
            splits=[hold_out(items, protocol)],
            protocol=protocol,
            fit=fit,
        )
        fit.stage = "all"
        fitted = fit(aligner, estimator, pairs.x, pairs.y, items.group)
    held = {name: comparison.verdicts[name].to_dict() for name in ("raw", aligner)}
    for figures in held.values():
        del figures["fit_seconds"]  # the same run gives the same file
    provenance = provenance_of(pairs, x, groups=settings.groups, keep_recall=settings.keep_recall)
    save_aligner(fitted, out, verified=held, provenance=provenance)
    fit.forget()
    show({"out": str(out)} | comparison.to_dict() if as_json else comparison, as_json=as_json)
    _say_if_collapsed(comparison, aligner)
    say(f"aligner: {out}")
    if card is not None:
        write_card(out, card)
    if report is not None:
        from isthmus.report import write_report

        labels, pictures = captions_and_pictures(x, len(pairs)) if y is None else (None, None)
        write_report(
            comparison,
            report,
            aligner=aligner,
            names=short(pairs.names),
            labels=pairs.labels or labels,
            aligner_path=str(out),
            pictures=pictures,
        )
        say(f"report: {report}")


def _say_if_collapsed(comparison: Comparison, aligner: str) -> None:
    verdict = comparison.verdicts[aligner]
    if verdict.collapsed:
        say(
            f"{aligner} collapsed: on held-out pairs it keeps {verdict.kept_recall.value:.1%} of "
            f"the raw mean R@1, less than the {comparison.protocol.keep_recall:.0%} asked for"
        )


def check_card(card: Path | None) -> None:
    """Raise, before any work is done, if a model card cannot be written to `card`, or something is there."""
    check_output(card, ".md")
    if card is not None:
        refuse_existing(card)


def write_card(aligner: Path, card: Path) -> None:
    """Write the model card of a saved aligner, and say where it is."""
    from isthmus.report.aligner_card import render_aligner_card

    write_whole(card, render_aligner_card(aligner).encode())
    say(f"model card: {card}")


class _Fit:
    """Fits an aligner; one that trains is checkpointed in the scratch folder and shows its epochs."""

    def __init__(self, scratch: Path, advance: Any):
        self.scratch, self.advance, self.stage = scratch, advance, "split"

    def forget(self) -> None:
        """Remove the checkpoints, and nothing else that may lie beside them."""
        for stage in ("split", "all"):
            forget(self._checkpoint(stage))
        if self.scratch.is_dir() and not any(self.scratch.iterdir()):
            self.scratch.rmdir()

    def _checkpoint(self, stage: str) -> Path:
        return self.scratch / f"{stage}.safetensors"

    def __call__(self, name: str, aligner: PairedAligner, x: Any, y: Any, group: np.ndarray) -> PairedAligner:
        if not isinstance(aligner, NonLinearAligner):
            return aligner.fit(x, y, groups=group)
        return aligner.fit(
            x,
            y,
            groups=group,
            checkpoint=self._checkpoint(self.stage),
            progress=lambda p: self.advance(
                p.epochs_done, p.epochs, f"({self.stage}) epoch {p.epoch}, loss {p.loss:.4f}"
            ),
        )


def _with_options(aligner: PairedAligner, options: list[str]) -> PairedAligner:
    """Set NAME=VALUE options: parameters of the aligner, or of its training."""
    known = [name for name in aligner.get_params() if name != "training"]
    training = aligner.training or TrainingConfig() if isinstance(aligner, NonLinearAligner) else None
    of_training = [field.name for field in fields(TrainingConfig)] if training else []
    for option in options:
        name, found, text = option.partition("=")
        if not found or name not in known + of_training:
            expected = ", ".join(known + of_training) or "none"
            raise ValueError(f"--option takes NAME=VALUE with a NAME of {expected}; got {option!r}")
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        if training and name in of_training:
            training = replace(training, **{name: value})
            aligner.set_params(training=training)
        else:
            aligner.set_params(**{name: tuple(value) if isinstance(value, list) else value})
    return aligner
