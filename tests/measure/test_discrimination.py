import csv

import numpy as np
import pytest
from scipy.stats import skew

from isthmus.measure import (
    find_items,
    hubness,
    k_occurrence,
    mean_reciprocal_rank,
    recall_at,
    retrieval_ranks,
)
from tests.measure import oracles


@pytest.mark.parametrize("n, items, dim", [(30, 30, 4), (200, 37, 6), (700, 100, 3)])
def test_ranks_agree_with_definition(monkeypatch, n, items, dim):
    monkeypatch.setattr("isthmus.measure.discrimination._QUERIES", 64)
    monkeypatch.setattr("isthmus.measure.discrimination._GALLERY", 48)
    rng = np.random.default_rng(0)
    gallery_items = np.concatenate([np.arange(items), rng.integers(0, items, n - items)])
    rng.shuffle(gallery_items)
    query_items = rng.integers(0, items, 150)
    queries, gallery = rng.normal(size=(150, dim)), rng.normal(size=(n, dim))
    gallery[5] = gallery[6]
    found = retrieval_ranks(queries, gallery, query_items=query_items, gallery_items=gallery_items)
    assert (found == oracles.ranks(queries, gallery, query_items, gallery_items)).all()


def test_one_point_ranks_last_not_first():
    point = np.tile(np.random.default_rng(0).normal(size=8), (50, 1))
    assert (retrieval_ranks(point, point) == 50).all()


def test_perfect_and_reversed():
    x = np.eye(10)
    assert (retrieval_ranks(x, x) == 1).all()
    assert (retrieval_ranks(x, 1 - x) == 10).all()


def test_order_of_the_gallery_does_not_matter(pairs):
    x, y = pairs
    order = np.random.default_rng(0).permutation(len(y))
    shuffled = retrieval_ranks(x, y[order], query_items=np.arange(len(x)), gallery_items=order)
    assert (shuffled == retrieval_ranks(x, y)).all()


def test_query_without_an_answer_is_an_error():
    with pytest.raises(ValueError, match="query 1 has no row of its item in the gallery"):
        retrieval_ranks(np.eye(3), np.eye(3)[:1], query_items=np.array([0, 7, 0]))


def test_rows_of_a_narrow_cone_are_told_apart():
    rng = np.random.default_rng(0)
    gallery = 1 + 1e-4 * rng.normal(size=(200, 16))
    queries = gallery + 1e-6 * rng.normal(size=(200, 16))
    assert recall_at(retrieval_ranks(queries, gallery), 1) == 1


@pytest.mark.parametrize("scale", [1e-200, 1e-60, 1e45, 1e200])
def test_length_of_rows_does_not_matter(pairs, scale):
    x, y = pairs
    assert (retrieval_ranks(x * scale, y * scale) == retrieval_ranks(x, y)).all()
    assert (k_occurrence(x * scale, y * scale) == k_occurrence(x, y)).all()


def test_summaries_of_ranks():
    ranks = np.array([1, 2, 10, 11])
    assert recall_at(ranks, 10) == 0.75
    assert mean_reciprocal_rank(ranks) == pytest.approx((1 + 1 / 2 + 1 / 10 + 1 / 11) / 4)


def test_k_occurrence_agrees_with_sorting(monkeypatch):
    monkeypatch.setattr("isthmus.measure.discrimination._QUERIES", 33)
    monkeypatch.setattr("isthmus.measure.discrimination._GALLERY", 7)
    rng = np.random.default_rng(0)
    queries, gallery = rng.normal(size=(100, 5)), rng.normal(size=(40, 5)) + 0.3
    nearest = np.argsort(-oracles.unit(queries) @ oracles.unit(gallery).T, axis=1)[:, :10]
    expected = np.bincount(nearest.ravel(), minlength=40)
    assert (k_occurrence(queries, gallery, k=10) == expected).all()
    assert hubness(queries, gallery, k=10) == pytest.approx(skew(expected))
    assert k_occurrence(queries, gallery, k=99).tolist() == [100] * 40


def test_a_hub_is_seen():
    rng = np.random.default_rng(0)
    queries, gallery = rng.normal(size=(2, 300, 64)) + 0.3
    gallery -= 0.3
    flat = hubness(queries, gallery, k=1)
    gallery[0] = 0.3  # where all the queries point on average
    assert hubness(queries, gallery, k=1) > flat + 3


def test_flickr8k_with_repeated_images(realdata):
    folder = realdata / "flickr8k-clip"
    x, y = np.load(folder / "image_embeddings.npy"), np.load(folder / "text_embeddings.npy")
    with (folder / "metadata.csv").open(newline="") as file:
        names = [row["image_id"] for row in csv.DictReader(file)]
    for groups in (names, None):  # repeated rows are recognised as one item without being told
        items = find_items(x, y, groups)
        assert (items.count, len(items.x_rows), len(items.y_rows)) == (100, 100, 500)
        images, texts = x[items.x_rows], y[items.y_rows]
        of_image, of_text = items.group[items.x_rows], items.group[items.y_rows]
        back = retrieval_ranks(texts, images, query_items=of_text, gallery_items=of_image)
        there = retrieval_ranks(images, texts, query_items=of_image, gallery_items=of_text)
        assert recall_at(back, 1) == pytest.approx(0.832)
        assert recall_at(back, 5) == pytest.approx(0.990)
        assert recall_at(there, 1) == pytest.approx(0.930)
    trap = recall_at(retrieval_ranks(y, x), 1)
    assert trap < 0.2  # what counting repeated rows as different items would give


def test_softmax_of_the_clip_readme(realdata):
    folder = realdata / "clip-readme"
    image, text = np.load(folder / "image_features.npy"), np.load(folder / "text_features.npy")
    logits = 100 * oracles.unit(image) @ oracles.unit(text).T
    probability = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    assert probability[0] == pytest.approx([0.9928, 0.0042, 0.0030], abs=5e-5)
