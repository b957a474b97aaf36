"""Weights of pretrained networks: loading them from a folder or the hub, and telling them apart."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def revision_of(network: "torch.nn.Module") -> str:
    """Return the hub's commit of a network or, where there is none, 12 digits of its weights' SHA-256."""
    commit = getattr(getattr(network, "config", None), "_commit_hash", None)
    return commit or weights_hash(network)


def weights_hash(network: "torch.nn.Module") -> str:
    """Return the first 12 hexadecimal digits of the SHA-256 of names, types, shapes and values."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        tensor = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:12]


def missing_library(family: str, error: ImportError) -> ImportError:
    """Return the error for a family whose library is not installed, or cannot be imported."""
    if error.name in ("torch", "transformers"):
        return ImportError(f'{family} needs transformers: pip install "isthmus[clip]"')
    told = " ".join(str(error).split())
    return ImportError(f"{family} needs transformers, which is here but cannot be imported: {told}")


def load_network(name: str, kind: Any) -> Any:
    """Load a network of transformers in float32.

    Parameters
    ----------
    name : str
        "FAMILY:MODEL", a name on the hub or a folder.
    kind : type
        Such as `transformers.CLIPModel`.

    Raises
    ------
    OSError
        The weights are neither here nor to be had, or only as pickles.
    ValueError
        They are those of another kind of network, or incomplete.
    """
    import torch
    from transformers import AutoConfig

    found = load_part(name, AutoConfig).model_type
    expected = kind.config_class.model_type
    if found != expected:
        raise ValueError(f"{name}: this is a network of type {found}, expected {expected}")
    network, loading = load_part(
        name, kind, use_safetensors=True, dtype=torch.float32, output_loading_info=True
    )
    if missing := sorted(loading["missing_keys"]):
        raise ValueError(f"{name}: {len(missing)} of the network's weights are missing, such as {missing[0]}")
    return network


def load_part(name: str, kind: Any, **options: Any) -> Any:
    """Load a part of a pretrained model, such as its tokenizer: what ``kind.from_pretrained`` returns.

    Raises
    ------
    OSError
        It is not on this machine, and not to be had.
    """
    from huggingface_hub.errors import HFValidationError

    model = name.partition(":")[2]
    try:
        return kind.from_pretrained(model, **options)
    except (OSError, HFValidationError) as error:
        raise load_error(name, model, error) from error


def load_error(name: str, model: str, error: Exception) -> OSError:
    """Return in one line why a model was not loaded: what its folder lacks, or that there is none."""
    if Path(model).is_dir():
        return OSError(f"{name}: {' '.join(str(error).split())}")
    return unreachable(name, f"{name.partition(':')[0]}:PATH")


def unreachable(name: str, place: str) -> OSError:
    """Return the error that says where weights can be put that are not to be had."""
    return OSError(
        f"{name}: the weights are not on this machine, and the hub cannot be reached or does not know them; "
        f"put the model here and name it: {place}"
    )
