"""isthmus caption"""

import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from isthmus.cli.caption_writing import Rate, Writing, prepare
from isthmus.cli.show import progress_bar, say, show

caption = App(name="caption", help="Train a captioner on captions alone, write captions with it, score them.")


@dataclass
class Training:
    """Options of `isthmus caption train`.

    Parameters
    ----------
    method : str
        C1, C2-collapse, C2-corrupt, C2-span, C3, C3-calibrated, CapDec, DeCap, CLIPRe, WS-ClipCap,
        WS-ClipCap-Multi, ClipCap (on pairs), ZeroCap or MAGIC. By default C3.
    std : float, "auto" or "capdec"
        Of the noise, per dimension; auto finds it from captions of one item, and capdec does by CapDec's
        rule, which finds more. By default the method's own.
    modality : str
        Of the pairs, where there are any to learn from or to select by. By default image.
    pairs : float
        Share of the pairs that ClipCap is given, in (0, 1], those held out included. By default 1.
    noise_pairs : int
        Pairs that C3-calibrated measures its noise on. By default 0: it measures captions of one item.
    select : {"auto", "text", "cross-modal"}
        The held-out loss that decides which epoch is kept, and when to stop: of captions from their own
        embeddings, or from those of their images. By default of what the method learns from.
    held_out : float
        Share of the items that it is measured on. By default 0.05.
    mapper : {"mlp", "transformer"}
        From an embedding to the prefix. By default mlp.
    prefix : int
        Positions that an embedding becomes. By default 10.
    language_model : str
        small, which is trained here, or one of transformers by name or folder, such as gpt2.
    frozen : bool
        Train the mapper alone.
    vocabulary : int
        Tokens that the small language model knows. By default 1000.
    width : int
        Of the small language model. By default 128.
    layers : int
        Of the small language model. By default 3.
    heads : int
        Of attention in each layer of the small language model. By default 4.
    positions : int
        Of a sequence of the small language model at most, the prefix among them. By default 80.
    dropout : float
        Of the small language model. By default 0.1.
    epochs : int
        Passes over the captions at most. By default 6.
    batch_size : int
        Captions at a time. By default 128.
    warmup : int
        Steps over which the learning rate rises, a tenth of all at most. By default 100.
    patience : int
        Epochs without a lower held-out loss before training stops; 0 never stops it. By default 3.
    learning_rate : float
        Of AdamW. By default 1e-3 for the small language model, 2e-5 for others.
    weight_decay : float
        Of AdamW. By default 0.01.
    seed : int
        Of the split, the weights, the order, dropout and noise. By default 0.
    precision : {"float32", "bfloat16"}
        Of the network's arithmetic.
    device : str
        cpu, cuda, or auto: cuda where there is one.
    checkpoint_seconds : float
        Between states that are kept to go on from. By default 60.
    """

    method: str | None = None
    std: float | Literal["auto", "capdec"] | None = None
    modality: str | None = None
    pairs: float | None = None
    noise_pairs: int | None = None
    select: Literal["auto", "text", "cross-modal"] | None = None
    held_out: float | None = None
    mapper: Literal["mlp", "transformer"] | None = None
    prefix: int | None = None
    language_model: str | None = None
    frozen: Annotated[bool | None, Parameter(negative="")] = None
    vocabulary: int | None = None
    width: int | None = None
    layers: int | None = None
    heads: int | None = None
    positions: int | None = None
    dropout: float | None = None
    epochs: int | None = None
    batch_size: int | None = None
    warmup: int | None = None
    patience: int | None = None
    learning_rate: float | None = None
    weight_decay: float | None = None
    seed: int | None = None
    precision: Literal["float32", "bfloat16"] | None = None
    device: str | None = None
    checkpoint_seconds: float | None = None


