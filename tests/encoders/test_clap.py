"""CLAP against transformers' own processing and forward pass."""

import numpy as np
import pytest

from isthmus.encoders import open_encoder
from isthmus.encoders.clap import clap_encoder
from isthmus.sources import Audio
from tests.encoders.networks import LONG, TEXTS, check_batches, prepare_elsewhere

torch = pytest.importorskip("torch", reason="torch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")


def tokenizer():
    """RoBERTa's tokenizer, with letters only."""
    from tokenizers import pre_tokenizers

    tokens = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    return transformers.RobertaTokenizer(
        vocab={token: i for i, token in enumerate(tokens)}, merges=[], model_max_length=512
    )


def network(fused=False):
    torch.manual_seed(0)
    config = transformers.ClapConfig(
        text_config={
            "vocab_size": 300, "hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4,
            "num_hidden_layers": 2, "max_position_embeddings": 34, "projection_dim": 24,
        },
        audio_config={
            "spec_size": 64, "num_mel_bins": 16, "patch_embeds_hidden_size": 16, "depths": [1, 1],
            "num_attention_heads": [2, 2], "hidden_size": 32, "window_size": 4, "patch_size": 4,
            "patch_stride": [4, 4], "projection_dim": 24, "enable_fusion": fused, "fusion_num_channels": 2,
        },
        projection_dim=24,
    )  # fmt: skip
    return transformers.ClapModel(config).eval()


def feature_extractor():
    return transformers.ClapFeatureExtractor(
        feature_size=16, sampling_rate=8000, max_length_s=2, hop_length=64, frequency_max=3500
    )


def sounds(seconds=(0.3, 1.0, 2.0)):
    rng = np.random.default_rng(0)
    return [Audio(rng.uniform(-1, 1, size=(int(s * 8000), 2)).astype(np.float32), 8000) for s in seconds]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    path = tmp_path_factory.mktemp("clap")
    for part in (network(), tokenizer(), feature_extractor()):
        part.save_pretrained(path)
    return open_encoder(f"clap:{path}", device="cpu")


def test_sounds_are_embedded_as_by_transformers(encoder):
    mono = [sound.samples.mean(axis=1) for sound in sounds()]
    features = feature_extractor()(mono, truncation="rand_trunc", sampling_rate=8000, return_tensors="pt")
    with torch.inference_mode():
        expected = network().get_audio_features(features.input_features.float()).pooler_output.numpy()
    assert np.abs(encoder.encode(sounds(), "audio", normalize=False) - expected).max() < 1e-5
    check_batches(encoder, sounds(), "audio")


def test_texts_are_embedded_and_cut_as_by_transformers(encoder):
    texts = [*TEXTS, LONG]
    tokens = tokenizer()(texts, padding=True, truncation=True, max_length=32, return_tensors="pt")
    with torch.inference_mode():
        expected = network().get_text_features(**tokens).pooler_output.numpy()
    assert np.abs(encoder.encode(texts, "text", normalize=False) - expected).max() < 1e-5
    assert encoder.is_truncated(encoder.preparation(LONG, "text"), "text")
    check_batches(encoder, texts, "text")


def test_a_long_sound_is_heard_from_its_beginning(encoder):
    """The feature extractor alone would cut at random."""
    (long,) = sounds([7.0])
    first = Audio(long.samples[: 2 * 8000], 8000)
    prepared = encoder.preparation(long, "audio")
    assert np.array_equal(prepared, encoder.preparation(first, "audio"))
    assert np.array_equal(prepared, prepare_elsewhere(encoder, long, "audio"))


def test_sounds_are_resampled(encoder):
    time = np.arange(48000, dtype=np.float32) / 48000
    tone = np.sin(2 * np.pi * 440 * time)[:, None].astype(np.float32)
    at_48, at_8 = Audio(tone, 48000), Audio(np.ascontiguousarray(tone[::6]), 8000)
    rows = encoder.encode([at_48, at_8, *sounds([1.0])], "audio")
    assert rows[0] @ rows[1] > 0.999 > rows[0] @ rows[2]


def test_a_fused_network_is_repeatable():
    """Its feature extractor declares a short sound, chosen at random, to be long; here none is."""
    encoder = clap_encoder(
        "clap:x",
        network(fused=True),
        tokenizer=tokenizer(),
        feature_extractor=feature_extractor(),
        device="cpu",
    )
    check_batches(encoder, sounds((0.3, 1.0, 5.0)), "audio")
    mono = [sound.samples.mean(axis=1) for sound in sounds()]
    features = feature_extractor()(mono, truncation="fusion", sampling_rate=8000, return_tensors="pt")
    with torch.inference_mode():
        expected = network(fused=True).get_audio_features(
            features.input_features.float(), is_longer=torch.zeros(3, 1, dtype=torch.bool)
        )
    found = encoder.encode(sounds(), "audio", normalize=False)
    assert np.abs(found - expected.pooler_output.numpy()).max() < 1e-5


def test_an_empty_sound_is_refused(encoder):
    with pytest.raises(ValueError, match=r"samples of shape \(n, channels\), n >= 1, got \(0, 1\)"):
        encoder.encode([Audio(np.zeros((0, 1), np.float32), 8000)], "audio")
