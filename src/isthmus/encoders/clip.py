"""CLIP networks of transformers: ``clip:openai/clip-vit-base-patch32`` or ``clip:FOLDER``."""

from typing import Any

from isthmus.encoders.encoder import Encoder
from isthmus.encoders.image_preprocessing import ImagePreprocessing, from_processor
from isthmus.encoders.network import Branch, NetworkEncoder
from isthmus.encoders.tokens import Tokens, from_tokenizer
from isthmus.encoders.weights import load_network, load_part, missing_library


def clip(model: str, *, device: str = "auto", precision: str = "float32") -> Encoder:
    """Open a CLIP network by its name on the hub, or its folder."""
    try:
        import torch  # noqa: F401
        from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel
    except ImportError as error:
        raise missing_library("clip", error) from error
    name = f"clip:{model}"
    return clip_encoder(
        name,
        load_network(name, CLIPModel),
        tokenizer=load_part(name, AutoTokenizer),
        image_processor=load_part(name, AutoImageProcessor, backend="pil"),
        device=device,
        precision=precision,
    )


def clip_encoder(
    name: str,
    network: Any,
    *,
    tokenizer: Any,
    image_processor: Any,
    device: str = "auto",
    precision: str = "float32",
) -> NetworkEncoder:
    """Return the encoder of a CLIPModel with its tokenizer and image processor."""
    tokens = from_tokenizer(tokenizer, network.config.text_config.max_position_embeddings)
    branches = {
        "image": image_branch(network, from_processor(image_processor.to_dict())),
        "text": text_branch(network, tokens),
    }
    return NetworkEncoder(name, network, branches=branches, device=device, precision=precision)


def image_branch(network: Any, images: ImagePreprocessing) -> Branch:
    """Return the branch of images of a network of transformers that has `get_image_features`."""
    return Branch(
        images.crop,
        lambda prepared, place: network.get_image_features(images.scale(prepared, place)).pooler_output,
    )


def text_branch(network: Any, tokens: Tokens, *, masked: bool = True) -> Branch:
    """Return the branch of texts of a network of transformers that has `get_text_features`."""
    import torch

    def embed(prepared, place):
        ids, mask = (torch.from_numpy(rows).to(place) for rows in tokens.rows(prepared))  # (n, length)
        return network.get_text_features(ids, attention_mask=mask if masked else None).pooler_output

    return Branch(tokens.prepare, embed, tokens.is_truncated)
