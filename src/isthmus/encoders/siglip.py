"""SigLIP and SigLIP 2 of transformers: ``siglip:google/siglip-base-patch16-224`` or ``siglip:FOLDER``."""

from typing import Any

from isthmus.encoders.clip import image_branch, text_branch
from isthmus.encoders.encoder import Encoder
from isthmus.encoders.image_preprocessing import from_processor
from isthmus.encoders.network import NetworkEncoder
from isthmus.encoders.tokens import from_tokenizer
from isthmus.encoders.weights import load_network, load_part, missing_library


def siglip(model: str, *, device: str = "auto", precision: str = "float32") -> Encoder:
    """Open a SigLIP network by its name on the hub, or its folder."""
    try:
        import torch  # noqa: F401
        from transformers import AutoImageProcessor, AutoTokenizer, SiglipModel
    except ImportError as error:
        raise missing_library("siglip", error) from error
    name = f"siglip:{model}"
    return siglip_encoder(
        name,
        load_network(name, SiglipModel),
        tokenizer=load_part(name, AutoTokenizer),
        image_processor=load_part(name, AutoImageProcessor, backend="pil"),
        device=device,
        precision=precision,
    )


def siglip_encoder(
    name: str,
    network: Any,
    *,
    tokenizer: Any,
    image_processor: Any,
    device: str = "auto",
    precision: str = "float32",
) -> NetworkEncoder:
    """Return the encoder of a SiglipModel with its tokenizer and image processor.

    Texts are filled up to the limit and not masked, as in training. SigLIP 2
    was trained on lower-case texts; its tokenizer, Gemma's, leaves case as it is.
    """
    tokens = from_tokenizer(
        tokenizer,
        network.config.text_config.max_position_embeddings,
        fill=True,
        lowercase="gemma" in type(tokenizer).__name__.lower(),
    )
    branches = {
        "image": image_branch(network, from_processor(image_processor.to_dict())),
        "text": text_branch(network, tokens, masked=False),
    }
    return NetworkEncoder(name, network, branches=branches, device=device, precision=precision)
