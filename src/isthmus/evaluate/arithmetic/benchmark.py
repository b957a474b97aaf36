"""Arithmetic on the world, whose answers are known exactly: which way of closing the gap makes it work?"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Self

import numpy as np

from isthmus.align import PairedAligner
from isthmus.checks import check_number, unit_rows
from isthmus.encoders import Encoder
from isthmus.evaluate.arithmetic.editing import key_of, kinds_shown, neighbours
from isthmus.evaluate.arithmetic.fitting import Aligners, embed_scenes
from isthmus.evaluate.arithmetic.queries import KINDS, Query, draw_queries
from isthmus.evaluate.arithmetic.result import ArithmeticResult, Tally
from isthmus.evaluate.arithmetic.scoring import Right, facts_right
from isthmus.evaluate.arithmetic.weighing import choose_weights
from isthmus.sources.world import Scene, draw_scene
from isthmus.sources.world.source import SPLITS

_APART = 10**6  # indices between the scenes of two seeds
_BATCH = 250


@dataclass(frozen=True)
class ArithmeticOptions:
    """What the benchmark asks.

    Examples
    --------
    >>> ArithmeticOptions.quick().queries
    12
    """

    queries: int = 30  # of each kind, by modality and seed
    candidates: int = 2000  # scenes that each query chooses among
    seeds: tuple[int, ...] = (0, 1, 2)  # each has scenes of its own
    modalities: tuple[str, ...] = ("image", "audio", "video")
    kinds: tuple[str, ...] = KINDS
    weights: tuple[float, ...] = (0.25, 0.5, 2.0)  # of the texts, that are tried beside 1

    @classmethod
    def quick(cls) -> Self:
        """Return options for a first look, in about a minute."""
        return cls(queries=12, candidates=1000, seeds=(0,))

    def __post_init__(self) -> None:
        """Raise ValueError if a value makes no sense."""
        check_number(self.queries, "queries", "[2, inf)", integer=True)
        check_number(self.candidates, "candidates", "[500, inf)", integer=True)
        for name, known in (("modalities", ("image", "audio", "video")), ("kinds", KINDS)):
            given = getattr(self, name)
            if not given or not set(given) <= set(known):
                raise ValueError(f"{name} must be some of {', '.join(known)}, got {given!r}")
        if not self.seeds:
            raise ValueError("seeds must name at least one seed, got ()")
        for seed in self.seeds:
            check_number(seed, "a seed", "[0, 900]", integer=True)  # the test split has room for so many


def arithmetic_benchmark(
    encoder: Encoder,
    aligners: Aligners,
    *,
    options: ArithmeticOptions | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> ArithmeticResult:
    """Ask an embedding space for scenes with something changed, and look what is nearest to the answer.

    An item - a text + a text leads to a point. Candidates are the true
    answer, every scene that differs from it or from the operand in one fact,
    and other scenes of the world. Beside the result stand the answers of who
    does not calculate: the operand's own neighbours, and those of the text.

    Parameters
    ----------
    encoder : Encoder
        Of text and the modalities asked for.
    aligners : mapping of str to mapping
        By modality and name, fitted on it and text, as `fit_aligners` gives them. "raw" comes along.
    options : ArithmeticOptions, optional
        How many queries, of what kinds, among how many candidates.
    progress : callable, optional
        Called with steps done, steps in all, and the step.

    Returns
    -------
    ArithmeticResult
        By modality, kind of query, wording, and aligner: recall, and the facts that are right.

    Raises
    ------
    ValueError
        The encoder lacks a modality, or an aligner is called "raw".

    References
    ----------
    .. [1] Tewel et al., "ZeroCap: Zero-Shot Image-to-Text Generation for Visual-Semantic Arithmetic",
       CVPR 2022, section 4: the task; without a truth to compare with.
    .. [2] Vu et al., "Closing the Gap of Latent Spaces for Image-Text Arithmetic", section 3.3: that the
       gap is in its way, which is not measured there.

    Examples
    --------
    >>> from isthmus.encoders import CallableEncoder
    >>> toy = CallableEncoder(
    ...     {
    ...         "image": lambda images: [i.mean((0, 1)) + 1 for i in images],
    ...         "text": lambda texts: [[len(t), t.count("e") + 1, 1] for t in texts],
    ...     },
    ...     name="toy",
    ...     dim=3,
    ...     revision="1",
    ... )
    >>> options = ArithmeticOptions(2, 500, (0,), ("image",), ("change",))
    >>> found = arithmetic_benchmark(toy, {}, options=options)
    >>> [row.prompt for row in found.rows if (row.kind, row.answer) == ("change", "arithmetic")]
    ['word', 'phrase', 'caption']
    """
    options = options or ArithmeticOptions()
    for modality in (*options.modalities, "text"):
        encoder.check_modality(modality)
    if any("raw" in named for named in aligners.values()):
        raise ValueError("aligners must not be called 'raw', which is the embeddings as they are")
    steps = [(modality, seed) for modality in options.modalities for seed in options.seeds]
    tally = Tally()
    for done, (modality, seed) in enumerate(steps):
        if progress is not None:
            progress(done, len(steps), f"{modality}, seed {seed}")
        stage = _Stage.embed(encoder, modality, seed=seed, options=options)
        for name, aligner in {"raw": None, **aligners.get(modality, {})}.items():
            _ask(stage, name, aligner, tally)
    choose_weights(tally)
    return ArithmeticResult.of(tally, encoder=f"{encoder.name} {encoder.revision}", options=vars(options))


@dataclass(frozen=True)
class _Stage:
    """The queries of a modality and a seed, and all that they need, embedded."""

    modality: str
    seed: int
    queries: list[Query]
    near: list[list[Scene]]  # of each query: the operand, the answer, and what differs from either in a fact
    rows: list[np.ndarray]  # their embeddings
    pool: list[Scene]  # for all queries
    pool_rows: np.ndarray
    texts: dict[str, int]
    text_rows: np.ndarray
    options: ArithmeticOptions
    judged: dict[tuple[int, int], Right]  # by query and candidate

    @classmethod
    def embed(cls, encoder: Encoder, modality: str, *, seed: int, options: ArithmeticOptions) -> "_Stage":
        """Draw and embed."""
        scenes = _scenes(seed)
        queries = [
            query
            for kind in options.kinds
            for query in draw_queries(scenes, kind, modality, count=options.queries, seed=seed)
        ]
        near = [_confusions(query) for query in queries]
        pool = list(islice(scenes, options.candidates))
        rows = embed_scenes(encoder, [scene for few in near for scene in few], modality)
        starts = np.cumsum([0, *(len(few) for few in near)])
        told = [text for q in queries for w in q.words.values() for text in (w.minus, w.plus) if text]
        texts = {text: i for i, text in enumerate(dict.fromkeys(told))}
        return cls(
            modality,
            seed,
            queries,
            near,
            [rows[a:b] for a, b in pairwise(starts)],
            pool,
            embed_scenes(encoder, pool, modality),
            texts,
            encoder.encode(list(texts), "text", batch_size=_BATCH),
            options,
            {},
        )


def _scenes(seed: int) -> Iterator[Scene]:
    """Yield scenes of the test split, others for every seed."""
    index = SPLITS["test"] + (1 + seed) * _APART
    while True:
        yield draw_scene(0, index)
        index += 1


def _confusions(query: Query) -> list[Scene]:
    """Return the operand, the answer, and every other scene that differs from one of them in one fact."""
    kinds = kinds_shown(query.modality)
    found = {key_of(query.scene, query.modality): query.scene}
    for scene in (query.answer, *neighbours(query.scene, kinds), *neighbours(query.answer, kinds)):
        found.setdefault(key_of(scene, query.modality), scene)
    return list(found.values())


def _ask(stage: _Stage, name: str, aligner: PairedAligner | None, tally: Tally) -> None:
    """Let every query be answered under one aligner."""
    pool = _mapped(aligner, stage.pool_rows, "x")
    texts = _mapped(aligner, stage.text_rows, "y")
    rows = _mapped(aligner, np.concatenate(stage.rows), "x")
    starts = np.cumsum([0, *(len(part) for part in stage.rows)])
    for number, query in enumerate(stage.queries):
        near = rows[starts[number] : starts[number + 1]]
        missing = max(0, stage.options.candidates - len(near))
        scenes = [*stage.near[number], *stage.pool[:missing]]
        asked = {("image", ""): near[0]}
        for prompt, words in query.words.items():
            text = {sign: texts[stage.texts[t]] for sign, t in vars(words).items() if t is not None}
            step = text.get("plus", 0) - text.get("minus", 0)
            asked["arithmetic", prompt] = near[0] + step
            asked |= {(f"weight {w:g}", prompt): near[0] + w * step for w in stage.options.weights}
            asked["text", prompt] = text["plus"] if "plus" in text else -text["minus"]
        points = unit_rows(np.stack(list(asked.values())), np.float32)  # (answers, dim)
        scores = np.concatenate([near, pool[:missing]]) @ points.T  # (candidates, answers)
        for (answer, prompt), score in zip(asked, scores.T, strict=True):
            found = _judge(score)
            first = int(found.pop("first"))
            if (number, first) not in stage.judged:
                stage.judged[number, first] = facts_right(query, scenes[first])
            found |= vars(stage.judged[number, first])
            tally.add(
                (stage.modality, query.kind, prompt, name, answer), (stage.seed, query.kind, number), found
            )


def _judge(scores: np.ndarray) -> dict[str, float]:
    """Say where the answer, the second candidate, comes out; the operand, the first, is left out but once."""
    better = int((scores[2:] >= scores[1]).sum())  # a tie is no find
    return {
        "recall_at_1": float(better < 1),
        "recall_at_10": float(better < 10),
        "recall_at_1_with_operand": float(better < 1 and scores[0] < scores[1]),
        "first": 1 if better < 1 else 2 + int(np.argmax(scores[2:])),
    }


def _mapped(aligner: PairedAligner | None, rows: np.ndarray, which: str) -> np.ndarray:
    if aligner is None:
        return unit_rows(rows, np.float32)
    return aligner.transform(rows) if which == "x" else aligner.transform_y(rows)
