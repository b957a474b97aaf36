"""The towers' weights on disk: half precision, safetensors."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from isthmus.encoders.world.towers import TowerSizes, build_tower
from isthmus.whole import write_whole


def write_tower(folder: Path, modality: str, tower: nn.Module) -> None:
    """Write the weights of a tower, in float16, in one step; what is read back is what was rounded."""
    from safetensors.torch import save

    held = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous().cpu()
        for name, tensor in tower.state_dict().items()
    }
    write_whole(folder / f"{modality}.safetensors", save(held))


def read_tower(folder: Path, modality: str, sizes: TowerSizes) -> nn.Module:
    """Return a tower with the weights in `folder`, ready to embed.

    Raises
    ------
    FileNotFoundError
        It is not there.
    ValueError
        The file is damaged, or of another architecture.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / f"{modality}.safetensors"
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    tower = build_tower(modality, sizes)
    try:
        tower.load_state_dict(
            {name: t.float() if t.is_floating_point() else t for name, t in load_file(path).items()}
        )
    except (SafetensorError, RuntimeError) as error:
        first = str(error).splitlines()[0]
        raise ValueError(f"{path} does not hold the weights of the {modality} tower: {first}") from error
    return tower.to(memory_format=torch.channels_last).eval()  # ty: ignore[no-matching-overload]


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write a document in one step."""
    write_whole(path, (json.dumps(document, indent=1) + "\n").encode())
