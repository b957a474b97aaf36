"""Small media and small data sets, written in the layouts that their makers document."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def write(tmp_path):
    """Write a file below the temporary folder: text, bytes, or anything else as JSON."""

    def write(name: str, content) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            text = content if isinstance(content, str) else json.dumps(content)
            path.write_bytes(text.encode())
        return path

    return write


@pytest.fixture
def picture():
    """A file in memory with one colour: all of red, green and blue are `level`."""

    def picture(level: int = 0, kind: str = "PNG") -> bytes:
        file = io.BytesIO()
        Image.fromarray(np.full((3, 2, 3), level, np.uint8)).save(file, kind)
        return file.getvalue()

    return picture


@pytest.fixture
def wav():
    """A .wav file in memory."""
    from scipy.io import wavfile

    def wav(samples=(0, 1, 2), rate: int = 8000, kind=np.int16) -> bytes:
        file = io.BytesIO()
        wavfile.write(file, rate, np.asarray(samples, kind))
        return file.getvalue()

    return wav
