"""Embeddings mapped block by block into a new file of the format they came in; stoppable and resumable."""

import json
import os
import shutil
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.checks import blocks
from isthmus.store.entries import split_entry
from isthmus.store.lock import locked
from isthmus.store.opening import open_embeddings, open_entry
from isthmus.whole import refuse_existing

_BLOCK_ROWS = 8192
_SAVE_SECONDS = 1.0

Mapping = Callable[[np.ndarray], np.ndarray]


def write_mapped(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    mapping: Mapping,
    *,
    identity: str,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write ``mapping(rows)`` of the embeddings in `source` to `target`, in the format of `source`.

    Rows are mapped in blocks into a scratch file beside the target, which is
    there at the end or not at all. A run that was killed is taken up where it
    was by calling again, and ends in the same bytes.

    Parameters
    ----------
    source : str or Path
        As for :func:`open_embeddings`. A folder gives a folder of as many
        shards. A parquet file keeps its other columns; of other files that
        hold several arrays, only the one that is mapped is written, under its name.
    target : str or Path
        Where to write; must not exist, and have the suffix of `source`.
    mapping : callable
        From rows (m, dim) to rows (m, dim_out).
    identity : str
        Tells this mapping from others: an unfinished target of another one is started afresh.
    progress : callable, optional
        Called with rows done and rows in all.

    Returns
    -------
    int
        Rows written.

    Raises
    ------
    FileExistsError
        `target` exists, or something that is not isthmus's is where the scratch folder would be.
    TimeoutError
        Another process is writing `target`.
    ValueError
        Its suffix is not that of `source`, or `source` is bad.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> np.save(folder / "x.npy", np.eye(3))
    >>> write_mapped(folder / "x.npy", folder / "y.npy", lambda rows: 2 * rows, identity="twice")
    3
    >>> np.load(folder / "y.npy")[0]
    array([2., 0., 0.])
    """
    file, target = split_entry(source)[0], Path(target)
    _check_target(file, target)
    scratch = target.with_name(target.name + ".partial")
    rows, name = open_entry(source)
    claim(scratch)
    with locked(scratch / "lock", timeout=0):
        _start_afresh_unless(scratch, f"{identity} {name} {_state_of(file)}")
        written = _write(rows, mapping, file, name=name, scratch=scratch, progress=progress)
        os.replace(written, target)
        shutil.rmtree(scratch)
    return len(rows)


def _write(
    rows: Any, mapping: Mapping, file: Path, *, name: str | None, scratch: Path, progress: Any
) -> Path:
    """Write the mapped rows into the scratch folder, and return where they lie."""
    total = len(rows)
    if file.is_dir():
        written, done = scratch / "shards", 0
        written.mkdir(exist_ok=True)
        for shard in sorted(file.glob("*.npy"), key=lambda path: (len(path.name), path.name)):
            part = open_embeddings(shard)
            if not (written / shard.name).exists():
                _map_rows(part, mapping, scratch, lambda n, done=done: progress and progress(done + n, total))
                (scratch / "done.json").unlink()  # it is of this shard, not of the next
                os.replace(scratch / "rows.npy", written / shard.name)
            done += len(part)
    else:
        _map_rows(rows, mapping, scratch, lambda n: progress and progress(n, total))
        written = scratch / f"written{file.suffix}"
        _WRITERS[file.suffix.lower()](scratch / "rows.npy", written, file, name)
    return written


def _check_target(file: Path, target: Path) -> None:
    refuse_existing(target)
    if target.suffix.lower() != file.suffix.lower():
        raise ValueError(f"{target} must be of the same kind as {file}: suffix {file.suffix!r}")
    if not target.absolute().parent.is_dir():
        raise FileNotFoundError(f"no such folder: {target.absolute().parent}")


def claim(scratch: Path) -> None:
    """Make the scratch folder, or take up one that an earlier run made."""
    try:
        scratch.mkdir()
        (scratch / "lock").touch()
    except FileExistsError:
        if not (scratch / "lock").exists():
            raise FileExistsError(
                f"{scratch} exists and is not an unfinished run's: remove it, or write elsewhere"
            ) from None


def _start_afresh_unless(scratch: Path, identity: str) -> None:
    label = scratch / "identity.txt"
    if label.exists() and label.read_text() == identity:
        return
    for path in scratch.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "lock":
            path.unlink()
    label.write_text(identity)


def _state_of(file: Path) -> str:
    """What changes when a file or a folder's files do."""
    files = sorted(file.rglob("*.npy")) if file.is_dir() else [file]
    return " ".join(f"{f.absolute()} {f.stat().st_size} {f.stat().st_mtime_ns}" for f in files)


def _map_rows(rows: Any, mapping: Mapping, scratch: Path, tell: Callable[[int], Any]) -> None:
    """Map rows into ``rows.npy``, from where an earlier call got to."""
    path, state = scratch / "rows.npy", scratch / "done.json"
    done = json.loads(state.read_text())["rows"] if state.exists() and path.exists() else 0
    out = np.load(path, mmap_mode="r+", allow_pickle=False) if done else None
    saved = time.monotonic()
    for block in blocks(len(rows), rows.shape[1], _BLOCK_ROWS):
        if block.stop <= done:
            continue
        mapped = mapping(np.asarray(rows[block]))
        if out is None:
            shape = len(rows), mapped.shape[1]
            out = np.lib.format.open_memmap(path, mode="w+", dtype=rows.dtype, shape=shape)
        out[block] = mapped
        tell(block.stop)
        if time.monotonic() - saved > _SAVE_SECONDS or block.stop == len(rows):
            out.flush()
            partial = state.with_suffix(".writing")
            partial.write_text(json.dumps({"rows": block.stop}))
            os.replace(partial, state)
            saved = time.monotonic()
    del out


def _write_npy(mapped: Path, target: Path, source: Path, name: str | None) -> None:
    os.replace(mapped, target)


def _write_npz(mapped: Path, target: Path, source: Path, name: str) -> None:
    with zipfile.ZipFile(target, "w") as archive, archive.open(f"{name}.npy", "w", force_zip64=True) as out:
        np.lib.format.write_array(out, np.load(mapped, mmap_mode="r"), allow_pickle=False)


def _write_safetensors(mapped: Path, target: Path, source: Path, name: str) -> None:
    from safetensors.numpy import save_file

    save_file({name: np.load(mapped, mmap_mode="r")}, target)


def _write_torch(mapped: Path, target: Path, source: Path, name: str | None) -> None:
    import torch

    tensor = torch.from_numpy(np.load(mapped))
    torch.save(tensor if name is None else {name: tensor}, target)


def _write_parquet(mapped: Path, target: Path, source: Path, name: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, start = np.load(mapped, mmap_mode="r"), 0
    held = pq.ParquetFile(source)
    at = held.schema_arrow.get_field_index(name)
    fixed = pa.types.is_fixed_size_list(held.schema_arrow.field(at).type)
    kind = pa.list_(pa.from_numpy_dtype(rows.dtype), rows.shape[1] if fixed else -1)
    schema = held.schema_arrow.set(at, pa.field(name, kind))
    with pq.ParquetWriter(target, schema) as writer:
        for group in range(held.num_row_groups):
            table = held.read_row_group(group)
            block = np.ascontiguousarray(rows[start : start + len(table)])
            start += len(table)
            flat = pa.array(block.ravel())
            offsets = np.arange(len(block) + 1, dtype=np.int32) * block.shape[1]
            column = (
                pa.FixedSizeListArray.from_arrays(flat, type=kind)
                if fixed
                else pa.ListArray.from_arrays(offsets, flat, type=kind)
            )
            writer.write_table(table.set_column(at, schema.field(at), column).cast(schema))


_WRITERS: dict[str, Callable[..., None]] = {
    ".npy": _write_npy,
    ".npz": _write_npz,
    ".safetensors": _write_safetensors,
    ".pt": _write_torch,
    ".pth": _write_torch,
    ".parquet": _write_parquet,
}
