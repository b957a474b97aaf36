"""X-CLIP networks of transformers, for videos: ``xclip:microsoft/xclip-base-patch32`` or ``xclip:FOLDER``."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.encoders.clip import text_branch
from isthmus.encoders.encoder import Encoder
from isthmus.encoders.image_preprocessing import ImagePreprocessing, from_processor
from isthmus.encoders.network import Branch, NetworkEncoder
from isthmus.encoders.tokens import from_tokenizer
from isthmus.encoders.weights import load_network, load_part, missing_library


def xclip(model: str, *, device: str = "auto", precision: str = "float32") -> Encoder:
    """Open an X-CLIP network by its name on the hub, or its folder."""
    try:
        import torch  # noqa: F401
        from transformers import AutoImageProcessor, AutoTokenizer, XCLIPModel
    except ImportError as error:
        raise missing_library("xclip", error) from error
    name = f"xclip:{model}"
    return xclip_encoder(
        name,
        load_network(name, XCLIPModel),
        tokenizer=load_part(name, AutoTokenizer),
        image_processor=load_part(name, AutoImageProcessor, backend="pil"),
        device=device,
        precision=precision,
    )


def xclip_encoder(
    name: str,
    network: Any,
    *,
    tokenizer: Any,
    image_processor: Any,
    device: str = "auto",
    precision: str = "float32",
) -> NetworkEncoder:
    """Return the encoder of an XCLIPModel with its tokenizer and image processor."""
    images = from_processor(image_processor.to_dict())
    frames = Frames(network.config.vision_config.num_frames, images)
    tokens = from_tokenizer(tokenizer, network.config.text_config.max_position_embeddings)

    def embed(prepared, place):
        every = [frame for video in prepared for frame in video]  # n * frames
        pixels = images.scale(every, place)  # (n * frames, 3, height, width)
        return network.get_video_features(pixels.unflatten(0, (len(prepared), -1))).pooler_output

    branches = {"video": Branch(frames.prepare, embed), "text": text_branch(network, tokens)}
    return NetworkEncoder(name, network, branches=branches, device=device, precision=precision)


@dataclass(frozen=True)
class Frames:
    """The frames of a video that a network looks at."""

    count: int
    images: ImagePreprocessing

    def prepare(self, video: np.ndarray) -> np.ndarray:
        """Return the middle frames of `count` equal parts, uint8 of shape (count, height, width, 3)."""
        if not isinstance(video, np.ndarray) or video.ndim != 4 or len(video) == 0:
            given = video.shape if isinstance(video, np.ndarray) else type(video).__name__
            raise ValueError(f"a video must have shape (frames, height, width, 3), frames >= 1, got {given}")
        middles = (2 * np.arange(self.count) + 1) * len(video) // (2 * self.count)  # (count,)
        return np.stack([self.images.crop(video[frame]) for frame in middles])
