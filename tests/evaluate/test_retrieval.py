"""Retrieval over items with several captions, against loops, published protocols and known limits."""

import numpy as np
import pytest

from isthmus.evaluate.retrieval import DIRECTIONS, group_retrieval
from isthmus.measure import recall_at, retrieval_ranks
from isthmus.theory import Geometry, sample

SMALL = Geometry(dim=24, shared_dimension=6, noise_dimension=8)


@pytest.fixture
def coco():
    """50 images beside 3 captions each, an image's row repeated, as COCO's embeddings come."""
    rng = np.random.default_rng(3)
    image = rng.normal(size=(50, 8))
    caption = np.repeat(image, 3, axis=0) + 0.9 * rng.normal(size=(150, 8))
    return np.repeat(image, 3, axis=0), caption, np.repeat(np.arange(50), 3)


def ranks_by_loops(queries, gallery, own):
    """Rank of the best right answer; right ones do not push one another down."""
    cosine = (queries / np.linalg.norm(queries, axis=1)[:, None]) @ (
        gallery / np.linalg.norm(gallery, axis=1)[:, None]
    ).T
    ranks = []
    for i, row in enumerate(cosine):
        best = max(row[j] for j in own[i])
        ranks.append(1 + sum(row[j] >= best for j in range(len(row)) if j not in own[i]))
    return np.array(ranks)


