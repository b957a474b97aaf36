"""Embeddings made elsewhere, found by id."""

import numpy as np
import pytest

from isthmus.encoders import open_encoder


@pytest.fixture
def folder(tmp_path):
    """Three images, and four texts of two of them, in another order."""
    rng = np.random.default_rng(0)
    np.save(tmp_path / "image.npy", rng.normal(size=(3, 4)).astype(np.float32))
    np.save(tmp_path / "text.npy", rng.normal(size=(4, 4)).astype(np.float16))
    (tmp_path / "image.txt").write_text("dog\ncat\n7\n")
    (tmp_path / "text.txt").write_text("cat#1\ndog#0\ncat#0\n7#0\n")
    return tmp_path


def test_rows_are_found_by_id(folder):
    encoder = open_encoder(f"precomputed:{folder}")
    assert (encoder.modalities, encoder.dim, encoder.reads) == (("image", "text"), 4, "id")
    images, texts = np.load(folder / "image.npy"), np.load(folder / "text.npy")
    rows = encoder.encode(["7", "dog", "7"], "image", batch_size=2, normalize=False)
    assert np.array_equal(rows, images[[2, 0, 2]])
    rows = encoder.encode(["dog#0", "cat#1"], "text", normalize=False)
    assert rows.dtype == np.float32
    assert np.array_equal(rows, texts[[1, 0]].astype(np.float32))
    assert encoder.encode([], "image").shape == (0, 4)


def test_without_ids_an_id_is_the_number_of_a_row(folder):
    (folder / "image.txt").unlink()
    (folder / "text.txt").unlink()
    encoder = open_encoder(f"precomputed:{folder}")
    assert np.array_equal(encoder.forward(["2"], "image")[0], np.load(folder / "image.npy")[2])
    assert np.array_equal(encoder.forward(["3#0"], "text")[0], np.load(folder / "text.npy")[3])
    for unknown in ("3", "-1", "dog", "0#1"):
        with pytest.raises(ValueError, match=rf"image\.npy has no '{unknown}'"):
            encoder.forward([unknown], "image")


def test_revision_tells_files_apart(folder):
    first = open_encoder(f"precomputed:{folder}").revision
    assert first == open_encoder(f"precomputed:{folder}").revision
    (folder / "image.txt").write_text("dog\n7\ncat\n")
    assert open_encoder(f"precomputed:{folder}").revision != first


def test_errors_name_the_id_and_the_file(folder):
    with pytest.raises(ValueError, match=r"image\.txt has no 'bird'"):
        open_encoder(f"precomputed:{folder}").encode(["dog", "bird"], "image")
    (folder / "image.txt").write_text("dog\ncat\n")
    with pytest.raises(ValueError, match=r"image\.txt has 2 ids, .*image\.npy has 3 rows"):
        open_encoder(f"precomputed:{folder}")
    (folder / "image.txt").write_text("dog\ncat\ndog\n")
    with pytest.raises(ValueError, match=r"image\.txt has the id 'dog' more than once"):
        open_encoder(f"precomputed:{folder}")
    np.save(folder / "audio.npy", np.ones((2, 3)))
    (folder / "image.txt").unlink()
    with pytest.raises(ValueError, match="one space has one width"):
        open_encoder(f"precomputed:{folder}")
    with pytest.raises(FileNotFoundError, match=r"nowhere has none of image\.npy"):
        open_encoder("precomputed:nowhere")
