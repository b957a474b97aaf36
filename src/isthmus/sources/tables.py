"""Rows of .csv, .tsv and .jsonl files and what is in .json files, with where each stands."""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from isthmus.sources.source import BadItem


class Row(NamedTuple):
    """One row of a table.

    Attributes
    ----------
    where : str
        File and row, as an editor counts lines: the header is row 1.
    cells : dict
        What is in each column.
    """

    where: str
    cells: dict[str, Any]


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a file in UTF-8, with their ends, without a byte order mark."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"{path}, row {number}: expected UTF-8, found byte 0x{line[error.start]:02x} "
                    f"at its position {error.start}"
                ) from error


def read_rows(path: Path) -> Iterator[Row | BadItem]:
    """Yield the rows of a table one by one: .jsonl, or lines of cells below a header.

    Cells stand apart by the first of TAB, ``;``, ``|`` and ``,`` that the header has.
    """
    return _read_objects(path) if path.suffix.lower() in (".jsonl", ".ndjson") else _read_cells(path)


def column(row: Row, names: Sequence[str], what: str) -> str:
    """Return the first of `names` that is a column of `row`; raise ValueError if none is."""
    for name in names:
        if name in row.cells:
            return name
    raise ValueError(
        f"{row.where}: expected a column of {what} named {' or '.join(names)}, found {', '.join(row.cells)}"
    )


def read_json(path: Path) -> Any:
    """Return what is in a .json file."""
    text = "".join(read_lines(path))
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: expected JSON, found that it breaks off or is damaged: {error}") from error


def listed(path: Path, content: Any, name: str) -> Iterator[Row | BadItem]:
    """Yield the objects of the list `name` in what `read_json` found in `path`."""
    entries = content.get(name) if isinstance(content, dict) else None
    if not isinstance(entries, list):
        found = ", ".join(list(content)[:8]) or "none" if isinstance(content, dict) else "no object"
        raise ValueError(f"{path}: expected a list '{name}', found the names {found}")
    for number, entry in enumerate(entries):
        where = f"{path}, {name}[{number}]"
        if isinstance(entry, dict):
            yield Row(where, entry)
        else:
            yield BadItem(f"{where}: expected an object, found {json.dumps(entry)[:40]}")


def _read_objects(path: Path) -> Iterator[Row | BadItem]:
    for number, line in enumerate(read_lines(path), 1):
        where = f"{path}, row {number}"
        try:
            cells = json.loads(line) if line.strip() else None
        except (json.JSONDecodeError, RecursionError) as error:
            yield BadItem(f"{where}: expected a JSON object, found {line.strip()[:40]!r}: {error}")
            continue
        if isinstance(cells, dict):
            yield Row(where, cells)
        elif cells is not None:
            yield BadItem(f"{where}: expected a JSON object, found {line.strip()[:40]!r}")


def _read_cells(path: Path) -> Iterator[Row | BadItem]:
    first = next(read_lines(path), "")
    delimiter = next((mark for mark in "\t;|" if mark in first), ",")
    reader = csv.reader(read_lines(path), delimiter=delimiter, strict=True)
    header: list[str] = []
    while True:
        where = f"{path}, row {reader.line_num + 1}"
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            yield BadItem(
                f"{where}: expected cells between {delimiter!r}, found a stray quote or mark: {error}"
            )
            continue
        if not cells:
            continue
        if not header:
            header = _header(path, cells)
        elif len(cells) != len(header):
            yield BadItem(f"{where}: expected {len(header)} cells, as in the header, found {len(cells)}")
        else:
            yield Row(where, dict(zip(header, cells, strict=True)))
    if not header:
        raise ValueError(f"{path} is an empty file: expected a header and rows")


def _header(path: Path, cells: list[str]) -> list[str]:
    header = [cell.strip() for cell in cells]
    if len(set(header)) < len(header):
        raise ValueError(f"{path}, row 1: expected columns of different names, found {', '.join(header)}")
    return header
