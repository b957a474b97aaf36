"""Settings that would be ignored are refused, before anything is written."""

from dataclasses import replace

import pytest

from isthmus.decode.data import CaptionData
from isthmus.decode.requirements import check_given
from isthmus.decode.settings import CaptionTraining
from isthmus.decode.training import train_captioner
from tests.decode.test_train_captioner import TINY, _one_thread, space  # noqa: F401

PAIRED = replace(TINY, method="ClipCap", std=None, epochs=1)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    return train_captioner(
        space(items=16), replace(TINY, epochs=1), folder=tmp_path_factory.mktemp("c3")
    ).folder


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"pairs": 0.5}, r"pairs does not apply to C3, which learns from no pairs, got 0\.5"),
        (
            {"noise_pairs": 4},
            "noise_pairs does not apply to C3: its noise is gaussian, not calibrated, got 4",
        ),
        ({"modality": "images"}, "data has no images, it has image, text"),
        ({"frozen": True}, "frozen does not apply to the small language model"),
        (
            {"method": "C3-calibrated", "std": None, "noise_pairs": 15},
            "noise_pairs must be at least 2 and at most 14, the items of data that are learned from, got 15",
        ),
    ],
)
def test_a_setting_that_does_not_apply_is_refused(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        train_captioner(space(items=16), replace(TINY, **settings), folder=tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_noise_is_measured_on_as_many_pairs_as_there_are(tmp_path):
    settings = replace(TINY, method="C3-calibrated", std=None, noise_pairs=14, epochs=1)
    assert train_captioner(space(items=16), settings, folder=tmp_path).complete


def test_a_modality_by_default_that_is_not_used_need_not_be_there(tmp_path):
    data = space(items=16)
    data = replace(data, rows={"text": data.of("text"), "audio": data.of("image")})
    assert train_captioner(data, replace(TINY, epochs=1), folder=tmp_path).complete


@pytest.mark.parametrize(
    "shape",
    [{"width": 64}, {"layers": 2}, {"prefix": 7}, {"mapper": "transformer"}, {"language_model": "gpt2"}],
)
def test_a_start_keeps_its_shape(tmp_path, start, shape):
    (name, value), *_ = shape.items()
    message = f"{name} is kept where a run is trained further: .* has {getattr(TINY, name)}, got {value}"
    with pytest.raises(ValueError, match=message):
        train_captioner(space(items=16), replace(PAIRED, **shape), folder=tmp_path / "x", start=start)
    assert not (tmp_path / "x").exists()


def test_a_start_is_taken_with_its_shape_or_with_none_given(tmp_path, start):
    plain = CaptionTraining(method="ClipCap", epochs=1, held_out=0.1, pairs=0.5, device="cpu")
    for number, settings in enumerate((PAIRED, plain)):
        run = train_captioner(space(items=16), settings, folder=tmp_path / str(number), start=start)
        assert (run.complete, run.settings.width) == (True, TINY.width)


def test_a_start_that_subtracts_means_must_know_that_of_the_modality(tmp_path, start):
    data = space(items=16)
    data = replace(data, rows={"text": data.of("text"), "audio": data.of("image")})
    with pytest.raises(ValueError, match="has no mean of audio, only of text, image"):
        train_captioner(data, replace(PAIRED, modality="audio"), folder=tmp_path / "x", start=start)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "settings, message",
    [
        (
            {"std": "auto"},
            "data has one caption per item: std auto is measured on several, give its size by std",
        ),
        (
            {"method": "CapDec", "std": None},
            "one caption per item: the noise of CapDec is measured on several",
        ),
        ({"method": "WS-ClipCap", "std": None}, "WS-ClipCap learns to write another of the item"),
        ({"method": "C3-calibrated", "std": None}, "or on pairs, whose number noise_pairs gives"),
        ({"method": "C3-calibrated", "std": None, "noise_pairs": 1}, "noise_pairs must be at least 2"),
    ],
)
def test_what_several_captions_are_needed_for_is_refused_where_items_have_one(tmp_path, settings, message):
    many = space(items=16)
    data = CaptionData(
        {name: many.of(name)[many.first] for name in many.modalities},
        many.ids,
        [many.told()[row] for row in many.first],
    )
    with pytest.raises(ValueError, match=message):
        train_captioner(data, replace(TINY, **settings), folder=tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_noise_of_the_span_needs_another_modality(tmp_path):
    data = space(items=16)
    data = replace(data, rows={"text": data.of("text")})
    with pytest.raises(ValueError, match="C2-span spares the direction of the gap, but data has text alone"):
        train_captioner(data, replace(TINY, method="C2-span"), folder=tmp_path / "x")


@pytest.mark.parametrize(
    "settings, given, message",
    [
        (
            {"method": "CLIPRe"},
            ["method", "select"],
            "select: does not apply to CLIPRe, which trains no network",
        ),
        (
            {"method": "MAGIC"},
            ["mapper", "epochs"],
            "mapper: does not apply to MAGIC, whose language model sees",
        ),
        (
            {"language_model": "gpt2"},
            ["width", "layers"],
            "width, layers: does not apply to gpt2, which brings",
        ),
    ],
)
def test_settings_that_somebody_gave_in_vain_are_refused(settings, given, message):
    with pytest.raises(ValueError, match=message):
        check_given(CaptionTraining(**settings), given)
    check_given(CaptionTraining(**settings), ["method", "held_out", "seed"])
