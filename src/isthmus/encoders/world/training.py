"""The world's encoders trained: pictures with texts, then videos and sounds against pictures."""

import hashlib
import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

import isthmus
from isthmus.checkpoint import forget
from isthmus.checks import check_number
from isthmus.encoders.world.contrastive import (
    PAIRED_TEMPERATURE,
    TEMPERATURE,
    AgainstPictures,
    PicturesAndTexts,
    Scenes,
    embed,
)
from isthmus.encoders.world.encoder import STORY
from isthmus.encoders.world.towers import TowerSizes, build_tower, parameters_of
from isthmus.encoders.world.weights import read_tower, write_json, write_tower
from isthmus.training import Progress, TrainingConfig, TrainingHistory, train

_CHECKPOINT_SECONDS = 10.0


@dataclass(frozen=True)
class WorldTraining:
    """How the world's encoders are trained."""

    scenes: Scenes = field(default_factory=Scenes)
    towers: TowerSizes = field(default_factory=TowerSizes)
    epochs: int = 18  # of pictures with texts
    paired_epochs: int = 12  # of videos, and of sounds, against pictures
    batch_size: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    seed: int = 0  # of the weights and the batches
    precision: str = "bfloat16"
    device: str = "auto"

    def __post_init__(self):
        check_number(self.paired_epochs, "paired_epochs", "[0, inf)", integer=True)
        self.loop(self.epochs)

    def loop(self, epochs: int) -> TrainingConfig:
        """Return the settings of the training loop."""
        return TrainingConfig(
            epochs=epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            warmup=100,
            patience=0,
            seed=self.seed,
            device=self.device,
            checkpoint_seconds=_CHECKPOINT_SECONDS,
            precision=self.precision,
        )


def train_world(
    folder: str | Path,
    config: WorldTraining | None = None,
    *,
    progress: Callable[[str, float, float, str], None] | None = None,
) -> dict[str, Any]:
    """Train the towers and write them into a folder, with the story of their training.

    Each stage is kept as soon as it is done, and a stage that was stopped goes
    on from its last checkpoint, so that the same call after a kill ends in the same
    files. Video and audio towers learn from the embeddings of pictures alone
    [1]_: what they share with texts emerges.

    Parameters
    ----------
    folder : str or Path
        Where ``image.safetensors``, ``text.safetensors``, ... go.
    config : WorldTraining, optional
        How to train.
    progress : callable, optional
        Called with the stage, what is done, the total, and a text.

    Returns
    -------
    dict
        What ``training.json`` holds: settings, losses by epoch, seconds.

    Raises
    ------
    ValueError
        The folder holds towers or a checkpoint that were trained otherwise.

    References
    ----------
    .. [1] Girdhar et al., "ImageBind: One Embedding Space To Bind Them All", CVPR 2023.

    Examples
    --------
    >>> import tempfile
    >>> tiny = WorldTraining(Scenes(64, 64, 8), TowerSizes(4, 8, 1, 2), epochs=1, paired_epochs=0)
    >>> story = train_world(tempfile.mkdtemp(), tiny)
    >>> len(story["stages"]["image-text"]["losses"])
    1
    """
    run = _Run(Path(folder), config or WorldTraining(), progress or (lambda *_: None))
    run.folder.mkdir(parents=True, exist_ok=True)
    run.check()
    run.image_text()
    for modality in ("video", "audio") if run.config.paired_epochs else ():
        run.against_pictures(modality)
    return run.story


class _Run:
    """A training in a folder: its settings and what is done of it."""

    def __init__(self, folder: Path, config: WorldTraining, progress: Callable[..., None]) -> None:
        self.folder, self.config, self.progress = folder, config, progress
        settings = asdict(config) | {"device": None, "temperatures": (TEMPERATURE, PAIRED_TEMPERATURE)}
        self.identity = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
        self.story: dict[str, Any] = {
            "identity": self.identity,
            "settings": asdict(config),
            "isthmus": isthmus.__version__,
            "code": _code_revision(),
            "torch": torch.__version__,
            "stages": {},
        }

    def check(self) -> None:
        """Take up the story of the folder, which must be one of these settings."""
        path = self.folder / STORY
        if not path.exists():
            return
        story = json.loads(path.read_text(encoding="utf-8"))
        if story.get("identity") != self.identity:
            raise ValueError(
                f"{path}: the towers there were trained with other settings "
                f"(identity {story.get('identity')}, expected {self.identity}): choose another folder"
            )
        self.story = story

    def image_text(self) -> None:
        if "image-text" in self.story["stages"]:
            return
        stage = "pictures and texts"
        task = PicturesAndTexts(
            self.config.scenes,
            f"{self.identity} image-text",
            lambda *at: self.progress(f"drawing {stage}", *at, ""),
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            towers = {name: build_tower(name, self.config.towers) for name in ("image", "text")}
        self.fit("image-text", towers, task, self.config.epochs, stage)

    def against_pictures(self, modality: str) -> None:
        if modality in self.story["stages"]:
            return
        stage = f"pictures and {modality}"
        inputs, pictures = AgainstPictures.draw(
            self.config.scenes, modality, lambda *at: self.progress(f"drawing {stage}", *at, "")
        )
        frozen = read_tower(self.folder, "image", self.config.towers)
        targets = embed(frozen, pictures[0]), embed(frozen, pictures[1])
        task = AgainstPictures(inputs, targets, f"{self.identity} {modality}")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed + 1)
            tower = build_tower(modality, self.config.towers)
        self.fit(modality, {modality: tower}, task, self.config.paired_epochs, stage)

    def fit(self, name: str, towers: dict[str, nn.Module], task: Any, epochs: int, stage: str) -> None:
        network = nn.ModuleDict(towers) if len(towers) > 1 else next(iter(towers.values()))
        network = network.to(memory_format=torch.channels_last)  # ty: ignore[no-matching-overload]
        checkpoint = self.folder / f"{name}.checkpoint"
        start = time.monotonic()
        history = train(
            network,
            task,
            config=self.config.loop(epochs),
            checkpoint=checkpoint,
            progress=lambda p: self.progress(stage, p.epochs_done, p.epochs, _said(p)),
        )
        for modality, tower in towers.items():
            write_tower(self.folder, modality, tower)
        self.story["stages"][name] = self._told(history, task.n, towers, time.monotonic() - start)
        write_json(self.folder / STORY, self.story)
        forget(checkpoint)

    def _told(
        self, history: TrainingHistory, n: int, towers: dict[str, nn.Module], seconds: float
    ) -> dict[str, Any]:
        return {
            "scenes": n,
            "steps": len(history.losses) * max(1, round(n / self.config.batch_size)),
            "parameters": parameters_of(list(towers.values())),
            "losses": history.losses,
            "validations": history.validations,
            "best_epoch": history.best_epoch,
            "seconds": round(seconds, 1),  # of the last session, if it was resumed
        }


def _said(progress: Progress) -> str:
    """Return where training stands, in words."""
    p = progress
    held_out = "" if p.validation is None else f", held out {p.validation:.3f}"
    return f"epoch {p.epoch}, loss {p.loss:.3f}{held_out}, {p.rows_per_second:,.0f} scenes/s"


def _code_revision() -> str | None:
    """Return the commit of the checkout that this runs from, or None if it is installed."""
    root = Path(isthmus.__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None
