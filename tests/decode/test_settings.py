"""How a captioner is trained: read, checked, kept."""

import json
import re

import pytest

from isthmus.decode.settings import CaptionTraining, read_settings


def test_a_file_gives_some_settings_and_the_rest_are_as_by_default(tmp_path):
    path = tmp_path / "c3.yaml"
    path.write_text("method: C3-calibrated\nlearning-rate: 1e-4\nstd: null\nepochs: 2\nfrozen: true\n")
    found = CaptionTraining.from_dict(read_settings(path), name=str(path))
    assert found == CaptionTraining(method="C3-calibrated", learning_rate=1e-4, epochs=2, frozen=True)


def test_what_is_saved_is_read_back(tmp_path):
    settings = CaptionTraining(std=0.05, pairs=0.25, method="ClipCap", language_model="gpt2")
    path = tmp_path / "settings.json"
    path.write_text(json.dumps(settings.to_dict()))
    assert CaptionTraining.from_dict(read_settings(path)) == settings


@pytest.mark.parametrize("std, taken", [("5e-2", 0.05), (0, 0.0), ("auto", "auto"), ("capdec", "capdec")])
def test_the_noise_is_a_number_or_auto(std, taken):
    assert CaptionTraining.from_dict({"std": std}).std == taken


@pytest.mark.parametrize(
    "values, message",
    [
        ({"epoch": 3}, "c3.yaml: unknown setting 'epoch', did you mean 'epochs'?"),
        ({"zzz": 3}, "c3.yaml: unknown setting 'zzz', expected some of method, std, "),
        ({"method": "C4"}, "c3.yaml: method must be one of C1, C2-collapse, "),
        ({"std": "much"}, "std must be a number in [0, inf), auto or capdec, got 'much'"),
        ({"std": -1}, "std must be a number in [0, inf), got -1"),
        ({"pairs": 0}, "pairs must be a number in (0, 1], got 0"),
        ({"held_out": 1.0}, "held_out must be a number in [0, 1), got 1.0"),
        ({"select": "images"}, "select must be one of auto, text, cross-modal, got 'images'"),
        ({"select": "cross-modal", "held_out": 0.0}, "held_out is 0: nothing would be selected"),
        ({"modality": "text"}, "modality must be one that has captions, such as image, got 'text'"),
        ({"frozen": "yes"}, "frozen must be true or false, got 'yes'"),
        ({"layers": 0}, "layers must be a whole number in [1, inf), got 0"),
        ({"noise_pairs": -1}, "noise_pairs must be a whole number in [0, inf), got -1"),
        ({"dropout": 1}, "dropout must be a number in [0, 1), got 1"),
        ({"learning_rate": 0}, "learning_rate must be a number in (0, inf), got 0"),
        ({"precision": "int8"}, "precision must be float32 or bfloat16, got 'int8'"),
        ({"method": ["C1", "C3"]}, "method must be a text, got ['C1', 'C3']"),
        ({"language_model": ["gpt2"]}, "language_model must be a text, got ['gpt2']"),
        ({"device": 3}, "device must be a text, got 3"),
        ({"modality": {}}, "modality must be a text, got {}"),
        ({"mapper": "cnn"}, "mapper must be mlp or transformer, got 'cnn'"),
    ],
)
def test_what_makes_no_sense_is_named(values, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        CaptionTraining.from_dict(values, name="c3.yaml")


@pytest.mark.parametrize(
    "text, message",
    [("- 1\n", "expected settings as NAME: VALUE, found list"), ("a: [\n", "is not readable YAML or JSON")],
)
def test_what_is_no_mapping_is_refused(tmp_path, text, message):
    path = tmp_path / "c3.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"c3.yaml:? {message}"):
        read_settings(path)
    with pytest.raises(FileNotFoundError, match=r"no such file: nowhere\.yaml"):
        read_settings("nowhere.yaml")


def test_the_loop_and_the_network_get_what_is_theirs():
    settings = CaptionTraining(epochs=2, patience=0, batch_size=7, prefix=4, width=16, heads=2, seed=9)
    loop, network = settings.loop(), settings.captioner(12)
    assert (loop.epochs, loop.patience, loop.batch_size, loop.seed) == (2, 0, 7, 9)
    assert (network.dim, network.prefix, network.width, network.heads) == (12, 4, 16, 2)


def test_a_language_model_that_knows_much_is_trained_at_a_lower_rate():
    assert CaptionTraining().loop().learning_rate == 1e-3
    assert CaptionTraining(language_model="gpt2").loop().learning_rate == 2e-5
    assert CaptionTraining(language_model="gpt2", learning_rate=0.1).loop().learning_rate == 0.1


def test_the_identity_is_of_what_the_result_depends_on():
    assert CaptionTraining(device="cpu", checkpoint_seconds=1.0).identity() == CaptionTraining().identity()
    assert CaptionTraining(seed=1).identity() != CaptionTraining().identity()
