"""The networks of the world's encoders: one tower per modality, all into one space."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from isthmus.encoders.world.tokens import LIMIT, PADDING, VOCABULARY

DIM = 256  # of the embeddings
_FFT, _HOP = 256, 125  # of the spectrogram of a sound
_QUIET = 1e-3  # magnitudes below it are silence


@dataclass(frozen=True)
class TowerSizes:
    """How large the towers are."""

    channels: int = 48  # of the first layer of the picture, video and sound towers
    width: int = 192  # of the text tower
    layers: int = 3
    heads: int = 4


def build_tower(modality: str, sizes: TowerSizes | None = None) -> nn.Module:
    """Return an untrained tower for "image", "text", "video" or "audio".

    Its input is a tensor of prepared items, its output has shape (n, 256).
    """
    sizes = sizes or TowerSizes()
    if modality == "text":
        return TextTower(sizes)
    if modality == "audio":
        return nn.Sequential(Spectrogram(), ConvolutionalTower(2, sizes.channels, stem=(4, 4), cells=8 * 4))
    frames = {"image": 1, "video": 8}[modality]
    return nn.Sequential(Frames(), ConvolutionalTower(3 * frames, sizes.channels, stem=(4, 2), cells=4 * 4))


class Frames(nn.Module):
    """Pixels (n, ..., height, width, 3) in 0 to 255 to channels (n, 3 * frames, height, width) in -1 to 1."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        frames = pixels.reshape(len(pixels), -1, *pixels.shape[-3:])  # (n, frames, height, width, 3)
        channels = frames.permute(0, 1, 4, 2, 3).flatten(1, 2)
        return (channels.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


class Spectrogram(nn.Module):
    """Samples (n, 8000, 2) to the logarithm of their magnitudes (n, 2, 128, 64), in 0 to 1."""

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        n, length, channels = samples.shape
        waves = samples.float().transpose(1, 2).reshape(n * channels, length)
        window = torch.hann_window(_FFT, device=samples.device)
        magnitude = torch.stft(waves, _FFT, _HOP, window=window, return_complex=True).abs()
        level = torch.log10(magnitude[:, 1:, :64] / _FFT + _QUIET) / 3 + 1  # without the constant component
        return level.reshape(n, channels, *level.shape[1:]).contiguous(memory_format=torch.channels_last)


class ConvolutionalTower(nn.Module):
    """Three stages of convolutions; where something is stays known, since nothing is pooled."""

    def __init__(self, inputs: int, channels: int, *, stem: tuple[int, int], cells: int) -> None:
        super().__init__()
        kernel, stride = stem
        widths = [channels, 2 * channels, 4 * channels]
        layers = [_convolution(inputs, channels, kernel, stride, padding=(kernel - stride) // 2)]
        for before, width in zip([channels, *widths], widths, strict=False):
            if width != before:
                layers.append(_convolution(before, width, 3, 2, padding=1))
            layers.append(_convolution(width, width, 3, 1, padding=1))
        layers.append(_convolution(widths[-1], 2 * channels, 1, 1, padding=0))
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(cells * 2 * channels, DIM)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layers(x).flatten(1))


class TextTower(nn.Module):
    """A transformer encoder over words; the mean of what it says at each word."""

    def __init__(self, sizes: TowerSizes) -> None:
        super().__init__()
        self.words = nn.Embedding(len(VOCABULARY), sizes.width, padding_idx=PADDING)
        self.positions = nn.Parameter(0.02 * torch.randn(LIMIT, sizes.width))
        layer = nn.TransformerEncoderLayer(
            sizes.width,
            sizes.heads,
            4 * sizes.width,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.layers = nn.TransformerEncoder(layer, sizes.layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(sizes.width)
        self.head = nn.Linear(sizes.width, DIM)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        padding = tokens == PADDING  # (n, length)
        x = self.words(tokens) + self.positions[: tokens.shape[1]]
        x = self.norm(self.layers(x, src_key_padding_mask=padding))
        weight = (~padding).unsqueeze(-1).to(x.dtype)
        return self.head((x * weight).sum(1) / weight.sum(1))


def _convolution(inputs: int, outputs: int, kernel: int, stride: int, *, padding: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False), nn.BatchNorm2d(outputs), nn.GELU()
    )


def parameters_of(towers: Sequence[nn.Module]) -> int:
    """Return how many numbers the weights are."""
    return sum(p.numel() for tower in towers for p in tower.state_dict().values())
