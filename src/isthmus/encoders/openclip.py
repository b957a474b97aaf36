"""Networks of open_clip: ``openclip:ViT-B-32/laion2b_s34b_b79k``; random weights: ``openclip:ViT-B-32``."""

import difflib
from functools import partial
from pathlib import Path
from typing import Any

from isthmus.encoders.encoder import Encoder
from isthmus.encoders.image_preprocessing import from_open_clip
from isthmus.encoders.network import Branch, NetworkEncoder
from isthmus.encoders.tokens import Tokens, closing_tokens
from isthmus.encoders.weights import unreachable, weights_hash

_SCHEMAS = ("hf-hub:", "local-dir:")
_SEED = 0  # of weights that are not pretrained


def openclip(model: str, *, device: str = "auto", precision: str = "float32") -> Encoder:
    """Open a network of open_clip.

    `model` is "ARCHITECTURE/TAG", "ARCHITECTURE/FILE" with a checkpoint,
    "hf-hub:NAME" or "local-dir:FOLDER"; "ARCHITECTURE" alone has random
    weights, the same ones each time, and says so in its revision.
    """
    try:
        import open_clip
    except ImportError as error:
        raise ImportError(f'openclip needs {error.name}: pip install "isthmus[openclip]"') from error
    except RuntimeError as error:
        if "torchvision" not in str(error):
            raise
        raise ImportError(f"openclip needs a torchvision that was built for this torch: {error}") from error
    name = f"openclip:{model}"
    architecture, _, weights = (model, "", "") if model.startswith(_SCHEMAS) else model.partition("/")
    _check(open_clip, name, architecture, weights)
    network = _load(open_clip, name, architecture, weights)
    pretrained = weights or architecture.startswith(_SCHEMAS)
    return openclip_encoder(
        name,
        network,
        tokenizer=open_clip.get_tokenizer(architecture),
        device=device,
        precision=precision,
        revision=None if pretrained else f"random-initialisation-seed-{_SEED}-{weights_hash(network)}",
    )


def openclip_encoder(
    name: str,
    network: Any,
    *,
    tokenizer: Any,
    device: str = "auto",
    precision: str = "float32",
    revision: str | None = None,
) -> NetworkEncoder:
    """Return the encoder of a network of open_clip with its tokenizer."""
    import torch

    images, tokens = from_open_clip(network.visual.preprocess_cfg), _tokens(name, tokenizer)

    def embed_texts(prepared, place):
        ids, _ = tokens.rows(prepared)  # (n, limit)
        return network.encode_text(torch.from_numpy(ids).to(place))

    branches = {
        "image": Branch(
            images.crop, lambda prepared, place: network.encode_image(images.scale(prepared, place))
        ),
        "text": Branch(tokens.prepare, embed_texts, tokens.is_truncated),
    }
    return NetworkEncoder(
        name, network, branches=branches, device=device, precision=precision, revision=revision
    )


def _check(open_clip: Any, name: str, architecture: str, weights: str) -> None:
    """Raise ValueError unless open_clip has the architecture, and the weights are a tag of it or a file."""
    if architecture.startswith(_SCHEMAS):
        return
    known = open_clip.list_models()
    if architecture not in known:
        raise ValueError(
            f"{name}: open_clip has no architecture {architecture!r}{_close(architecture, known)}"
        )
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if weights and not Path(weights).is_file() and not open_clip.get_pretrained_cfg(architecture, weights):
        raise ValueError(
            f"{name}: {weights!r} is no file and no tag of {architecture}{_close(weights, tags)}"
        )
    trained = open_clip.get_pretrained_cfg(architecture, weights) if weights in tags else None
    if trained and trained.get("quick_gelu", False) != open_clip.get_model_config(architecture).get(
        "quick_gelu", False
    ):
        # open_clip warns and goes on, with embeddings that are not those of the trained network
        other = architecture.removesuffix("-quickgelu")
        other = f"{other}-quickgelu" if other == architecture else other
        raise ValueError(f"{name}: these weights were trained with another activation, use {other}/{weights}")


def _close(given: str, known: list[str]) -> str:
    """Return what may have been meant."""
    matches = difflib.get_close_matches(given, known, n=3, cutoff=0.3)
    return f", did you mean {', '.join(matches)}?" if matches else ""


def _load(open_clip: Any, name: str, architecture: str, weights: str) -> Any:
    import pickle

    import torch

    wanted = bool(weights) or architecture.startswith(_SCHEMAS)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_SEED)
            return open_clip.create_model(
                architecture,
                pretrained=weights or None,
                require_pretrained=wanted,
                pretrained_text=False,  # otherwise half of a random network is not
                weights_only=True,
            )
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{name}: the checkpoint holds more than weights and is refused; save its state_dict"
        ) from error
    except (RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())
        if Path(weights).is_file() or architecture.startswith("local-dir:"):
            raise ValueError(f"{name}: {reason[:300]}") from error
        raise unreachable(name, "openclip:ARCHITECTURE/FILE or openclip:local-dir:FOLDER") from error


def _tokens(name: str, tokenizer: Any) -> Tokens:
    """Return the tokens of one of open_clip's kinds of tokenizers."""
    inner = getattr(tokenizer, "tokenizer", None)
    if inner is None:  # SimpleTokenizer
        return Tokens(
            partial(_encode_simple, tokenizer), tokenizer.context_length, closing=1, pad=0, fill=True
        )
    if getattr(tokenizer, "tokenizer_mode", "") or not hasattr(tokenizer, "clean_fn"):
        raise ValueError(f"{name}: its tokenizer, {type(tokenizer).__name__}, is not supported")
    return Tokens(
        partial(_encode_hf, tokenizer),
        tokenizer.context_length,
        closing=closing_tokens(inner),
        pad=inner.pad_token_id,
        fill=True,
        left=inner.padding_side == "left",
    )


def _encode_simple(tokenizer: Any, text: str) -> list[int]:
    return [tokenizer.sot_token_id, *tokenizer.encode(text), tokenizer.eot_token_id]


def _encode_hf(tokenizer: Any, text: str) -> list[int]:
    ids = tokenizer.tokenizer(tokenizer.clean_fn(text), verbose=False)["input_ids"]
    separator = tokenizer.tokenizer.sep_token_id
    return [0 if tokenizer.strip_sep_token and id_ == separator else id_ for id_ in ids]
