import re
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from isthmus.store import open_embeddings


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_format_gives_back_the_rows(tmp_path, write, suffix, rows, dtype):
    rows = rows.astype(dtype)
    path = write(tmp_path / f"a{suffix}", rows)
    for spec in (path, str(path)) if suffix == ".npy" else (path, f"{path}:rows"):
        found = open_embeddings(spec)
        assert found.dtype == dtype
        assert np.array_equal(found, rows)


@pytest.mark.parametrize("suffix", [".npy", ".safetensors"])
def test_is_mapped_read_only(tmp_path, write, suffix, rows):
    found = open_embeddings(write(tmp_path / f"a{suffix}", rows))
    assert isinstance(found, np.memmap)
    assert not found.flags.writeable


def test_uppercase_suffix_and_a_colon_in_the_name_of_a_file(tmp_path, write, rows):
    write(tmp_path / "a.npz", rows + 1, name="rows.NPZ")
    (tmp_path / "b.npz").write_bytes(write(tmp_path / "c.npz", rows).read_bytes())
    (tmp_path / "b.npz").rename(tmp_path / "a.npz:rows.NPZ")
    assert np.array_equal(
        open_embeddings(f"{tmp_path}/a.npz:rows.NPZ"), rows
    )  # a file of that name comes first


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".pt", ".parquet"])
def test_an_entry_is_named_or_the_only_one_that_would_do(tmp_path, write, suffix, rows):
    path = tmp_path / f"a{suffix}"
    others = {"ids": np.arange(20), "one": np.ones(20, np.float32)}
    save_entries(path, {"image": rows, **others})
    assert np.array_equal(open_embeddings(path), rows)
    with pytest.raises(
        ValueError, match=rf"{re.escape(str(path))}:ids: expected .*float.*, found .*(?i:int64|i64)"
    ):
        open_embeddings(f"{path}:ids")
    with pytest.raises(ValueError, match=r"a\.\w+ has no entry 'nope', it has (?=.*image).*ids"):
        open_embeddings(f"{path}:nope")
    save_entries(path, {"image": rows, "text": rows * 2, **others})
    assert np.array_equal(open_embeddings(f"{path}:text"), rows * 2)
    with pytest.raises(ValueError, match=r"found 2: image, text; name one, as in .*:image"):
        open_embeddings(path)
    save_entries(path, others)
    with pytest.raises(ValueError, match=r"expected .*float.*, found .*ids .*(?i:int64|i64)"):
        open_embeddings(path)


def save_entries(path, entries):
    if path.suffix == ".npz":
        np.savez(path, **entries)
    elif path.suffix == ".safetensors":
        save_file(entries, path)
    elif path.suffix == ".parquet":
        pq.write_table(pa.table({key: value.tolist() for key, value in entries.items()}).cast(
            pa.schema([(k, pa.list_(pa.float32()) if v.ndim == 2 else pa.from_numpy_dtype(v.dtype))
                       for k, v in entries.items()])), path)  # fmt: skip
    else:
        torch = pytest.importorskip("torch")
        torch.save({key: torch.tensor(value) for key, value in entries.items()}, path)


def test_npy_of_three_dimensions(tmp_path, rows):
    path = tmp_path / "both.npy"
    np.save(path, np.stack([rows, rows * 2]))
    assert np.array_equal(open_embeddings(f"{path}:0"), rows)
    assert np.array_equal(open_embeddings(f"{path}:1"), rows * 2)
    with pytest.raises(
        ValueError, match=r"\(n, dim\), got \(2, 20, 8\).* 2 entries of shape \(20, 8\), .*both.npy:0"
    ):
        open_embeddings(path)
    for name in ("2", "-1", "x", ""):
        with pytest.raises(ValueError, match=rf"no entry '{name}', its shape \(2, 20, 8\) has 0 to 1"):
            open_embeddings(f"{path}:{name}")


@pytest.mark.parametrize(
    "array, found",
    [
        (np.ones(5), r"float64 of shape \(5,\)"),
        (np.ones((2, 2), int), r"int64 of shape \(2, 2\)"),
        (np.ones((2, 2), complex), "complex128"),
        (np.ones((2, 2, 2, 2)), r"float64 of shape \(2, 2, 2, 2\)"),
        (np.float32(1), r"float32 of shape \(\)"),
    ],
)
def test_npy_that_holds_something_else(tmp_path, array, found):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ValueError, match=rf"a.npy: expected float16, .* of shape \(n, dim\), found {found}"):
        open_embeddings(tmp_path / "a.npy")


def test_npy_in_fortran_order_and_without_names(tmp_path, rows):
    np.save(tmp_path / "a.npy", np.asfortranarray(rows))
    assert np.array_equal(open_embeddings(tmp_path / "a.npy"), rows)
    with pytest.raises(
        ValueError, match=r"a.npy is one array of shape \(20, 8\) without names, got the name 'x'"
    ):
        open_embeddings(f"{tmp_path}/a.npy:x")


