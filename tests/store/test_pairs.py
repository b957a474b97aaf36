import dataclasses

import numpy as np
import pytest

from isthmus.store import Pairs, ShardedRows, open_pairs


@pytest.fixture
def open_two(tmp_path):
    def open_arrays(x, y):
        np.save(tmp_path / "x.npy", x)
        np.save(tmp_path / "y.npy", y)
        return open_pairs(tmp_path / "x.npy", tmp_path / "y.npy")

    return open_arrays


def test_two_files(tmp_path, open_two, rows):
    pairs = open_two(rows, rows * 2)
    assert np.array_equal(pairs.x, rows)
    assert np.array_equal(pairs.y, rows * 2)
    assert pairs.names == (f"{tmp_path}/x.npy", f"{tmp_path}/y.npy")
    assert (len(pairs), pairs.groups, pairs.metadata) == (20, None, None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        pairs.x = rows


def test_formats_can_be_mixed(tmp_path, write, suffix, rows):
    write(tmp_path / f"x{suffix}", rows)
    write(tmp_path / "y.npz", rows)
    pairs = open_pairs(tmp_path / f"x{suffix}", f"{tmp_path}/y.npz:rows")
    assert np.array_equal(pairs.x, pairs.y)


def bad_rows(value):
    x = np.ones((4, 3))
    x[1:3] = value
    return x


@pytest.mark.parametrize(
    "x, y, message",
    [
        (np.ones((4, 3)), np.ones((5, 3)), r"x.npy has 4 rows, .*y.npy has 5"),
        (np.ones((4, 3)), np.ones((4, 2)), r"x.npy has dim 3, .*y.npy has dim 2"),
        (np.ones((1, 3)), np.ones((1, 3)), r"at least 2 pairs, got 1 in .*x.npy and .*y.npy"),
        (np.ones(3), np.ones(3), r"x.npy: expected .* of shape \(n, dim\), found float64 of shape \(3,\)"),
        (np.ones((4, 3)), np.ones((2, 4, 3)), r"y.npy must have shape \(n, dim\), got \(2, 4, 3\)"),
        (
            np.ones((4, 3)),
            bad_rows(np.nan),
            "y.npy has 2 (NaN or infinite|non-finite) rows, the first is row 1",
        ),
        (
            bad_rows(-np.inf),
            np.ones((4, 3)),
            "x.npy has 2 (NaN or infinite|non-finite) rows, the first is row 1",
        ),
        (np.ones((4, 3)), bad_rows(0), "y.npy has 2 zero rows, the first is row 1"),
        (np.ones((4, 3)), np.ones((4, 3), int), "y.npy: expected float16, .*found int64"),
    ],
)
def test_what_does_not_pair(open_two, x, y, message):
    with pytest.raises(ValueError, match=message):
        open_two(x, y)


def test_clip_retrieval_folder(layout):
    pairs = open_pairs(layout)
    assert isinstance(pairs, Pairs)
    assert isinstance(pairs.x, ShardedRows)
    for found, folder in ((pairs.x, "img_emb"), (pairs.y, "text_emb")):
        parts = [np.load(layout / folder / f"{folder}_{i}.npy") for i in range(2)]
        assert np.array_equal(found[:], np.concatenate(parts))
        assert found.dtype == np.float16
    assert pairs.names == (f"{layout}/img_emb", f"{layout}/text_emb")
    assert pairs.metadata == layout / "metadata"
    separately = open_pairs(layout / "img_emb", layout / "text_emb")
    assert np.array_equal(separately.y[:], pairs.y[:])


def test_folders_that_are_not_in_the_layout(tmp_path, layout, rows):
    (layout / "text_emb" / "text_emb_1.npy").unlink()
    with pytest.raises(ValueError, match=r"root/img_emb has 7 rows, .*root/text_emb has 3"):
        open_pairs(layout)
    (layout / "text_emb").rename(layout / "txt_emb")
    with pytest.raises(
        ValueError, match="root: expected folders img_emb and text_emb, found img_emb, metadata, txt"
    ):
        open_pairs(layout)
    np.save(tmp_path / "x.npy", rows)
    with pytest.raises(
        ValueError, match=r"x.npy is one file: give the second modality too, or a folder of img_emb"
    ):
        open_pairs(tmp_path / "x.npy")
    with pytest.raises(ValueError, match=r"x.npy:0 is one modality: expected the second too, such as"):
        open_pairs(f"{tmp_path}/x.npy:0")
    with pytest.raises(FileNotFoundError, match=r"no such file or folder: .*nope"):
        open_pairs(tmp_path / "nope")
    with pytest.raises(FileNotFoundError, match=r"no such file or folder: .*nope.npy"):
        open_pairs(tmp_path / "x.npy", tmp_path / "nope.npy")
