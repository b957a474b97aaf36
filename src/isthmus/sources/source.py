"""A source: items one by one in a fixed order, and what to do with those that are bad."""

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from isthmus.sources.item import Item


class BadItem(NamedTuple):
    """In the place of an item that cannot be read: why, naming file and row.

    Attributes
    ----------
    message : str
        Such as ``captions.csv, row 7: expected a caption, found an empty cell``.

    Examples
    --------
    >>> BadItem("captions.csv, row 7: expected a caption, found an empty cell").message
    'captions.csv, row 7: expected a caption, found an empty cell'
    """

    message: str


class Source:
    """Items, streamed in an order that never changes.

    Parameters
    ----------
    name : str
        Tells the items from others: kind, place, split and options.
    read : callable
        Returns an iterator of `Item`, with `BadItem` in the place of those that cannot be read.
    count : int, optional
        How many items there are, where this is known without reading them.
    modalities : tuple of str
        What the items have, among image, audio, video and text.
    on_error : {"raise", "skip"}
        What to do at a bad item: raise ValueError, or go on and add its message to `skipped`.

    Attributes
    ----------
    skipped : list of str
        Messages of the items that the latest walk left out.

    Examples
    --------
    >>> read = lambda: iter([Item("a", "a", ("a dog",)), BadItem("row 2: no caption")])
    >>> source = Source("mine", read, modalities=("text",), on_error="skip")
    >>> [item.id for item in source], source.skipped
    (['a'], ['row 2: no caption'])
    """

    def __init__(
        self,
        name: str,
        read: Callable[[], Iterator[Item | BadItem]],
        *,
        count: int | None = None,
        modalities: tuple[str, ...] = ("image", "text"),
        on_error: Literal["raise", "skip"] = "raise",
    ) -> None:
        if on_error not in ("raise", "skip"):
            raise ValueError(f"on_error must be 'raise' or 'skip', got {on_error!r}")
        self.name, self.modalities, self.on_error = name, modalities, on_error
        self._read, self._count = read, count
        self.skipped: list[str] = []

    def __iter__(self) -> Iterator[Item]:
        """Yield the items from the first.

        Raises
        ------
        ValueError
            An item is bad, and `on_error` is "raise".
        """
        self.skipped = []
        for entry in self._read():
            if isinstance(entry, Item):
                yield entry
            else:
                self.reject(entry.message)

    def __len__(self) -> int:
        """Return how many items there are, bad ones included.

        Raises
        ------
        TypeError
            This is not known before all are read.
        """
        if self._count is None:
            raise TypeError(f"{self.name}: how many items there are is known only when all are read")
        return self._count

    def reject(self, message: str) -> None:
        """Do what `on_error` says with an item that is bad.

        Raises
        ------
        ValueError
            With `message`, if `on_error` is "raise".
        """
        if self.on_error == "raise":
            raise ValueError(message)
        self.skipped.append(message)
