"""Small mixed corpora."""

import numpy as np
import pytest

from isthmus.evaluate.mixed import by_item, make_documents


@pytest.fixture
def rows():
    """40 images and 40 texts of 40 items, apart by a gap; some rows repeat, so that scores tie."""
    rng = np.random.default_rng(1)
    shared, noise, other = rng.normal(size=(3, 40, 8))
    x, y = shared + 0.5 * noise + 1, shared + 0.5 * other - 1
    x[30:33] = x[29]
    return x, y


@pytest.fixture
def corpus(rows):
    """Documents 0-12 images, 13-25 texts, 26-39 both."""
    item = np.arange(40)
    image_row = np.where((item >= 13) & (item < 26), -1, item)
    return make_documents(*rows, image_row=image_row, text_row=np.where(item < 13, -1, item))


@pytest.fixture
def queries(rows):
    """Queries of every kind: items 0-9 by text, 10-19 by image, 20-29 by both."""
    item = np.arange(30)
    made = make_documents(
        *rows,
        image_row=np.where(item < 10, -1, item),
        text_row=np.where((item >= 10) & (item < 20), -1, item),
    )
    return by_item(made, item, np.arange(40))
