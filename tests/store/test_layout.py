import numpy as np
import pytest

from isthmus.store import open_embeddings


def numbered(folder, numbers, *, name="img_emb", dim=4, dtype=np.float32):
    folder.mkdir(exist_ok=True)
    for number in numbers:
        np.save(folder / f"{name}_{number}.npy", np.full((number + 1, dim), number + 1, dtype=dtype))
    return folder


def test_shards_are_in_the_order_of_their_numbers(tmp_path):
    folder = numbered(tmp_path / "img_emb", range(12))
    rows = open_embeddings(folder)
    assert rows.shape == (78, 4)
    assert np.array_equal(rows[:][:, 0], np.repeat(np.arange(1, 13), np.arange(1, 13)))
    assert np.array_equal(open_embeddings(f"{folder}/")[:], rows[:])


def test_numbers_may_be_padded(tmp_path):
    numbered(tmp_path, [0])
    (tmp_path / "img_emb_0.npy").rename(tmp_path / "img_emb_00.npy")
    np.save(tmp_path / "img_emb_01.npy", np.ones((2, 4), np.float32))
    assert open_embeddings(tmp_path).shape == (3, 4)
    numbered(tmp_path, [1])
    with pytest.raises(ValueError, match=r"has shard 1 twice: img_emb_01.npy and img_emb_1.npy"):
        open_embeddings(tmp_path)


@pytest.mark.parametrize("numbers, missing", [([0, 1, 2, 4, 10], 3), ([1, 2], 0)])
def test_missing_shard(tmp_path, numbers, missing):
    numbered(tmp_path, numbers)
    message = f"missing shard img_emb_{missing}.npy, the last there is img_emb_{numbers[-1]}.npy"
    with pytest.raises(ValueError, match=message):
        open_embeddings(tmp_path)


@pytest.mark.parametrize(
    "other, message",
    [
        (
            {"dim": 5},
            "img_emb_0.npy has dim 4 and dtype float32, .*img_emb_1.npy has dim 5 and dtype float32",
        ),
        ({"dtype": np.float16}, "img_emb_0.npy has .*float32, .*img_emb_1.npy has dim 4 and dtype float16"),
        ({"dtype": int}, r"img_emb_1.npy: expected float16, .* found int64 of shape \(2, 4\)"),
        ({"name": "text_emb"}, r"expected shards of one name, found img_emb_\*, text_emb_\*"),
    ],
)
def test_unlike_shards(tmp_path, other, message):
    numbered(tmp_path, [0])
    numbered(tmp_path, [1], **other)
    with pytest.raises(ValueError, match=message):
        open_embeddings(tmp_path)


def test_a_shard_that_is_damaged_is_named(tmp_path):
    numbered(tmp_path, range(3))
    path = tmp_path / "img_emb_1.npy"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ValueError, match=r"img_emb_1.npy is cut short: expected 160 bytes .* found 156"):
        open_embeddings(tmp_path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"img_emb_1.npy is not a readable .npy file"):
        open_embeddings(tmp_path)


def test_a_shard_of_no_rows_is_named(tmp_path):
    numbered(tmp_path, [0])
    np.save(tmp_path / "img_emb_1.npy", np.ones((0, 4), np.float32))
    with pytest.raises(ValueError, match=r"img_emb_1.npy is empty: its shape is \(0, 4\)"):
        open_embeddings(tmp_path)


def test_folders_that_hold_no_shards(tmp_path):
    with pytest.raises(ValueError, match=r"expected numbered shards such as .*_0.npy, found nothing"):
        open_embeddings(tmp_path)
    (tmp_path / "img_emb").mkdir()
    with pytest.raises(ValueError, match=r"expected numbered shards .* found img_emb"):
        open_embeddings(tmp_path)
    np.save(tmp_path / "features.npy", np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"expected numbered shards .* found features.npy"):
        open_embeddings(tmp_path)
    with pytest.raises(ValueError, match="is a folder, whose shards have no names, got the name 'x'"):
        open_embeddings(f"{tmp_path}:x")


def test_more_shards_than_a_process_may_have_open(tmp_path):
    resource = pytest.importorskip("resource")
    folder = numbered(tmp_path / "img_emb", [0])
    for number in range(1, 200):
        (folder / f"img_emb_{number}.npy").hardlink_to(folder / "img_emb_0.npy")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (150, limits[1]))
    try:
        rows = open_embeddings(folder)
        assert np.array_equal(rows[:], np.ones((200, 4)))
        assert np.array_equal(rows[np.arange(200)], np.ones((200, 4)))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
