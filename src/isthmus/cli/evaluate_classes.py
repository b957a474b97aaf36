"""The classes of `isthmus evaluate`: labels of rows, names, and prompts."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from isthmus.align.provenance import FittedOn, Provenance
from isthmus.checks import check_embeddings
from isthmus.cli.apply import modality_of
from isthmus.cli.evaluate_opening import Opened
from isthmus.cli.origin import embedded_by
from isthmus.evaluate.aligned import WORLD_CLASSES, Labelled, Subject, world_classes
from isthmus.evaluate.zero_shot import TEMPLATES, class_prompts
from isthmus.store import open_embeddings
from isthmus.store.groups import read_labels

if TYPE_CHECKING:
    from isthmus.cli.evaluate import Settings
    from isthmus.encoders import Encoder

_SHOWN = 3  # labels that an error names
_NONE = "-"  # label of a row without one


def with_classes(
    subject: Subject, opened: Opened, settings: "Settings", told: Provenance | None, *, aligner: Path
) -> Subject:
    """Return the subject with its classes put into words, or with the reason why there are none."""
    second = told.y.modality if told is not None else None
    asked = settings.classes is not None
    if second not in (None, "text"):
        reason = f"prompts are texts, and {aligner} was fitted on {told.x} and {told.y}" if told else ""
        if asked:
            raise ValueError(f"--classes does not apply: {reason}")
        return replace(subject, unlabelled=reason)
    if asked:
        return replace(subject, labelled=(_labelled(opened, settings, told, aligner),))
    if not opened.is_world:
        return replace(subject, unlabelled="it takes --labels and --classes")
    try:
        encoder = opened.encoder(settings.device)
    except ValueError as error:
        return replace(subject, unlabelled=str(error))
    if "text" not in encoder.modalities or encoder.reads != "content":
        return replace(subject, unlabelled=f"{encoder.name} does not embed prompts")
    return replace(subject, labelled=_world(opened, encoder, settings))


def _labelled(opened: Opened, settings: "Settings", told: Provenance | None, aligner: Path) -> Labelled:
    assert settings.labels is not None
    assert settings.classes is not None
    names = _class_names(settings.classes)
    n = len(opened.pairs)
    labels = _class_numbers(
        read_labels(settings.labels, n, metadata=opened.metadata), names, name=settings.labels
    )
    if settings.prototypes is not None:
        modality_of(embedded_by(settings.prototypes), told, "y", name=settings.prototypes, aligner=aligner)
        dim = opened.pairs.x.shape[1]
        rows = check_embeddings(open_embeddings(settings.prototypes), settings.prototypes, dim)
        if len(rows) % len(names):
            raise ValueError(
                f"{settings.prototypes} has {len(rows)} rows: expected {len(names)}, one for each class of "
                f"{settings.classes}, or the same number for each"
            )
        prompts = np.asarray(rows[:])
    else:
        if opened.store is None:
            raise ValueError("--classes takes a store, whose encoder embeds them, or --prototypes")
        entry = opened.store.encoders.get("text") or opened.store.encoders[opened.modality]
        source = FittedOn("text", entry["encoder"], entry["revision"])
        modality_of(source, told, "y", name="the prompts", aligner=aligner)
        prompts = _embed(opened.encoder(settings.device), class_prompts(names, _templates(settings)))
    shaped = prompts.reshape(len(names), -1, prompts.shape[1])
    return Labelled(shaped, labels, tuple(names), temperature=settings.temperature)


def _world(opened: Opened, encoder: "Encoder", settings: "Settings") -> tuple[Labelled, ...]:
    """Return facts of the store's scenes as classes."""
    from isthmus.sources.world import draw_scene

    assert opened.store is not None
    assert opened.store.origin is not None
    options = dict(part.split("=") for part in opened.store.origin.source.partition("?")[2].split("&"))
    ids = read_labels("id", len(opened.pairs), metadata=opened.metadata)
    drawn = {name: draw_scene(int(options["seed"]), int(name)).facts for name in dict.fromkeys(ids)}
    truths = [drawn[name] for name in ids]
    found = []
    for kind, classes in WORLD_CLASSES.items():
        prompts = _embed(encoder, class_prompts(classes.names, classes.templates))
        found.append(
            Labelled(
                prompts.reshape(len(classes.names), len(classes.templates), -1),
                world_classes(truths, kind),
                classes.names,
                kind,
                settings.temperature,
            )
        )
    return tuple(found)


def _embed(encoder: "Encoder", prompts: list[str]) -> np.ndarray:
    if encoder.reads == "id":
        raise ValueError(f"the store's encoder, {encoder.name}, knows its own texts only: give --prototypes")
    return encoder.encode(prompts, "text")


def _class_names(path: Path) -> list[str]:
    first: dict[str, int] = {}
    for at, name in _numbered_lines(path):
        if name in first:
            raise ValueError(
                f"{path}, line {at}: expected each class once, found {name!r} again, as in line {first[name]}"
            )
        first[name] = at
    if len(first) < 2:
        raise ValueError(f"{path}: expected at least 2 classes, one per line, found {len(first)}")
    return list(first)


def _class_numbers(labels: list[str], names: list[str], *, name: str) -> np.ndarray:
    """Return the position of each label among the classes, -1 where there is none."""
    known = {class_name: i for i, class_name in enumerate(names)}
    told = {label for label in labels if label != _NONE or label in known}
    if told - set(known) and all(label.removeprefix("-").isdecimal() for label in told):
        known = {str(i): i for i in range(len(names))}
    if strange := told - set(known):
        rows = {label: row for row, label in reversed(list(enumerate(labels))) if label in strange}
        first = sorted(rows, key=rows.__getitem__)[:_SHOWN]
        raise ValueError(
            f"{name}: expected names of the {len(names)} classes, or numbers from 0 to {len(names) - 1}, "
            f"found {', '.join(f'{label or repr(label)} in row {rows[label]}' for label in first)}"
            + " and others"
            * (len(strange) > _SHOWN)
        )
    return np.array([known.get(label, -1) for label in labels], dtype=np.int64)


def _templates(settings: "Settings") -> tuple[str, ...]:
    chosen = settings.templates or "photo"
    return TEMPLATES[chosen] if chosen in TEMPLATES else tuple(_lines(Path(chosen)))


def _lines(path: Path) -> list[str]:
    return [line for _, line in _numbered_lines(path)]


def _numbered_lines(path: Path) -> list[tuple[int, str]]:
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    return [(at, line.strip()) for at, line in enumerate(lines, start=1) if line.strip()]
