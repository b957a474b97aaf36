"""Encoders that are one torch network with a branch per modality."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from isthmus.encoders.device import check_precision, choose_device, inference
from isthmus.encoders.encoder import Encoder
from isthmus.encoders.weights import revision_of

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Branch:
    """How the items of one modality go through a network."""

    prepare: Callable[[Any], Any]  # one item to an array; can be pickled and holds no weights
    embed: Callable[[Sequence[Any], "torch.device"], "torch.Tensor"]  # n arrays to (n, dim)
    is_truncated: Callable[[Any], bool] = lambda prepared: False


@dataclass(frozen=True)
class Preparation:
    """The first half of each branch: all that another process needs."""

    steps: Mapping[str, Callable[[Any], Any]]

    def __call__(self, value: Any, modality: str) -> Any:
        """Turn one item into what the network takes."""
        return self.steps[modality](value)


class NetworkEncoder(Encoder):
    """A network with one branch per modality.

    Parameters
    ----------
    name : str
        As given to `open_encoder`.
    network : torch.nn.Module
        Moved to the device, and set to evaluation.
    branches : dict of str to Branch
        By modality.
    device : str
        "cpu", "cuda" or "auto".
    precision : {"float32", "bfloat16", "float16"}
        Of the network's arithmetic.
    revision : str, optional
        By default the hub's commit, or else a hash of the weights.
    """

    def __init__(
        self,
        name: str,
        network: "torch.nn.Module",
        *,
        branches: Mapping[str, Branch],
        device: str = "auto",
        precision: str = "float32",
        revision: str | None = None,
    ) -> None:
        check_precision(precision)
        self.name = name
        self.revision = revision or revision_of(network)
        self.modalities = tuple(branches)
        self.preparation = Preparation({modality: branch.prepare for modality, branch in branches.items()})
        self._device, self._precision, self._branches = choose_device(device), precision, branches
        network.to(self._device).eval()
        self.dim = self._run([self.preparation("a", "text")], "text").shape[1]

    def forward(self, prepared: Sequence[Any], modality: str) -> np.ndarray:
        """Embed one batch, shape (n, dim)."""
        self.check_modality(modality)
        return self._run(prepared, modality) if len(prepared) else np.empty((0, self.dim), np.float32)

    def is_truncated(self, prepared: Any, modality: str) -> bool:
        """Return whether a text has more tokens than the network takes."""
        return self._branches[modality].is_truncated(prepared)

    def _run(self, prepared: Sequence[Any], modality: str) -> np.ndarray:
        with inference(self._device, self._precision):
            embeddings = self._branches[modality].embed(prepared, self._device)  # (n, dim)
        return embeddings.float().cpu().numpy()