def test_compressed_npz(tmp_path, rows):
    np.savez_compressed(tmp_path / "a.npz", rows=rows)
    assert np.array_equal(open_embeddings(tmp_path / "a.npz"), rows)


def test_bfloat16_becomes_float32(tmp_path, rows):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file as save_torch

    tensor = torch.tensor(rows).bfloat16()
    save_torch({"a": tensor}, tmp_path / "a.safetensors")
    torch.save(tensor, tmp_path / "a.pt")
    for path in ("a.safetensors", "a.pt"):
        found = open_embeddings(tmp_path / path)
        assert found.dtype == np.float32
        assert np.array_equal(found, tensor.float().numpy())


def test_torch_tensors_with_and_without_a_dict(tmp_path, rows):
    torch = pytest.importorskip("torch")
    torch.save(torch.nn.Parameter(torch.tensor(rows)), tmp_path / "a.pt")
    assert np.array_equal(open_embeddings(tmp_path / "a.pt"), rows)
    with pytest.raises(
        ValueError, match=r"a.pt is one float32 of shape \(20, 8\) without names, got the name 'x'"
    ):
        open_embeddings(f"{tmp_path}/a.pt:x")
    torch.save(torch.tensor(rows).T, tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
    assert np.array_equal(open_embeddings(tmp_path / "legacy.pt"), rows.T)
    torch.save({"a": torch.tensor(rows), "epoch": 3}, tmp_path / "dict.pt")
    assert np.array_equal(open_embeddings(tmp_path / "dict.pt"), rows)
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ValueError, match=r"list.pt: expected float16, .* or a dict of them, found list"):
        open_embeddings(tmp_path / "list.pt")
    torch.save(torch.tensor(rows).to_sparse(), tmp_path / "sparse.pt")
    with pytest.raises(ValueError, match=r"sparse.pt: expected"):
        open_embeddings(tmp_path / "sparse.pt")


def test_without_torch_the_error_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "a.pt").write_bytes(b"any")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r'a.pt needs torch: pip install "isthmus\[train\]"'):
        open_embeddings(tmp_path / "a.pt")


@pytest.mark.parametrize("value_type", [pa.float16(), pa.float32(), pa.float64()])
@pytest.mark.parametrize("kind", ["list", "large_list", "fixed"])
def test_parquet_lists_over_row_groups(tmp_path, rows, value_type, kind, monkeypatch):
    monkeypatch.setattr("isthmus.store.parquet_files._BATCH_ROWS", 3)
    types = {
        "list": pa.list_(value_type),
        "large_list": pa.large_list(value_type),
        "fixed": pa.list_(value_type, 8),
    }
    rows = rows.astype(value_type.to_pandas_dtype())
    table = pa.table({"e": pa.array(list(rows), types[kind]), "id": range(20)})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=7)
    found = open_embeddings(tmp_path / "a.parquet")
    assert found.dtype == rows.dtype
    assert np.array_equal(found, rows)


@pytest.mark.parametrize(
    "change, message",
    [
        ({13: [1.0, 2.0]}, "a.parquet:e has rows of different lengths: row 0 has 8 values, row 13 has 2"),
        ({0: [1.0], 5: []}, "row 0 has 1 values, row 1 has 8"),
        (
            {9: None, 12: None},
            "a.parquet:e has no embedding for row 9: expected a list of floats, found null",
        ),
        ({0: None}, "no embedding for row 0"),
        ({11: [1.0] * 7 + [None]}, "a.parquet:e has a null among the values of row 11"),
    ],
)
def test_parquet_rows_that_are_no_embedding(tmp_path, rows, change, message, monkeypatch):
    monkeypatch.setattr("isthmus.store.parquet_files._BATCH_ROWS", 4)
    lists = rows.tolist()
    for row, value in change.items():
        lists[row] = value
    pq.write_table(pa.table({"e": lists}), tmp_path / "a.parquet", row_group_size=7)
    with pytest.raises(ValueError, match=message):
        open_embeddings(tmp_path / "a.parquet")


def test_unknown_suffix_and_missing_file(tmp_path, suffix):
    (tmp_path / "a.bin").write_bytes(b"x")
    with pytest.raises(
        ValueError, match=rf"a.bin: expected one of .*{re.escape(suffix)}.* found the suffix '.bin'"
    ):
        open_embeddings(tmp_path / "a.bin")
    for spec in (f"nope{suffix}", f"nope{suffix}:rows"):
        with pytest.raises(FileNotFoundError, match=f"no such file or folder: .*{re.escape(spec)}"):
            open_embeddings(tmp_path / spec)
