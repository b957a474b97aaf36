"""Pictures as a network takes them, bit for bit as the libraries make them."""

import pickle

import numpy as np
import pytest

from isthmus.encoders.image_preprocessing import from_open_clip, from_processor
from tests.encoders.networks import pictures

torch = pytest.importorskip("torch", reason="torch is not installed")
CPU = torch.device("cpu")
OPEN_CLIP = {
    "size": 32,
    "mode": "RGB",
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
    "interpolation": "bicubic",
    "resize_mode": "shortest",
    "fill_color": 0,
}


def ours(preprocessing, images):
    return preprocessing.scale([preprocessing.crop(image) for image in images], CPU).numpy()


@pytest.mark.parametrize(
    "kind, settings",
    [
        ("CLIPImageProcessorPil", {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}),
        ("CLIPImageProcessorPil", {"size": {"shortest_edge": 40}, "crop_size": {"height": 31, "width": 28}}),
        ("CLIPImageProcessorPil", {"size": 32, "crop_size": 32, "resample": 2}),
        ("SiglipImageProcessorPil", {"size": {"height": 32, "width": 48}}),
        (
            "SiglipImageProcessorPil",
            {"size": {"height": 32, "width": 32}, "resample": 2, "do_normalize": False},
        ),
        (
            "VideoMAEImageProcessorPil",
            {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}},
        ),
    ],
)
def test_equal_to_transformers(kind, settings):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    processor = getattr(transformers, kind)(**settings)
    preprocessing = pickle.loads(pickle.dumps(from_processor(processor.to_dict())))  # noqa: S301
    theirs = processor(pictures(), return_tensors="np").pixel_values
    assert np.array_equal(
        ours(preprocessing, pictures()), np.reshape(theirs, (len(pictures()), *theirs.shape[-3:]))
    )


@pytest.mark.parametrize("mode", ["shortest", "squash"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [31, 32])
def test_equal_to_open_clip(mode, interpolation, size):
    open_clip = pytest.importorskip("open_clip", reason="open_clip is not installed")
    from PIL import Image

    settings = OPEN_CLIP | {"size": size, "resize_mode": mode, "interpolation": interpolation}
    theirs = open_clip.transform.image_transform_v2(open_clip.transform.PreprocessCfg(**settings), False)
    expected = np.stack([theirs(Image.fromarray(image)).numpy() for image in pictures()])
    assert np.array_equal(ours(from_open_clip(settings), pictures()), expected)


def test_the_middle_of_an_odd_margin():
    """Of 35 columns open_clip drops two on the left and one on the right; transformers one and two."""
    columns = np.broadcast_to(np.arange(35, dtype=np.uint8)[None, :, None], (32, 35, 3)).copy()
    kept = from_open_clip(OPEN_CLIP).crop(columns)[0, :, 0]
    assert (kept[0], kept[-1]) == (2, 33)


def test_what_is_not_done_here_is_refused():
    with pytest.raises(ValueError, match="resized to a square, got resize_mode longest"):
        from_open_clip(OPEN_CLIP | {"resize_mode": "longest"})
    settings = {"size": {"shortest_edge": 32, "longest_edge": 64}, "resample": 3, "rescale_factor": 1 / 255}
    with pytest.raises(ValueError, match="resized to a shortest edge or to a height and a width"):
        from_processor(settings)
    settings |= {"size": {"shortest_edge": 32}, "do_normalize": False}
    with pytest.raises(ValueError, match="scaled by 1/255, got rescale_factor 1"):
        from_processor(settings | {"rescale_factor": 1})
    crop = {
        "do_center_crop": True,
        "crop_size": {"height": 33, "width": 30},
        "image_mean": (),
        "image_std": (),
    }
    with pytest.raises(ValueError, match=r"cropped to \(33, 30\), more than their size of 32"):
        from_processor(settings | crop)
