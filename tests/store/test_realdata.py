import numpy as np
import pytest

from isthmus.store import open_embeddings, open_pairs


def test_liang_2022_is_two_matrices_in_one_array(realdata):
    path = realdata / "liang2022" / "features_clip.npy"
    with pytest.raises(
        ValueError, match=r"shape \(n, dim\), got \(2, 500, 512\).* of shape \(500, 512\), as in .*:0"
    ):
        open_embeddings(path)
    pairs = open_pairs(f"{path}:0", f"{path}:1")
    whole = np.load(path)
    assert np.array_equal(pairs.x, whole[0])
    assert np.array_equal(pairs.y, whole[1])


def test_flickr8k_has_100_images_of_5_captions(realdata):
    folder = realdata / "flickr8k-clip"
    pairs = open_pairs(
        folder / "image_embeddings.npy",
        folder / "text_embeddings.npy",
        groups=f"{folder}/metadata.csv:image_id",
    )
    assert len(pairs) == 500
    assert np.array_equal(np.bincount(pairs.groups), np.full(100, 5))
    for group in (0, 99):
        rows = np.asarray(pairs.x)[pairs.groups == group]
        assert np.ptp(rows, axis=0).max() == 0  # one image, five times


def test_float16_prototypes_stay_float16(realdata):
    assert open_embeddings(realdata / "cifar10-clip" / "lvis_text_prototypes.npy").dtype == np.float16
    with pytest.raises(
        ValueError, match=r"original_images.npy: expected .* found uint8 of shape \(500, 32, 32, 3\)"
    ):
        open_embeddings(realdata / "cifar10-clip" / "original_images.npy")
