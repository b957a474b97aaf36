"""SigLIP and SigLIP 2 against transformers' own processing and forward pass."""

import numpy as np
import pytest

from isthmus.encoders import open_encoder
from isthmus.encoders.siglip import siglip_encoder
from tests.encoders.networks import LONG, TEXTS, check_batches, clip_tokenizer, pictures, prepare_elsewhere

torch = pytest.importorskip("torch", reason="torch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")


def network():
    torch.manual_seed(0)
    tower = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_hidden_layers": 2}
    config = transformers.SiglipConfig(
        text_config=tower | {"vocab_size": 700, "max_position_embeddings": 16, "projection_size": 32},
        vision_config=tower | {"image_size": 32, "patch_size": 8},
    )
    return transformers.SiglipModel(config).eval()


def image_processor():
    return transformers.SiglipImageProcessorPil(size={"height": 32, "width": 32})


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    path = tmp_path_factory.mktemp("siglip")
    for part in (network(), clip_tokenizer(), image_processor()):
        part.save_pretrained(path)
    return open_encoder(f"siglip:{path}", device="cpu")


def test_images_are_embedded_as_by_transformers(encoder):
    pixels = image_processor()(images=pictures(), return_tensors="pt").pixel_values
    with torch.inference_mode():
        expected = network().get_image_features(pixels).pooler_output.numpy()
    assert np.abs(encoder.encode(pictures(), "image", normalize=False) - expected).max() < 1e-5
    check_batches(encoder, pictures(), "image")


def test_texts_are_filled_and_cut_as_by_transformers(encoder):
    texts = [*TEXTS, LONG]
    ids = clip_tokenizer()(
        texts, padding="max_length", truncation=True, max_length=16, return_tensors="pt"
    ).input_ids
    assert ids.shape == (5, 16)
    with torch.inference_mode():
        expected = network().get_text_features(ids).pooler_output.numpy()
    assert np.abs(encoder.encode(texts, "text", normalize=False) - expected).max() < 1e-5
    assert [encoder.is_truncated(encoder.preparation(t, "text"), "text") for t in texts] == [False] * 4 + [
        True
    ]
    check_batches(encoder, texts, "text")


def test_a_tokenizer_that_keeps_case_reads_lower_case():
    """SigLIP 2 has Gemma's tokenizer, and was trained on lower-case texts."""
    gemma = type("GemmaTokenizer", (type(clip_tokenizer()),), {})
    tokenizer = clip_tokenizer()
    tokenizer.__class__ = gemma
    tokenizer.backend_tokenizer.normalizer = None
    encoder = siglip_encoder(
        "siglip:x", network(), tokenizer=tokenizer, image_processor=image_processor(), device="cpu"
    )
    assert np.array_equal(encoder.preparation("A Dog", "text"), tokenizer("a dog").input_ids)
    assert not np.array_equal(tokenizer("A Dog").input_ids, tokenizer("a dog").input_ids)


def test_the_first_siglip_has_a_sentencepiece_tokenizer(tmp_path):
    """It removes punctuation, and has no backend in tokenizers."""
    sentencepiece = pytest.importorskip("sentencepiece", reason="sentencepiece is not installed")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*TEXTS, LONG] * 5), model_prefix=str(tmp_path / "spiece"), vocab_size=60,
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1, hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    tokenizer = transformers.SiglipTokenizer(str(tmp_path / "spiece.model"), model_max_length=16)
    encoder = siglip_encoder(
        "siglip:x", network(), tokenizer=tokenizer, image_processor=image_processor(), device="cpu"
    )
    texts = [*TEXTS, LONG]
    ids = tokenizer(
        texts, padding="max_length", truncation=True, max_length=16, return_tensors="pt"
    ).input_ids
    with torch.inference_mode():
        expected = network().get_text_features(ids).pooler_output.numpy()
    assert np.abs(encoder.encode(texts, "text", normalize=False) - expected).max() < 1e-5
    assert np.array_equal(prepare_elsewhere(encoder, LONG, "text"), encoder.preparation(LONG, "text"))