@caption.command
def train(
    store: Path,
    /,
    *,
    out: Path,
    config: Path | None = None,
    start: Annotated[Path | None, Parameter("--from")] = None,
    settings: Annotated[Training, Parameter("*")] = Training(),  # noqa: B008
    as_json: Annotated[bool, Parameter("--json", negative="")] = False,
) -> None:
    """Train a captioner from a store.

    All methods but ClipCap learn from the store's captions alone; images, sounds and videos lend it
    their mean. A run that was stopped goes on where it was when it is started again.

    Parameters
    ----------
    store : Path
        What `isthmus embed` wrote, with texts.
    out : Path
        Folder of the run: new, or begun by the same command.
    config : Path
        YAML or JSON file of the settings below; flags win.
    start : Path
        A run to train further, on pairs (--method ClipCap): its means are kept.
    as_json : bool
        Print one JSON object.
    """
    from isthmus.decode.data import CaptionData
    from isthmus.decode.requirements import check_given
    from isthmus.decode.run import RUN, CaptionRun
    from isthmus.decode.settings import CaptionTraining, read_settings
    from isthmus.decode.training import train_captioner
    from isthmus.processes import is_main_process
    from isthmus.store import Store

    told = read_settings(config) if config else {}
    flags = {name: value for name, value in asdict(settings).items() if value is not None}
    chosen = replace(CaptionTraining.from_dict(told, name=str(config)), **flags)
    of_file = [] if "method" in flags else [str(name).replace("-", "_") for name in told]
    check_given(chosen, dict.fromkeys([*of_file, *flags]))  # a file may serve several methods
    data = CaptionData.from_store(Store.open(store))
    begun, done = time.monotonic(), (out / RUN).is_file() and CaptionRun.open(out, complete=False).complete
    with progress_bar("training") as advance:
        pace = _Pace(advance)
        try:
            run = train_captioner(data, chosen, folder=out, start=start, progress=pace)
        except KeyboardInterrupt:
            say(f"{out} keeps what it has: the same command goes on from there")
            raise
    if not is_main_process():
        return
    if done:
        say(f"{out} is complete, nothing was left to do")
    _summarize(run, chosen)
    if as_json:
        story = {name: value for name, value in run.story.items() if name != "identity"}
        show({"out": str(out)} | story | {"seconds": time.monotonic() - begun}, as_json=True)


class _Pace:
    """Shows how training goes: on a terminal as a bar, elsewhere as a line per epoch."""

    def __init__(self, advance: Any) -> None:
        self.advance = advance

    def __call__(self, at: Any) -> None:
        held = f", held out {at.validation:.3f}" if at.validation is not None else ""
        rate = f", {at.tokens_per_second:,.0f} tokens/s" if at.tokens_per_second else ""
        told = f"epoch {at.epoch} of {at.epochs}, loss {at.loss:.3f}{held}{rate}"
        self.advance(at.epoch - 1 + at.step / at.steps, at.epochs, told)
        if at.step == at.steps and not sys.stderr.isatty():
            left = f", {at.seconds_left:.0f} s left" if at.seconds_left else ""
            say(f"{told}{left}")


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"


def _summarize(run: Any, settings: Any) -> None:
    from isthmus.decode.methods import METHODS

    story = run.story
    captions, items = _counted(story["captions"], "caption"), _counted(story["items"], "item")
    what = f"{settings.method} from {captions} of {items}"
    history = story["history"]
    if history and history["cut"]:
        say(f"{history['cut']} captions were longer than the language model's positions and cut")
    if history:
        best = history["best_epoch"]
        held = history["validations"][best - 1] if best else None
        kept = f", epoch {best} of {len(history['losses'])} kept"
        what += kept + (f", held-out loss {held:.3f} nats per token" if held is not None else "")
    pairs = METHODS[settings.method].learns_from == "pairs"  # to which no noise is added
    std = None if pairs else (story["noise"] or {}).get("learned", {}).get("std_")
    what += f", noise of std {std:.4g}" if std is not None else ""
    say(f"{what}: {run.folder}")


