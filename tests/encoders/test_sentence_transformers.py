"""sentence-transformers against its own encode."""

import importlib.util
import json
import shutil

import numpy as np
import pytest

from isthmus.encoders import open_encoder
from tests.encoders.networks import LONG, TEXTS, check_batches, clip_tokenizer, pictures, prepare_elsewhere

torch = pytest.importorskip("torch", reason="torch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")
library = pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a CLIP network."""
    from tests.encoders.test_clip import image_processor, network

    path, tokenizer = tmp_path_factory.mktemp("clip"), clip_tokenizer()
    network(vocabulary=len(tokenizer)).save_pretrained(path)
    transformers.CLIPProcessor(image_processor=image_processor(), tokenizer=tokenizer).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def encoder(folder):
    return open_encoder(f"sentence-transformers:{folder}", device="cpu")


def test_embeds_as_the_library_does(folder, encoder):
    from PIL import Image

    theirs = library.SentenceTransformer(str(folder), device="cpu")
    texts, images = theirs.encode([*TEXTS, LONG]), theirs.encode([Image.fromarray(i) for i in pictures()])
    assert np.abs(encoder.encode([*TEXTS, LONG], "text", normalize=False) - texts).max() < 1e-5
    assert np.abs(encoder.encode(pictures(), "image", normalize=False) - images).max() < 1e-5
    assert (encoder.modalities, encoder.dim, len(encoder.revision)) == (("image", "text"), 24, 12)
    check_batches(encoder, [*TEXTS, LONG], "text")
    check_batches(encoder, pictures(), "image")


def test_agrees_with_our_own_clip(folder, encoder):
    clip = open_encoder(f"clip:{folder}", device="cpu")
    assert np.allclose(encoder.encode([LONG], "text"), clip.encode([LONG], "text"), atol=1e-5)
    if importlib.util.find_spec("torchvision"):
        pytest.skip("transformers resizes images by torchvision, which rounds otherwise than Pillow")
    assert np.allclose(encoder.encode(pictures(), "image"), clip.encode(pictures(), "image"), atol=1e-5)


def test_truncated_texts_are_told(encoder):
    assert [encoder.is_truncated(text, "text") for text in [*TEXTS, LONG]] == [False] * 4 + [True]
    assert not encoder.is_truncated(pictures()[0], "image")


def test_preparation_works_in_another_process(encoder):
    assert prepare_elsewhere(encoder, "a dog", "text") == "a dog"


def test_code_of_the_network_needs_permission(folder, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModel": "own.Own"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "own.py").write_text("raise SystemExit('the code has run')")
    with pytest.raises(ValueError, match=r"code of its own; where you trust it, add \?trust_remote_code=1"):
        open_encoder(f"sentence-transformers:{tmp_path}")


def test_weights_that_are_not_to_be_had(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        OSError, match=r"^sentence-transformers:jinaai/jina-clip-v2: the weights are not on this"
    ):
        open_encoder("sentence-transformers:jinaai/jina-clip-v2")


def test_a_missing_library_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sentence_transformers", None)
    with pytest.raises(ImportError, match=r'pip install "isthmus\[clip\]"$'):
        open_encoder("sentence-transformers:x")
