"""What `isthmus caption write` and `score` share: options, and what writes captions by them."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from isthmus.cli.captions import Items, WriteRows
    from isthmus.decode.connection import Method
    from isthmus.decode.generation import Generation
    from isthmus.decode.writer import CaptionWriter


@dataclass
class Writing:
    """How captions are written.

    Parameters
    ----------
    strategy : {"greedy", "beam", "nucleus"}
        Take the likeliest token, follow several texts, or draw.
    beams : int
        Texts that are followed.
    length : int
        Tokens of a caption at most. By default what the run's positions allow, at most 30.
    top_p : float
        Of nucleus: share of the probability that tokens are drawn from.
    temperature : float
        Of nucleus: divides the logits.
    seed : int
        Of nucleus; of scores: of the resamples that intervals come from.
    length_penalty : float
        Of beam: log-probabilities are divided by the length to this power.
    batch_size : int
        Captions written side by side; they do not depend on it.
    modality : str
        image, audio, video, or text: captions told anew. By default image, or what there is.
    limit : int
        Items at most.
    split : str
        Part of a source, such as val or test.
    on_error : {"raise", "skip"}
        What to do at an item of a source that cannot be read.
    device : str
        cpu, cuda, or auto: cuda where there is one.
    """

    strategy: Literal["greedy", "beam", "nucleus"] = "greedy"
    beams: int = 5
    length: int | None = None
    top_p: float = 0.9
    temperature: float = 1.0
    seed: int = 0
    length_penalty: float = 1.0
    batch_size: int = 64
    modality: str | None = None
    limit: int | None = None
    split: str | None = None
    on_error: Literal["raise", "skip"] = "raise"
    device: str = "auto"

    def generation(self, room: int | None = None) -> "Generation":
        """Return how the language model is decoded, which has room for so many tokens."""
        from isthmus.decode.generation import Generation

        most = Generation.length if room is None else min(Generation.length, room)
        return Generation(
            strategy=self.strategy,
            beams=self.beams,
            length=most if self.length is None else self.length,
            top_p=self.top_p,
            temperature=self.temperature,
            batch_size=self.batch_size,
            seed=self.seed,
            length_penalty=self.length_penalty,
        )


_OF = {"beam": ("beams", "length_penalty"), "nucleus": ("top_p", "temperature")}  # by strategy
_CHOICE = ("strategy", *_OF["beam"], *_OF["nucleus"])  # of tokens


def check_unused(settings: Writing, reason: str, names: tuple[str, ...] = (*_CHOICE, "length")) -> None:
    """Raise ValueError, with the reason, if options that do not apply are other than by default."""
    for name in names:
        if getattr(settings, name) != getattr(Writing, name):
            raise ValueError(f"--{name.replace('_', '-')} does not apply: {reason}")


def _check_method(settings: Writing, method: "Method") -> None:
    if method.writes == "nearest":
        check_unused(settings, f"{method.name} finds captions among those that it has seen")
    elif method.writes in ("magic", "zerocap"):
        check_unused(settings, f"{method.name} chooses tokens in a way of its own", _CHOICE)
    for strategy, names in _OF.items():
        if settings.strategy != strategy:
            check_unused(settings, f"it is of --strategy {strategy}, not {settings.strategy}", names)


@dataclass(frozen=True)
class Prepared:
    """Items, and what writes captions of them."""

    items: "Items"
    write: "WriteRows"  # from embeddings and the number of their chunk
    identity: str  # tells these captions from others
    modality: str


def prepare(run: Path, source: str, settings: Writing) -> Prepared:
    """Open a run, and the items of a store or a source to be captioned by it."""
    from isthmus.cli.captions import Choice, modality_of, open_items
    from isthmus.decode.writer import open_writer

    writer, options = open_writer(run, device=settings.device), settings.generation()
    _check_method(settings, writer.method)
    own = writer.run.settings.modality if writer.method.learns_from == "pairs" else None
    modality = modality_of(source, settings.modality or own, settings.split)
    items = open_items(source, Choice(modality, settings.limit, settings.split, settings.on_error), writer)
    room = _room(writer)
    if settings.length is None:
        options = settings.generation(room)
    elif room is not None and settings.length > room:
        raise ValueError(
            f"--length must be at most {room}, what the language model's positions have room for, "
            f"got {settings.length}"
        )

    def write(rows: np.ndarray, number: int) -> list[Any]:
        seed = np.random.SeedSequence([options.seed, number]).generate_state(1, np.uint32)[0]
        return writer.write(rows, modality, replace(options, seed=int(seed)))

    identity = f"{writer.run.weights} {replace(options, batch_size=1)}"
    return Prepared(items, write, identity, modality)


def _room(writer: "CaptionWriter") -> int | None:
    """Return how many tokens a run's language model has room for behind what a caption begins with."""
    from isthmus.decode.drafts import opening_of
    from isthmus.decode.guidance import MagicOptions, ZeroCapOptions

    if writer.method.writes == "nearest":
        return None
    captioner = writer.captioner
    before, plans = captioner.config.prefix, {"magic": MagicOptions, "zerocap": ZeroCapOptions}
    if plan := plans.get(writer.method.writes):
        before = len(opening_of(captioner.tokenizer, plan()))
    return captioner.language_model.positions - before


class Rate:
    """Shows how many items are done, and how fast that goes since the first call."""

    def __init__(self, advance: Any) -> None:
        self.advance, self.begun, self.first, self.told = advance, time.monotonic(), -1, ""

    def __call__(self, done: int, total: int | None) -> None:
        if self.first < 0:
            self.first = done  # by an earlier call of the command
        seconds, here = time.monotonic() - self.begun, done - self.first
        if seconds and here:
            rate = here / seconds
            self.told = f", {rate:.0f}/s" if rate >= 10 else f", {rate:.2g}/s"
        self.advance(done, total, f"{done} items{self.told}")
