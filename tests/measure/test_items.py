import numpy as np
import pytest

from isthmus.checks import check_groups
from isthmus.measure.items import Selected, find_items, row_hashes


def test_rows_are_linked_through_either_modality():
    x = np.array([[1.0, 0], [1, 0], [0, 1], [0, 2], [0, 3]])
    y = np.array([[1.0, 1], [1, 2], [1, 2], [1, 3], [1, 4]])  # pairs 0-1 share x, 1-2 share y
    items = find_items(x, y)
    assert items.group.tolist() == [0, 0, 0, 1, 2]
    assert items.x_rows.tolist() == [0, 2, 3, 4]
    assert items.y_rows.tolist() == [0, 1, 3, 4]


def test_given_groups_are_believed_and_their_repeats_dropped():
    x = np.array([[1.0, 0], [0, 1], [1, 0], [1, 0]])
    items = find_items(x, np.arange(8.0).reshape(4, 2), groups=["b", "b", "a", "a"])
    assert items.group.tolist() == [0, 0, 1, 1]
    assert items.x_rows.tolist() == [0, 1, 2]  # row 2 repeats row 0, but of another item
    assert items.y_rows.tolist() == [0, 1, 2, 3]


def test_take_keeps_whole_items():
    x = np.array([[1.0, 0], [0, 1], [1, 0], [2, 0]])
    items = find_items(x, np.arange(8.0).reshape(4, 2)).take(np.array([0, 2, 3]))
    assert items.group.tolist() == [0, 0, 1]
    assert items.x_rows.tolist() == [0, 2]
    assert items.y_rows.tolist() == [0, 1, 2]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_hashes_tell_rows_apart_exactly(dtype):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5000, 16)).astype(dtype)
    x[100:200] = x[:100]
    x[300] = x[299]
    x[300, 7] = np.nextafter(x[300, 7], dtype(9))
    hashes = row_hashes(x)
    assert (hashes[100:200] == hashes[:100]).all()
    assert len(np.unique(hashes)) == len(np.unique(x, axis=0)) == 4900
    assert row_hashes(np.array([[0.0, 1]], dtype=dtype)) == row_hashes(np.array([[-0.0, 1]], dtype=dtype))


def test_one_item_is_not_enough():
    with pytest.raises(ValueError, match="at least 2 items, got 1: all 3 pairs repeat one another"):
        find_items(np.ones((3, 2)), np.arange(6.0).reshape(3, 2))
    with pytest.raises(ValueError, match="at least 2 items, got 1: all 2 pairs are in one group"):
        find_items(np.eye(2), np.eye(2), groups=["a", "a"])


def test_selected_reads_as_the_rows_would():
    x = np.arange(12.0).reshape(6, 2)
    rows = np.array([1, 3, 5])
    view = Selected(x, rows)
    assert (view[1:] == x[[3, 5]]).all()
    assert (view[np.array([2, 0])] == x[[5, 1]]).all()
    assert view.shape == (3, 2)
    assert len(view) == 3


@pytest.mark.parametrize(
    "groups, message",
    [
        ([1, 2], "groups has 2 entries, the embeddings have 3 rows"),
        ([[1], [2], [3]], r"got shape \(3, 1\)"),
        ([1.0, np.nan, 2.0], "no entry for row 1"),
        (["a", "b", None], "no entry for row 2"),
    ],
)
def test_errors_of_groups(groups, message):
    with pytest.raises(ValueError, match=message):
        check_groups(groups, 3)
