"""Embeddings that were made elsewhere, found by the ids of their items: ``precomputed:FOLDER``."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.checks import check_matrix
from isthmus.encoders.device import check_precision
from isthmus.encoders.encoder import Encoder

_MODALITIES = ("image", "text", "audio", "video")


def precomputed(model: str, *, device: str = "auto", precision: str = "float32") -> Encoder:
    """Open the embeddings in a folder; there is no network, so that device and precision change nothing."""
    check_precision(precision)
    return PrecomputedEncoder(Path(model))


class PrecomputedEncoder(Encoder):
    """Embeddings in a folder, found by id.

    Parameters
    ----------
    folder : Path
        For each modality MODALITY.npy of shape (n, dim), and MODALITY.txt
        with the id of each row on its line: "12" for an image, a sound or a
        video, and "12#0", "12#1", ... for the texts of item 12. Without the
        list, an id is the number of the row, and an item has one text.

    Raises
    ------
    FileNotFoundError
        No embeddings are in the folder.
    ValueError
        Ids and rows do not match, an id occurs twice, or the widths differ.
    """

    reads = "id"

    def __init__(self, folder: Path) -> None:
        self.name = f"precomputed:{folder}"
        self.modalities = tuple(m for m in _MODALITIES if (folder / f"{m}.npy").is_file())
        if not self.modalities:
            raise FileNotFoundError(f"{folder} has none of {', '.join(f'{m}.npy' for m in _MODALITIES)}")
        self._tables = {modality: _Table(folder, modality) for modality in self.modalities}
        widths = {modality: table.rows.shape[1] for modality, table in self._tables.items()}
        if len(set(widths.values())) > 1:
            raise ValueError(f"{self.name}: one space has one width, got {widths}")
        self.dim = widths[self.modalities[0]]
        self.preparation = _unchanged
        self.revision = _hash([file for table in self._tables.values() for file in table.files])

    def forward(self, prepared: Sequence[str], modality: str) -> np.ndarray:
        """Return the rows of some ids, shape (n, dim).

        Raises
        ------
        ValueError
            An id is unknown: naming it and the file.
        """
        self.check_modality(modality)
        table = self._tables[modality]
        rows = np.array([table.find(id_) for id_ in prepared], dtype=np.int64)
        return np.asarray(table.rows[rows], dtype=np.float32)


class _Table:
    """The embeddings of one modality, and where each id is."""

    def __init__(self, folder: Path, modality: str) -> None:
        array, ids = folder / f"{modality}.npy", folder / f"{modality}.txt"
        try:
            rows = np.load(array, mmap_mode="r", allow_pickle=False)
        except ValueError as error:
            raise ValueError(f"{array} is not an array of numbers in .npy format") from error
        self.rows = check_matrix(rows, str(array))
        self.files = [array, ids] if ids.is_file() else [array]
        self._numbers: dict[str, int] | None = None
        if not ids.is_file():
            return
        lines = ids.read_text(encoding="utf-8").splitlines()
        if len(lines) != len(self.rows):
            raise ValueError(f"{ids} has {len(lines)} ids, {array} has {len(self.rows)} rows")
        self._numbers = {id_: row for row, id_ in enumerate(lines)}
        if len(self._numbers) != len(lines):
            twice = next(id_ for row, id_ in enumerate(lines) if self._numbers[id_] != row)
            raise ValueError(f"{ids} has the id {twice!r} more than once")

    def find(self, id_: str) -> int:
        if self._numbers is not None:
            row = self._numbers.get(id_)
        else:
            number = id_.removesuffix("#0")
            row = int(number) if number.isdecimal() and int(number) < len(self.rows) else None
        if row is None:
            raise ValueError(f"{self.files[-1]} has no {id_!r}")
        return row


def _hash(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:12]


def _unchanged(value: Any, modality: str) -> Any:
    return value
