"""The one loop every network trains in: seeds, checkpoints, resuming, early stopping, progress."""

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from isthmus.checks import check_number

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class TrainingConfig:
    """How a network is trained."""

    epochs: int = 200  # passes over the training rows, at most
    batch_size: int = 256
    learning_rate: float = 1e-3  # of AdamW; falls to 0 along a cosine
    weight_decay: float = 0.01
    warmup: int = 20  # steps of linear warm-up
    patience: int = 30  # epochs without a lower validation loss before training stops; 0: never
    seed: int = 0  # of the order of the rows and of dropout
    device: str = "auto"  # "cpu", "cuda", or "auto": cuda where there is one
    checkpoint_seconds: float = 10.0  # between checkpoints
    precision: str = "float32"  # of the forward pass; "bfloat16" is faster where the processor knows it

    def __post_init__(self):
        for name in ("epochs", "batch_size"):
            check_number(getattr(self, name), name, "[1, inf)", integer=True)
        for name in ("warmup", "patience", "seed"):
            check_number(getattr(self, name), name, "[0, inf)", integer=True)
        check_number(self.learning_rate, "learning_rate", "(0, inf)")
        for name in ("weight_decay", "checkpoint_seconds"):
            check_number(getattr(self, name), name, "[0, inf)")
        if self.precision not in ("float32", "bfloat16"):
            raise ValueError(f"precision must be float32 or bfloat16, got {self.precision!r}")
        if self.device != "auto" and self.device.partition(":")[0] not in ("cpu", "cuda", "mps"):
            raise ValueError(f"device must be auto, cpu, cuda or mps, got {self.device!r}")


class Task(Protocol):
    """What is trained for: the rows, and the loss of a network on some of them."""

    n: int  # training rows
    name: str  # tells this task's data and network from others, for checkpoints

    def loss(self, network: Any, rows: np.ndarray) -> "torch.Tensor":
        """Mean loss over the given training rows."""
        ...

    def validate(self, network: Any) -> float | None:
        """Loss on held-out rows, or None where there are none."""
        ...


@dataclass(frozen=True)
class Progress:
    """Where training stands."""

    epoch: int
    epochs: int
    loss: float
    validation: float | None


@dataclass(frozen=True)
class TrainingHistory:
    """How training went: mean losses by epoch, and the epoch whose weights were kept."""

    losses: list[float]
    validations: list[float | None]
    best_epoch: int


