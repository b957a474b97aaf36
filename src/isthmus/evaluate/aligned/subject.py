"""What an aligner is evaluated on: the arrays that tasks take, as they were embedded."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from isthmus.align import PairedAligner
from isthmus.checks import check_number
from isthmus.encoders import Encoder
from isthmus.evaluate.zero_shot import TEMPERATURE
from isthmus.measure.items import Items, row_hashes


class LacksError(ValueError):
    """A task needs what the subject has not: the message says what."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """Classes of the first modality's rows, and how they are put into words.

    Examples
    --------
    >>> rows = np.eye(3)
    >>> Labelled(prompts=rows[:2, None], labels=np.array([0, 1, -1]), names=("cat", "dog")).templates
    1
    """

    prompts: np.ndarray  # (classes, templates, dim) embeddings of the second modality
    labels: np.ndarray  # (n,) the class of each row of x, -1 where it has none
    names: tuple[str, ...]  # of the classes
    title: str = ""  # tells these classes from others
    temperature: float = TEMPERATURE

    def __post_init__(self):
        """Raise ValueError if parts do not agree."""
        check_number(self.temperature, "temperature", "(0, inf)")
        if self.prompts.ndim != 3 or len(self.prompts) != len(self.names) or len(self.names) < 2:
            raise ValueError(
                "prompts must have shape (classes, templates, dim), a name for each of 2 classes or more, "
                f"got {self.prompts.shape} and {len(self.names)} names"
            )
        if self.labels.ndim != 1 or self.labels.max(initial=-1) >= len(self.names):
            raise ValueError(
                f"labels must name one of {len(self.names)} classes for each row, or be -1, "
                f"got shape {self.labels.shape}, at most {self.labels.max(initial=-1)}"
            )

    @property
    def templates(self) -> int:
        """How many prompts a class has."""
        return self.prompts.shape[1]


@dataclass(frozen=True, eq=False)
class Subject:
    """An aligner, and the held-out embeddings that it is evaluated on.

    Examples
    --------
    >>> from isthmus.align import MeanCollapse
    >>> subject = Subject(MeanCollapse().fit(np.eye(3), np.ones((3, 3))), np.eye(3))
    >>> subject.images
    array([0, 1, 2])
    """

    aligner: PairedAligner
    x: Any  # (n, dim) the first modality, already checked
    y: Any = None  # (n, dim) the second, row by row, where there is one
    items: Items | None = None  # of the pairs
    labelled: tuple[Labelled, ...] = ()
    unlabelled: str = "there are no labels and classes"  # why `labelled` is empty
    encoder: Callable[[], Encoder] | None = None  # opens the encoder, where it knows the world
    unasked: str = "it takes scenes of the world, and an encoder that embeds them"  # why there is none
    modality: str = "image"  # what x is
    gallery: int | None = None  # items of a gallery, beside all
    seed: int = 0  # of the resamples

    @cached_property
    def aligned(self) -> tuple[np.ndarray, np.ndarray]:
        """Both modalities under the aligner."""
        return self.aligner.transform(self.x), self.aligner.transform_y(self.y)

    @cached_property
    def images(self) -> np.ndarray:
        """Rows of x that are distinct, ascending: an image beside five captions is one."""
        if self.items is not None:
            return self.items.x_rows
        return np.sort(np.unique(row_hashes(self.x), return_index=True)[1])

    def pairs(self) -> tuple[Any, Any, Items]:
        """Return the two modalities and their items.

        Raises
        ------
        LacksError
            There is only one.
        """
        if self.y is None or self.items is None:
            raise LacksError("it takes pairs, and there is one modality only")
        return self.x, self.y, self.items
