"""Encoders opened by name."""

import importlib
from collections.abc import Callable
from typing import Literal

from isthmus.encoders.encoder import Encoder

_FAMILIES = {
    "world": "isthmus.encoders.world:world",
    "clip": "isthmus.encoders.clip:clip",
    "siglip": "isthmus.encoders.siglip:siglip",
    "openclip": "isthmus.encoders.openclip:openclip",
    "sentence-transformers": "isthmus.encoders.sentence_transformers:sentence_transformers",
    "clap": "isthmus.encoders.clap:clap",
    "xclip": "isthmus.encoders.xclip:xclip",
    "precomputed": "isthmus.encoders.precomputed:precomputed",
}


def open_encoder(
    name: str, *, device: str = "auto", precision: Literal["float32", "bfloat16", "float16"] = "float32"
) -> Encoder:
    """Open an encoder by name.

    Parameters
    ----------
    name : str
        "FAMILY:MODEL", such as ``clip:openai/clip-vit-base-patch32`` or
        ``openclip:ViT-B-32/laion2b_s34b_b79k``, or "world".
    device : str
        "cpu", "cuda", or "auto": cuda where there is one.
    precision : {"float32", "bfloat16", "float16"}
        Of the network's arithmetic; embeddings are float32.

    Returns
    -------
    Encoder
        With its weights loaded.

    Raises
    ------
    ValueError
        The family or the model is unknown.
    ImportError
        The family's extra is not installed: naming it.
    OSError
        The weights are neither here nor to be had: saying where to put them.

    Examples
    --------
    >>> open_encoder("word2vec:news")
    Traceback (most recent call last):
    ...
    ValueError: unknown encoder 'word2vec', expected one of world, clip, siglip, openclip, \
sentence-transformers, clap, xclip, precomputed
    """
    family, _, model = name.partition(":")
    if family not in _FAMILIES:
        raise ValueError(f"unknown encoder {family!r}, expected one of {', '.join(_FAMILIES)}")
    module, _, function = _FAMILIES[family].partition(":")
    opener: Callable[..., Encoder] = getattr(importlib.import_module(module), function)
    return opener(model, device=device, precision=precision)
