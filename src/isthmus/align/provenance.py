"""What an aligner was fitted on, kept in its file."""

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

_SHOWN = 3  # items that an error names


@dataclass(frozen=True)
class FittedOn:
    """One of the two modalities that an aligner was fitted on; None is what nobody said."""

    modality: str | None = None  # such as "image"
    encoder: str | None = None
    revision: str | None = None  # of the encoder

    def admits(self, other: Self) -> bool:
        """Return whether `other` may be of the same space: nothing that both tell differs."""
        return all(a is None or b is None or a == b for a, b in zip(self._told, other._told, strict=True))

    @property
    def _told(self) -> tuple[str | None, ...]:
        return self.modality, self.encoder, self.revision

    def __str__(self) -> str:
        told = self.modality or "embeddings"
        if self.encoder is None:
            return told
        return f"{told} by {self.encoder}" + (f", revision {self.revision}" if self.revision else "")


@dataclass(frozen=True, eq=False)
class Provenance:
    """What an aligner was fitted on.

    Parameters
    ----------
    x, y : FittedOn
        The two modalities.
    pairs : int
        How many pairs.
    items : ndarray of uint64, shape (n_items,)
        Hashes of the items, ascending, of :func:`hash_items`.
    named_by : {"group", "row"}
        What was hashed: the names of the items, or, where they have none, the bytes of the rows of x.
    keep_recall : float, optional
        Share of the raw mean R@1 that was asked to be kept.
    isthmus : str, optional
        The version that fitted it.

    Examples
    --------
    >>> fitted = Provenance(FittedOn("image"), FittedOn("text"), pairs=3, items=hash_items(["dog", "cat"]))
    >>> fitted.saw(["cat", "cow"])
    array([ True, False])
    """

    x: FittedOn
    y: FittedOn
    pairs: int
    items: np.ndarray
    named_by: str = "group"
    keep_recall: float | None = None
    isthmus: str | None = None

    def saw(self, names: Iterable[str | bytes]) -> np.ndarray:
        """Return which items were among those fitted on.

        Parameters
        ----------
        names : iterable of str or bytes
            Items by name, or rows of x by their bytes: `named_by` says which.

        Returns
        -------
        ndarray of bool, shape (n,)
            True where the aligner was fitted on it.
        """
        return np.isin(_hashes(names), self.items)

    def refuse_seen(self, names: Iterable[str | bytes], where: str = "items") -> None:
        """Raise if any of the items was fitted on, so that no figure flatters the aligner.

        Parameters
        ----------
        names : iterable of str or bytes
            As for `saw`.
        where : str, default="items"
            What to call them in the error.

        Raises
        ------
        ValueError
            Saying how many were, and the first of them.
        """
        names = list(names)
        seen = np.flatnonzero(self.saw(names))
        if len(seen):
            first = ", ".join(
                names[i] if isinstance(names[i], str) else f"row {i}" for i in seen[:_SHOWN].tolist()
            )
            raise ValueError(
                f"{where}: expected items that the aligner was not fitted on, "
                f"found {len(seen)} of {len(names)} that it was: {first}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the hashes, ready for JSON."""
        return asdict(self) | {"items": len(self.items)}

    @classmethod
    def from_dict(cls, told: dict[str, Any], items: np.ndarray) -> Self:
        """Return what `to_dict` told of, with the hashes of the items.

        Raises
        ------
        ValueError
            An entry is unknown or missing, or the hashes are not those that it tells of.
        """
        try:
            spaces = {side: FittedOn(**told[side]) for side in ("x", "y")}
            entries: dict[str, Any] = told | spaces | {"items": items}
            found = cls(**entries)
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"provenance: expected the entries of Provenance, found {sorted(told)}"
            ) from error
        if items.dtype != np.uint64 or items.shape != (told["items"],):
            raise ValueError(
                f"provenance: expected {told['items']} hashes of uint64, "
                f"found {items.dtype} of shape {items.shape}"
            )
        return found


def hash_items(names: Iterable[str | bytes]) -> np.ndarray:
    """Return the distinct items as ascending 64-bit hashes, which tell whether an item is among them.

    Parameters
    ----------
    names : iterable of str or bytes
        Names, hashed as UTF-8; repeated ones count once.

    Returns
    -------
    ndarray of uint64, shape (n_items,)
        BLAKE2b of 8 bytes, read as little-endian numbers. Of n names that are not among m hashed ones,
        n m / 2^64 are expected to be taken for one of them.

    Examples
    --------
    >>> hash_items(["dog", "cat", "dog"])
    array([ 3429664268601861939, 11501171807684625465], dtype=uint64)
    """
    return np.unique(_hashes(names))


def _hashes(names: Iterable[str | bytes]) -> np.ndarray:
    digests = (
        hashlib.blake2b(name.encode() if isinstance(name, str) else name, digest_size=8).digest()
        for name in names
    )
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)
