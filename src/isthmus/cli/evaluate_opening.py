"""What `isthmus evaluate` is given: pairs or one modality, and what is known of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.align.provenance import Provenance
from isthmus.checks import check_embeddings
from isthmus.cli.origin import embedded_by, encoder_of
from isthmus.store import Pairs, Store, open_embeddings, open_pairs
from isthmus.store.entries import split_entry
from isthmus.store.groups import GROUP, read_groups
from isthmus.store.layout import folder_of, numbered_shards
from isthmus.store.manifest import is_store

if TYPE_CHECKING:
    from isthmus.cli.evaluate import Settings
    from isthmus.encoders import Encoder

_WORLD = "world:"


@dataclass
class Opened:
    """Pairs, or one modality that stands as both of a pair."""

    pairs: Pairs
    paired: bool
    store: Store | None
    modality: str  # of x
    root: Path
    _encoder: list["Encoder"] = field(default_factory=list)

    def rows(self, which: str) -> Any:
        """Return the embeddings of one modality, "x" or "y"."""
        return self.pairs.x if which == "x" else self.pairs.y

    @property
    def metadata(self) -> list[Path]:
        """The parquet files that describe the rows."""
        if self.store is not None:
            return self.store.metadata
        return [] if self.pairs.metadata is None else numbered_shards(self.pairs.metadata, ".parquet")

    @property
    def has_own_names(self) -> bool:
        """Whether the store names the item of each row itself."""
        return self.store is not None and self.store.origin is not None

    @property
    def is_world(self) -> bool:
        """Whether rows are scenes of the world, whose facts are known."""
        origin = self.store.origin if self.store is not None else None
        return origin is not None and origin.source.startswith(_WORLD)

    def encoder(self, device: str) -> "Encoder":
        """Return what the store was embedded by, opened once.

        Raises
        ------
        ValueError
            It cannot be opened, or is of another revision than the store's.
        """
        if not self._encoder:
            assert self.store is not None
            self._encoder.append(encoder_of(self.store, self.modality, why="prompts take", device=device))
        return self._encoder[0]

    def encoder_of_scenes(self, device: str) -> Callable[[], "Encoder"]:
        """Return what gives the encoder, which embeds new scenes and texts.

        Raises
        ------
        ValueError
            It cannot be opened, or embeds none.
        """
        encoder = self.encoder(device)
        if not {self.modality, "text"} <= set(encoder.modalities) or encoder.reads != "content":
            raise ValueError(f"{encoder.name} does not embed new scenes of {self.modality} and texts")
        return lambda: encoder


def open_subject(x: str, y: str | None, settings: "Settings", told: Provenance | None) -> Opened:
    """Open what was given, the modalities of a store as the aligner was fitted on them.

    Raises
    ------
    FileNotFoundError
        There is no such file or folder.
    ValueError
        It is bad, or does not pair.
    """
    place = Path(x) if y is None and is_store(Path(x)) else None
    store = None if place is None else Store.open(place)
    known = (told.x.modality, told.y.modality) if told is not None else (None, None)
    if y is None and (alone := _alone(x, store, settings, known)) is not None:
        name, rows = alone
        groups = settings.groups or (GROUP if store is not None and store.origin is not None else None)
        rows = check_embeddings(rows, name)
        files = [] if store is None else store.metadata
        pairs = Pairs(
            rows,
            rows,
            groups=None if groups is None else read_groups(groups, len(rows), metadata=files),
            names=(name, name),
            metadata=files[0].parent if files else None,
        )
        modality = embedded_by(name).modality or known[0] or "image"
        return Opened(pairs, False, store, modality, Path(x))
    modalities = settings.modalities
    if modalities is None and store is not None and None not in known and len(set(known)) == 2:
        modalities = [str(name) for name in known]
    pairs = open_pairs(x, y, groups=settings.groups, modalities=modalities)
    modality = embedded_by(pairs.names[0]).modality or known[0] or "image"
    return Opened(pairs, True, store, modality, Path(x))


def _alone(
    x: str, store: Store | None, settings: "Settings", known: tuple[str | None, str | None]
) -> tuple[str, Any] | None:
    """Return the name and the rows of one modality, where there is not a second to pair it with."""
    if store is not None:
        held = store.modalities
        if settings.modalities is None and known[0] in held and known[1] is not None and known[1] not in held:
            only = str(known[0])
        elif len(held) == 1:
            only = held[0]
        else:
            return None
        return str(store.root / folder_of(only)), store[only]
    path = split_entry(x)[0]
    if path.is_dir() and any(path.glob("*_emb")):
        return None
    if settings.modalities is not None:
        raise ValueError(f"--modalities does not apply: {x} is one")
    return x, open_embeddings(x)
