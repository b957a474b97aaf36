"""Embeddings of two modalities whose rows pair up."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Pairs:
    """Embeddings of two modalities; row ``i`` of both embeds the same item.

    Parameters
    ----------
    x, y : array of shape (n, dim)
        Memory-mapped where the file allows it.
    groups : ndarray of int64, shape (n,), optional
        The item that each row belongs to; rows of one item share one number.
    names : tuple of str
        The files that the two come from, or what to call them.
    metadata : Path, optional
        The folder of parquet files that describe the rows.
    labels : list of str, optional
        A text for each row.

    Examples
    --------
    >>> pairs = Pairs(np.eye(2), np.eye(2), names=("image", "text"))
    >>> len(pairs)
    2
    """

    x: Any
    y: Any
    groups: np.ndarray | None = None
    names: tuple[str, str] = ("x", "y")
    metadata: Path | None = None
    labels: list[str] | None = None

    def __len__(self) -> int:
        return len(self.x)