def train(
    network: "torch.nn.Module",
    task: Task,
    *,
    config: TrainingConfig,
    checkpoint: str | Path | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> TrainingHistory:
    """Train a network in place and leave in it the weights with the lowest validation loss.

    The order of the rows and dropout depend on the seed and the epoch alone,
    so that a run which was killed and started again with its checkpoint ends
    in the same weights, bit by bit, as one left alone on the same machine.

    Parameters
    ----------
    network : torch.nn.Module
        Trained in place; moved to the device.
    task : Task
        Rows and loss.
    config : TrainingConfig
        How to train.
    checkpoint : str or Path, optional
        File that the state is kept in while training, and found in on the
        next call. It stays when training is done, so that a repeated call
        returns at once; the caller removes it.
    progress : callable, optional
        Called after each epoch.

    Returns
    -------
    TrainingHistory
        Losses by epoch.

    Raises
    ------
    ValueError
        The checkpoint is of another task or config, or the loss is not finite.

    Examples
    --------
    See :class:`isthmus.align.NonLinearAligner`, whose fit is one call of this.
    """
    import torch

    device = _device(config.device)
    network.to(device)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    run = _Run(network, optimizer, {"task": task.name, "config": asdict(config)})
    if checkpoint is not None:
        run.load(Path(checkpoint))
    saved = time.monotonic()
    while not run.finished(config):
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(config.seed * 1_000_003 + run.epoch)
            loss = _epoch(network, task, optimizer, config=config, epoch=run.epoch)
        run.add(loss, task.validate(network))
        if progress is not None:
            progress(Progress(run.epoch, config.epochs, loss, run.validations[-1]))
        if checkpoint is not None and (
            run.finished(config) or time.monotonic() - saved > config.checkpoint_seconds
        ):
            run.save(Path(checkpoint))
            saved = time.monotonic()
    network.load_state_dict(run.best)
    network.eval()
    return TrainingHistory(run.losses, run.validations, run.best_epoch)


def _epoch(network, task: Task, optimizer, *, config: TrainingConfig, epoch: int) -> float:
    """Run one pass over the rows and return the mean loss."""
    import torch

    network.train()
    device = next(network.parameters()).device
    order = np.random.default_rng([config.seed, epoch]).permutation(task.n)
    batches = np.array_split(order, max(1, round(task.n / config.batch_size)))
    total, step = 0.0, epoch * len(batches)
    for rows in batches:
        rate = config.learning_rate * _schedule(step, config.epochs * len(batches), config.warmup)
        for group in optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
            loss = task.loss(network, rows)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        total += float(loss.detach()) * len(rows)
        step += 1
    if not math.isfinite(total):
        raise ValueError(
            f"the training loss is {total} in epoch {epoch + 1}: "
            f"try a learning_rate below {config.learning_rate}"
        )
    return total / task.n


def _schedule(step: int, steps: int, warmup: int) -> float:
    """Share of the learning rate at a step: linear warm-up, then a cosine down to 0."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def _device(name: str) -> "torch.device":
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device {name!r} was asked for, but torch finds no CUDA device here")
    return torch.device(name)


class _Run:
    """The state of a training run, and its checkpoint."""

    def __init__(self, network, optimizer, identity: dict[str, Any]):
        self.network, self.optimizer, self.identity = network, optimizer, identity
        self.losses: list[float] = []
        self.validations: list[float | None] = []
        self.best_epoch = 0
        self.best = _copy(network.state_dict())

    @property
    def epoch(self) -> int:
        return len(self.losses)

    def finished(self, config: TrainingConfig) -> bool:
        waited = self.epoch - self.best_epoch
        return self.epoch >= config.epochs or bool(config.patience and waited > config.patience)

    def add(self, loss: float, validation: float | None) -> None:
        earlier = [v for v in self.validations if v is not None]
        self.losses.append(loss)
        self.validations.append(validation)
        if validation is None or validation < min(earlier, default=math.inf):
            self.best_epoch = self.epoch
            self.best = _copy(self.network.state_dict())

    def save(self, path: Path) -> None:
        from safetensors.torch import save

        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        for i, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{k}": v for k, v in state.items()}
        story = {
            "identity": self.identity,
            "losses": self.losses,
            "validations": self.validations,
            "best_epoch": self.best_epoch,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".writing")
        held = {k: v.contiguous().cpu() for k, v in tensors.items()}
        partial.write_bytes(save(held, {"training": json.dumps(story)}))
        os.replace(partial, path)

    def load(self, path: Path) -> None:
        """Take up the run in `path`, if there is one."""
        from safetensors import SafetensorError, safe_open

        if not path.exists():
            return
        try:
            with safe_open(path, framework="pt") as file:
                story = json.loads((file.metadata() or {}).get("training", "{}"))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise ValueError(f"{path} is not a checkpoint ({error}): delete it to start afresh") from error
        self._check_identity(path, story.get("identity", {}))
        self.network.load_state_dict(_part(tensors, "network."))
        self.best = _part(tensors, "best.")
        state: dict[int, dict[str, Any]] = {}
        for name, tensor in _part(tensors, "optimizer.").items():
            i, key = name.split(".", 1)
            state.setdefault(int(i), {})[key] = tensor
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": state})
        self.losses, self.validations = story["losses"], story["validations"]
        self.best_epoch = story["best_epoch"]

    def _check_identity(self, path: Path, found: dict[str, Any]) -> None:
        flat = [{"task": i.get("task")} | i.get("config", {}) for i in (found, self.identity)]
        for key, expected in flat[1].items():
            if flat[0].get(key) != expected:
                raise ValueError(
                    f"{path} is the checkpoint of another run: {key} is {flat[0].get(key)} there and "
                    f"{expected} here; delete it to start afresh"
                )


def _copy(state: dict[str, Any]) -> dict[str, Any]:
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def _part(tensors: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
