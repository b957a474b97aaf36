"""isthmus arithmetic"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter

from isthmus.checks import check_number
from isthmus.cli.origin import encoder_of
from isthmus.cli.show import show
from isthmus.evaluate.arithmetic.expression import MODALITIES, Expression, Operand, parse_expression
from isthmus.evaluate.arithmetic.nearest import nearest
from isthmus.measure.items import Selected, row_hashes
from isthmus.store import Store
from isthmus.store.groups import GROUP, read_labels

if TYPE_CHECKING:
    from isthmus.decode.generation import Writing
    from isthmus.encoders import Encoder

_SHOWN_IDS = 3  # of those that there are, in an error
Mapping = Callable[[np.ndarray], np.ndarray]


@dataclass
class Settings:
    """Options of `isthmus arithmetic`.

    Parameters
    ----------
    aligner : Path
        File that `isthmus align` saved; operands and items go through it first.
    fitted_on : list of str
        Which two modalities that was fitted on, x then y. By default what its file says; of one that says
        nothing, the first of the store, and text.
    top : int
        Items to show.
    modality : str
        Of the items to look among. By default that of the first operand which is not a text.
    captioner : Path
        Folder of `isthmus caption train`: also write a caption of the point itself.
    device : str
        Of the networks: cpu, cuda, or auto: cuda where there is one.
    """

    aligner: Path | None = None
    fitted_on: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)] = None
    top: int = 10
    modality: Literal["image", "text", "audio", "video"] | None = None
    captioner: Path | None = None
    device: str = "auto"


def arithmetic(
    store: Path,
    expression: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    settings: Annotated[Settings, Parameter("*")] = Settings(),  # noqa: B008
    as_json: Annotated[bool, Parameter("--json", negative="")] = False,
) -> None:
    """Add and subtract embeddings of any modality, and find what is nearest.

    Operands are scaled to unit length, and so is the result. Operands themselves are not found: rows equal
    to theirs and captions of the same words are left out.

    Parameters
    ----------
    store : Path
        Folder that `isthmus embed` wrote.
    expression : str
        Such as "image:12 - text:'red' + text:'blue'": operands, + and -, * with numbers, parentheses, and
        mean(a, b, ...). Operands are image:ID, audio:ID and video:ID, by the id column of the store's
        metadata, or its group column where there is none; text:ID#2, the caption number 2 (from 0) of that
        item, and text:ID, its first; image:#7, row 7 (from 0) of the store; and text:'words', which the
        store's own encoder embeds. A minus behind an ID needs a space before it; an odd ID is put in quotes.
    as_json : bool
        Print one JSON object.
    """
    check_number(settings.top, "--top", "[1, inf)", integer=True)
    if settings.captioner is not None and settings.aligner is not None:
        raise ValueError(
            "--captioner reads embeddings as the encoder gives them: it does not go with --aligner"
        )
    if settings.fitted_on is not None and settings.aligner is None:
        raise ValueError("--fitted-on does not apply: it is of --aligner")
    if settings.device not in ("auto", "cpu"):
        from isthmus.encoders.device import choose_device

        choose_device(settings.device)
    parsed = parse_expression(expression)
    items = _Items(Store.open(store, verify=False), parsed, settings.device)
    numbers = {operand: items.find(operand) for operand in parsed.operands}
    modality = settings.modality or _default_modality(items, parsed)
    items.check(modality)
    mappings = _mappings(items, settings)
    if settings.aligner is not None:
        _check_mapped(parsed, modality, mappings, settings.aligner)
    embedded = {operand: items.embed(operand, number) for operand, number in numbers.items()}
    rows = [embedded[operand] for operand, _ in parsed.terms]
    caption = _tell(items, rows, settings) if settings.captioner is not None else None
    mapped = [
        mappings[operand.modality](row) if mappings else row
        for (operand, _), row in zip(parsed.terms, rows, strict=True)
    ]
    point = parsed.point(np.concatenate(mapped))
    among = items.distinct(modality)
    operands = [(operand, numbers[operand]) for operand, _ in parsed.terms]
    at, cosines = nearest(
        point,
        Selected(items.store[modality], among),
        top=settings.top,
        excluded=items.places(modality, among, operands),
        mapping=mappings.get(modality),
    )
    show(
        _Found(
            expression,
            modality,
            None if settings.aligner is None else str(settings.aligner),
            items.tell(modality, among[at]),
            cosines.round(6).tolist(),
            caption,
        ),
        as_json=as_json,
    )


class _Items:
    """The rows of a store by the names that an expression has for them."""

    def __init__(self, store: Store, expression: Expression, device: str) -> None:
        self.store, self.expression, self.device, self.n = store, expression, device, len(store)
        self._hashed: dict[str, np.ndarray] = {}

    @cached_property
    def ids(self) -> np.ndarray:
        """The item of each row; where the store names none, the row's number."""
        if self._named_by is None:
            return np.arange(self.n).astype(str)
        return np.array(read_labels(self._named_by, self.n, metadata=self.store.metadata), dtype=str)

    @property
    def _named_by(self) -> str | None:
        return next((column for column in ("id", GROUP) if column in self._columns), None)

    @cached_property
    def captions(self) -> list[str] | None:
        """The caption of each row, where there are captions."""
        if "caption" in self._columns:
            return read_labels("caption", self.n, metadata=self.store.metadata)
        return None

    @cached_property
    def _columns(self) -> list[str]:
        import pyarrow.parquet as pq

        return pq.read_schema(self.store.metadata[0]).names if self.store.metadata else []

    def check(self, modality: str, operand: Operand | None = None) -> None:
        """Raise ValueError unless the store has a modality."""
        if modality not in self.store.modalities:
            message = f"{self.store.root} has no {modality}, it has {', '.join(self.store.modalities)}"
            raise ValueError(message) if operand is None else self.expression.error(operand.at, message)

    def find(self, operand: Operand) -> int | None:
        """Return the row that an operand names, and for words None."""
        if operand.text is not None:
            return None
        self.check(operand.modality, operand)
        name = str(operand.id)
        if (row := self._row_of(name, operand.modality)) is not None:
            return row
        item, mark, number = name.rpartition("#")
        count = int((self.ids == item).sum()) if operand.modality == "text" else 0
        if mark and number.isdecimal() and count:
            raise self.expression.error(
                operand.at, f"item {item} has {count} captions, from {item}#0 to {item}#{count - 1}"
            )
        raise self.expression.error(operand.at, f"there is no item {name!r}: {self._look_of_ids(operand)}")

    def _row_of(self, name: str, modality: str) -> int | None:
        """Return the row that a name is of: an item's first, one of its captions, or a row by its number."""
        if (rows := np.flatnonzero(self.ids == name)).size:
            return int(rows[0])
        item, mark, number = name.rpartition("#")
        if not mark or not number.isdecimal():
            return None
        if not item:
            return int(number) if int(number) < self.n else None
        rows = np.flatnonzero(self.ids == item) if modality == "text" else rows
        return int(rows[int(number)]) if int(number) < len(rows) else None

    def _look_of_ids(self, operand: Operand) -> str:
        name, some = str(operand.id), list(dict.fromkeys(self.ids[: 20 * _SHOWN_IDS].tolist()))[:_SHOWN_IDS]
        before = (name[:at] for at, letter in enumerate(name) if letter == "-")
        hint = ""
        if any(self._row_of(part, operand.modality) is not None for part in before):
            hint = "; a minus behind an id needs a space before it"
        elif operand.modality == "text":
            hint = f"; words stand in quotes, as in text:{name!r}"
        return f"ids are such as {', '.join(some)}, and #0 to #{self.n - 1} are the rows{hint}"

    def embed(self, operand: Operand, number: int | None) -> np.ndarray:
        """Return the embedding of an operand, of shape (1, dim)."""
        if number is not None:
            return np.asarray(self.store[operand.modality][number : number + 1], np.float64)
        try:
            rows = self._encoder.encode([str(operand.text)], "text").astype(np.float64)
        except ValueError as error:
            raise self.expression.error(operand.at, f"these words cannot be embedded: {error}") from error
        dim = self.store[self.store.modalities[0]].shape[1]
        if rows.shape[1] != dim:
            raise self.expression.error(
                operand.at, f"{self._encoder.name} gives dim {rows.shape[1]}, the store has {dim}"
            )
        return rows

    @cached_property
    def _encoder(self) -> "Encoder":
        encoder = encoder_of(self.store, self.store.modalities[0], why="it takes", device=self.device)
        if encoder.reads == "id":
            raise ValueError(
                f"the store's encoder, {encoder.name}, knows its own texts only: name one by its id"
            )
        return encoder

    def distinct(self, modality: str) -> np.ndarray:
        """Return the rows to look among: every caption, but an item's image once.

        Where no id says which rows are one image, equal rows are, within a group if there are groups.
        """
        if modality == "text":
            return np.arange(self.n)
        if self._named_by == "id":
            return np.sort(np.unique(self.ids, return_index=True)[1])
        same = np.unique(self._hashes(modality), return_inverse=True)[1].astype(np.int64)
        if self._named_by is not None:
            same = same * self.n + np.unique(self.ids, return_inverse=True)[1]
        return np.sort(np.unique(same, return_index=True)[1])

    def places(
        self, modality: str, among: np.ndarray, operands: Sequence[tuple[Operand, int | None]]
    ) -> list[int]:
        """Return where operands stand among rows: their items, equal rows, captions of the same words."""
        mine = [(operand, row) for operand, row in operands if operand.modality == modality]
        rows = [row for _, row in mine if row is not None]
        same = np.isin(among, rows)
        if rows:
            hashes = self._hashes(modality)
            same |= np.isin(hashes[among], hashes[rows])
            if modality != "text" and self._named_by == "id":
                same |= np.isin(self.ids[among], self.ids[rows])
        if modality == "text" and self.captions is not None:
            words = {operand.text if row is None else self.captions[row] for operand, row in mine}
            same |= np.array([self.captions[row] in words for row in among], dtype=bool)
        return np.flatnonzero(same).tolist()

    def _hashes(self, modality: str) -> np.ndarray:
        if modality not in self._hashed:
            self._hashed[modality] = row_hashes(self.store[modality])
        return self._hashed[modality]

    def tell(self, modality: str, rows: np.ndarray) -> list[dict[str, Any]]:
        """Return what rows are called, and their captions."""
        told = []
        for row in rows:
            name = str(self.ids[row])
            if modality == "text" and self._named_by is not None:
                name += f"#{int((self.ids[:row] == name).sum())}"
            told.append({"id": name, "caption": self.captions[row] if self.captions else None})
        return told


