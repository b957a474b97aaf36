"""What a captioner's settings require of the data, and of each other."""

from collections.abc import Iterable

from isthmus.decode.connection import Connection
from isthmus.decode.data import CaptionData
from isthmus.decode.methods import METHODS
from isthmus.decode.run import CaptionRun
from isthmus.decode.settings import SHAPE, CaptionTraining

_OF_ANY_METHOD = ("method", "held_out", "seed", "device", "checkpoint_seconds")  # even if it trains nothing
_OF_PREFIXES = ("mapper", "prefix", "select", "modality")
_OF_SMALL = ("vocabulary", "width", "layers", "heads", "positions", "dropout")


def check_given(settings: CaptionTraining, given: Iterable[str]) -> None:
    """Raise for a setting that somebody gave, and that would be ignored.

    Parameters
    ----------
    settings : CaptionTraining
        All of them.
    given : iterable of str
        Names of those that were given.

    Raises
    ------
    ValueError
        One does not apply, naming all that do not.

    Examples
    --------
    >>> check_given(CaptionTraining(method="CLIPRe", epochs=3), ["method", "epochs"])
    Traceback (most recent call last):
    ...
    ValueError: epochs: does not apply to CLIPRe, which trains no network
    """
    method = METHODS[settings.method]
    reasons = [
        (
            method.writes == "nearest",
            lambda name: name not in _OF_ANY_METHOD,
            f"{method.name}, which trains no network",
        ),
        (
            method.writes in ("magic", "zerocap"),
            _OF_PREFIXES.__contains__,
            f"{method.name}, whose language model sees no embedding while it learns",
        ),
        (
            settings.language_model != CaptionTraining.language_model,
            _OF_SMALL.__contains__,
            f"{settings.language_model}, which brings its own shape and words",
        ),
    ]
    for holds, idle, reason in reasons:
        if holds and (names := [name for name in given if idle(name)]):
            raise ValueError(f"{', '.join(names)}: does not apply to {reason}")


def check_training(data: CaptionData, settings: CaptionTraining, begun: CaptionRun | None) -> None:
    """Raise unless the data has what the method learns from, before anything is written.

    Parameters
    ----------
    data : CaptionData
        What is to be learned from.
    settings : CaptionTraining
        How.
    begun : CaptionRun, optional
        What is to be trained further.

    Raises
    ------
    ValueError
        The data lacks what the method needs, a setting does not apply to it, or `begun` cannot be trained
        further so.

    Examples
    --------
    >>> import numpy as np
    >>> data = CaptionData({"text": np.eye(2)}, ["7", "9"], ["a dog", "a cat"])
    >>> check_training(data, CaptionTraining(method="CapDec"), None)
    Traceback (most recent call last):
    ...
    ValueError: data has one caption per item: the noise of CapDec is measured on several, \
give its size by std, such as 0.1
    """
    method = METHODS[settings.method]
    data.of("text")
    data.told()
    if method.collapse and data.modalities == ("text",):
        raise ValueError(
            f"{settings.method} subtracts the means of other modalities, but {data.name} has text alone: "
            "embed it with another, such as image, or take a method that subtracts none, such as C1"
        )
    if method.noise == "span" and data.modalities == ("text",):
        raise ValueError(
            f"{settings.method} spares the direction of the gap, but {data.name} has text alone: embed it "
            "with another modality, such as image, or take C2-corrupt"
        )
    _check_applies(data, settings)
    if begun is None:
        _check_siblings(data, settings)
    if begun is not None:
        _check_start(data, settings, begun)
    elif settings.frozen and settings.language_model == CaptionTraining.language_model:
        raise ValueError(
            "frozen does not apply to the small language model, whose weights are random before training: "
            "expected another language_model, such as gpt2"
        )


def _check_applies(data: CaptionData, settings: CaptionTraining) -> None:
    """Raise for a setting that would be ignored, or that asks for what the data has not."""
    method = METHODS[settings.method]
    if settings.pairs != CaptionTraining.pairs and method.learns_from != "pairs":
        raise ValueError(
            f"pairs does not apply to {settings.method}, which learns from no pairs, got {settings.pairs}"
        )
    if settings.noise_pairs and method.noise != "calibrated":
        has = f"its noise is {method.noise}, not calibrated" if method.noise else "it adds no noise"
        raise ValueError(
            f"noise_pairs does not apply to {settings.method}: {has}, got {settings.noise_pairs}"
        )
    used = method.learns_from == "pairs" or settings.select == "cross-modal" or settings.noise_pairs
    if used or settings.modality != CaptionTraining.modality:
        data.of(settings.modality)
    if settings.noise_pairs:
        count = len(data.split(settings.held_out, seed=settings.seed)[0])
        if not 2 <= settings.noise_pairs <= count:
            raise ValueError(
                f"noise_pairs must be at least 2 and at most {count}, the items of {data.name} that are "
                f"learned from, got {settings.noise_pairs}"
            )


def _check_siblings(data: CaptionData, settings: CaptionTraining) -> None:
    """Raise where captions of one item are to be compared, and every item has one."""
    method = METHODS[settings.method]
    if len(data.first) < len(data):
        return
    if method.learns_from == "other-text":
        raise ValueError(
            f"{data.name} has one caption per item: {settings.method} learns to write another of the item"
        )
    if method.noise == "calibrated" and not settings.noise_pairs:
        raise ValueError(
            f"{data.name} has one caption per item: the noise of {settings.method} is measured on several, "
            "or on pairs, whose number noise_pairs gives"
        )
    if isinstance(settings.std, str) or (method.noise == "capdec" and settings.std is None):
        asked = f"std {settings.std}" if settings.std else f"the noise of {settings.method}"
        raise ValueError(
            f"{data.name} has one caption per item: {asked} is measured on several, "
            "give its size by std, such as 0.1"
        )


def _check_start(data: CaptionData, settings: CaptionTraining, begun: CaptionRun) -> None:
    """Raise unless a run can be trained further as the settings say."""
    if METHODS[settings.method].learns_from != "pairs":
        raise ValueError(
            f"a run is trained further on pairs: expected a method such as ClipCap, got {settings.method}"
        )
    if METHODS[begun.settings.method].writes != "decoder":
        raise ValueError(f"{begun.folder}: a run of {begun.settings.method} cannot be trained further")
    if settings.std is not None:
        raise ValueError(f"std must be None where a run is trained further on pairs, got {settings.std}")
    for name in SHAPE:
        there, here = getattr(begun.settings, name), getattr(settings, name)
        if here not in (there, getattr(CaptionTraining, name)):
            raise ValueError(
                f"{name} is kept where a run is trained further: {begun.folder} has {there}, got {here}"
            )
    dim = int(data.of(settings.modality).shape[1])
    if dim != begun.story["dim"]:
        raise ValueError(f"{begun.folder} learned from dim {begun.story['dim']}, {data.name} has dim {dim}")
    connection = Connection.load(begun.connection)
    if connection.method.collapse and settings.modality not in connection.modalities:
        raise ValueError(
            f"{begun.folder} has no mean of {settings.modality}, only of {', '.join(connection.modalities)}"
        )
    for name, entry in begun.encoders.items():
        if name in data.encoders and dict(data.encoders[name]) != entry:
            raise ValueError(
                f"{begun.folder} learned from {name} by {entry}, {data.name} has {dict(data.encoders[name])}"
            )
