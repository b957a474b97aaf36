"""Captions and pictures of a store's rows come from its source."""

import io

import numpy as np
import pytest
from PIL import Image

from isthmus.cli.examples import captions_and_pictures
from isthmus.encoders import CallableEncoder
from isthmus.sources import open_source
from isthmus.store import EmbeddingOptions, embed


def encoder():
    def colours(images):
        return np.array([np.asarray(i, float).mean((0, 1)) + 1 for i in images])

    def lengths(texts):
        return np.array([[len(t), t.count("a") + 1, 1] for t in texts], float)

    return CallableEncoder({"image": colours, "text": lengths}, name="mean", revision="1", dim=3)


def rows_of(source, path, *modalities):
    options = EmbeddingOptions(modalities=modalities, workers=0)
    return len(embed(source, encoder(), path, options=options))


def test_rows_are_captioned_and_drawn_as_in_the_source(tmp_path):
    source = open_source("world:7?captions=2", split="val")
    n = rows_of(source, tmp_path / "store", "image", "text")
    labels, pictures = captions_and_pictures(str(tmp_path / "store"), n)
    items = list(source)
    assert labels == [text for item in items for text in item.captions]
    drawn = pictures([1, 6, 7, 13])
    assert set(drawn) == {1, 6, 7, 13}
    assert drawn[6] == drawn[7]
    for row, png in drawn.items():
        enlarged = np.asarray(Image.open(io.BytesIO(png)))
        np.testing.assert_array_equal(enlarged[1::3, 1::3], items[row // 2].load("image"))


def test_large_pictures_are_made_small(tmp_path):
    for i in range(3):
        Image.new("RGB", (400, 200), (50 * i, 0, 0)).save(tmp_path / f"{i}.png")
    source = open_source(f"folder:{tmp_path}")
    n = rows_of(source, tmp_path / "store", "image")
    labels, pictures = captions_and_pictures(str(tmp_path / "store"), n)
    assert labels is None
    assert Image.open(io.BytesIO(pictures([2])[2])).size == (96, 48)


@pytest.mark.parametrize("made", ["nothing", "file"])
def test_what_is_no_store_has_neither(tmp_path, made):
    path = tmp_path / "x.npy"
    if made == "file":
        np.save(path, np.eye(3))
    assert captions_and_pictures(str(path), 3) == (None, None)