def _default_modality(items: _Items, expression: Expression) -> str:
    """Return the modality of the first operand that is not a text, or else one of the store."""
    named = [operand.modality for operand, _ in expression.terms]
    held = [modality for modality in MODALITIES if modality in items.store.modalities]
    return next((m for m in (*named, *held, *items.store.modalities) if m != "text"), "text")


def _mappings(items: _Items, settings: Settings) -> dict[str, Mapping]:
    """Return how the aligner maps each of its two modalities; nothing without an aligner."""
    if settings.aligner is None:
        return {}
    from isthmus.align import load_aligner
    from isthmus.align.files import read_provenance
    from isthmus.align.provenance import FittedOn

    fitted, told, held = (
        load_aligner(settings.aligner),
        read_provenance(settings.aligner),
        items.store.modalities,
    )
    spaces = (told.x, told.y) if told else (FittedOn(), FittedOn())
    first = next((m for m in held if m != "text"), "text")
    usual = (first, "text" if "text" in held else held[-1])
    names = settings.fitted_on or [s.modality or name for s, name in zip(spaces, usual, strict=True)]
    if len(names) != 2 or len(set(names)) != 2 or not set(names) <= set(MODALITIES):
        raise ValueError(f"--fitted-on must be two of {', '.join(MODALITIES)}, got {' '.join(names)}")
    for name, space in zip(names, spaces, strict=True):
        here = FittedOn(name, **items.store.encoders.get(name, {}))
        if not space.admits(here):
            raise ValueError(f"{settings.aligner} was fitted on {space}, not on {here}")
    dim = items.store[held[0]].shape[1]
    if dim != fitted.n_features_in_:
        raise ValueError(
            f"{items.store.root} has dim {dim}, {settings.aligner} was fitted on dim {fitted.n_features_in_}"
        )
    return {names[0]: fitted.transform, names[1]: fitted.transform_y}