@caption.command
def write(
    run: Path,
    source: str,
    /,
    *,
    out: Path | None = None,
    settings: Annotated[Writing, Parameter("*")] = Writing(),  # noqa: B008
) -> None:
    """Write a caption for each image, sound or video: a line of JSON with id, caption, modality, score.

    The score is the mean log-probability of the caption's tokens; of CLIPRe, a cosine. With --out, a run
    that was stopped goes on where it was.

    Parameters
    ----------
    run : Path
        What `isthmus caption train` wrote.
    source : str
        A store, whose distinct items are captioned; or a source such as folder:photos, coco:data/coco or
        world:1000, which is embedded as it comes by the encoder that the run learned from.
    out : Path
        File to write (.jsonl), which must not exist. By default, standard output.
    """
    from isthmus.cli import captions
    from isthmus.cli.show import check_output

    check_output(out, ".jsonl")
    task = prepare(run, source, settings)
    if out is None:
        count = 0
        for text in captions.lines(task.items, task.write):
            print(text, end="", flush=True)
            count += text.count("\n")
        captions.check_any(count, task.items.skipped)
        _say_skipped(task.items.skipped)
        return
    with progress_bar("writing") as advance:
        pace = Rate(advance)
        try:
            count = captions.write_lines(out, task.items, task.write, identity=task.identity, progress=pace)
        except KeyboardInterrupt:
            say(f"what is written of {out} is kept: the same command goes on from there")
            raise
    say(f"{count} caption{'' if count == 1 else 's'}{pace.told}: {out}")
    _say_skipped(task.items.skipped)


def _say_skipped(skipped: list[str]) -> None:
    from isthmus.cli.captions import tell_skipped

    if skipped:
        say(tell_skipped(skipped))


@caption.command
def score(
    what: Path,
    source: str,
    /,
    *,
    out: Path | None = None,
    against: Path | None = None,
    metrics: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)] = None,
    spice: Path | None = None,
    settings: Annotated[Writing, Parameter("*")] = Writing(),  # noqa: B008
    as_json: Annotated[bool, Parameter("--json", negative="")] = False,
) -> None:
    """Score captions against those that people wrote, with 95% intervals; on the world also their facts.

    Parameters
    ----------
    what : Path
        What `isthmus caption train` wrote, whose captions are written first; or a file that
        `isthmus caption write` wrote.
    source : str
        The store or the source that is captioned, with captions to score against.
    out : Path
        Also write the captions to this file (.jsonl), which must not exist.
    against : Path
        Captions of the same items by another captioner (.jsonl): compare the two, both resampled on the same
        items.
    metrics : list of str
        BLEU, METEOR, ROUGE-L, CIDEr-D, SPICE, CLIPScore. By default all that can be had here.
    spice : Path
        Folder of the parser that SPICE needs.
    as_json : bool
        Print one JSON object.
    """
    from isthmus.cli.caption_scores import (
        Scoring,
        compare_items,
        read_candidates,
        score_items,
        write_candidates,
    )
    from isthmus.cli.show import check_output

    check_output(out, ".jsonl")
    if out is not None and not what.is_dir():
        raise ValueError(f"{what} is no run: --out is for captions that are written here")
    with progress_bar("writing") as advance:
        found = (
            write_candidates(what, source, settings, out=out, progress=Rate(advance))
            if what.is_dir()
            else read_candidates(what, source, settings)
        )
    scoring = Scoring(
        tuple(metrics) if metrics else None, None if spice is None else str(spice), settings.seed
    )
    with progress_bar("scoring"):
        scored = score_items(found, scoring) if against is None else compare_items(found, against, scoring)
    _say_skipped(found.skipped or found.items.skipped)
    if found.beyond:
        say(f"--limit leaves out the captions of other items: {found.beyond}")
    total = found.items.total
    if total not in (None, len(found.captions)):
        say(f"{len(found.captions)} of {total} items have a caption, and are scored")
    show(scored, as_json=as_json)
