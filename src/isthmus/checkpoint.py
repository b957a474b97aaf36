"""The state of a training run, and the file that it is kept in."""

import json
import math
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


class Run:
    """A training run after any of its steps.

    Parameters
    ----------
    network : torch.nn.Module
        What is trained.
    optimizer : torch.optim.Optimizer
        What trains it.
    identity : dict
        "task", a text, and "config", a dict: a checkpoint with others is refused.

    Attributes
    ----------
    step : int
        Steps done.
    losses, validations : list
        Of each epoch that is over.
    total, weight : float
        Sum of the losses of the running epoch, and what to divide it by.
    best : dict
        The weights of `best_epoch`; those at the start if that is 0.

    Examples
    --------
    >>> import torch
    >>> network = torch.nn.Linear(2, 1)
    >>> run = Run(network, torch.optim.AdamW(network.parameters()), {"task": "line", "config": {}})
    >>> run.step, run.epoch
    (0, 0)
    """

    def __init__(
        self, network: "torch.nn.Module", optimizer: "torch.optim.Optimizer", identity: dict[str, Any]
    ) -> None:
        self.network, self.optimizer, self.identity = network, optimizer, identity
        self.step = 0
        self.total = self.weight = 0.0
        self.losses: list[float] = []
        self.validations: list[float | None] = []
        self.best_epoch = 0
        self.best = _copy(network.state_dict())

    @property
    def epoch(self) -> int:
        """Epochs that are over."""
        return len(self.losses)

    @property
    def loss(self) -> float:
        """Mean loss of the running epoch so far."""
        return self.total / self.weight

    def end_epoch(self, validation: float | None) -> None:
        """Note the losses of the running epoch, and its weights if they are the best so far."""
        earlier = [v for v in self.validations if v is not None]
        self.losses.append(self.loss)
        self.validations.append(validation)
        self.total = self.weight = 0.0
        if validation is None or validation < min(earlier, default=math.inf):
            self.best_epoch = self.epoch
            self.best = _copy(self.network.state_dict())

    def save(self, path: Path) -> None:
        """Write the run to a file, in a folder beside it from which it is then moved."""
        from safetensors.torch import save_file

        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        for i, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{k}": v for k, v in state.items()}
        names = ("identity", "step", "total", "weight", "losses", "validations", "best_epoch")
        story = json.dumps({name: getattr(self, name) for name in names})
        scratch = _scratch(path)
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        save_file(_apart(tensors), scratch / path.name, {"training": story})
        os.replace(scratch / path.name, path)
        scratch.rmdir()

    def load(self, path: Path) -> None:
        """Take up the run in a file, if there is one.

        Raises
        ------
        ValueError
            The file is not a checkpoint, or of another run.
        """
        from safetensors import SafetensorError, safe_open

        if not path.exists():
            return
        try:
            with safe_open(path, framework="pt") as file:
                story = json.loads((file.metadata() or {}).get("training", "{}"))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise ValueError(f"{path} is not a checkpoint ({error}): delete it to start afresh") from error
        self._check(path, story)
        self.network.load_state_dict(_part(tensors, "network."))
        self.best = _part(tensors, "best.")
        state: dict[int, dict[str, Any]] = {}
        for name, tensor in _part(tensors, "optimizer.").items():
            i, key = name.split(".", 1)
            state.setdefault(int(i), {})[key] = tensor
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": state})
        for name in ("step", "total", "weight", "losses", "validations", "best_epoch"):
            setattr(self, name, story[name])

    def _check(self, path: Path, story: dict[str, Any]) -> None:
        found = story.get("identity", {})
        flat = [{"task": i.get("task")} | i.get("config", {}) for i in (found, self.identity)]
        for key, expected in flat[1].items():
            if flat[0].get(key) != expected:
                raise ValueError(
                    f"{path} is the checkpoint of another run: {key} is {flat[0].get(key)} there and "
                    f"{expected} here; delete it to start afresh"
                )
        if "step" not in story:
            raise ValueError(
                f"{path} is the checkpoint of an earlier isthmus, which kept whole epochs alone: "
                "delete it to start afresh"
            )


def forget(path: str | Path) -> None:
    """Remove a checkpoint, and what a kill has left of one that was being written.

    Parameters
    ----------
    path : str or Path
        The file that runs were saved in; it need not be there.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "run.safetensors"
    >>> path.touch()
    >>> forget(path)
    >>> path.exists()
    False
    """
    Path(path).unlink(missing_ok=True)
    shutil.rmtree(_scratch(Path(path)), ignore_errors=True)


def _scratch(path: Path) -> Path:
    """Return the folder that a checkpoint is written in; safetensors leaves files there if killed."""
    return path.with_name(path.name + ".partial")


def _copy(state: dict[str, Any]) -> dict[str, Any]:
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def _apart(tensors: dict[str, Any]) -> dict[str, Any]:
    """Return tensors on the processor; those that are one tensor under two names become two."""
    held: dict[str, Any] = {}
    seen = set()
    for name, tensor in tensors.items():
        here = tensor.detach().contiguous().cpu()
        held[name] = here.clone() if here.data_ptr() in seen else here
        seen.add(here.data_ptr())
    return held


def _part(tensors: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
