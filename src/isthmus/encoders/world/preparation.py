"""Items of the world as arrays, checked."""

from typing import Any

import numpy as np

from isthmus.encoders.world.tokens import LIMIT, pad, tokenize
from isthmus.sources.item import Audio
from isthmus.sources.world import FRAMES, RATE, WIDTH

_SHAPES = {
    "image": (WIDTH, WIDTH, 3),
    "video": (FRAMES, WIDTH, WIDTH, 3),
    "audio": (RATE, 2),
}


def prepare(value: Any, modality: str) -> np.ndarray:
    """Return an item as the array that its tower reads.

    Raises
    ------
    ValueError
        It is not of the world's size or type.
    """
    if modality == "text":
        if not isinstance(value, str):
            raise ValueError(f"expected a text, got {type(value).__name__}")
        return tokenize(value)
    if modality == "audio":
        if not isinstance(value, Audio) or value.rate != RATE:
            rate = value.rate if isinstance(value, Audio) else "none"
            raise ValueError(f"the world's encoder hears sounds of {RATE} samples per second, got {rate}")
        value = value.samples
    array = np.asarray(value)
    if array.shape != _SHAPES[modality]:
        raise ValueError(
            f"the world's encoder reads {modality} of shape {_SHAPES[modality]}, got {array.shape}; "
            "for photographs and recordings choose another encoder"
        )
    expected = "f" if modality == "audio" else "u"
    if array.dtype.kind != expected or (expected == "u" and array.dtype.itemsize > 1):
        kind = "floating point in [-1, 1]" if modality == "audio" else "uint8"
        raise ValueError(f"the world's encoder reads {modality} of {kind}, got {array.dtype}")
    return array.astype(np.float16) if modality == "audio" else array


def side_by_side(prepared: list[np.ndarray], modality: str) -> np.ndarray:
    """Return prepared items as one batch; texts are cut at the tower's limit."""
    return pad(prepared) if modality == "text" else np.stack(prepared)


def is_too_long(prepared: np.ndarray, modality: str) -> bool:
    """Return whether a text has more words than the tower reads."""
    return modality == "text" and len(prepared) > LIMIT
