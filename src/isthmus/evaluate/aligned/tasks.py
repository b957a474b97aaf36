"""The tasks by name. Each takes a subject and returns its rows; one that cannot raises `LacksError`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from isthmus.checks import unit_rows
from isthmus.evaluate.aligned.result import Row
from isthmus.evaluate.aligned.subject import Labelled, LacksError, Subject
from isthmus.evaluate.arithmetic import ArithmeticOptions, arithmetic_benchmark
from isthmus.evaluate.mixed import MixedOptions, mixed_task
from isthmus.evaluate.retrieval import (
    check_gallery,
    is_share,
    replicate_retrieval,
    sampled_queries,
    searched_items,
)
from isthmus.evaluate.zero_shot import Replicated, ensemble, replicate_zero_shot
from isthmus.measure.bootstrap import Bootstrap

_LOWER = "median_rank"  # figures whose names begin so are better where they are lower
_PROMPTS = ("word", "phrase", "caption")  # in which the benchmark of arithmetic asks
_ARITHMETIC = ("recall_at_1", "recall_at_10")


@dataclass
class Outcome:
    """What a task found.

    Examples
    --------
    >>> Outcome([], {"retrieval": "100 items"}).details
    {}
    """

    rows: list[Row]
    sizes: dict[str, str]  # by the task that rows name
    details: dict[str, Any] = field(default_factory=dict)


Task = Callable[[Subject], Outcome]


def retrieval_task(subject: Subject) -> Outcome:
    """Let each modality search the other, over all items, and over galleries if there is a size of them."""
    x, y, items = subject.pairs()
    check_gallery(subject.gallery, items)
    boot, rows, sizes = Bootstrap(items.group, subject.seed), [], {}
    for gallery in (None, *([subject.gallery] if subject.gallery else [])):
        count = 1 if gallery is None else items.count // gallery
        name = "retrieval" if gallery is None else f"retrieval, galleries of {gallery}"
        raw, aligned = (
            replicate_retrieval(*pair, items, boot=boot, gallery=gallery, seed=subject.seed)
            for pair in ((x, y), subject.aligned)
        )
        asked = searched_items(items, gallery)
        rows += [
            Row.paired(
                name,
                figure,
                raw=raw[figure],
                aligned=aligned[figure],
                lower=figure.startswith(_LOWER),
                share_of=asked if is_share(figure) else None,
            )
            for figure in raw
        ]
        searched = f"{len(items.x_rows)} x, {len(items.y_rows)} y of {items.count} items"
        if (asking := sampled_queries(items, gallery)) is not None:
            searched += f", by {asking} sampled rows of each"
        left = items.count - count * (gallery or items.count)
        sizes[name] = searched if gallery is None else f"mean over {count}, {left} items left out"
    return Outcome(rows, sizes)


def zero_shot_task(subject: Subject) -> Outcome:
    """Classify the images that have a label, by every set of classes."""
    if not subject.labelled:
        raise LacksError(subject.unlabelled)
    outcome = Outcome([], {})
    for labelled in subject.labelled:
        _classify(subject, labelled, outcome)
    if not outcome.rows:
        raise LacksError("fewer than 2 images have a label among the classes")
    return outcome


def _classify(subject: Subject, labelled: Labelled, outcome: Outcome) -> None:
    name = f"zero-shot {labelled.title}".rstrip()
    rows = subject.images[labelled.labels[subject.images] >= 0]
    if len(rows) < 2:
        return
    labels, boot = labelled.labels[rows], Bootstrap(np.arange(len(rows)), subject.seed)
    flat = labelled.prompts.reshape(-1, labelled.prompts.shape[2])
    mapped = subject.aligner.transform_y(flat)  # every prompt is mapped, as a text that searches would be
    images = subject.x[rows]
    found = [
        replicate_zero_shot(some, prototypes, labels=labels, boot=boot, temperature=labelled.temperature)
        for some, prototypes in (
            (images, ensemble(labelled.prompts)),
            (subject.aligner.transform(images), _prototypes(mapped, labelled)),
        )
    ]
    outcome.rows += _classified(name, *found, names=labelled.names)
    classes = (
        f"{len(labelled.names)} classes, {labelled.templates} prompt{'s' * (labelled.templates > 1)} each"
    )
    outcome.sizes[name] = f"{len(rows)} images, {classes}"


def _classified(name: str, raw: Replicated, aligned: Replicated, *, names: Sequence[str]) -> list[Row]:
    rows = [
        Row.paired(name, figure, raw=values, aligned=aligned.shares[figure], share_of=raw.share_of(figure))
        for figure, values in raw.shares.items()
    ]
    figures = raw.figure("ece"), aligned.figure("ece"), aligned.ece_above(raw)
    rows.append(Row(name, "ece", *figures, lower_is_better=True))
    for at, values in raw.of_class.items():
        other, count = aligned.of_class[at], raw.count[at]
        rows.append(Row.paired(name, "top_1", raw=values, aligned=other, of=names[at], share_of=count))
    return rows


def _prototypes(mapped: np.ndarray, labelled: Labelled) -> np.ndarray:
    """As `ensemble`, of mapped prompts, of which a map may have sent some to the origin."""
    parts = unit_rows(mapped).reshape(len(labelled.names), labelled.templates, -1)
    return unit_rows(parts.mean(axis=1))


def mixed_search_task(subject: Subject) -> Outcome:
    """Let what documents leave out search a corpus of images, texts and both, made of the pairs."""
    x, y, items = subject.pairs()
    options = MixedOptions(seed=subject.seed)
    try:
        found = mixed_task(x, y, items=items.group, aligner=subject.aligner, options=options)
    except ValueError as error:  # pairs are checked by now: there are too few to make queries of
        raise LacksError(str(error)) from error
    names = ("ndcg", *(f"recall_at_{k}" for k in options.recall_at))
    rows = [
        Row(
            "mixed",
            name,
            found.figure("raw", name),
            found.figure("aligned", name),
            found.difference("aligned", "raw", name),
        )
        for name in names
    ]
    return Outcome(rows, {"mixed": f"{len(found)} queries; {found.searched}"}, {"mixed": found.to_dict()})


def arithmetic_task(subject: Subject) -> Outcome:
    """Calculate with scenes of the world, others than those of the subject."""
    if subject.encoder is None:
        raise LacksError(subject.unasked)
    if subject.modality not in ("image", "audio", "video"):
        raise LacksError(f"it changes images, sounds and videos by texts, not {subject.modality}")
    quick = ArithmeticOptions.quick()
    options = ArithmeticOptions(
        quick.queries, quick.candidates, quick.seeds, (subject.modality,), quick.kinds, ()
    )
    found = arithmetic_benchmark(
        subject.encoder(), {subject.modality: {"aligned": subject.aligner}}, options=options
    )
    rows, asked = [], []
    for prompt in _PROMPTS:
        raw, aligned = (found.row(subject.modality, "all", prompt, name) for name in ("raw", "aligned"))
        for name in _ARITHMETIC:
            figures = raw.figures[name], aligned.figures[name], aligned.over_raw[name]
            rows.append(Row("arithmetic", name, *figures, of=prompt))
        asked.append(f"{aligned.queries} in a {prompt}")
    size = f"queries: {', '.join(asked)}; among {options.candidates} scenes"
    return Outcome(rows, {"arithmetic": size}, {"arithmetic": found.to_dict()})


TASKS: dict[str, Task] = {
    "retrieval": retrieval_task,
    "zero-shot": zero_shot_task,
    "mixed": mixed_search_task,
    "arithmetic": arithmetic_task,
}
