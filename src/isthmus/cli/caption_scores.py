"""Captions held against what people wrote, against the embeddings of their item, and against facts."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import numpy as np

from isthmus.cli import captions
from isthmus.cli.caption_writing import Writing, check_unused, prepare
from isthmus.cli.captions import Items, Rows
from isthmus.encoders import Encoder, open_encoder

if TYPE_CHECKING:
    from isthmus.evaluate.captions import CaptionComparison, CaptionRows, CaptionScores, FactScores

_CLIP = "CLIPScore"
_TEXTS = 256  # that are embedded at a time


@dataclass(frozen=True)
class Scored:
    """Scores of the captions of a store or a source.

    Attributes
    ----------
    scores : CaptionScores
        Against references.
    facts : FactScores, optional
        On the world.
    modality : str
        What the captions are of.
    """

    scores: "CaptionScores"
    facts: "FactScores | None"
    modality: str

    def to_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        facts = None if self.facts is None else self.facts.to_dict()
        return {"modality": self.modality} | self.scores.to_dict() | {"facts": facts}

    def __rich__(self):
        from rich.console import Group

        from isthmus.evaluate.captions.scores import show_scores

        tables = [
            show_scores(self.scores, self.modality),
            *([] if self.facts is None else [self.facts.__rich__()]),
        ]
        return Group(*tables)


@dataclass(frozen=True)
class Scoring:
    """What captions are scored by."""

    metrics: tuple[str, ...] | None = None  # by default all that can be had
    spice_folder: str | None = None
    seed: int = 0  # of the resamples


@dataclass(frozen=True)
class Candidates:
    """Captions of some items, and what they are held against."""

    captions: dict[str, str]  # by item
    items: Items
    rows: list[Rows] | None  # of the items, for CLIPScore
    encoder: Encoder | str  # embeds captions; or the reason why there is none
    modality: str
    skipped: list[str]  # why items were left out when captions were written
    beyond: int = 0  # captions left out, of items beyond the limit


class _Keeping:
    """Items whose embeddings are kept: those of a source are not embedded twice."""

    def __init__(self, items: Items) -> None:
        self.items, self.kept = items, dict[int, Rows]()
        self.identity, self.total, self.origin = items.identity, items.total, items.origin
        self.encoder, self.modality = items.encoder, items.modality

    @property
    def skipped(self) -> list[str]:
        """Why items were left out, by the latest walk."""
        return self.items.skipped

    def chunks(self, start: int) -> Iterator[Rows]:
        """Yield names and embeddings from the chunk numbered `start`."""
        number = start
        while number in self.kept:
            yield self.kept[number]
            number += 1
        for rows in self.items.chunks(number):
            self.kept[number] = rows
            yield rows
            number += 1

    def references(self) -> dict[str, list[str]]:
        """Return the captions of each item by its name."""
        return self.items.references()


def write_candidates(
    run: Path, source: str, settings: Writing, *, out: Path | None, progress: Any
) -> Candidates:
    """Write captions of a store or a source, to a file too if one is given."""
    task = prepare(run, source, settings)
    if not any(task.items.references().values()):  # before any work is done
        raise ValueError(f"{source} has no captions to score against")
    items = _Keeping(task.items)
    if out is not None:
        captions.write_lines(out, items, task.write, identity=task.identity, progress=progress)
        found = captions.read_captions(out)
    else:
        found = {}
        progress(0, items.total)
        for text in captions.lines(items, task.write):
            told = [json.loads(line) for line in text.split("\n") if line]
            found |= {line["id"]: line["caption"] for line in told}
            progress(len(found), items.total)
        captions.check_any(len(found), items.skipped)
    return _held(found, items, task.modality, settings, list(items.skipped))


def read_candidates(path: Path, source: str, settings: Writing) -> Candidates:
    """Read captions of a store or a source from a file."""
    check_unused(settings, f"the captions in {path} are written already")
    found = captions.read_captions(path)
    if found.modality and settings.modality not in (None, found.modality):
        raise ValueError(f"{path} holds captions of {found.modality}, --modality is {settings.modality}")
    modality = captions.modality_of(source, settings.modality or found.modality, settings.split)
    choice = captions.Choice(modality, settings.limit, settings.split, settings.on_error)
    items = captions.open_items(source, choice, None)
    if settings.limit is None:
        return _held(found, items, modality, settings, [])
    within = items.references()
    held = {name: caption for name, caption in found.items() if name in within}
    if not held:
        raise ValueError(f"{path} holds no captions of the items that --limit {settings.limit} leaves")
    return _held(held, items, modality, settings, [], beyond=len(found) - len(held))


def _held(
    found: dict[str, str], items: Items, modality: str, settings: Writing, skipped: list[str], beyond: int = 0
) -> Candidates:
    encoder = _text_encoder(items.encoder, device=settings.device)
    rows = None if isinstance(encoder, str) else _rows_of(items, found)
    return Candidates(found, items, rows, encoder, modality, skipped, beyond)


def score_items(found: Candidates, scoring: Scoring) -> Scored:
    """Score captions of some items.

    Parameters
    ----------
    found : Candidates
        The captions. References of items without a caption do not count.
    scoring : Scoring
        By which metrics.

    Returns
    -------
    Scored
        With intervals.

    Raises
    ------
    ValueError
        An item has no references, or a metric that was asked for cannot be had.
    """
    from isthmus.evaluate.captions import score_captions, score_facts

    candidates, metrics = found.captions, scoring.metrics
    references = _references(found)
    embedded = None
    if metrics is None or _CLIP in metrics:
        if isinstance(found.encoder, Encoder):
            embedded = _embedded(candidates, references, found.rows or [], found.encoder)
        elif metrics is not None:
            raise ValueError(f"{_CLIP}: {found.encoder}")
    scores = score_captions(
        candidates,
        references,
        metrics=metrics,
        rows=embedded,
        spice_folder=scoring.spice_folder,
        seed=scoring.seed,
    )
    if isinstance(found.encoder, str) and _CLIP in scores.skipped:
        scores.skipped[_CLIP] = found.encoder
    facts, origin = None, found.items.origin
    if origin is not None and origin.startswith("world:"):
        truths = _truths(origin, candidates)
        facts = score_facts(candidates, truths, modality=found.modality, seed=scoring.seed)
    return Scored(scores, facts, found.modality)


def compare_items(found: Candidates, against: Path, scoring: Scoring) -> "CaptionComparison":
    """Compare captions of some items with those of another captioner, in a file.

    Parameters
    ----------
    found : Candidates
        The captions: a.
    against : Path
        Captions of the same items, and of no others: b.
    scoring : Scoring
        By which metrics.

    Returns
    -------
    CaptionComparison
        Of each metric both values and their difference, with an interval.

    Raises
    ------
    ValueError
        The file does not hold the same items, or as for `score_items`.
    """
    from isthmus.evaluate.captions import compare_captions

    others, references = captions.read_captions(against), _references(found)
    for name, there, lacking in (
        *((name, "the first captions", against) for name in found.captions if name not in others),
        *((name, against, "the first captions") for name in others if name not in found.captions),
    ):
        raise ValueError(f"item {name} is among {there} and not among {lacking}: both must caption the same")
    rows = None
    if isinstance(found.encoder, Encoder) and (scoring.metrics is None or _CLIP in scoring.metrics):
        a, b = (_embedded(c, references, found.rows or [], found.encoder) for c in (found.captions, others))
        rows = a, b
    return compare_captions(
        found.captions,
        dict(others),
        references,
        metrics=scoring.metrics,
        rows=rows,
        spice_folder=scoring.spice_folder,
        seed=scoring.seed,
    )


def _references(found: Candidates) -> dict[str, list[str]]:
    """Return the captions that people wrote of the items."""
    held = found.items.references()
    if lacks := [name for name in found.captions if not held.get(name)]:
        raise ValueError(f"item {lacks[0]} has a caption, but there are no references of it to score against")
    return {name: held[name] for name in found.captions}


def _text_encoder(entry: Mapping[str, Any] | None, *, device: str) -> Encoder | str:
    """Return the encoder of a store's texts, or the reason why it cannot embed a caption."""
    if not entry:
        return "no encoder of captions beside these items is known: score against a store with texts"
    try:
        encoder = open_encoder(entry["encoder"], device=device)
    except (ValueError, OSError, ImportError) as error:
        return f"the encoder of the embeddings cannot be opened: {error}"
    if entry.get("revision") not in (None, encoder.revision):
        return f"embeddings are of {encoder.name} {entry['revision']}, it is {encoder.revision} here"
    if encoder.reads == "id" or "text" not in encoder.modalities:
        return f"{encoder.name} cannot embed a caption"
    return encoder


