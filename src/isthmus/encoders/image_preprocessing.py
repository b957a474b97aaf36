"""Images as a network takes them: resized, cropped and scaled, by Pillow and NumPy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    import torch

_SCALE = 255  # bytes become numbers in [0, 1]


@dataclass(frozen=True)
class ImagePreprocessing:
    """What is done to an image before a network sees it.

    `crop` stays in bytes, a quarter of the floating-point numbers, as they go
    from the process that prepares to the one with the network; `scale` does the rest there.
    """

    size: int | tuple[int, int]  # the shorter edge becomes this, or the image is squashed to (height, width)
    crop_size: tuple[int, int] | None  # (height, width) of the middle that is kept
    resample: int  # filter of Pillow: 2 is bilinear, 3 is bicubic
    mean: tuple[float, ...]  # of red, green and blue
    std: tuple[float, ...]
    half: Literal[
        "down", "even"
    ]  # the middle of an odd margin: torchvision rounds to even, transformers down

    def __post_init__(self):
        edge = (self.size, self.size) if isinstance(self.size, int) else self.size
        if self.crop_size and (self.crop_size[0] > edge[0] or self.crop_size[1] > edge[1]):
            raise ValueError(f"images are cropped to {self.crop_size}, more than their size of {self.size}")

    def crop(self, image: np.ndarray) -> np.ndarray:
        """Return the resized middle of an image, uint8 of shape (height, width, 3)."""
        from PIL import Image

        if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.shape[2:] != (3,):
            given = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
            raise ValueError(f"an image must be uint8 of shape (height, width, 3), got {given}")
        height, width = self._resized(*image.shape[:2])
        pixels = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling(self.resample)))
        if self.crop_size is None:
            return pixels
        top, left = (self._margin(a - b) for a, b in zip((height, width), self.crop_size, strict=True))
        return pixels[top : top + self.crop_size[0], left : left + self.crop_size[1]]

    def scale(self, images: Sequence[np.ndarray], device: "torch.device") -> "torch.Tensor":
        """Return cropped images, scaled and normalised: (n, 3, height, width)."""
        import torch

        pixels = torch.from_numpy(np.stack(list(images))).to(device).permute(0, 3, 1, 2).float()
        mean, std = (
            torch.tensor(v, dtype=torch.float32, device=device)[:, None, None] for v in (self.mean, self.std)
        )
        return pixels.div_(_SCALE).sub_(mean).div_(std).contiguous()

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        if not isinstance(self.size, int):
            return self.size
        if height <= width:
            return self.size, int(self.size * width / height)
        return int(self.size * height / width), self.size

    def _margin(self, rest: int) -> int:
        return round(rest / 2) if self.half == "even" else rest // 2


def from_processor(settings: Mapping[str, Any]) -> ImagePreprocessing:
    """Return what an image processor of transformers does, from its settings (``to_dict()``).

    Raises
    ------
    ValueError
        It does something that is not done here: naming the setting.
    """
    size, crop = settings["size"], settings.get("crop_size")
    if not settings.get("do_resize", True) or set(size) not in ({"shortest_edge"}, {"height", "width"}):
        raise ValueError(f"images are resized to a shortest edge or to a height and a width, got size {size}")
    if not settings.get("do_rescale", True) or abs(settings["rescale_factor"] * _SCALE - 1) > 1e-9:
        raise ValueError(f"images are scaled by 1/255, got rescale_factor {settings['rescale_factor']}")
    normalised = settings.get("do_normalize", True)
    return ImagePreprocessing(
        size=size["shortest_edge"] if "shortest_edge" in size else (size["height"], size["width"]),
        crop_size=(crop["height"], crop["width"]) if settings.get("do_center_crop") and crop else None,
        resample=int(settings["resample"]),
        mean=tuple(settings["image_mean"]) if normalised else (0.0, 0.0, 0.0),
        std=tuple(settings["image_std"]) if normalised else (1.0, 1.0, 1.0),
        half="down",
    )


def from_open_clip(settings: Mapping[str, Any]) -> ImagePreprocessing:
    """Return what the evaluation transform of open_clip does, from a network's ``visual.preprocess_cfg``.

    Raises
    ------
    ValueError
        It does something that is not done here: naming the setting.
    """
    size, mode = settings["size"], settings["resize_mode"]
    height, width = (size, size) if isinstance(size, int) else size
    if mode == "longest" or (mode == "shortest" and height != width):
        raise ValueError(f"images of open_clip are resized to a square, got resize_mode {mode}, size {size}")
    return ImagePreprocessing(
        size=height if mode == "shortest" else (height, width),
        crop_size=(height, width) if mode == "shortest" else None,
        resample=2 if settings["interpolation"] == "bilinear" else 3,
        mean=tuple(settings["mean"]),
        std=tuple(settings["std"]),
        half="even",
    )
