"""Networks of sentence-transformers, for texts and, where they take them, images."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from isthmus.encoders.device import check_precision, choose_device, inference
from isthmus.encoders.encoder import Encoder
from isthmus.encoders.weights import load_error, weights_hash

_OPTION = "?trust_remote_code=1"


def sentence_transformers(model: str, *, device: str = "auto", precision: str = "float32") -> Encoder:
    """Open a network by its name on the hub, or its folder.

    Some bring code of their own, as Jina CLIP does: it runs only where the
    name ends in ``?trust_remote_code=1``.
    """
    try:
        import torch
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise ImportError('sentence-transformers needs its library: pip install "isthmus[clip]"') from error
    name, place = f"sentence-transformers:{model}", model.removesuffix(_OPTION)
    try:
        network = SentenceTransformer(
            place,
            device=str(choose_device(device)),
            trust_remote_code=model.endswith(_OPTION),
            model_kwargs={"use_safetensors": True, "dtype": torch.float32},
        )
    except OSError as error:
        raise load_error(name, place, error) from error
    except ValueError as error:
        if "trust_remote_code" not in str(error):
            raise
        raise ValueError(
            f"{name}: this network runs code of its own; where you trust it, add {_OPTION} to the name"
        ) from error
    return SentenceTransformersEncoder(name, network, precision=precision)


class SentenceTransformersEncoder(Encoder):
    """A SentenceTransformer, which tokenises texts and processes images itself, where it runs.

    Parameters
    ----------
    name : str
        As given to `open_encoder`.
    network : SentenceTransformer
        On its device.
    precision : {"float32", "bfloat16", "float16"}
        Of the network's arithmetic.
    """

    def __init__(self, name: str, network: Any, *, precision: str = "float32") -> None:
        check_precision(precision)
        self.name, self.revision = name, weights_hash(network)
        self.modalities = tuple(m for m in ("image", "text") if network.supports(m))
        self.preparation = _unchanged
        self._network, self._precision = network, precision
        prompt = network.prompts.get(network.default_prompt_name)
        self._prompt = prompt or ""
        self.dim = self.forward(["a"], "text").shape[1]

    def forward(self, prepared: Sequence[Any], modality: str) -> np.ndarray:
        """Embed one batch, shape (n, dim)."""
        from PIL import Image

        self.check_modality(modality)
        if not len(prepared):
            return np.empty((0, self.dim), np.float32)
        items = [Image.fromarray(image) for image in prepared] if modality == "image" else list(prepared)
        with inference(self._network.device, self._precision):
            rows = self._network.encode(
                items, batch_size=len(items), convert_to_tensor=True, show_progress_bar=False
            )
        return rows.float().cpu().numpy()

    def is_truncated(self, prepared: Any, modality: str) -> bool:
        """Return whether a text has more tokens than the network takes."""
        limit = self._network.max_seq_length
        if modality != "text" or limit is None or math.isinf(limit):
            return False
        tokenizer = getattr(self._network.tokenizer, "tokenizer", self._network.tokenizer)
        return len(tokenizer(self._prompt + prepared, verbose=False)["input_ids"]) > limit


def _unchanged(value: Any, modality: str) -> Any:
    return value
