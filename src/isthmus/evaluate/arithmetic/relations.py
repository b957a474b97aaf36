"""Relations such as country to capital: a is to b as c is to what? Words and pictures, by any encoder."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.align import PairedAligner
from isthmus.checks import unit_rows
from isthmus.encoders import Encoder
from isthmus.measure.bootstrap import Bootstrap, Figure
from isthmus.sources.decoding import decode_image

_KEYS = ("a", "b", "c", "answer")
_BATCH = 64
Thing = str | Path  # words, or the file of a picture


@dataclass(frozen=True)
class Relation:
    """a is to b as c is to the answer; each is words, or the file of a picture.

    Examples
    --------
    >>> Relation("France", "Paris", "Italy", "Rome").answer
    'Rome'
    """

    a: Thing
    b: Thing
    c: Thing
    answer: Thing


@dataclass(frozen=True)
class RelationScores:
    """How often b - a + c leads to the answer.

    Examples
    --------
    >>> half = Figure(0.5, 0.4, 0.6)
    >>> RelationScores(2, 9, half, half, half, ("Rome", "Paris")).to_dict()["found"]
    ['Rome', 'Paris']
    """

    relations: int
    candidates: int
    recall_at_1: Figure
    recall_at_5: Figure
    without_relation: Figure  # R@1 of what is nearest to c alone
    found: tuple[str, ...]  # the nearest to each result

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
        told = {k: v._asdict() for k, v in vars(self).items() if isinstance(v, Figure)}
        return vars(self) | told | {"found": list(self.found)}


def read_relations(path: str | Path) -> list[Relation]:
    """Read relations from JSON lines.

    Parameters
    ----------
    path : str or Path
        A line has ``{"a": ..., "b": ..., "c": ..., "answer": ...}``; each is words, or
        ``{"image": FILE}``, from the folder of the list. Answers are all words, or all pictures.

    Returns
    -------
    list of Relation
        In order.

    Raises
    ------
    FileNotFoundError
        The list, or a picture, is not there.
    ValueError
        The list is not UTF-8, or a line is not as described: naming it.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "capitals.jsonl"
    >>> _ = path.write_text('{"a": "France", "b": "Paris", "c": "Italy", "answer": "Rome"}')
    >>> read_relations(path)
    [Relation(a='France', b='Paris', c='Italy', answer='Rome')]
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be text in UTF-8: {error}") from error
    relations = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            entry = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{where}, is not JSON: {error}") from error
        if not isinstance(entry, dict) or set(entry) != set(_KEYS):
            held = ", ".join(entry) if isinstance(entry, dict) else type(entry).__name__
            raise ValueError(f"{where}: expected an object with {', '.join(_KEYS)}, found {held}")
        relations.append(Relation(*(_thing(entry[key], path.parent, f"{where}: {key}") for key in _KEYS)))
    if not relations:
        raise ValueError(f"{path} holds no relations")
    if len({isinstance(relation.answer, Path) for relation in relations}) > 1:
        raise ValueError(f"{path}: answers must be all words or all pictures, found both")
    return relations


def score_relations(
    encoder: Encoder,
    relations: Sequence[Relation],
    *,
    aligner: PairedAligner | None = None,
    template: str = "{}",
    seed: int = 0,
) -> RelationScores:
    """Calculate b - a + c, and look among all words, or all pictures, of the relations for what is nearest.

    The operands themselves are left out, as is usual.

    Parameters
    ----------
    encoder : Encoder
        Of text, and of images where there are pictures.
    relations : sequence of Relation, length n
        As `read_relations` gives them.
    aligner : PairedAligner, optional
        Fitted on its images and texts.
    template : str, default="{}"
        What words are put into, such as "a photo of {}".
    seed : int, default=0
        Of the resamples.

    Returns
    -------
    RelationScores
        Recall, with 95% intervals over relations; where nearly all or none are right, binomial ones.

    Raises
    ------
    ValueError
        There are no relations, the template has no {}, or the encoder lacks a modality.

    References
    ----------
    .. [1] Tewel et al., "ZeroCap: Zero-Shot Image-to-Text Generation for Visual-Semantic Arithmetic",
       CVPR 2022, section 4.3: relations of pictures, whose answers a language model writes; here they
       are looked up.

    Examples
    --------
    >>> from isthmus.encoders import CallableEncoder
    >>> places = {"France": (1, 0, 0), "Paris": (1, 0, 1), "Italy": (0, 1, 0), "Rome": (0, 1, 1)}
    >>> atlas = CallableEncoder(
    ...     {"text": lambda texts: [places[text] for text in texts]}, name="atlas", dim=3, revision="1"
    ... )
    >>> score_relations(atlas, [Relation("France", "Paris", "Italy", "Rome")]).found
    ('Rome',)
    """
    if not relations:
        raise ValueError("relations must hold at least one relation, got none")
    if "{}" not in template:
        raise ValueError(f"template must have a place for words, '{{}}', got {template!r}")
    things = list(dict.fromkeys(thing for relation in relations for thing in vars(relation).values()))
    rows = _embed(encoder, things, aligner, template)  # (things, dim)
    at = {thing: i for i, thing in enumerate(things)}
    pictured = isinstance(relations[0].answer, Path)
    eligible = np.array([isinstance(thing, Path) == pictured for thing in things])
    ranks, alone, found = [], [], []
    for relation in relations:
        a, b, c, answer = (at[thing] for thing in vars(relation).values())
        open_to = eligible.copy()
        open_to[[i for i in (a, b, c) if i != answer]] = False
        for point, kept in ((rows[b] - rows[a] + rows[c], ranks), (rows[c], alone)):
            cosines = np.where(open_to, rows @ unit_rows(point[None])[0], -np.inf)
            kept.append(int((np.delete(cosines, answer) >= cosines[answer]).sum()))
            if kept is ranks:
                found.append(str(things[int(cosines.argmax())]))
    boot = Bootstrap(np.arange(len(relations)), seed)
    tests = (np.array(ranks) < 1, np.array(ranks) < 5, np.array(alone) < 1)
    shares = (boot.mean(right.astype(float)) for right in tests)
    figures = [boot.figure(share, share_of=len(relations)) for share in shares]
    return RelationScores(len(relations), int(eligible.sum()), *figures, tuple(found))


def _embed(
    encoder: Encoder, things: Sequence[Thing], aligner: PairedAligner | None, template: str
) -> np.ndarray:
    rows: dict[Thing, np.ndarray] = {}
    for modality, kind in (("text", str), ("image", Path)):
        some = [thing for thing in things if isinstance(thing, kind)]
        for start in range(0, len(some), _BATCH):
            part = some[start : start + _BATCH]
            values = [template.replace("{}", t) if isinstance(t, str) else decode_image(t) for t in part]
            embedded = encoder.encode(values, modality, batch_size=_BATCH)
            if aligner is not None:
                embedded = aligner.transform_y(embedded) if kind is str else aligner.transform(embedded)
            rows |= dict(zip(part, unit_rows(embedded), strict=True))
    return np.stack([rows[thing] for thing in things])


def _thing(value: Any, folder: Path, where: str) -> Thing:
    if isinstance(value, str) and value.strip():
        return value
    if isinstance(value, dict) and set(value) == {"image"} and isinstance(value["image"], str):
        file = folder / value["image"]
        if not file.is_file():
            raise FileNotFoundError(f"{where}: no such file: {file}")
        return file
    raise ValueError(f'{where}: expected words or {{"image": FILE}}, found {value!r}')
