"""A CLIP with random weights, on real images and captions."""

import gzip
import importlib.util
import re
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.checks import check_number, unit_rows
from isthmus.encoders.clip import image_branch, text_branch
from isthmus.encoders.encoder import Encoder
from isthmus.encoders.image_preprocessing import from_processor
from isthmus.encoders.network import NetworkEncoder
from isthmus.encoders.tokens import Tokens
from isthmus.encoders.weights import missing_library
from isthmus.measure import effective_dimension, l2m, mean_cosine_within
from isthmus.sources.source import Source
from isthmus.theory.depth_equivalent import spectrum
from isthmus.theory.simulation import Line, Simulation

_BEGIN, _END = 49406, 49407  # ids of CLIP's two special tokens, after all others
_BATCH = 32
_VOCABULARY = "bpe_simple_vocab_16e6.txt.gz"


def random_clip(
    source: Source,
    *,
    n: int | None = None,
    seed: int = 0,
    patch: int = 16,
    initialization: str = "openai",
    vocabulary: str = "captions",
) -> Simulation:
    r"""Embed images and their captions by a CLIP that was never trained.

    Figures 3 and 12 (left) of C3 [1]_: how many dimensions images and captions use before
    training. The published embeddings behind them [2]_ are of 500 pairs of COCO val2017, by the class
    CLIP of OpenAI's code with patches of 16: effective dimensions 25 and 230; of 159 of those pairs,
    about 22 and 128.

    Prediction: the two towers' mean rows have independent directions, so that their squared distance is the
    sum of their squared lengths, :math:`c + (1 - c) / n` for the mean cosine :math:`c` of `n` rows.
    Of the effective dimensions there is none: they are those of the images and captions as much
    as of the network.

    Parameters
    ----------
    source : Source
        Items with an image and captions; the first caption is the image's pair.
    n : int, optional
        Items, the first ones; by default all.
    seed : int, default=0
        Of the weights.
    patch : {16, 32}, default=16
        ViT-B/16 or ViT-B/32, which takes a quarter of the time.
    initialization : {"openai", "transformers"}, default="openai"
        Whose code's random weights: they differ in scale, above all of queries and keys.
    vocabulary : {"captions", "clip"}, default="captions"
        A token for each of the captions' words, or CLIP's own 49,408, which open_clip brings
        along. Their vectors are random either way.

    Returns
    -------
    Simulation
        Curves: "spectrum_x", "spectrum_y" and "spectrum_captions" (512,): singular values of
        the covariance of images, of paired captions and of all captions, as shares, decreasing.

    Raises
    ------
    ValueError
        An argument is out of range, or an item has no captions or no image.
    ImportError
        A library is missing: names the extra to install.

    References
    ----------
    .. [1] Zhang et al., "Connect, Collapse, Corrupt", ICLR 2024, section 3.1 and I.1.
    .. [2] Liang et al., "Mind the Gap", NeurIPS 2022, Figure 1.

    Examples
    --------
    >>> from isthmus.sources import open_source
    >>> random_clip(open_source("world:2"), patch=8)
    Traceback (most recent call last):
    ...
    ValueError: patch must be 16 or 32, got 8
    """
    if patch not in (16, 32):
        raise ValueError(f"patch must be 16 or 32, got {patch!r}")
    if initialization not in ("openai", "transformers"):
        raise ValueError(f"initialization must be openai or transformers, got {initialization!r}")
    if vocabulary not in ("captions", "clip"):
        raise ValueError(f"vocabulary must be captions or clip, got {vocabulary!r}")
    check_number(seed, "seed", "[0, inf)", integer=True)
    if n is not None:
        check_number(n, "n", "[2, inf)", integer=True)
    try:
        import torch  # noqa: F401
        from transformers import CLIPModel  # noqa: F401
    except ImportError as error:
        raise missing_library("random_clip", error) from error
    captions: list[str] = []
    first: list[int] = []  # row of each item's first caption
    for item in islice(source, n):
        if not item.captions:
            raise ValueError(f"{source.name}: item {item.id} must have captions, it has none")
        first.append(len(captions))
        captions += item.captions
    if len(first) < 2:
        raise ValueError(f"{source.name}: expected at least 2 items, got {len(first)}")
    encode = _captions_tokens(captions) if vocabulary == "captions" else _clip_tokens()
    encoder = _encoder(patch, initialization, seed, encode)
    x = _images(encoder, source, len(first))
    every = encoder.encode(captions, "text", batch_size=_BATCH)
    return _simulation(
        x,
        every,
        first,
        {
            "source": source.name,
            "n": len(first),
            "seed": seed,
            "patch": patch,
            "initialization": initialization,
            "vocabulary": vocabulary,
        },
    )


def _simulation(x: np.ndarray, every: np.ndarray, first: list[int], settings: dict[str, Any]) -> Simulation:
    y = every[first]
    cones = [mean_cosine_within(z) for z in (x, y)]
    apart = float(np.sqrt(sum(c + (1 - c) / len(x) for c in cones)))
    return Simulation(
        name="random_clip",
        title=f"A ViT-B/{settings['patch']} CLIP with random weights, on {len(x)} pairs",
        settings=settings,
        lines=(
            Line("effective dimension of images", effective_dimension(x), paper=25),
            Line("effective dimension of captions", effective_dimension(y), paper=230),
            Line("effective dimension of all captions", effective_dimension(every)),
            Line("distance of means", l2m(x, y), predicted=apart),
            Line("mean cosine of images", cones[0]),
            Line("mean cosine of captions", cones[1]),
        ),
        curves={
            "spectrum_x": spectrum(unit_rows(x)),
            "spectrum_y": spectrum(unit_rows(y)),
            "spectrum_captions": spectrum(unit_rows(every)),
        },
        notes=(
            "The paper's figures are of 500 pairs; "
            f"of {len(x)} pairs a modality uses {len(x) - 1} dimensions at most.",
        ),
    )


