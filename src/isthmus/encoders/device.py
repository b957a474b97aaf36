"""Where an encoder's network runs, and in which precision."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_PRECISIONS = ("float32", "bfloat16", "float16")


def choose_device(name: str) -> "torch.device":
    """Return the device of that name; "auto" is cuda where there is one, else cpu.

    Raises
    ------
    ValueError
        It is no device of this machine.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.partition(":")[0] not in ("cpu", "cuda", "mps"):
        raise ValueError(f"device must be auto, cpu, cuda or mps, got {name!r}")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device is {name!r}, but torch finds no CUDA device here")
    return torch.device(name)


def check_precision(precision: str) -> None:
    """Raise ValueError unless the precision is one that networks run in."""
    if precision not in _PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(_PRECISIONS)}, got {precision!r}")


@contextmanager
def inference(device: "torch.device", precision: str) -> Generator[None]:
    """Run networks without gradients, in a precision."""
    import torch

    low = precision != "float32"
    dtype = getattr(torch, precision)
    with torch.inference_mode(), torch.autocast(device.type, dtype=dtype if low else None, enabled=low):
        yield
