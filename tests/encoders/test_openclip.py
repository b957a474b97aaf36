"""open_clip against its own transform, tokenizer and forward pass."""

import pickle

import numpy as np
import pytest

from isthmus.encoders import open_encoder
from isthmus.encoders.openclip import openclip_encoder
from tests.encoders.networks import TEXTS, check_batches, pictures, prepare_elsewhere

torch = pytest.importorskip("torch", reason="torch is not installed")
open_clip = pytest.importorskip("open_clip", reason="open_clip is not installed")
PIL = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

LONG = "a dog and a cat on an old red sofa, " * 12
# open_clip ships the tokenizer: only the networks are small


@pytest.fixture(scope="module")
def architecture(tmp_path_factory):
    """A small architecture, known to open_clip by name."""
    folder = tmp_path_factory.mktemp("configs")
    (folder / "tiny-test.json").write_text(
        '{"embed_dim": 24, "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8},'
        '"text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2}}'
    )
    open_clip.add_model_config(folder)
    return "tiny-test"


@pytest.fixture(scope="module")
def encoder(architecture):
    return open_encoder(f"openclip:{architecture}", device="cpu")


@pytest.fixture(scope="module")
def checkpoint(architecture, tmp_path_factory):
    torch.manual_seed(7)
    path = tmp_path_factory.mktemp("weights") / "other.pt"
    torch.save({"state_dict": open_clip.create_model(architecture).state_dict(), "epoch": 3}, path)
    return path


def test_embeds_as_open_clip_does(architecture, checkpoint):
    model, _, transform = open_clip.create_model_and_transforms(architecture, pretrained=str(checkpoint))
    encoder = open_encoder(f"openclip:{architecture}/{checkpoint}", device="cpu")
    with torch.inference_mode():
        pixels = torch.stack([transform(PIL.fromarray(image)) for image in pictures()])
        images = model.eval().encode_image(pixels).numpy()
        texts = model.encode_text(open_clip.get_tokenizer(architecture)([*TEXTS, LONG])).numpy()
    assert np.abs(encoder.encode(pictures(), "image", normalize=False) - images).max() < 1e-5
    assert np.abs(encoder.encode([*TEXTS, LONG], "text", normalize=False) - texts).max() < 1e-5
    assert encoder.dim == 24
    check_batches(encoder, pictures(), "image")
    check_batches(encoder, [*TEXTS, LONG], "text")


def test_a_long_text_keeps_its_end(encoder):
    short, long = encoder.preparation(TEXTS[0], "text"), encoder.preparation(LONG, "text")
    assert (encoder.is_truncated(short, "text"), encoder.is_truncated(long, "text")) == (False, True)
    assert len(long) > 77
    assert long[-1] == 49407


def test_tokenizers_of_transformers(architecture):
    """Networks such as open_clip's SigLIP bring one."""
    pytest.importorskip("transformers", reason="transformers is not installed")
    from tests.encoders.networks import LONG, clip_tokenizer

    theirs = object.__new__(open_clip.tokenizer.HFTokenizer)  # its __init__ asks the hub
    theirs.__dict__ = {
        "tokenizer": clip_tokenizer(), "context_length": 16, "tokenizer_mode": "", "strip_sep_token": False,
        "clean_fn": open_clip.tokenizer.get_clean_fn("canonicalize"),
    }  # fmt: skip
    seen = []
    model = open_clip.create_model(architecture)
    model.encode_text = lambda ids: (seen.append(ids), torch.ones(len(ids), 3))[1]
    encoder = openclip_encoder("openclip:x", model, tokenizer=theirs, device="cpu")
    encoder.encode([*TEXTS, LONG], "text")
    assert torch.equal(seen[-1], theirs([*TEXTS, LONG]))


def test_random_weights_are_the_same_each_time_and_say_so(architecture, encoder):
    torch.manual_seed(123)
    state = torch.random.get_rng_state()
    again = open_encoder(f"openclip:{architecture}", device="cpu")
    assert torch.equal(torch.random.get_rng_state(), state)
    assert again.revision == encoder.revision
    assert again.revision.startswith("random-initialisation-seed-0")
    assert np.array_equal(again.encode(["a"], "text"), encoder.encode(["a"], "text"))


def test_revision_is_that_of_the_weights(architecture, checkpoint, encoder):
    pretrained = open_encoder(f"openclip:{architecture}/{checkpoint}").revision
    assert len(pretrained) == 12
    assert pretrained not in encoder.revision


def test_preparation_works_in_another_process(encoder):
    assert len(pickle.dumps(encoder.preparation)) < 4e6
    assert np.array_equal(prepare_elsewhere(encoder, TEXTS[1], "text"), encoder.preparation(TEXTS[1], "text"))


def test_unknown_names_list_close_ones():
    with pytest.raises(ValueError, match=r"no architecture 'ViT-B-33', did you mean .*ViT-B-32"):
        open_encoder("openclip:ViT-B-33/openai")
    with pytest.raises(
        ValueError, match=r"'laion2b' is no file and no tag of ViT-B-32, did you mean .*laion2b_e16"
    ):
        open_encoder("openclip:ViT-B-32/laion2b")
    with pytest.raises(ValueError, match="another activation, use ViT-B-32-quickgelu/openai"):
        open_encoder("openclip:ViT-B-32/openai")


@pytest.mark.parametrize("name", ["ViT-B-32/laion2b_s34b_b79k", "hf-hub:nobody/nothing"])
def test_weights_that_are_not_to_be_had(name, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(OSError, match=rf"^openclip:{name}: the weights are not on this machine"):
        open_encoder(f"openclip:{name}")


def test_bad_checkpoints_are_refused(architecture, tmp_path):
    torch.save({"state_dict": {"visual.proj": torch.zeros(2, 2)}}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match="Missing key"):
        open_encoder(f"openclip:{architecture}/{tmp_path / 'other.pt'}")
    torch.save({"state_dict": pytest.raises}, tmp_path / "pickled.pt")  # a function, not a tensor
    with pytest.raises(ValueError, match="holds more than weights and is refused"):
        open_encoder(f"openclip:{architecture}/{tmp_path / 'pickled.pt'}")


def test_a_missing_library_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "open_clip", None)
    with pytest.raises(ImportError, match=r'^openclip needs open_clip: pip install "isthmus\[openclip\]"$'):
        open_encoder("openclip:ViT-B-32")
