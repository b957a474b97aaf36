"""What is searched, and what searches: documents of an image, a text, or both."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from isthmus.checks import check_embeddings, unit_rows

KINDS = ("image", "text", "both")
Map = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Documents:
    """Documents, each made of an image, a text, or both; queries are documents too.

    Make them with :func:`make_documents`, which checks what it is given.

    Examples
    --------
    >>> made = make_documents(np.eye(2), np.eye(2), image_row=[0, -1, 1], text_row=[-1, 0, 1])
    >>> [KINDS[kind] for kind in made.kind]
    ['image', 'text', 'both']
    """

    image: Any  # (images, dim) embeddings, None if there are none
    text: Any  # (texts, dim)
    image_row: np.ndarray  # (n,) each document's row of `image`, -1 where it has none
    text_row: np.ndarray  # (n,)

    def __len__(self) -> int:
        return len(self.image_row)

    @property
    def dim(self) -> int:
        """Width of the embeddings."""
        return (self.text if self.image is None else self.image).shape[1]

    @property
    def kind(self) -> np.ndarray:
        """Position in `KINDS` of each document: (n,)."""
        return np.where(self.image_row < 0, 1, np.where(self.text_row < 0, 0, 2))

    @property
    def counts(self) -> dict[str, int]:
        """How many documents there are of each kind."""
        return dict(zip(KINDS, np.bincount(self.kind, minlength=3).tolist(), strict=True))

    def take(self, rows: Any) -> Self:
        """Return some of the documents, by number or by a mask (n,)."""
        return replace(self, image_row=self.image_row[rows], text_row=self.text_row[rows])


@dataclass(frozen=True)
class Space:
    """Where unit rows of images and of texts are put, before the parts of a document are fused.

    Examples
    --------
    >>> Space().image(np.eye(2)[:1])
    array([[1., 0.]])
    """

    image: Map = lambda unit: unit  # (m, dim) -> (m, dim_out)
    text: Map = lambda unit: unit


def make_documents(
    image: Any = None, text: Any = None, *, image_row: Any = None, text_row: Any = None
) -> Documents:
    """Check embeddings and which document holds which, and return the documents.

    Parameters
    ----------
    image, text : array-like of shape (images, dim) and (texts, dim), optional
        Embeddings. Arrays on disk are kept as they are.
    image_row, text_row : array-like of int, shape (n,), optional
        Each document's row of `image` and of `text`, -1 where it has no such
        part. By default each row of what is given is a document, and rows of
        both are one document, pair by pair.

    Returns
    -------
    Documents
        Of n documents.

    Raises
    ------
    ValueError
        Embeddings are bad, rows are not there, or a document has no part.

    Examples
    --------
    >>> make_documents(text=np.eye(3)).counts
    {'image': 0, 'text': 3, 'both': 0}
    """
    if image is None and text is None:
        raise ValueError("expected image or text embeddings, got neither")
    image = None if image is None else check_embeddings(image, "image")
    text = None if text is None else check_embeddings(text, "text", None if image is None else image.shape[1])
    seen, told = _rows(image_row, image, "image"), _rows(text_row, text, "text")
    n = max(len(rows) for rows in (seen, told) if rows is not None)
    seen, told = (np.full(n, -1) if rows is None else rows for rows in (seen, told))
    if len(seen) != len(told):
        raise ValueError(
            "image_row and text_row must have one entry per document, "
            f"got {len(seen)} and {len(told)} entries"
        )
    bare = (seen < 0) & (told < 0)
    if bare.any():
        raise ValueError(f"document {int(bare.argmax())} has neither an image nor a text")
    return Documents(image, text, seen, told)


def place(documents: Documents, space: Space, *, rows: Any = slice(None), weight: float = 0.5) -> np.ndarray:
    """Put documents where a space puts their parts, two parts fused into one row.

    Parameters
    ----------
    documents : Documents
        Of any kinds.
    space : Space
        Where images and texts go.
    rows : slice or ndarray, default=all
        Which documents.
    weight : float, default=0.5
        ``w`` in ``w * image + (1 - w) * text``, of documents of both.

    Returns
    -------
    ndarray of float32, shape (m, dim_out)
        Unit rows.

    References
    ----------
    .. [1] Li et al., "Closing the Modality Gap for Mixed Modality Search", 2025: their alpha is
       ``1 - weight``.

    Examples
    --------
    >>> both = make_documents([[1.0, 0.0]], [[0.0, 2.0]])
    >>> place(both, Space()).round(3)
    array([[0.707, 0.707]], dtype=float32)
    """
    image_row, text_row = documents.image_row[rows], documents.text_row[rows]
    seen, told = image_row >= 0, text_row >= 0
    parts = []
    for has, other, array, index, put, share in (
        (seen, told, documents.image, image_row, space.image, weight),
        (told, seen, documents.text, text_row, space.text, 1 - weight),
    ):
        if has.any():
            part = put(unit_rows(array[index[has]], np.float32))
            parts.append((has, part * np.where(other[has], share, 1)[:, None]))
    out = np.zeros((len(seen), parts[0][1].shape[1]), dtype=np.float32)
    for has, part in parts:
        out[has] += part
    return unit_rows(out, np.float32)


def _rows(rows: Any, array: Any, name: str) -> np.ndarray | None:
    if rows is None:
        return None if array is None else np.arange(len(array))
    rows = np.asarray(rows)
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or not len(rows):
        raise ValueError(f"{name}_row must hold whole numbers, shape (n,), got {rows.dtype} {rows.shape}")
    count = 0 if array is None else len(array)
    if rows.max() >= count or rows.min() < -1:
        raise ValueError(
            f"{name}_row must name one of {count} rows of {name} or be -1, "
            f"got {int(rows.max() if rows.max() >= count else rows.min())}"
        )
    return rows.astype(np.int64)
