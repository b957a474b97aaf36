"""One item of a source: captions, and an image, a sound or a video that is decoded when asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from isthmus.sources.decoding import decode_audio, decode_image, decode_video

MEDIA = ("image", "audio", "video")  # what an item may have beside its captions
Media = Path | np.ndarray | Callable[[], Any] | None


class Audio(NamedTuple):
    """A sound.

    Attributes
    ----------
    samples : ndarray of float32, shape (samples, channels)
        In [-1, 1].
    rate : int
        Samples per second.

    Examples
    --------
    >>> Audio(np.zeros((8000, 2), np.float32), 8000).samples.shape
    (8000, 2)
    """

    samples: np.ndarray
    rate: int


@dataclass(frozen=True, eq=False)
class Item:
    """One thing that was captioned.

    Parameters
    ----------
    id : str
        Names the item in its source.
    group : str
        What it shows: items of one group, such as the crops of one image, count as one thing.
    captions : tuple of str
        Zero or more.
    image, audio, video : Path, array, Audio or callable, optional
        A file, or the decoded thing, or a function without arguments that
        returns it. Decoded: an image is uint8 of shape (height, width, 3), a
        video uint8 of shape (frames, height, width, 3), a sound `Audio`.

    Examples
    --------
    >>> item = Item("7", "7", ("a red dot",), image=np.zeros((2, 2, 3), np.uint8))
    >>> item.modalities
    ('image', 'text')
    >>> item.load("image").shape
    (2, 2, 3)
    """

    id: str
    group: str
    captions: tuple[str, ...] = ()
    image: Media = None
    audio: Any = None
    video: Media = None

    @property
    def modalities(self) -> tuple[str, ...]:
        """What the item has, among image, audio, video and text."""
        held = [name for name in MEDIA if getattr(self, name) is not None]
        return (*held, "text") if self.captions else tuple(held)

    def load(self, modality: str) -> Any:
        """Return the decoded image, sound or video.

        Raises
        ------
        ValueError
            The item has none, or its file cannot be decoded: naming the item and the file.
        FileNotFoundError
            There is no such file.
        ImportError
            The file needs the extra ``isthmus[media]``.
        """
        held = getattr(self, modality) if modality in MEDIA else None
        if held is None:
            has = ", ".join(self.modalities) or "nothing"
            raise ValueError(f"item {self.id} has no {modality}, it has {has}")
        if isinstance(held, Path):
            return _DECODERS[modality](held)
        return held() if callable(held) else held


def _decode_audio(path: Path) -> Audio:
    return Audio(*decode_audio(path))


_DECODERS: dict[str, Callable[[Path], Any]] = {
    "image": decode_image,
    "audio": _decode_audio,
    "video": decode_video,
}
