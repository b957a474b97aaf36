"""X-CLIP against transformers' own processing and forward pass."""

import numpy as np
import pytest

from isthmus.encoders import open_encoder
from tests.encoders.networks import LONG, TEXTS, check_batches, clip_tokenizer

torch = pytest.importorskip("torch", reason="torch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")


def network(vocabulary=700):
    torch.manual_seed(0)
    tower = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_hidden_layers": 2}
    config = transformers.XCLIPConfig(
        text_config=tower | {"vocab_size": vocabulary, "max_position_embeddings": 16, "eos_token_id": 2},
        vision_config=tower
        | {"image_size": 32, "patch_size": 8, "num_frames": 4, "mit_hidden_size": 24}
        | {"mit_intermediate_size": 32, "mit_num_attention_heads": 4, "mit_num_hidden_layers": 1},
        projection_dim=24,
    )
    return transformers.XCLIPModel(config).eval()


def image_processor():
    return transformers.VideoMAEImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )


def videos():
    rng = np.random.default_rng(0)
    shapes = ((4, 40, 48), (9, 33, 32), (30, 32, 32))
    return [rng.integers(0, 256, size=(*shape, 3), dtype=np.uint8) for shape in shapes]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    path = tmp_path_factory.mktemp("xclip")
    for part in (network(), clip_tokenizer(), image_processor()):
        part.save_pretrained(path)
    return open_encoder(f"xclip:{path}", device="cpu")


def test_videos_are_embedded_as_by_transformers(encoder):
    frames = ([0, 1, 2, 3], [1, 3, 5, 7], [3, 11, 18, 26])  # the middles of four equal parts
    chosen = [list(video[indices]) for video, indices in zip(videos(), frames, strict=True)]
    pixels = image_processor()(chosen, return_tensors="pt").pixel_values
    with torch.inference_mode():
        expected = network().get_video_features(pixels).pooler_output.numpy()
    assert np.abs(encoder.encode(videos(), "video", normalize=False) - expected).max() < 1e-5
    assert encoder.modalities == ("video", "text")
    check_batches(encoder, videos(), "video")


def test_a_short_video_repeats_frames(encoder):
    one = videos()[0][:1]
    prepared = encoder.preparation(one, "video")
    assert prepared.shape == (4, 32, 32, 3)
    assert (prepared == prepared[0]).all()


def test_texts_are_embedded_as_by_transformers(encoder):
    texts = [*TEXTS, LONG]
    tokens = clip_tokenizer()(texts, padding=True, truncation=True, max_length=16, return_tensors="pt")
    with torch.inference_mode():
        expected = network().get_text_features(**tokens).pooler_output.numpy()
    assert np.abs(encoder.encode(texts, "text", normalize=False) - expected).max() < 1e-5
    check_batches(encoder, texts, "text")


def test_errors_name_what_was_given(encoder):
    with pytest.raises(ValueError, match=r"a video must have shape .*, frames >= 1, got \(0, 40, 48, 3\)"):
        encoder.encode([videos()[0][:0]], "video")
    with pytest.raises(ValueError, match="embeds video, text, not image"):
        encoder.encode([videos()[0][0]], "image")