def _check_mapped(
    expression: Expression, modality: str, mappings: Sequence[str] | Any, aligner: Path
) -> None:
    """Raise ValueError if the aligner does not know a modality that it would have to map."""
    fitted = " and ".join(mappings)
    for operand in expression.operands:
        if operand.modality not in mappings:
            raise expression.error(
                operand.at, f"{aligner} was fitted on {fitted}, not on {operand.modality} (see --fitted-on)"
            )
    if modality not in mappings:
        raise ValueError(f"{aligner} was fitted on {fitted}, not on {modality} (see --fitted-on)")


def _tell(items: _Items, rows: list[np.ndarray], settings: Settings) -> "Writing":
    """Write a caption of the point."""
    from isthmus.decode.writer import open_writer
    from isthmus.evaluate.arithmetic.telling import tell

    assert settings.captioner is not None
    writer = open_writer(settings.captioner, device=settings.device)
    for name, here in items.store.encoders.items():
        there = writer.run.encoders.get(name)
        if there and dict(there) != dict(here):
            raise ValueError(
                f"{name} was embedded by {here['encoder']} of revision {here['revision']}, "
                f"{settings.captioner} learned from {there['encoder']} of revision {there['revision']}"
            )
    return tell(writer, items.expression, np.concatenate(rows))


@dataclass(frozen=True)
class _Found:
    """What is nearest to the result of an expression."""

    expression: str
    modality: str
    aligner: str | None
    items: list[dict[str, Any]]
    cosines: list[float]
    caption: "Writing | None"

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
        results = [
            {"rank": rank, "id": item["id"], "cosine": cosine, "caption": item["caption"]}
            for rank, (item, cosine) in enumerate(zip(self.items, self.cosines, strict=True), 1)
        ]
        told = {
            "expression": self.expression,
            "modality": self.modality,
            "aligner": self.aligner,
            "results": results,
        }
        if self.caption is not None:
            told["caption"] = {"text": self.caption.text, "score": round(self.caption.score, 4)}
        return told

    def __rich__(self) -> Any:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(title=Text(self.expression), title_justify="left")
        for name in ("", self.modality, "cosine", "caption"):
            table.add_column(name, justify="right" if name in ("", "cosine") else "left")
        for entry in self.to_dict()["results"]:
            caption = Text(entry["caption"] or "")
            table.add_row(str(entry["rank"]), Text(entry["id"]), f"{entry['cosine']:.3f}", caption)
        if self.caption is None:
            return table
        return Group(table, Text(f"a caption of the point: {self.caption.text}"))
