"""Parquet files: embeddings in a list column, item names in a plain one."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.store.entries import choose_entry

_BATCH_ROWS = 8192  # rows decoded at a time


def open_parquet(path: Path, name: str | None) -> tuple[np.ndarray, str]:
    """Return the embeddings in list column `name`, read row group by row group, and its name.

    Raises
    ------
    ValueError
        The file is bad, has no such column, or a row of it is null or of another length.
    """
    import pyarrow as pa

    with _opened(path) as file:
        types = {field.name: field.type for field in file.schema_arrow}
        column = choose_entry(
            path,
            {key: str(kind) for key, kind in types.items()},
            name=name,
            eligible=[
                key
                for key, kind in types.items()
                if (
                    pa.types.is_fixed_size_list(kind)
                    or pa.types.is_list(kind)
                    or pa.types.is_large_list(kind)
                )
                and pa.types.is_floating(kind.value_type)
            ],
            wanted="list column of float16, float32 or float64",
        )
        return _read_lists(file, column, name=f"{path}:{column}"), column


def read_column(path: Path, column: str | None) -> Any:
    """Return a plain column, as a ``pyarrow.ChunkedArray`` without nulls.

    Raises
    ------
    ValueError
        The file is bad, has no such column, or the column is nested or has a null.
    """
    import pyarrow as pa

    with _opened(path) as file:
        types = {field.name: field.type for field in file.schema_arrow}
        column = choose_entry(
            path,
            {key: str(kind) for key, kind in types.items()},
            name=column,
            eligible=[key for key, kind in types.items() if not pa.types.is_nested(kind)],
            wanted="column of names or numbers",
        )
        values = file.read(columns=[column]).column(column)
    if values.null_count:
        row = int(np.argmax(values.is_null().to_numpy()))
        raise ValueError(f"{path}:{column} has no entry for row {row}")
    return values


@contextmanager
def _opened(path: Path) -> Generator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, memory_map=True, page_checksum_verification=True) as file:
            yield file
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"{path} is not a readable .parquet file, or is cut short: {reason}") from error


def _read_lists(file: Any, column: str, *, name: str) -> np.ndarray:
    n = file.metadata.num_rows
    out, row = np.empty((0, 0)), 0
    for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=[column]):
        lists = batch.column(column)
        if lists.null_count:
            at = row + int(np.argmax(lists.is_null().to_numpy(zero_copy_only=False)))
            raise ValueError(f"{name} has no embedding for row {at}: expected a list of floats, found null")
        lengths = lists.value_lengths().to_numpy()
        if not row:
            dim = int(lengths[0])
            out = np.empty((n, dim), dtype=lists.type.value_type.to_pandas_dtype())
        if (lengths != out.shape[1]).any():
            at = int(np.argmax(lengths != out.shape[1]))
            raise ValueError(
                f"{name} has rows of different lengths: row 0 has {out.shape[1]} values, "
                f"row {row + at} has {lengths[at]}"
            )
        values = lists.flatten()
        if values.null_count:
            at = row + int(np.argmax(values.is_null().to_numpy(zero_copy_only=False))) // out.shape[1]
            raise ValueError(f"{name} has a null among the values of row {at}")
        out[row : row + len(batch)] = values.to_numpy().reshape(len(batch), -1)
        row += len(batch)
    if row != n or 0 in out.shape:
        raise ValueError(
            f"{name} is empty or cut short: expected {n} rows, found {row} of dim {out.shape[1]}"
        )
    return out
