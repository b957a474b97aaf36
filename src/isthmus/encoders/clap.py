"""CLAP networks of transformers, for sounds: ``clap:laion/clap-htsat-unfused`` or ``clap:FOLDER``."""

from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np

from isthmus.encoders.clip import text_branch
from isthmus.encoders.encoder import Encoder
from isthmus.encoders.network import Branch, NetworkEncoder
from isthmus.encoders.tokens import from_tokenizer
from isthmus.encoders.weights import load_network, load_part, missing_library


def clap(model: str, *, device: str = "auto", precision: str = "float32") -> Encoder:
    """Open a CLAP network by its name on the hub, or its folder."""
    try:
        import torch  # noqa: F401
        from transformers import AutoFeatureExtractor, AutoTokenizer, ClapModel
    except ImportError as error:
        raise missing_library("clap", error) from error
    name = f"clap:{model}"
    return clap_encoder(
        name,
        load_network(name, ClapModel),
        tokenizer=load_part(name, AutoTokenizer),
        feature_extractor=load_part(name, AutoFeatureExtractor),
        device=device,
        precision=precision,
    )


def clap_encoder(
    name: str,
    network: Any,
    *,
    tokenizer: Any,
    feature_extractor: Any,
    device: str = "auto",
    precision: str = "float32",
) -> NetworkEncoder:
    """Return the encoder of a ClapModel with its tokenizer and feature extractor."""
    import torch

    text = network.config.text_config
    # RoBERTa numbers positions from pad_token_id + 1, so that many of its positions are never used
    tokens = from_tokenizer(tokenizer, text.max_position_embeddings - text.pad_token_id - 1)
    fused = network.config.audio_config.enable_fusion
    spectrogram = Spectrogram(feature_extractor, "fusion" if fused else "rand_trunc")

    def embed(prepared, place):
        features = torch.from_numpy(np.stack(prepared)).to(place)  # (n, 1 or 4, time, frequency)
        longer = torch.zeros(len(prepared), 1, dtype=torch.bool, device=place)
        return network.get_audio_features(features, is_longer=longer).pooler_output

    branches = {"audio": Branch(spectrogram.prepare, embed), "text": text_branch(network, tokens)}
    return NetworkEncoder(name, network, branches=branches, device=device, precision=precision)


@dataclass(frozen=True)
class Spectrogram:
    """The beginning of a sound, as long as the network hears, as a mel spectrogram.

    The feature extractor cuts at random; the beginning is always the same.
    """

    extractor: Any
    truncation: str  # "fusion" or "rand_trunc": each has its own mel filters

    def prepare(self, audio: Any) -> np.ndarray:
        """Return the spectrogram of an `Audio`, float32 of shape (1 or 4, time, frequency)."""
        samples, rate = np.asarray(audio.samples), int(audio.rate)
        if samples.ndim != 2 or len(samples) == 0:
            raise ValueError(f"a sound must have samples of shape (n, channels), n >= 1, got {samples.shape}")
        seconds = self.extractor.max_length_s + 1  # one more, for the filter at the end
        heard = resample(samples[: seconds * rate].mean(axis=1), rate, self.extractor.sampling_rate)
        features = self.extractor(
            heard[: self.extractor.nb_max_samples],
            truncation=self.truncation,
            sampling_rate=self.extractor.sampling_rate,
            return_tensors="np",
        )
        return features["input_features"][0].astype(np.float32)


def resample(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """Return samples (n,) taken at another rate."""
    from scipy.signal import resample_poly

    if rate == wanted:
        return samples
    common = gcd(rate, wanted)
    return resample_poly(samples, wanted // common, rate // common).astype(samples.dtype)
