"""Which item each row belongs to, read from what people keep it in."""

import csv
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.checks import check_groups
from isthmus.store.entries import choose_entry, split_entry
from isthmus.store.numpy_files import read_npy
from isthmus.store.parquet_files import read_column

COLUMN = "column"
GROUP = "group"  # the metadata column of a store that was embedded


def read_groups(groups: Any, n: int, *, metadata: Sequence[Path] = ()) -> np.ndarray:
    """Return the item that each of `n` rows belongs to.

    Parameters
    ----------
    groups : array-like of shape (n,), or str or Path
        Names or numbers of items; or a file of them: .npy, .txt (one per
        line), .csv:COLUMN, .jsonl:COLUMN, .parquet:COLUMN; or the name of a
        column of `metadata`.
    n : int
        How many rows there are.
    metadata : sequence of Path, default=()
        Parquet files that together have one row per embedding, in order.

    Returns
    -------
    ndarray of int64, shape (n,)
        Item numbers 0, 1, ... in order of appearance.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The length is not `n`, there is no such column, or an entry is missing.

    Examples
    --------
    >>> read_groups(["dog", "dog", "cat"], 3)
    array([0, 0, 1])
    """
    if not isinstance(groups, str | os.PathLike):
        return check_groups(groups, n)
    if _is_metadata(groups, metadata):
        codes = _codes(_read_metadata(metadata, str(groups)))
        return check_groups(codes, n, f"{metadata[0].parent}:{groups}")
    return check_groups(_read_file(groups, n), n, os.fspath(groups))


def read_labels(spec: str | os.PathLike[str], n: int, *, metadata: Sequence[Path] = ()) -> list[str]:
    """Return a text for each of `n` rows, such as its caption or file name.

    Parameters
    ----------
    spec : str or Path
        A file or a metadata column, as for :func:`read_groups`.
    n : int
        How many rows there are.
    metadata : sequence of Path, default=()
        Parquet files that together have one row per embedding, in order.

    Returns
    -------
    list of str
        One per row.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The length is not `n`, or there is no such column.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "captions.txt"
    >>> _ = path.write_text("a dog\\na cat\\n")
    >>> read_labels(path, 2)
    ['a dog', 'a cat']
    """
    if _is_metadata(spec, metadata):
        values = _read_metadata(metadata, str(spec)).to_pylist()
    else:
        path, column = split_entry(spec)
        values = read_column(path, column).to_pylist() if path.suffix == ".parquet" else _read_file(spec, n)
    if len(values) != n:
        raise ValueError(f"{os.fspath(spec)} has {len(values)} labels, the embeddings have {n} rows")
    return [str(value) for value in values]


def _is_metadata(spec: Any, metadata: Sequence[Path]) -> bool:
    return bool(metadata) and isinstance(spec, str) and not _names_a_file(spec)


def _read_file(spec: str | os.PathLike[str], n: int) -> np.ndarray:
    path, column = split_entry(spec)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"{path}: expected groups in one of {', '.join(_READERS)}, found {path.suffix!r}")
    if not path.stat().st_size:
        raise ValueError(f"{path} is an empty file: expected {n} groups, found 0 bytes")
    return reader(path, column)


def _names_a_file(spec: str) -> bool:
    try:
        split_entry(spec)
    except FileNotFoundError:
        return Path(spec.partition(":")[0]).suffix.lower() in _READERS
    return True


def _read_metadata(files: Sequence[Path], column: str) -> Any:
    import pyarrow as pa

    columns = [read_column(path, column) for path in files]
    for path, values in zip(files, columns, strict=True):
        if values.type != columns[0].type:
            raise ValueError(
                f"column {column!r} must have one type: {files[0]} has {columns[0].type}, "
                f"{path} has {values.type}"
            )
    return pa.chunked_array([chunk for values in columns for chunk in values.chunks], columns[0].type)


def _read_parquet(path: Path, column: str | None) -> np.ndarray:
    return _codes(read_column(path, column))


def _codes(values: Any) -> np.ndarray:
    import pyarrow as pa

    if pa.types.is_floating(values.type):
        return values.to_numpy()  # nan is a missing entry, as a code it would be one more item
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    chunks = values.dictionary_encode().unify_dictionaries().chunks  # codes, not millions of str
    return np.concatenate([np.empty(0, dtype=np.int64), *(chunk.indices.to_numpy() for chunk in chunks)])


def _read_npy(path: Path, column: str | None) -> np.ndarray:
    if column is not None:
        raise ValueError(f"{path} has no columns, got the name {column!r}")
    file = read_npy(path)
    if file.dtype.kind not in "iufbSU":
        raise ValueError(f"{path} must hold names or numbers, got dtype {file.dtype}")
    return np.asarray(file.map())


def _read_txt(path: Path, column: str | None) -> np.ndarray:
    if column is not None:
        raise ValueError(f"{path} has no columns, got the name {column!r}")
    with open(path, encoding="utf-8-sig") as file:
        return _named([line.rstrip("\n") for line in _decoded(file, path)], str(path))


def _read_csv(path: Path, column: str | None) -> np.ndarray:
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(_decoded(file, path), strict=True)
        try:
            header = next(rows)
            column = choose_entry(
                path, dict.fromkeys(header, ""), name=column, eligible=header, wanted=COLUMN
            )
            if header.count(column) > 1:
                raise ValueError(f"{path} has {header.count(column)} columns called {column!r}, expected one")
            at, values = header.index(column), []
            for row in rows:
                if not row and len(header) > 1:
                    continue  # as csv.DictReader does
                cells = row or [""]  # in a file of one column a blank line is an empty cell
                if len(cells) != len(header):
                    raise ValueError(
                        f"{path}, line {rows.line_num}: expected {len(header)} cells as in the header, "
                        f"found {len(cells)}"
                    )
                values.append(cells[at])
        except csv.Error as error:
            raise ValueError(f"{path}, line {rows.line_num}, is not CSV: {error}") from error
    return _named(values, f"{path}:{column}")


def _read_jsonl(path: Path, column: str | None) -> np.ndarray:
    values: list[Any] = []
    with open(path, encoding="utf-8-sig") as file:
        for row, line in enumerate(_decoded(file, path)):
            try:
                item = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"{path}, line {row + 1}, is not JSON: {error}") from error
            if not isinstance(item, dict):
                raise ValueError(
                    f"{path}, line {row + 1}: expected a JSON object, found {type(item).__name__}"
                )
            if row == 0 or column not in item:
                where = path if row == 0 else Path(f"{path}, line {row + 1},")
                column = choose_entry(
                    where, dict.fromkeys(item, ""), name=column, eligible=list(item), wanted=COLUMN
                )
            value = item[column]
            if isinstance(value, dict | list):
                raise ValueError(
                    f"{path}:{column} must hold names or numbers, row {row} is a {type(value).__name__}"
                )
            values.append(value)
    return np.array(values, dtype=object)


def _decoded(lines: Any, path: Path) -> Any:
    try:
        yield from lines
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text file in UTF-8: {error}") from error


def _named(values: list[str], name: str) -> np.ndarray:
    if "" in values:
        raise ValueError(f"{name} has no entry for row {values.index('')}")
    return np.array(values)


_READERS: dict[str, Callable[[Path, str | None], np.ndarray]] = {
    ".npy": _read_npy,
    ".txt": _read_txt,
    ".csv": _read_csv,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}
