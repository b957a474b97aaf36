"""Networks that turn one embedding into the prefix that a language model continues."""

import torch
from torch import Tensor, nn

from isthmus.checks import check_number


class MLPMapper(nn.Module):
    """Two layers with tanh between: dim -> prefix * width // 2 -> prefix * width.

    Parameters
    ----------
    dim : int
        Of the embeddings.
    prefix : int
        Positions that the prefix takes.
    width : int
        Of the language model.

    References
    ----------
    Mokady, Hertz & Bermano 2021 (ClipCap), section 3.2.

    Examples
    --------
    >>> MLPMapper(512, 10, 768)(torch.ones(2, 512)).shape
    torch.Size([2, 10, 768])
    """

    def __init__(self, dim: int, prefix: int, width: int):
        super().__init__()
        _check(dim=dim, prefix=prefix, width=width)
        self.shape = (prefix, width)
        hidden = max(1, prefix * width // 2)
        self.layers = nn.Sequential(_reader(dim, hidden), nn.Tanh(), nn.Linear(hidden, prefix * width))

    def forward(self, x: Tensor) -> Tensor:
        """Return the prefixes (n, prefix, width) of embeddings (n, dim)."""
        return self.layers(x).unflatten(1, self.shape)


class TransformerMapper(nn.Module):
    """A transformer over the embedding, spread over `prefix` positions, and as many learned constants.

    The constants' places hold the prefix. Made for a language model that is
    frozen: what has to adapt is here.

    Parameters
    ----------
    dim, prefix, width : int
        As for :class:`MLPMapper`.
    layers : int, default=8
        Of the transformer.
    heads : int, default=8
        Must divide the width.

    References
    ----------
    Mokady, Hertz & Bermano 2021 (ClipCap), section 3.3; feed-forward of twice the
    width, ReLU and layer norm first as released.

    Examples
    --------
    >>> TransformerMapper(512, 10, 64, layers=1)(torch.ones(2, 512)).shape
    torch.Size([2, 10, 64])
    """

    def __init__(self, dim: int, prefix: int, width: int, layers: int = 8, heads: int = 8):
        super().__init__()
        _check(dim=dim, prefix=prefix, width=width, layers=layers, heads=heads)
        if width % heads:
            raise ValueError(f"heads must divide width {width}, got {heads}")
        self.shape = (prefix, width)
        self.spread = _reader(dim, prefix * width)
        self.constants = nn.Parameter(torch.randn(prefix, width))
        layer = nn.TransformerEncoderLayer(
            width, heads, dim_feedforward=2 * width, dropout=0.0, batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the prefixes (n, prefix, width) of embeddings (n, dim)."""
        spread = self.spread(x).unflatten(1, self.shape)
        both = torch.cat([spread, self.constants.expand(len(x), -1, -1)], dim=1)  # (n, 2 prefix, width)
        return self.encoder(both)[:, self.shape[0] :]


def _reader(dim: int, width: int) -> nn.Linear:
    """Return a layer that reads embeddings: of unit length, so that their entries are about 1 / sqrt(dim).

    torch's initial weights are for entries about 1: with them a prefix hardly depended on its embedding.
    """
    layer = nn.Linear(dim, width)
    with torch.no_grad():
        layer.weight.mul_(dim**0.5)
    return layer


def _check(**numbers: int) -> None:
    for name, value in numbers.items():
        check_number(value, name, "[1, inf)", integer=True)
