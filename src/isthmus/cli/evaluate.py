"""isthmus evaluate"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from isthmus.align import load_aligner
from isthmus.align.files import read_provenance
from isthmus.align.provenance import Provenance
from isthmus.checks import check_embeddings, check_number
from isthmus.cli.apply import modality_of
from isthmus.cli.evaluate_classes import with_classes
from isthmus.cli.evaluate_opening import Opened, open_subject
from isthmus.cli.origin import embedded_by, item_names
from isthmus.cli.show import progress_bar, show
from isthmus.evaluate.aligned import TASKS, Subject, evaluate_aligned
from isthmus.evaluate.zero_shot import TEMPERATURE
from isthmus.measure import find_items

_OF_TASKS = {  # settings that only some tasks look at
    "gallery": ("retrieval",),
    "labels": ("zero-shot",),
    "classes": ("zero-shot",),
    "templates": ("zero-shot",),
    "prototypes": ("zero-shot",),
    "temperature": ("zero-shot",),
    "device": ("zero-shot", "arithmetic"),
}
_ALL_THE_SAME = "(--allow-train evaluates all the same)"


@dataclass
class Settings:
    """Options of `isthmus evaluate`.

    Parameters
    ----------
    groups : str
        The item of each row, as for `isthmus measure`.
    modalities : list of str
        Which two of a store. By default those that the aligner was fitted on.
    gallery : int
        Retrieval also over galleries of so many items, in their order: 1000 for COCO's 1K.
    labels : str
        The class of each row, by name or by number from 0: a file or metadata column, as for --groups.
        Rows whose label is - have none.
    classes : Path
        File of class names, one per line.
    templates : str
        Prompts that class names go into, averaged: photo ("a photo of a {}."), openai (seven for ImageNet),
        or a file, one per line with one {} in each. By default photo.
    prototypes : str
        Embeddings of the classes, as X: of each class one row, or one per template, class after class. By
        default the store's own encoder embeds the prompts.
    temperature : float
        Of the softmax whose calibration is measured.
    allow_train : bool
        Also evaluate on items that the aligner was fitted on, or where nobody can know; it is told.
    device : str
        Of the encoder: cpu, cuda, or auto: cuda where there is one.
    seed : int
        Of the resamples, but those of arithmetic.
    """

    groups: str | None = None
    modalities: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)] = None
    gallery: int | None = None
    labels: str | None = None
    classes: Path | None = None
    templates: str | None = None
    prototypes: str | None = None
    temperature: float = TEMPERATURE
    allow_train: Annotated[bool, Parameter(negative="")] = False
    device: str = "auto"
    seed: int = 0


def evaluate(
    x: str,
    y: str | None = None,
    /,
    *,
    aligner: Path,
    tasks: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)] = None,
    settings: Annotated[Settings, Parameter("*")] = Settings(),  # noqa: B008
    as_json: Annotated[bool, Parameter("--json", negative="")] = False,
) -> None:
    """Evaluate a saved aligner on held-out items: what it does to retrieval and other tasks.

    Every figure is shown raw, aligned, and as their difference, with intervals over the same items. Items
    that the aligner was fitted on are refused, and so are embeddings of another encoder.

    Parameters
    ----------
    x : str
        Embeddings of the first modality, as for `isthmus measure`. Without Y: a store, or a folder with
        img_emb/ and text_emb/, or images alone to classify.
    y : str
        Embeddings of the second modality.
    aligner : Path
        File that `isthmus align` saved.
    tasks : list of str
        retrieval, zero-shot, mixed (images, texts and both in one corpus), arithmetic; may be repeated. By
        default all, and those that need what is not there are named as skipped: zero-shot takes --labels and
        --classes, unless of the world; arithmetic takes the world.
    as_json : bool
        Print one JSON object.
    """
    chosen = tasks or list(TASKS)
    _check_options(settings, chosen)
    fitted, told = load_aligner(aligner), read_provenance(aligner)
    opened = open_subject(x, y, settings, told)
    names = opened.pairs.names if opened.paired else opened.pairs.names[:1]
    for name, which in zip(names, ("x", "y"), strict=False):
        modality_of(embedded_by(name), told, which, name=name, aligner=aligner)
        check_embeddings(opened.rows(which), name, fitted.n_features_in_)
    notes = _refuse_seen(opened, told, settings, aligner)
    pairs = opened.pairs
    items = find_items(pairs.x, pairs.y, pairs.groups) if opened.paired else None
    if settings.gallery is not None and items is not None:
        check_number(settings.gallery, "--gallery", f"[2, {items.count}]", integer=True)
    subject = Subject(
        fitted,
        pairs.x,
        pairs.y if opened.paired else None,
        items,
        modality=opened.modality,
        gallery=settings.gallery,
        seed=settings.seed,
    )
    if "zero-shot" in chosen:
        subject = with_classes(subject, opened, settings, told, aligner=aligner)
    _check_use(settings, subject)
    if opened.is_world and "arithmetic" in chosen:
        subject = _with_encoder(subject, opened, settings)
    with progress_bar("evaluating") as advance:
        found = evaluate_aligned(subject, tasks=chosen, notes=notes, progress=advance)
    show(found, as_json=as_json)


def _with_encoder(subject: Subject, opened: Opened, settings: Settings) -> Subject:
    """Return the subject with what embeds new scenes, or with the reason why nothing does."""
    try:
        return replace(subject, encoder=opened.encoder_of_scenes(settings.device))
    except ValueError as error:
        return replace(subject, unasked=str(error))


def _check_options(settings: Settings, tasks: Sequence[str]) -> None:
    if unknown := set(tasks) - set(TASKS):
        raise ValueError(f"--tasks must be some of {', '.join(TASKS)}, got {', '.join(sorted(unknown))}")
    check_number(settings.temperature, "--temperature", "(0, inf)")
    untouched = Settings()
    for option, of in _OF_TASKS.items():
        if getattr(settings, option) != getattr(untouched, option) and not set(of) & set(tasks):
            verb = "is" if len(of) == 1 else "are"
            raise ValueError(
                f"--{option} does not apply: it is of {' and '.join(of)}, which {verb} not among --tasks"
            )
    if (settings.labels is None) != (settings.classes is None):
        there, lacks = ("--labels", "--classes") if settings.classes is None else ("--classes", "--labels")
        raise ValueError(f"{there} takes {lacks} too: the class of each row, and the names of the classes")
    for option in ("prototypes", "templates"):
        if getattr(settings, option) is not None and settings.classes is None:
            raise ValueError(f"--{option} takes --classes and --labels too")
    if settings.prototypes is not None and settings.templates is not None:
        raise ValueError("--templates does not apply: --prototypes are embedded already")


def _check_use(settings: Settings, subject: Subject) -> None:
    """Refuse settings of tasks that are asked for and will be skipped."""
    if settings.gallery is not None and subject.items is None:
        raise ValueError("--gallery does not apply: retrieval takes pairs, and there is one modality only")
    if settings.temperature != TEMPERATURE and not subject.labelled:
        raise ValueError(f"--temperature does not apply: zero-shot is skipped: {subject.unlabelled}")


def _refuse_seen(
    opened: Opened, told: Provenance | None, settings: Settings, aligner: Path
) -> tuple[str, ...]:
    """Raise if items were fitted on, or nobody knows; return what to note where that is allowed."""
    unknown = None
    checks: list[tuple[str, list[Any]]] = []
    if told is None:
        unknown = f"{aligner} does not tell what it was fitted on: whether these items were among it"
    else:
        by, checks = _names(opened, told, settings)
        if by != told.named_by:
            unknown = (
                f"{aligner} knows what it was fitted on by the items' names, and these rows have none "
                "(see --groups): whether they were among it"
            )
    if unknown is not None:
        if not settings.allow_train:
            raise ValueError(f"{unknown} cannot be known {_ALL_THE_SAME}")
        return (f"{unknown} is not known",)
    assert told is not None
    notes, kind = [], "rows" if told.named_by == "row" else "items"
    for where, names in checks:
        if not settings.allow_train:
            try:
                told.refuse_seen(names, where)
            except ValueError as error:
                raise ValueError(f"{error} {_ALL_THE_SAME}") from error
        elif seen := int(told.saw(names).sum()):
            notes.append(f"{seen} of {len(names)} {kind} are of those that the aligner was fitted on")
    return tuple(notes[:1])


def _names(opened: Opened, told: Provenance, settings: Settings) -> tuple[str, list[tuple[str, list[Any]]]]:
    """Return what names the items, and lists of names that must not be known, each with where it is from.

    A store's own names are among them also where `--groups` has others, and of rows known by their bytes
    those of y, for whoever swaps the two.
    """
    by, found = item_names(opened.pairs, opened.root, settings.groups)
    lists = [(opened.pairs.names[0], found)]
    if told.named_by == "row" and by != "row":
        by, found = item_names(replace(opened.pairs, metadata=None), opened.root, None)
        lists = [(opened.pairs.names[0], found)]
    elif told.named_by == "group" and settings.groups is not None and opened.has_own_names:
        _, own = item_names(opened.pairs, opened.root, None)
        lists.append((f"{opened.pairs.names[0]}, by the store's own groups", own))
    if told.named_by == by == "row" and opened.paired:
        swapped = replace(opened.pairs, x=opened.pairs.y, metadata=None)
        lists.append((opened.pairs.names[1], item_names(swapped, opened.root, None)[1]))
    return by, [(where, list(dict.fromkeys(names) if by == "group" else names)) for where, names in lists]