def _encoder(patch: int, initialization: str, seed: int, encode: Callable[[str], Sequence[int]]) -> Encoder:
    import torch
    from transformers import CLIPImageProcessorPil, CLIPModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network: Any = CLIPModel(_config(patch))
        if initialization == "openai":
            _draw_as_openai(network)
    tokens = Tokens(
        encode, network.config.text_config.max_position_embeddings, closing=1, pad=_END, fill=False
    )
    branches = {
        "image": image_branch(network, from_processor(CLIPImageProcessorPil().to_dict())),
        "text": text_branch(network, tokens),
    }
    return NetworkEncoder(
        "random_clip", network, branches=branches, revision=f"random-{initialization}-{seed}"
    )


def _config(patch: int) -> Any:
    from transformers import CLIPConfig

    return CLIPConfig(vision_config={"patch_size": patch})


def _draw_as_openai(network: Any) -> None:
    """Draw the weights again as the class CLIP of OpenAI's code does [Radford et al., ICML 2021].

    Its text tower has normal weights of chosen scale; its image tower is
    left with what torch gives to each kind of layer.
    """
    import torch
    from torch.nn import init

    def as_torch(layer: Any) -> None:
        layer.reset_parameters()

    with torch.no_grad():
        vision, text = network.vision_model, network.text_model
        width = vision.config.hidden_size
        init.normal_(vision.embeddings.class_embedding, std=width**-0.5)
        init.normal_(vision.embeddings.position_embedding.weight, std=width**-0.5)
        as_torch(vision.embeddings.patch_embedding)
        for layer in vision.encoder.layers:
            attention = layer.self_attn
            # queries, keys and values are one matrix there: (3 * width, width)
            bound = (6 / (4 * width)) ** 0.5
            for part in (attention.q_proj, attention.k_proj, attention.v_proj):
                init.uniform_(part.weight, -bound, bound)
            for part in (attention.out_proj, layer.mlp.fc1, layer.mlp.fc2):
                as_torch(part)
            init.zeros_(attention.out_proj.bias)
        width, layers = text.config.hidden_size, text.config.num_hidden_layers
        init.normal_(text.embeddings.token_embedding.weight, std=0.02)
        init.normal_(text.embeddings.position_embedding.weight, std=0.01)
        for layer in text.encoder.layers:
            attention = layer.self_attn
            for part in (layer.mlp.fc1, layer.mlp.fc2):
                as_torch(part)  # for their biases
            for part in (attention.q_proj, attention.k_proj, attention.v_proj):
                init.normal_(part.weight, std=width**-0.5)
            for part in (attention.out_proj, layer.mlp.fc2):
                init.normal_(part.weight, std=width**-0.5 * (2 * layers) ** -0.5)
            init.normal_(layer.mlp.fc1.weight, std=(2 * width) ** -0.5)


def _images(encoder: Encoder, source: Source, n: int) -> np.ndarray:
    """Embed the images of the first items, (n, dim), a batch of them in memory at a time."""
    rows, batch = [], []
    for k, item in enumerate(islice(source, n), 1):
        batch.append(encoder.preparation(item.load("image"), "image"))
        if len(batch) == _BATCH or k == n:
            rows.append(encoder.forward(batch, "image"))
            batch = []
    return np.concatenate(rows)


def _captions_tokens(captions: list[str]) -> Callable[[str], list[int]]:
    """Give each word of the captions a token, in lower case, as CLIP has for most of them."""
    words = sorted({word for text in captions for word in _words(text)})
    if len(words) > _BEGIN:
        raise ValueError(
            f"captions have {len(words)} words, more than the {_BEGIN} tokens: use vocabulary 'clip'"
        )
    ids = {word: i for i, word in enumerate(words)}
    return lambda text: [_BEGIN, *(ids[word] for word in _words(text) if word in ids), _END]


def _words(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]+", text.lower())


def _clip_tokens() -> Callable[[str], list[int]]:
    """CLIP's own tokens, from the list that open_clip brings along, without importing it."""
    from transformers import CLIPTokenizer

    found = importlib.util.find_spec("open_clip")
    if found is None or found.origin is None:
        raise ImportError('vocabulary "clip" needs open_clip: pip install "isthmus[openclip]"')
    lines = gzip.decompress((Path(found.origin).parent / _VOCABULARY).read_bytes()).decode().split("\n")
    printable = [
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    ]
    # bytes that cannot be printed follow those that can, as letters from 256 on
    letters = [chr(b) for b in printable] + [chr(256 + k) for k in range(256 - len(printable))]
    merges = [line for line in lines[1 : _BEGIN - 2 * len(letters) + 1] if line]
    words = [*letters, *(letter + "</w>" for letter in letters)]
    words += [merge.replace(" ", "") for merge in merges] + ["<|startoftext|>", "<|endoftext|>"]
    make: Any = CLIPTokenizer  # takes pairs too, though it does not say so
    tokenizer = make(
        vocab={word: i for i, word in enumerate(words)}, merges=[tuple(merge.split()) for merge in merges]
    )
    return lambda text: [_BEGIN, *tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"], _END]
