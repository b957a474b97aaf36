"""CLIP against transformers' own processing and forward pass."""

import pickle

import numpy as np
import pytest

from isthmus.encoders import open_encoder
from tests.encoders.networks import LONG, TEXTS, check_batches, clip_tokenizer, pictures, prepare_elsewhere

torch = pytest.importorskip("torch", reason="torch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")


def network(seed=0, vocabulary=700, end=2):
    torch.manual_seed(seed)
    tower = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_hidden_layers": 2}
    config = transformers.CLIPConfig(
        text_config=tower | {"vocab_size": vocabulary, "max_position_embeddings": 16, "eos_token_id": end},
        vision_config=tower | {"image_size": 32, "patch_size": 8},
        projection_dim=24,
    )
    return transformers.CLIPModel(config).eval()


def image_processor():
    return transformers.CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A pretrained network as `save_pretrained` leaves it."""
    path = tmp_path_factory.mktemp("clip")
    tokenizer = clip_tokenizer()
    network(vocabulary=len(tokenizer)).save_pretrained(path)
    tokenizer.save_pretrained(path)
    image_processor().save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def encoder(folder):
    return open_encoder(f"clip:{folder}", device="cpu")


def test_images_are_embedded_as_by_transformers(folder, encoder):
    model, processor = transformers.CLIPModel.from_pretrained(folder), image_processor()
    pixels = processor(images=pictures(), return_tensors="pt").pixel_values
    with torch.inference_mode():
        expected = model.get_image_features(pixels).pooler_output.numpy()
    prepared = [encoder.preparation(image, "image") for image in pictures()]
    assert np.abs(encoder.forward(prepared, "image") - expected).max() < 1e-5
    check_batches(encoder, pictures(), "image")


def test_texts_are_embedded_and_cut_as_by_transformers(folder, encoder):
    model, tokenizer = transformers.CLIPModel.from_pretrained(folder), clip_tokenizer()
    tokens = tokenizer([*TEXTS, LONG], padding=True, truncation=True, max_length=16, return_tensors="pt")
    with torch.inference_mode():
        expected = model.get_text_features(**tokens).pooler_output.numpy()
    prepared = [encoder.preparation(text, "text") for text in [*TEXTS, LONG]]
    assert np.abs(encoder.forward(prepared, "text") - expected).max() < 1e-5
    assert [encoder.is_truncated(ids, "text") for ids in prepared] == [False, False, False, False, True]
    assert len(prepared[-1]) == len(tokenizer(LONG, verbose=False).input_ids) > 16
    check_batches(encoder, [*TEXTS, LONG], "text")


def test_preparation_works_in_another_process(encoder):
    assert len(pickle.dumps(encoder.preparation)) < 1e5
    for value, modality in ((TEXTS[1], "text"), (pictures()[0], "image")):
        prepared = prepare_elsewhere(encoder, value, modality)
        assert np.array_equal(prepared, encoder.preparation(value, modality))


@pytest.mark.parametrize("precision, tolerance", [("bfloat16", 0.1), ("float16", 0.02)])
def test_low_precision_is_close(folder, encoder, precision, tolerance):
    low = open_encoder(f"clip:{folder}", device="cpu", precision=precision)
    rows, exact = low.encode(pictures(), "image"), encoder.encode(pictures(), "image")
    assert rows.dtype == np.float32
    assert 0 < np.abs(rows - exact).max() < tolerance


def test_revision_tells_weights_apart(folder, encoder, tmp_path):
    assert len(encoder.revision) == 12
    assert encoder.revision == open_encoder(f"clip:{folder}").revision
    for name in folder.iterdir():
        (tmp_path / name.name).write_bytes(name.read_bytes())
    other = transformers.CLIPModel.from_pretrained(folder)
    with torch.no_grad():
        other.text_projection.weight[0, 0] += 1e-3
    other.save_pretrained(tmp_path)
    assert open_encoder(f"clip:{tmp_path}").revision != encoder.revision
    other.config._commit_hash = "0123456789abcdef"
    from isthmus.encoders.weights import revision_of

    assert revision_of(other) == "0123456789abcdef"


@pytest.mark.parametrize("name", ["openai/clip-vit-base-patch32", "nowhere", "/no/such/folder", "a b"])
def test_weights_that_are_not_to_be_had(name, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        OSError, match=rf"^clip:{name}: the weights are not on this machine.*name it: clip:PATH"
    ):
        open_encoder(f"clip:{name}")


def test_what_is_no_clip_is_refused(folder, tmp_path):
    torch.save(transformers.CLIPModel.from_pretrained(folder).state_dict(), tmp_path / "pytorch_model.bin")
    for name in folder.iterdir():
        if name.suffix != ".safetensors":
            (tmp_path / name.name).write_bytes(name.read_bytes())
    with pytest.raises(OSError, match=r"no file named model\.safetensors"):
        open_encoder(f"clip:{tmp_path}")
    with pytest.raises(ValueError, match="this is a network of type clip, expected siglip"):
        open_encoder(f"siglip:{folder}")
    state = transformers.CLIPModel.from_pretrained(folder).state_dict()
    del state["text_projection.weight"]
    from safetensors.torch import save_file

    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match="1 of the network's weights are missing, such as text_projection"):
        open_encoder(f"clip:{tmp_path}")


def test_errors_name_the_argument(folder, encoder):
    with pytest.raises(ValueError, match="precision must be one of float32, bfloat16, float16, got 'int8'"):
        open_encoder(f"clip:{folder}", precision="int8")
    with pytest.raises(ValueError, match="device must be auto, cpu, cuda or mps, got 'tpu'"):
        open_encoder(f"clip:{folder}", device="tpu")
    with pytest.raises(
        ValueError, match=r"an image must be uint8 of shape \(height, width, 3\), got uint8 \(5, 5\)"
    ):
        encoder.encode([np.zeros((5, 5), np.uint8)], "image")
    with pytest.raises(ValueError, match="a text must be a str, got bytes"):
        encoder.encode([b"a dog"], "text")


@pytest.mark.parametrize(
    "family, extra", [("clip", "clip"), ("siglip", "clip"), ("clap", "clip"), ("xclip", "clip")]
)
def test_a_missing_library_names_the_extra(family, extra, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(
        ImportError, match=rf'^{family} needs transformers: pip install "isthmus\[{extra}\]"$'
    ):
        open_encoder(f"{family}:x")
