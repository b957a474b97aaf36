"""Encoders made of functions."""

import numpy as np
import pytest

from isthmus.encoders import CallableEncoder


def test_rows_are_what_the_functions_give():
    encoder = CallableEncoder(
        {"text": lambda texts: [[len(t), 2] for t in texts]}, name="m", dim=2, revision="1"
    )
    rows = encoder.encode(["a", "bb", "cccc"], "text", batch_size=2, normalize=False)
    assert rows.dtype == np.float32
    assert rows.tolist() == [[1, 2], [2, 2], [4, 2]]
    assert encoder.encode([], "text").shape == (0, 2)
    assert np.allclose(np.linalg.norm(encoder.encode(["a", "bb"], "text"), axis=1), 1)


def test_tensors_are_taken():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    weight = torch.ones(1, 3, requires_grad=True, dtype=torch.bfloat16)
    encoder = CallableEncoder(
        {"image": lambda images: torch.ones(len(images), 1, dtype=torch.bfloat16) @ weight},
        name="m", dim=3, revision="1",
    )  # fmt: skip
    assert encoder.forward([0, 0], "image").tolist() == [[1, 1, 1], [1, 1, 1]]


def test_errors_name_what_is_wrong():
    with pytest.raises(
        ValueError, match="functions must be named after image, text, audio, video, got smell"
    ):
        CallableEncoder({"smell": list}, name="m", dim=1, revision="1")
    with pytest.raises(ValueError, match="got none"):
        CallableEncoder({}, name="m", dim=1, revision="1")
    encoder = CallableEncoder({"text": lambda texts: [[0.0]]}, name="mine", dim=1, revision="1")
    with pytest.raises(ValueError, match=r"mine: the function of text must return \(2, 1\), got \(1, 1\)"):
        encoder.encode(["a", "b"], "text")
    with pytest.raises(ValueError, match="mine embeds text, not image"):
        encoder.encode(["a"], "image")
