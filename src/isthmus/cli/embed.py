"""isthmus embed"""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from isthmus.cli.show import progress_bar, say, show
from isthmus.encoders import open_encoder
from isthmus.sources import open_source
from isthmus.store import EmbeddingOptions, Store
from isthmus.store import embed as embed_source

_LISTED = 10  # messages of skipped items that are printed; the manifest has more


@dataclass
class Settings:
    """Options of `isthmus embed`.

    Parameters
    ----------
    modality : list of str
        Which to embed: image, audio, video, text; may be repeated. By default all that the source has
        and the encoder knows.
    split : str
        Part of the source, such as train, val or test.
    on_error : {"raise", "skip"}
        What to do at an item that cannot be read: stop, or leave it out and say so at the end.
    limit : int
        Items of the source at most.
    raw : bool
        Rows as the network gives them; by default scaled to unit length.
    dtype : {"float32", "float16"}
        Of the rows on disk.
    device : str
        cpu, cuda, or auto: cuda where there is one.
    precision : {"float32", "bfloat16", "float16"}
        Of the network's arithmetic.
    batch_size : int
        Images, sounds, videos or texts that the network embeds at a time.
    workers : int
        Processes that decode and prepare items: by default one per processor, less those that a small
        network runs on; 0: none beside this one.
    shard_rows : int
        Rows that are written at a time; a run that was stopped goes on after the last that were.
    """

    modality: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)] = None
    split: str | None = None
    on_error: Literal["raise", "skip"] = "raise"
    limit: int | None = None
    raw: Annotated[bool, Parameter(negative="")] = False
    dtype: Literal["float32", "float16"] = "float32"
    device: str = "auto"
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    batch_size: int = 64
    workers: int | None = None
    shard_rows: int = 8192


def embed(
    source: str,
    /,
    *,
    encoder: str,
    out: Path,
    settings: Annotated[Settings, Parameter("*")] = Settings(),  # noqa: B008
    as_json: Annotated[bool, Parameter("--json", negative="")] = False,
) -> None:
    """Embed images, sounds, videos and captions into a store, which the other commands read.

    A row is a caption beside its image; rows know which item they belong to. A run that was stopped
    goes on where it was when it is started again.

    Parameters
    ----------
    source : str
        KIND:PLACE, or KIND:PLACE?OPTION=VALUE, such as folder:photos or coco:data/coco. KIND is folder, coco,
        cc3m, dci, clotho, audiocaps, msrvtt or world.
    encoder : str
        FAMILY:MODEL, such as clip:openai/clip-vit-base-patch32. FAMILY is clip, siglip, openclip, clap,
        xclip, sentence-transformers or precomputed; or `world`, which needs no download.
    out : Path
        Folder of the store: new, or begun by the same command.
    as_json : bool
        Print one JSON object.
    """
    options = EmbeddingOptions(
        modalities=tuple(settings.modality) if settings.modality else None,
        raw=settings.raw,
        dtype=settings.dtype,
        limit=settings.limit,
        precision=settings.precision,
        batch_size=settings.batch_size,
        shard_rows=settings.shard_rows,
        workers=settings.workers,
    )
    items = open_source(source, split=settings.split, on_error=settings.on_error)
    network = open_encoder(encoder, device=settings.device, precision=settings.precision)
    with progress_bar("embedding") as advance:
        pace = _Pace(advance)
        try:
            store = embed_source(items, network, out, options=options, progress=pace)
        except KeyboardInterrupt:
            say(f"{out} keeps what it has: the same command goes on from there")
            raise
    _summarize(store, pace)
    if as_json:
        show(_story(store, pace), as_json=True)


class _Pace:
    """Shows how far it is, and how fast that goes."""

    def __init__(self, advance: Any) -> None:
        self.advance, self.start, self.begun = advance, None, time.monotonic()
        self.done, self.seconds = 0, 0.0

    def __call__(self, done: int, total: int | None) -> None:
        if self.start is None:
            self.start, self.begun = done, time.monotonic()
        self.done, self.seconds = done - self.start, time.monotonic() - self.begun
        of = f" of {total}" if total is not None else ""
        self.advance(done, total, f"{done}{of} items, {self.rate:.0f}/s")

    @property
    def rate(self) -> float:
        return self.done / self.seconds if self.seconds else 0.0


def _summarize(store: Store, pace: _Pace) -> None:
    origin = store.origin
    assert origin is not None
    if pace.start is None:
        say(f"{store.root} is complete, nothing was left to do")
    what = f"{len(store)} rows of {', '.join(store.modalities)} from {origin.items} items"
    say(f"{what}, {pace.rate:.0f} items/s: {store.root}" if pace.done else f"{what}: {store.root}")
    if origin.skipped:
        say(f"{origin.skipped} items were skipped:")
        for message in origin.messages[:_LISTED]:
            say(f"  {message}")
        if origin.skipped > _LISTED:
            say(f"  and {origin.skipped - _LISTED} more, in {store.root / 'manifest.json'}")
    for modality, cut in origin.truncated.items():
        if cut:
            count, name = (len(store), "captions") if modality == "text" else (origin.items, f"{modality}s")
            say(f"{cut} of {count} {name} were longer than the encoder's limit and cut")


def _story(store: Store, pace: _Pace) -> dict[str, Any]:
    assert store.origin is not None
    return {
        "out": str(store.root),
        "rows": len(store),
        "modalities": {name: entry | {"dim": store[name].shape[1]} for name, entry in store.encoders.items()},
        **asdict(store.origin),
        "seconds": pace.seconds,
        "items_per_second": pace.rate,
    }
