"""A captioner trained: on captions alone, or on pairs; stoppable and resumable."""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.checkpoint import forget
from isthmus.decode.captioner import Captioner
from isthmus.decode.connection import Connection
from isthmus.decode.data import CaptionData
from isthmus.decode.memory import TextMemory
from isthmus.decode.methods import METHODS
from isthmus.decode.requirements import check_training
from isthmus.decode.run import RUN, CaptionRun, claimed
from isthmus.decode.settings import SHAPE, CaptionTraining
from isthmus.decode.task import CaptionTask, Tokens
from isthmus.processes import is_main_process
from isthmus.training import Progress, train

_WARMING = 10  # of so many steps, one warms up at most


@dataclass(frozen=True)
class CaptionProgress:
    """Where the training of a captioner stands.

    Examples
    --------
    >>> CaptionProgress(1, 6, 20, 120, 2.5, None, 4000.0, 30.0).loss
    2.5
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float  # nats per token
    validation: float | None  # the same, of held-out items
    tokens_per_second: float | None
    seconds_left: float | None


def train_captioner(
    data: CaptionData,
    settings: CaptionTraining | None = None,
    *,
    folder: str | os.PathLike[str],
    start: str | os.PathLike[str] | None = None,
    progress: Callable[[CaptionProgress], None] | None = None,
) -> CaptionRun:
    """Train a captioner and write it into a folder.

    The same call after a kill goes on from the last state that was kept, and
    ends in the same bytes; one whose folder is complete returns at once. Of
    several processes, which ``torchrun`` starts, the first writes.

    Parameters
    ----------
    data : CaptionData
        What to learn from.
    settings : CaptionTraining, optional
        How.
    folder : str or Path
        New, empty, or begun by the same call.
    start : str or Path, optional
        A complete run, whose network is trained further on pairs; its shape and its means are kept.
    progress : callable, optional
        Called as training goes on.

    Returns
    -------
    CaptionRun
        Complete.

    Raises
    ------
    ValueError
        The folder holds something else or another run; the data lacks what the
        method learns from; a setting does not apply to the method; or `start`
        cannot be trained further.
    TimeoutError
        Another process trains in the folder.

    Examples
    --------
    >>> import tempfile
    >>> rows = np.random.default_rng(0).normal(size=(8, 4))
    >>> data = CaptionData({"text": rows, "image": rows + 1}, list("aabbccdd"), ["a dog", "a cat"] * 4)
    >>> tiny = CaptionTraining(epochs=1, prefix=1, width=8, layers=1, heads=1, vocabulary=257, held_out=0.25)
    >>> train_captioner(data, tiny, folder=tempfile.mkdtemp()).complete
    True
    """
    settings = settings or CaptionTraining()
    begun = None if start is None else CaptionRun.open(start)
    check_training(data, settings, begun)
    if begun is not None:
        settings = replace(settings, **{name: begun.story["settings"][name] for name in SHAPE})
    identity = {
        "settings": settings.identity(),
        "data": data.identity,
        "start": begun and begun.weights,
    }
    encoders = {name: dict(data.encoders[name]) for name in data.modalities if name in data.encoders}
    training = _Training(data, settings, begun)
    path = Path(folder) / RUN
    there = CaptionRun.open(folder, complete=False) if path.is_file() else None
    if there is None:
        training.prepare()  # what cannot be prepared leaves no folder behind
    if not is_main_process():
        run = there or CaptionRun(path.parent, {"complete": False})
        if not run.complete:
            training.fit(run, None)
        return run
    with claimed(folder, identity, settings=settings.to_dict(), encoders=encoders) as run:
        if not run.complete:
            return training.finish(run, progress)
        forget(run.checkpoint)  # a kill may have left it
        return run


class _Training:
    """A run on its way: everything but the loop is a function of data and settings, and done again."""

    connection: Connection
    memory: TextMemory | None = None
    captioner: Captioner | None = None

    def __init__(self, data: CaptionData, settings: CaptionTraining, begun: CaptionRun | None) -> None:
        self.data, self.settings, self.begun = data, settings, begun
        self.method = METHODS[settings.method]
        learned, validated = data.split(settings.held_out, seed=settings.seed)
        if self.method.learns_from == "pairs":
            learned, validated = _share(learned, settings.pairs), _share(validated, settings.pairs)
        self.items = learned
        self.rows = data.rows_of(learned), data.rows_of(validated)
        told = data.told()
        self.texts = [told[row] for row in self.rows[0]]
        self.prepared = False

    def prepare(self) -> None:
        """Make everything that is trained, or needs no training."""
        if self.prepared:
            return
        self.connection = self._connection()
        if self.method.writes in ("nearest", "projection"):
            self.memory = TextMemory(self._remembered(), self.texts)
        if self.method.writes != "nearest":
            self.captioner = self._captioner()
        self.prepared = True

    def finish(self, run: CaptionRun, progress: Callable[[CaptionProgress], None] | None) -> CaptionRun:
        """Do all of it, and write what comes of it."""
        self.prepare()
        self.connection.save(run.connection)
        if self.memory is not None:
            run.save_memory(self._remembered(), self.texts)
        history = self.fit(run, progress)
        if self.captioner is not None:
            self.captioner.save(run.captioner)
        run = run.write(
            dim=int(self.data.of("text").shape[1]),
            modalities=list(self.connection.modalities),
            noise=self.connection.to_dict()["noise"],
            items=len(self.items),
            captions=len(self.rows[0]),
            held_out=len(self.rows[1]),
            history=history,
            complete=True,
        )
        forget(run.checkpoint)
        return run

    def _remembered(self) -> np.ndarray:
        """Return the embeddings (n, dim) of the captions that the method keeps."""
        rows = self.connection.infer(np.asarray(self.data.of("text")[self.rows[0]]), "text")
        return rows.astype(np.float32)

    def _connection(self) -> Connection:
        if self.begun is not None:
            return Connection.load(self.begun.connection)
        data, settings = self.data, self.settings
        media = [name for name in data.modalities if name != "text"]
        first = data.first[self.items]
        pairs = None
        if settings.noise_pairs:
            taken = first[: settings.noise_pairs]
            pairs = np.asarray(data.of(settings.modality)[taken]), np.asarray(data.of("text")[taken])
        return Connection.fit(
            self.method,
            np.asarray(data.of("text")[self.rows[0]]),
            {name: np.asarray(data.of(name)[first]) for name in media},
            items=data.item[self.rows[0]],
            pairs=pairs,
            std=settings.std,
            seed=settings.seed,
        )

    def fit(self, run: CaptionRun, progress: Callable[[CaptionProgress], None] | None) -> dict[str, Any]:
        """Train the captioner in place, if there is one, and return how that went."""
        self.prepare()
        captioner = self.captioner
        if captioner is None:
            return {}
        tokens = Tokens(
            captioner.tokenizer.encode(self.data.told()),
            end=captioner.tokenizer.end,
            longest=captioner.language_model.positions - captioner.config.prefix,
        )
        task = CaptionTask(
            self.data,
            self.connection,
            settings=self.settings,
            rows=self.rows,
            tokens=tokens,
            memory=self.memory,
        )
        if task.alone and self.settings.frozen:
            return {}
        config = self.settings.loop()
        steps = config.epochs * max(1, round(task.n / config.batch_size))
        config = replace(config, warmup=min(config.warmup, steps // _WARMING))
        history = train(
            captioner.language_model if task.alone else captioner,
            task,
            config=config,
            checkpoint=run.checkpoint,
            progress=None if progress is None else lambda p: progress(_told(p, task.n, task.tokens_per_row)),
        )
        return {
            "losses": history.losses,
            "validations": history.validations,
            "best_epoch": history.best_epoch,
            "cut": tokens.cut,
        }

    def _captioner(self) -> Captioner:
        if self.begun is not None:
            return Captioner.load(self.begun.captioner)
        config = self.settings.captioner(int(self.data.of("text").shape[1]))
        return Captioner.build(config, self.texts, seed=self.settings.seed)


def _share(items: np.ndarray, share: float) -> np.ndarray:
    """Return the first of some items: of more pairs, those of fewer are a part."""
    return items[: math.ceil(share * len(items))]


def _told(at: Progress, rows: int, tokens_per_row: float) -> CaptionProgress:
    rate = at.rows_per_second
    left = (at.epochs - at.epochs_done) * rows / rate if rate else None
    return CaptionProgress(
        at.epoch,
        at.epochs,
        at.step,
        at.steps,
        at.loss,
        at.validation,
        rate * tokens_per_row if rate else None,
        left,
    )
