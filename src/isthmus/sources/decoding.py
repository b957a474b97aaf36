"""Files decoded to arrays: images by Pillow, .wav by SciPy, other sounds and videos by PyAV."""

from pathlib import Path

import numpy as np


def decode_image(path: Path) -> np.ndarray:
    """Return the image in `path` as uint8 of shape (height, width, 3)."""
    raise NotImplementedError(path)


def decode_audio(path: Path) -> tuple[np.ndarray, int]:
    """Return the sound in `path` as float32 of shape (samples, channels), and its rate."""
    raise NotImplementedError(path)


def decode_video(path: Path) -> np.ndarray:
    """Return the video in `path` as uint8 of shape (frames, height, width, 3)."""
    raise NotImplementedError(path)