def figures_by_loops(image, caption, captions_of):
    x_to_y = ranks_by_loops(image, caption, captions_of)
    owner = {j: [i] for i, own in enumerate(captions_of) for j in own}
    y_to_x = ranks_by_loops(caption, image, [owner[j] for j in range(len(caption))])
    out = {}
    for way, ranks in (("x_to_y", x_to_y), ("y_to_x", y_to_x)):
        out |= {f"recall_at_{k}_{way}": sum(r <= k for r in ranks) / len(ranks) for k in (1, 5, 10)}
        out[f"median_rank_{way}"] = sorted(ranks)[(len(ranks) - 1) // 2]
        out[f"mrr_{way}"] = sum(1 / r for r in ranks) / len(ranks)
    return out


def values(found):
    return {name: figure.value for name, figure in found.figures.items()}


def test_loops_find_the_same(coco):
    image, caption, item = coco
    expected = figures_by_loops(image[::3], caption, [[3 * i, 3 * i + 1, 3 * i + 2] for i in range(50)])
    assert values(group_retrieval(image, caption)) == pytest.approx(expected)
    assert values(group_retrieval(image, caption, groups=item)) == pytest.approx(expected)
    assert 0.2 < expected["recall_at_1_y_to_x"] < 0.95


def test_galleries_are_consecutive_and_their_mean_is_taken(coco):
    image, caption, item = coco
    found = group_retrieval(image, caption, groups=item, gallery=12)
    assert (found.items, found.gallery, found.galleries, found.left_out) == (48, 12, 4, 2)
    rows = [slice(36 * k, 36 * k + 36) for k in range(4)]
    parts = [values(group_retrieval(image[r], caption[r], groups=item[r])) for r in rows]
    expected = {name: np.mean([part[name] for part in parts]) for name in parts[0]}
    assert values(found) == pytest.approx(expected)
    assert values(found)["recall_at_1_x_to_y"] > values(group_retrieval(image, caption))["recall_at_1_x_to_y"]


def test_a_gallery_of_all_is_all(coco):
    image, caption, item = coco
    whole = group_retrieval(image, caption, groups=item)
    assert group_retrieval(image, caption, groups=item, gallery=50).figures == whole.figures


def test_figures_on_which_all_agree_reach_to_what_so_many_items_allow(coco):
    """Clopper and Pearson's bound of n of n, 0.025^(1/n), with n items, not rows; none of the median."""
    image, _, item = coco
    for gallery, asked in ((None, 50), (12, 48)):
        found = group_retrieval(image, image, groups=item, gallery=gallery).figures
        for name in ("recall_at_1", "recall_at_10", "mrr"):
            assert found[f"{name}_x_to_y"] == pytest.approx((1, 0.025 ** (1 / asked), 1))
        assert found["median_rank_y_to_x"] == (1, 1, 1)
    apart = group_retrieval(image[::3], -image[::3]).figures["recall_at_1_x_to_y"]
    assert apart == pytest.approx((0, 0, 1 - 0.025 ** (1 / 50)))


def test_captions_that_are_repeated_are_one(coco):
    image, caption, item = coco
    caption = caption.copy()
    caption[1] = caption[0]
    expected = figures_by_loops(
        image[::3],
        np.delete(caption, 1, axis=0),
        [[0, 1], *([3 * i - 1, 3 * i, 3 * i + 1] for i in range(1, 50))],
    )
    assert values(group_retrieval(image, caption, groups=item)) == pytest.approx(expected)


def test_limits():
    image = np.repeat(np.eye(6), 2, axis=0)
    found = values(
        group_retrieval(image, image + 0.1 * np.roll(image, 2, axis=0), groups=np.repeat(range(6), 2))
    )
    assert all(found[f"recall_at_1_{way}"] == found[f"mrr_{way}"] == 1 for way in DIRECTIONS)
    rng = np.random.default_rng(0)
    one_point = np.ones((40, 4))
    found = values(group_retrieval(rng.normal(size=(40, 4)), one_point, groups=np.arange(40)))
    assert found["recall_at_10_x_to_y"] == 0
    assert found["median_rank_x_to_y"] == 40


def test_neither_length_nor_rotation_nor_order_matters(coco):
    image, caption, item = coco
    rng = np.random.default_rng(1)
    turn = np.linalg.qr(rng.normal(size=(8, 8)))[0]
    order = np.concatenate([[3 * i, 3 * i + 1, 3 * i + 2] for i in rng.permutation(50)])
    expected = values(group_retrieval(image, caption, groups=item))
    longer = caption * rng.uniform(0.5, 2, size=(150, 1))
    assert values(group_retrieval(image @ turn, longer @ turn, groups=item)) == pytest.approx(expected)
    again = group_retrieval(image[order], caption[order], groups=item[order])
    assert values(again) == pytest.approx(expected)


def test_intervals_are_as_wide_as_shares_vary():
    x, y, _ = sample(800, SMALL, seed=2)
    figure = group_retrieval(x, y).figures["recall_at_1_x_to_y"]
    expected = 2 * 1.96 * np.sqrt(figure.value * (1 - figure.value) / 800)
    assert figure.high - figure.low == pytest.approx(expected, rel=0.15)
    assert group_retrieval(x, y).figures == group_retrieval(x, y).figures


def test_of_many_rows_some_ask_for_all(coco, monkeypatch):
    """Among the same answers, so that sampled figures are near those of all, and within what is sampled."""
    image, caption, item = coco
    whole = group_retrieval(image, caption, groups=item)
    assert whole.sampled_queries is None
    monkeypatch.setattr("isthmus.evaluate.retrieval.EXACT_PAIRS", 149)
    monkeypatch.setattr("isthmus.evaluate.retrieval.SAMPLE_QUERIES", 100)
    found = group_retrieval(image, caption, groups=item)
    assert found.sampled_queries == 100
    assert found.figures["mrr_x_to_y"] == whole.figures["mrr_x_to_y"]  # there are 50 images only
    near = pytest.approx(whole.figures["mrr_y_to_x"].value, abs=0.06)
    seeds = [
        group_retrieval(image, caption, groups=item, seed=k).figures["mrr_y_to_x"].value for k in range(8)
    ]
    assert all(value == near for value in seeds)
    assert len(set(seeds)) > 1
    assert np.mean(seeds) == pytest.approx(whole.figures["mrr_y_to_x"].value, abs=0.02)
    assert group_retrieval(image, caption, groups=item, gallery=50).sampled_queries is None


def test_errors_name_what_is_wrong(coco):
    image, caption, item = coco
    with pytest.raises(ValueError, match=r"gallery must be a whole number in \[2, 50\], got 51"):
        group_retrieval(image, caption, groups=item, gallery=51)
    with pytest.raises(ValueError, match="x has 149 rows, y has 150"):
        group_retrieval(image[1:], caption)
    with pytest.raises(ValueError, match="groups has 149 entries"):
        group_retrieval(image, caption, groups=item[1:])


def test_repeated_images_of_flickr8k_are_one(realdata):
    """The figures of shared/realdata/README.md, and the trap that is told of there."""
    x, y = (np.load(realdata / "flickr8k-clip" / f"{name}_embeddings.npy") for name in ("image", "text"))
    found = group_retrieval(x, y)
    assert found.items == 100
    assert values(found)["recall_at_1_y_to_x"] == pytest.approx(0.832)
    assert values(found)["recall_at_5_y_to_x"] == pytest.approx(0.990)
    assert values(found)["recall_at_1_x_to_y"] == pytest.approx(0.930)
    assert recall_at(retrieval_ranks(x, y), 1) == pytest.approx(0.186)
    first = (y @ x.T).argmax(axis=1)  # of five equal rows
    assert (first == np.arange(500)).mean() == pytest.approx(0.832 / 5, abs=0.003)  # a fifth, by luck 0.168


def test_coco_of_the_paper(clip_pairs):
    found = values(group_retrieval(*clip_pairs))
    assert (found["recall_at_1_x_to_y"], found["recall_at_1_y_to_x"]) == pytest.approx((0.552, 0.506))
