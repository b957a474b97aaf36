import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from isthmus.store import open_embeddings, write_mapped
from isthmus.store import writing as module


@pytest.fixture
def rows():
    return np.random.default_rng(0).normal(size=(100, 6)).astype(np.float32)


def halve(x):
    return x[:, ::2] * 2


class Killed(BaseException):
    pass


def killed_after(calls):
    left = iter(range(calls))

    def mapping(x):
        if next(left, None) is None:
            raise Killed
        return halve(x)

    return mapping


@pytest.fixture
def sources(tmp_path, rows):
    """Path of the same rows in every format, by suffix."""
    paths = {s: tmp_path / f"x{s}" for s in (".npy", ".npz", ".safetensors", ".parquet")}
    np.save(paths[".npy"], rows)
    np.savez(paths[".npz"], image=rows)
    save_file({"image": rows}, paths[".safetensors"])
    kinds = pa.list_(pa.float32(), 6), pa.list_(pa.float32())
    for kind, path in zip(kinds, (paths[".parquet"], tmp_path / "variable.parquet"), strict=True):
        table = pa.table({"id": np.arange(100), "image": pa.array(list(rows), kind)})
        pq.write_table(table, path, row_group_size=33)
    paths["variable"] = tmp_path / "variable.parquet"
    paths["shards"] = tmp_path / "img_emb"
    paths["shards"].mkdir()
    for k, part in enumerate(np.array_split(rows, 12)):
        np.save(paths["shards"] / f"img_emb_{k}.npy", part)
    try:
        import torch
    except ImportError:
        return paths
    paths[".pt"] = tmp_path / "x.pt"
    torch.save({"image": torch.as_tensor(rows)}, paths[".pt"])
    return paths


def spec(path):
    return f"{path}:image" if path.suffix in (".npz", ".safetensors", ".parquet", ".pt") else path


def files(path):
    return {p.name: p.read_bytes() for p in path.glob("*")} if path.is_dir() else path.read_bytes()


@pytest.mark.parametrize("kind", [".npy", ".npz", ".safetensors", ".parquet", "variable", "shards", ".pt"])
@pytest.mark.parametrize("calls", [0, 1, 3, 5, 13])
def test_every_format_comes_out_as_it_came_in_also_when_killed(
    monkeypatch, tmp_path, sources, rows, kind, calls
):
    if kind not in sources:
        pytest.skip("torch is an extra")
    monkeypatch.setattr(module, "_BLOCK_ROWS", 7)
    monkeypatch.setattr(module, "_SAVE_SECONDS", 0)
    source = sources[kind]
    alone, resumed = tmp_path / f"alone{source.suffix}", tmp_path / f"resumed{source.suffix}"
    assert write_mapped(spec(source), alone, halve, identity="a") == 100
    assert (np.asarray(open_embeddings(spec(alone))) == halve(rows)).all()
    with pytest.raises(Killed):
        write_mapped(spec(source), resumed, killed_after(calls), identity="a")
    assert not resumed.exists()
    again = []
    write_mapped(spec(source), resumed, lambda x: again.append(len(x)) or halve(x), identity="a")
    assert files(resumed) == files(alone)
    per_call = 4 if kind == "shards" else 7  # a shard of 8 rows takes two calls
    assert sum(again) <= 100 - per_call * (calls - 2)  # what was done is not done again
    assert sorted(tmp_path.glob("*.partial")) == []


@pytest.mark.parametrize("calls", range(1, 8))
def test_a_shard_half_done_and_not_saved_is_done_again(monkeypatch, tmp_path, sources, rows, calls):
    monkeypatch.setattr(module, "_BLOCK_ROWS", 3)
    monkeypatch.setattr(module, "_SAVE_SECONDS", 1e9)
    with pytest.raises(Killed):
        write_mapped(sources["shards"], tmp_path / "out", killed_after(calls), identity="a")
    write_mapped(sources["shards"], tmp_path / "out", halve, identity="a")
    assert (np.asarray(open_embeddings(tmp_path / "out")) == halve(rows)).all()


def test_parquet_keeps_its_other_columns(tmp_path, sources, rows):
    for kind in (".parquet", "variable"):
        target = tmp_path / f"out-{sources[kind].name}"
        write_mapped(spec(sources[kind]), target, halve, identity="a")
        table = pq.read_table(target)
        assert table["id"].to_pylist() == list(range(100))
        assert pq.ParquetFile(target).num_row_groups == 4
        fixed = pa.types.is_fixed_size_list(table["image"].type)
        assert fixed == (kind == ".parquet")


def test_half_precision_stays_half(tmp_path, rows):
    np.save(tmp_path / "x.npy", rows.astype(np.float16))
    write_mapped(tmp_path / "x.npy", tmp_path / "y.npy", lambda x: x.astype(np.float32), identity="a")
    assert np.load(tmp_path / "y.npy").dtype == np.float16


