"""Aligners fitted on pairs of the world, for every modality that is to be calculated with."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import clone

from isthmus.align import PairedAligner
from isthmus.checks import check_number
from isthmus.encoders import Encoder
from isthmus.evaluate.comparison import Protocol
from isthmus.evaluate.cross_validation import configured
from isthmus.sources.world import Scene, captions, draw_picture, draw_scene, draw_video, play
from isthmus.sources.world.source import DETAIL, SPLITS

Aligners = Mapping[str, Mapping[str, PairedAligner]]  # fitted, by modality and name
_RENDER: dict[str, Callable[[Scene], Any]] = {"image": draw_picture, "audio": play, "video": draw_video}
_BATCH = 250


def embed_scenes(encoder: Encoder, scenes: Sequence[Scene], modality: str) -> np.ndarray:
    """Embed scenes as a modality shows them.

    Parameters
    ----------
    encoder : Encoder
        Of the modality.
    scenes : sequence of Scene, length n
        Drawn or played here, a batch at a time.
    modality : str
        "image", "audio" or "video".

    Returns
    -------
    ndarray of float32, shape (n, dim)
        Unit rows.

    Raises
    ------
    ValueError
        The encoder does not embed the modality, or scenes are not shown by it.

    Examples
    --------
    >>> from isthmus.encoders import CallableEncoder
    >>> mean = CallableEncoder(
    ...     {"image": lambda images: [i.mean((0, 1)) for i in images]}, name="mean", dim=3, revision="1"
    ... )
    >>> embed_scenes(mean, [draw_scene(0, 0)], "image").shape
    (1, 3)
    """
    encoder.check_modality(modality)
    if modality not in _RENDER:
        raise ValueError(f"modality must be one of {', '.join(_RENDER)}, got {modality!r}")
    parts = [
        encoder.encode([_RENDER[modality](s) for s in scenes[at : at + _BATCH]], modality, batch_size=_BATCH)
        for at in range(0, len(scenes), _BATCH)
    ]
    return np.concatenate(parts)


def fit_aligners(
    encoder: Encoder,
    names: Sequence[str],
    *,
    modalities: Sequence[str],
    pairs: int = 4000,
    progress: Callable[[str], None] | None = None,
) -> dict[str, dict[str, PairedAligner]]:
    """Fit aligners on scenes of the training split, each beside one caption.

    Parameters
    ----------
    encoder : Encoder
        Of the modalities and text.
    names : sequence of str
        Keys of `isthmus.align.ALIGNERS`.
    modalities : sequence of str
        Each is aligned with text on its own.
    pairs : int, default=4000
        Scenes.
    progress : callable, optional
        Called with what is being done.

    Returns
    -------
    dict
        Fitted aligners by modality and name.

    Raises
    ------
    ValueError
        A name is unknown, or there are fewer than 20 pairs.

    Examples
    --------
    >>> from isthmus.encoders import CallableEncoder
    >>> toy = CallableEncoder(
    ...     {
    ...         "image": lambda images: [i.mean((0, 1)) + 1 for i in images],
    ...         "text": lambda texts: [[len(t), t.count("e") + 1, 1] for t in texts],
    ...     },
    ...     name="toy",
    ...     dim=3,
    ...     revision="1",
    ... )
    >>> fit_aligners(toy, ["collapse"], modalities=["image"], pairs=20)
    {'image': {'collapse': MeanCollapse()}}
    """
    check_number(pairs, "pairs", "[20, inf)", integer=True)
    protocol = Protocol()
    made = {name: configured(name, protocol) for name in names}
    scenes = [draw_scene(0, SPLITS["train"] + i) for i in range(pairs)]
    fitted: dict[str, dict[str, PairedAligner]] = {}
    for modality in modalities:
        _tell(progress, f"embedding {pairs} pairs of {modality} and text")
        moving = modality == "video"
        texts = [captions(scene, detail=DETAIL, count=1, motion=moving)[0] for scene in scenes]
        x, y = embed_scenes(encoder, scenes, modality), encoder.encode(texts, "text", batch_size=_BATCH)
        fitted[modality] = {}
        for name, aligner in made.items():
            _tell(progress, f"fitting {name} on {modality} and text")
            fitted[modality][name] = clone(aligner).fit(x, y)
    return fitted


def _tell(progress: Callable[[str], None] | None, message: str) -> None:
    if progress is not None:
        progress(message)