def _embedded(
    candidates: Mapping[str, str],
    references: Mapping[str, list[str]],
    rows: Iterable[Rows],
    encoder: Encoder,
) -> "CaptionRows":
    from isthmus.evaluate.captions import CaptionRows

    images = {name: row for names, part in rows for name, row in zip(names, part, strict=True)}
    told = encoder.encode(list(candidates.values()), "text", batch_size=_TEXTS)
    texts = list(dict.fromkeys(text for each in references.values() for text in each))
    place = {text: i for i, text in enumerate(texts)}
    known = encoder.encode(texts, "text", batch_size=_TEXTS)
    return CaptionRows(
        images,
        dict(zip(candidates, told, strict=True)),
        {name: known[[place[text] for text in each]] for name, each in references.items()},
    )


def _truths(origin: str, candidates: Mapping[str, str]) -> dict[str, Any]:
    """Return all facts of scenes of the world, each drawn again from its name."""
    from isthmus.sources.world import draw_scene

    seed = int(dict(parse_qsl(origin.partition("?")[2])).get("seed", "0"))
    return {name: draw_scene(seed, int(name)).facts for name in candidates}


def _rows_of(items: Items, wanted: Mapping[str, Any]) -> list[Rows]:
    """Return the embeddings of those items that are wanted."""
    kept: list[Rows] = []
    for names, rows in items.chunks(0):
        here = [i for i, name in enumerate(names) if name in wanted]
        kept.append(([names[i] for i in here], np.asarray(rows)[here]))
    return kept