def test_unfinished_work_of_another_mapping_is_not_taken_up(monkeypatch, tmp_path, sources, rows):
    monkeypatch.setattr(module, "_BLOCK_ROWS", 7)
    monkeypatch.setattr(module, "_SAVE_SECONDS", 0)
    with pytest.raises(Killed):
        write_mapped(sources[".npy"], tmp_path / "y.npy", killed_after(5), identity="a")
    write_mapped(sources[".npy"], tmp_path / "y.npy", lambda x: x, identity="b")
    assert (np.load(tmp_path / "y.npy") == rows).all()


def test_progress_reaches_the_end(monkeypatch, tmp_path, sources):
    monkeypatch.setattr(module, "_BLOCK_ROWS", 7)
    for kind in (".npy", "shards"):
        seen = []
        target = tmp_path / f"seen{sources[kind].suffix}"
        write_mapped(sources[kind], target, halve, identity="a", progress=lambda n, m: seen.append((n, m)))  # noqa: B023
        assert seen == sorted(seen)
        assert seen[-1] == (100, 100)


def test_errors(tmp_path, sources):
    with pytest.raises(FileExistsError, match=r"x.npy exists: remove it"):
        write_mapped(sources[".npy"], sources[".npy"], halve, identity="a")
    with pytest.raises(ValueError, match=r"y.npz must be of the same kind as .*x.npy: suffix '.npy'"):
        write_mapped(sources[".npy"], tmp_path / "y.npz", halve, identity="a")
    with pytest.raises(FileNotFoundError, match="no such folder"):
        write_mapped(sources[".npy"], tmp_path / "none" / "y.npy", halve, identity="a")


def test_what_was_read_is_what_is_replaced(tmp_path, rows):
    """Other entries of the file, of types that do not hold embeddings, are not taken for them."""
    tags = pa.array([["a", "b"]] * 100)
    table = pa.table(
        {"tags": tags, "id": np.arange(100), "emb": pa.array(list(rows), pa.list_(pa.float32()))}
    )
    pq.write_table(table, tmp_path / "x.parquet")
    write_mapped(tmp_path / "x.parquet", tmp_path / "y.parquet", halve, identity="a")
    found = pq.read_table(tmp_path / "y.parquet")
    assert found["tags"].to_pylist() == tags.to_pylist()
    assert (np.array(found["emb"].to_pylist(), np.float32) == halve(rows)).all()
    save_file({"aids": np.ones((100, 2), np.int64), "emb": rows}, tmp_path / "x.safetensors")
    write_mapped(tmp_path / "x.safetensors", tmp_path / "y.safetensors", halve, identity="a")
    assert (np.asarray(open_embeddings(f"{tmp_path}/y.safetensors:emb")) == halve(rows)).all()
    np.savez(tmp_path / "x.npz", names=np.array([{}], object), emb=rows)
    write_mapped(tmp_path / "x.npz", tmp_path / "y.npz", halve, identity="a")
    assert (np.asarray(open_embeddings(f"{tmp_path}/y.npz:emb")) == halve(rows)).all()


def test_a_dict_of_one_tensor_stays_a_dict(tmp_path, rows):
    torch = pytest.importorskip("torch", reason="torch is an extra")
    torch.save({"only": torch.as_tensor(rows)}, tmp_path / "x.pt")
    write_mapped(tmp_path / "x.pt", tmp_path / "y.pt", halve, identity="a")
    assert list(torch.load(tmp_path / "y.pt", weights_only=True)) == ["only"]


def test_unfinished_work_on_rows_that_have_changed_since_is_not_taken_up(
    monkeypatch, tmp_path, sources, rows
):
    monkeypatch.setattr(module, "_BLOCK_ROWS", 7)
    monkeypatch.setattr(module, "_SAVE_SECONDS", 0)
    with pytest.raises(Killed):
        write_mapped(sources[".npy"], tmp_path / "y.npy", killed_after(5), identity="a")
    np.save(sources[".npy"], -rows)
    write_mapped(sources[".npy"], tmp_path / "y.npy", halve, identity="a")
    assert (np.load(tmp_path / "y.npy") == halve(-rows)).all()


def test_a_folder_of_someone_elses_is_left_alone(tmp_path, sources):
    (tmp_path / "y.npy.partial").mkdir()
    (tmp_path / "y.npy.partial" / "mine.txt").write_text("precious")
    with pytest.raises(FileExistsError, match=r"y.npy.partial exists and is not an unfinished run's"):
        write_mapped(sources[".npy"], tmp_path / "y.npy", halve, identity="a")
    assert (tmp_path / "y.npy.partial" / "mine.txt").read_text() == "precious"


def test_two_at_once_do_not_meet(tmp_path, sources):
    def second(x):
        with pytest.raises(TimeoutError, match="another process holds"):
            write_mapped(sources[".npy"], tmp_path / "y.npy", halve, identity="a")
        return halve(x)

    assert write_mapped(sources[".npy"], tmp_path / "y.npy", second, identity="a") == 100
