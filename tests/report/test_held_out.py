import numpy as np
import pytest

from isthmus.checks import unit_rows
from isthmus.evaluate import HeldOut
from isthmus.measure import gap_share, retrieval_ranks
from isthmus.measure.items import find_items
from isthmus.report.held_out import cosines, gap_spectrum, project, worst_pairs


@pytest.fixture
def space(pairs):
    return tuple(unit_rows(z) for z in pairs)


def test_projection_is_that_of_the_singular_vectors(space):
    stacked = np.vstack(space)
    left, value, _ = np.linalg.svd(stacked - stacked.mean(axis=0), full_matrices=False)
    picture = project(space, seed=0)
    points = np.vstack([picture["x"], picture["y"]])
    assert np.allclose(np.abs(points), np.abs(left[:, :2] * value[:2]), atol=1e-4)
    assert picture["share"] == pytest.approx(value[:2] ** 2 / (value**2).sum(), abs=1e-4)
    assert np.mean(picture["x"], axis=0)[0] < np.mean(picture["y"], axis=0)[0]


def test_projection_of_many_rows_draws_some_and_of_one_dimension_is_flat():
    many = np.random.default_rng(0).normal(size=(2, 3000, 4))
    assert len(project(tuple(many), seed=0)["x"]) + len(project(tuple(many), seed=0)["y"]) == 1500
    flat = project((np.ones((3, 1)), -np.ones((3, 1))), seed=0)
    assert flat["x"] == [[-1, 0]] * 3
    assert project((np.ones((3, 2)),) * 2, seed=0)["share"] == [0, 0]


def test_cosines_hold_matched_pairs_and_only_pairs_of_different_items(space):
    x, _ = space
    group = np.arange(len(x)) // 2
    x = x[group * 2]  # two equal rows of each item: a cosine of 1 only within an item
    found = cosines({"before": (x, x)}, group, seed=0)
    assert found["before"]["matched_mean"] == pytest.approx(1)
    assert found["before"]["confused"] == 0
    assert sum(found["before"]["matched"]) == pytest.approx(1, abs=1e-2)
    assert sum(found["before"]["mismatched"]) == pytest.approx(1, abs=1e-2)
    assert found["before"]["mismatched_mean"] < 0.9


def test_spectrum_is_the_gap_share_and_skips_another_dim(space):
    items = find_items(*space)
    found = gap_spectrum({"before": space, "after": (space[0][:, :5], space[1][:, :5])}, items)
    assert "after" not in found
    for k, share in zip(found["dimensions"], found["before"], strict=True):
        assert share == pytest.approx(gap_share(*space, k=k), abs=1e-4)
    assert found["dimensions"][-1] == 12


def test_worst_pairs_have_the_ranks_of_retrieval(space):
    x, y = space
    items = find_items(x, y)
    held_out = HeldOut(np.arange(500, 620), items.group, {})
    worst = worst_pairs(held_out, items, {"before": (x, y), "after": (x, -y)})
    order = np.argsort(-(x * y).sum(axis=1))[:10]
    assert [pair["row"] for pair in worst] == (order + 500).tolist()
    for space_name, b in (("before", y), ("after", -y)):
        assert [pair[space_name]["x_to_y"] for pair in worst] == retrieval_ranks(x, b)[order].tolist()
        assert [pair[space_name]["y_to_x"] for pair in worst] == retrieval_ranks(b, x)[order].tolist()
    assert worst[0]["before"]["cosine"] == pytest.approx((x * y).sum(axis=1).max(), abs=1e-4)


def test_captions_of_one_item_are_all_right_answers(space):
    x = np.repeat(space[0][:20], 3, axis=0)
    y = space[1][:60]
    group = np.repeat(np.arange(20), 3)
    items = find_items(x, y, group)
    worst = worst_pairs(HeldOut(np.arange(60), group, {}), items, {"before": (x, y)})
    ranks = retrieval_ranks(y, x[items.x_rows], query_items=group, gallery_items=group[items.x_rows])
    assert all(pair["before"]["y_to_x"] == ranks[pair["row"]] <= 20 for pair in worst)
    found = retrieval_ranks(x, y[items.y_rows], query_items=group, gallery_items=group[items.y_rows])
    assert all(pair["before"]["x_to_y"] == found[pair["row"]] for pair in worst)
