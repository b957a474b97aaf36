"""The world as a source of items."""

from collections.abc import Iterator
from functools import partial
from typing import Any, Literal

from isthmus.checks import check_number
from isthmus.sources.item import Item
from isthmus.sources.source import Source
from isthmus.sources.world.caption import captions
from isthmus.sources.world.picture import draw_picture, draw_video
from isthmus.sources.world.scene import draw_scene
from isthmus.sources.world.sound import play

DETAIL = 0.25  # of the captions that the shipped encoders were trained on
SPLITS = {"train": 0, "val": 10**9, "test": 2 * 10**9}  # the first index of each
_DEFAULT_COUNT = 1000
_SEEDS = "[0, 4294967295]"  # larger ones repeat scenes of smaller ones
_MEDIA = {"image": draw_picture, "audio": play, "video": draw_video}


def world_item(
    seed: int, index: int, *, detail: float = DETAIL, count: int = 5, motion: bool = False
) -> Item:
    """Return one scene as an item with all modalities.

    Parameters
    ----------
    seed, index : int
        Which scene.
    detail : float, default=0.25
        The share of its facts that a caption tells.
    count : int, default=5
        How many captions.
    motion : bool, default=False
        Whether captions tell motions too.

    Returns
    -------
    Item
        Its picture, sound and video are drawn when they are loaded.

    Examples
    --------
    >>> item = world_item(0, 7, detail=0.4, count=1)
    >>> item.captions, item.load("image").shape
    (('a little turquoise triangle in the lower middle at dusk',), (32, 32, 3))
    """
    texts = captions(draw_scene(seed, index), detail=detail, count=count, motion=motion) if count else ()
    media: dict[str, Any] = {name: partial(_render, name, seed, index) for name in _MEDIA}
    return Item(str(index), str(index), texts, **media)


def world(
    place: str,
    *,
    split: str | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    seed: str = "0",
    detail: str = str(DETAIL),
    captions: str = "5",
    motion: str = "0",
) -> Source:
    """Open the world: ``world:2000?seed=3``, or ``world:`` for 1000 scenes.

    Parameters
    ----------
    place : str
        How many scenes.
    split : {"train", "val", "test"}, optional
        Scenes of different splits are never the same. By default "test".
    on_error : {"raise", "skip"}
        No scene is bad.
    seed : str
        Which world, a whole number below 2**32.
    detail : str
        The share of a scene's facts that a caption tells, in [0, 1].
    captions : str
        How many captions a scene has.
    motion : {"0", "1"}
        Whether captions tell motions too.

    Returns
    -------
    Source
        Every item is a function of the seed and its number alone.

    Raises
    ------
    ValueError
        The split or an option is not as described.

    Examples
    --------
    >>> len(world("10", seed="3"))
    10
    """
    split = "test" if split is None else split
    if split not in SPLITS:
        raise ValueError(f"world: split must be one of {', '.join(SPLITS)}, got {split!r}")
    total = _whole(place or str(_DEFAULT_COUNT), "the number of scenes", "[1, 1000000000]")
    count, chosen = _whole(captions, "captions", "[0, inf)"), _whole(seed, "seed", _SEEDS)
    moving = bool(_whole(motion, "motion", "[0, 1]"))
    try:
        share = float(detail)
    except ValueError as error:
        raise ValueError(f"world: detail must be a number in [0, 1], got {detail!r}") from error
    check_number(share, "world: detail", "[0, 1]")

    def read() -> Iterator[Item]:
        for index in range(SPLITS[split], SPLITS[split] + total):
            yield world_item(chosen, index, detail=share, count=count, motion=moving)

    name = f"world:{total}?seed={chosen}&split={split}&detail={share}&captions={count}&motion={int(moving)}"
    modalities = ("image", "audio", "video", *(["text"] if count else []))
    return Source(name, read, count=total, modalities=modalities, on_error=on_error)


def _render(modality: str, seed: int, index: int) -> Any:
    return _MEDIA[modality](draw_scene(seed, index))


def _whole(text: str, name: str, interval: str) -> int:
    try:
        value = int(text)
    except ValueError as error:
        raise ValueError(f"world: {name} must be a whole number, got {text!r}") from error
    check_number(value, f"world: {name}", interval, integer=True)
    return value
