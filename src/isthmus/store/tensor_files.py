"""Files of named tensors: .safetensors, mapped, and what torch.save writes."""

import json
import struct
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np

from isthmus.store.entries import EMBEDDINGS, choose_entry

_SAFETENSORS_DTYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<u2"}  # bfloat16 has no NumPy type
_ZIP = b"PK\x03\x04"
_LEGACY = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"  # torch's magic number, pickled

# torch.load has no error of its own: damaged bytes surface wherever its unpickler trips over them
_TORCH_ERRORS = (
    RuntimeError,
    UnpicklingError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    struct.error,
)


def open_safetensors(path: Path, name: str | None) -> tuple[np.ndarray, str]:
    """Return the embeddings called `name`, mapped, and their name; bfloat16 becomes float32, in memory.

    Raises
    ------
    ValueError
        The file is bad, or has no such embeddings.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy"):  # refuses bad headers, overlaps and short files
            pass
    except SafetensorError as error:
        raise ValueError(f"{path} is not a readable .safetensors file, or is cut short: {error}") from error
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        tensors = json.loads(file.read(length))
    tensors.pop("__metadata__", None)
    key = choose_entry(
        path,
        {key: f"{tensor['dtype']} of shape {tuple(tensor['shape'])}" for key, tensor in tensors.items()},
        name=name,
        eligible=[
            k for k, t in tensors.items() if len(t["shape"]) == 2 and t["dtype"] in _SAFETENSORS_DTYPES
        ],
        wanted=EMBEDDINGS,
    )
    tensor = tensors[key]
    shape, offset = tuple(tensor["shape"]), 8 + length + tensor["data_offsets"][0]
    if 0 in shape:
        raise ValueError(f"{path}:{key} is empty: its shape is {shape}")
    array = np.memmap(path, _SAFETENSORS_DTYPES[tensor["dtype"]], "r", offset, shape)
    if tensor["dtype"] == "BF16":
        array = np.left_shift(array, 16, dtype=np.uint32).view(np.float32)  # its upper half is a bfloat16
    return array, key


def open_torch(path: Path, name: str | None) -> tuple[np.ndarray, str | None]:
    """Return the tensor in a .pt file, or the one called `name` in a dict and its name.

    bfloat16 becomes float32.

    Raises
    ------
    ImportError
        torch is not installed.
    ValueError
        The file is bad, would run code, or has no such embeddings.
    """
    try:
        import torch
    except ModuleNotFoundError as error:
        raise ImportError(f'reading {path} needs torch: pip install "isthmus[train]"') from error

    floats = (torch.float16, torch.float32, torch.float64, torch.bfloat16)

    def describe(value: Any) -> str:
        if not isinstance(value, torch.Tensor):
            return type(value).__name__
        return f"{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}"

    def eligible(value: Any) -> bool:
        return (
            isinstance(value, torch.Tensor)
            and value.dtype in floats
            and value.ndim == 2
            and value.layout == torch.strided
        )

    saved = _load_torch(path)
    if isinstance(saved, dict):
        entries = {str(key): value for key, value in saved.items()}
        key = choose_entry(
            path,
            {key: describe(value) for key, value in entries.items()},
            name=name,
            eligible=[key for key, value in entries.items() if eligible(value)],
            wanted=EMBEDDINGS,
        )
        tensor, name = entries[key], key
    elif name is not None:
        raise ValueError(f"{path} is one {describe(saved)} without names, got the name {name!r}")
    elif not eligible(saved):
        raise ValueError(f"{path}: expected {EMBEDDINGS}, or a dict of them, found {describe(saved)}")
    else:
        tensor = saved
    tensor = tensor.detach()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy(), name


def _load_torch(path: Path) -> Any:
    import torch

    with open(path, "rb") as file:
        head = file.read(len(_LEGACY))
    if not head.startswith((_ZIP, _LEGACY)):
        raise ValueError(f"{path} is not a file that torch.save writes: it starts with {head!r}")
    try:
        return torch.load(path, weights_only=True, map_location="cpu", mmap=head.startswith(_ZIP))
    except _TORCH_ERRORS as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"{path} does not hold tensors only (code in it is never run), "
            f"or is corrupt or cut short: {reason}"
        ) from error
