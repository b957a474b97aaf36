"""The folder of a reproduction: embedded scenes, captioners, and what they wrote, each made once."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.checks import unit_rows
from isthmus.cli.reproduce.experiment import Experiment
from isthmus.cli.reproduce.scoring import References, score
from isthmus.cli.reproduce.tables import SLOW, Row
from isthmus.whole import write_whole

_SAME = {"ZeroCap": "MAGIC"}  # both steer the same language model
_PAIRS = "ClipCap"  # the method that learns from pairs
ENCODER = "world"
_BATCH = 250
_STEPS, _STEP_SIZE = 20, 1.0  # of ZeroCap: its 5 of 0.3 are for GPT-2, and do not move a small model

Advance = Callable[[float, float, str], None]


@dataclass(frozen=True)
class Recipe:
    """What is trained: a method, and whether it then learns from pairs."""

    method: str
    share: float | None = None
    std: float | None = None  # None: as found from the captions

    @property
    def name(self) -> str:
        """Of its folder, beside which stands the seed."""
        parts = [self.method]
        parts += [f"std{self.std:g}"] if self.std is not None else []
        parts += [f"{self.share:g}"] if self.share is not None else []
        return "-".join(parts)

    @property
    def start(self) -> "Recipe | None":
        """What it goes on from."""
        return None if self.share is None or self.method == _PAIRS else Recipe(self.method, std=self.std)


def recipe_of(row: Row) -> Recipe:
    """Return what is trained for a row."""
    return Recipe(_SAME.get(row.method, row.method), row.share, row.std)


@dataclass(frozen=True)
class Workshop:
    """A folder, and how large everything in it is."""

    folder: Path
    experiment: Experiment

    def embed(self, advance: Advance, *, media: bool, workers: int | None = None) -> None:
        """Embed the scenes: pictures and captions, and of some of them sounds and videos."""
        from isthmus.encoders import open_encoder
        from isthmus.sources import open_source
        from isthmus.store import EmbeddingOptions, embed

        encoder, sizes = open_encoder(ENCODER), self.experiment
        wanted = {
            "learned": ("train", sizes.items, ("image", "text")),
            "held-out": ("test", sizes.test, ("image", "text")),
            "learned-media": ("train", sizes.media, ("audio", "video")),
            "held-out-media": ("test", sizes.test, ("audio", "video")),
        }
        for name, (split, count, modalities) in wanted.items():
            if name.endswith("media") and not media:
                continue
            captions = sizes.captions if "text" in modalities else 0
            source = open_source(f"world:{count}?seed={sizes.world}&captions={captions}", split=split)
            options = EmbeddingOptions(modalities=modalities, batch_size=_BATCH, workers=workers)
            embed(
                source,
                encoder,
                self.folder / name,
                options=options,
                progress=lambda done, total, name=name: advance(done, total or done, f"embedding {name}"),
            )

    def train(self, recipe: Recipe, seed: int, advance: Advance) -> Path:
        """Return the folder of a captioner, trained if it has not been."""
        from isthmus.decode.training import train_captioner

        folder = self.folder / "captioners" / f"{recipe.name}-seed{seed}"
        start = None if recipe.start is None else self.train(recipe.start, seed, advance)
        method = recipe.method if recipe.share is None else _PAIRS
        settings = self.experiment.training(
            method, seed, share=recipe.share, std=recipe.std if start is None else None
        )
        train_captioner(
            self.learned,
            settings,
            folder=folder,
            start=start,
            progress=lambda at: advance(
                at.epoch - 1 + at.step / max(1, at.steps), at.epochs, f"{recipe.name}, seed {seed}"
            ),
        )
        return folder

    def result(self, row: Row, seed: int) -> Path:
        """Return the file of what a row came to with one seed."""
        parts = [row.method, row.modality]
        parts += [f"std{row.std:g}"] if row.std is not None else []
        parts += [f"share{row.share:g}"] if row.share is not None else []
        parts += [f"gap{row.gap:g}"] if row.gap is not None else []
        return self.folder / "results" / f"{'-'.join(parts)}-seed{seed}.json"

    def finish(self, row: Row, seed: int, captioner: Path) -> None:
        """Write the captions of a row, score them, and keep both."""
        path = self.result(row, seed)
        captions = self._write(row, captioner)
        figures = score(captions, self._references(row), encoder=self._encoder)
        path.parent.mkdir(parents=True, exist_ok=True)
        story = {"row": row.name, "seed": seed, "captions": captions, **figures}
        write_whole(path, (json.dumps(story) + "\n").encode())

    @cached_property
    def learned(self) -> Any:
        """What captioners learn from."""
        return self._data("learned")

    @cached_property
    def held_out(self) -> Any:
        """What captions are written for."""
        return self._data("held-out")

    @cached_property
    def gap(self) -> np.ndarray:
        """The direction, of shape (dim,), to which rows of texts are as orthogonal as to any."""
        rows = unit_rows(np.asarray(self.learned.of("text")[:]))
        return np.linalg.eigh(rows.T @ rows)[1][:, 0]

    @cached_property
    def _encoder(self) -> Any:
        from isthmus.encoders import open_encoder

        return open_encoder(ENCODER)

    def _data(self, name: str) -> Any:
        from isthmus.decode.data import CaptionData
        from isthmus.store import Store

        return CaptionData.from_store(Store.open(self.folder / name))

    def _write(self, row: Row, captioner: Path) -> dict[str, str]:
        """Return the captions of a row by scene."""
        from isthmus.decode.generation import Generation
        from isthmus.decode.run import CaptionRun
        from isthmus.decode.writer import CaptionWriter

        rows, ids, means = self.shown(row)
        run = CaptionRun.open(captioner)
        known = [*run.story["modalities"], *means]
        writer = CaptionWriter(replace(run, story=run.story | {"modalities": known}))
        writer.connection.means.update(means)
        if row.method in SLOW:
            writings = self._steer(row.method, writer, writer.connection.infer(rows, row.modality))
        else:
            plan = Generation(length=self.experiment.length, batch_size=_BATCH)
            writings = writer.write(rows, name_of(row), plan)
        return {name: writing.text for name, writing in zip(ids, writings, strict=True)}

    def _steer(self, method: str, writer: Any, x: np.ndarray) -> Any:
        """Write captions that the encoder steers, among fewer next tokens than for GPT-2, which has more."""
        from isthmus.decode.guidance import MagicOptions, ZeroCapOptions, magic, zerocap

        model, tokenizer = writer.captioner.language_model, writer.captioner.tokenizer
        length, few = self.experiment.length, self.experiment.candidates

        def embed(texts: list[str]) -> np.ndarray:
            return self._encoder.encode(texts, "text", batch_size=_BATCH)

        if method == "MAGIC":
            return magic(model, tokenizer, x, embed, MagicOptions(length=length, candidates=few))
        options = ZeroCapOptions(length=length, candidates=few, steps=_STEPS, step_size=_STEP_SIZE)
        return zerocap(model, tokenizer, x, embed, options)

    def shown(self, row: Row) -> tuple[np.ndarray, list[str], dict[str, np.ndarray]]:
        """Return embeddings (n, dim) of held-out scenes, their names, and means that a run does not have."""
        if row.gap is not None:
            data = self.held_out
            learned = unit_rows(np.asarray(self.learned.of("text")[:])) + row.gap * self.gap
            rows = unit_rows(np.asarray(data.of("text")[data.first])) + row.gap * self.gap
            return rows, data.ids, {name_of(row): unit_rows(learned).mean(axis=0)}
        if row.modality == "image":
            data = self.held_out
            few = slice(self.experiment.few if row.method in SLOW else None)
            return data.distinct("image")[few], data.ids[few], {}
        learned, data = self._data("learned-media"), self._data("held-out-media")
        mean = unit_rows(learned.distinct(row.modality)).mean(axis=0)
        return data.distinct(row.modality), data.ids, {row.modality: mean}

    def _references(self, row: Row) -> References:
        from isthmus.sources.world import draw_scene, read_caption

        data = self.held_out
        told = data.references()
        if row.gap is not None:  # a caption is written again: it alone is right
            alone = {name: captions[:1] for name, captions in told.items()}
            return References(alone, {name: read_caption(caption) for name, (caption,) in alone.items()})
        return References(
            told,
            {name: draw_scene(self.experiment.world, int(name)).facts for name in data.ids},
            row.modality,
            dict(zip(data.ids, data.distinct("image"), strict=True)),
        )


def name_of(row: Row) -> str:
    return row.modality if row.gap is None else f"text at gap {row.gap:g}"


def read_results(workshop: Workshop, row: Row, seeds: Sequence[int]) -> list[Mapping[str, Any]]:
    """Return what a row came to, seed by seed."""
    return [json.loads(workshop.result(row, seed).read_bytes()) for seed in seeds]
