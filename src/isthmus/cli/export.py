"""isthmus export"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from isthmus.align import load_aligner
from isthmus.align.export import about, write_numpy, write_onnx, write_torch
from isthmus.cli.align import check_card, write_card
from isthmus.cli.show import check_output, say
from isthmus.whole import refuse_existing

_WRITERS: dict[str, tuple[Callable[..., None], str]] = {
    "onnx": (write_onnx, ".onnx"),
    "torch": (write_torch, ".safetensors"),
    "numpy": (write_numpy, ".npz"),
}


def export(
    aligner: Path,
    /,
    *,
    out: Path,
    format: Literal["onnx", "torch", "numpy"] = "onnx",
    modality: Literal["x", "y"] = "x",
    card: Path | None = None,
) -> None:
    """Write one map of a saved aligner in a format that needs no isthmus.

    The file holds its encoder, revision and verified figures too. docs/shipping.md shows how to load it.

    Parameters
    ----------
    aligner : Path
        File that `isthmus align` saved.
    out : Path
        File to write: .onnx, .safetensors (torch) or .npz (numpy); must not exist.
    format : {"onnx", "torch", "numpy"}
        onnx: a graph that scales, maps and scales, float32, any number of rows. torch: the state of a plain
        nn.Sequential. numpy: weight and bias.
    modality : {"x", "y"}
        Which map: of the first or the second modality that the aligner was fitted on.
    card : Path
        Also write a model card (.md); must not exist.
    """
    write, suffix = _WRITERS[format]
    check_output(out, suffix)
    check_card(card)
    refuse_existing(out)
    told: dict[str, Any] = about(aligner, modality)
    write(load_aligner(aligner), out, modality=modality, about=told)
    say(f"{' by '.join(told[key] for key in ('modality_name', 'encoder') if key in told) or modality}: {out}")
    if card is not None:
        write_card(aligner, card)
