"""Files in every format that the store reads, made from the same rows."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

SUFFIXES = (".npy", ".npz", ".safetensors", ".pt", ".pth", ".parquet")


def write(path, rows, name="rows"):
    """Write `rows` to `path` in the format of its suffix, as the only entry, called `name`."""
    if path.suffix == ".npy":
        np.save(path, rows)
    elif path.suffix == ".npz":
        np.savez(path, **{name: rows})
    elif path.suffix == ".safetensors":
        save_file({name: rows}, path)
    elif path.suffix in (".pt", ".pth"):
        torch = pytest.importorskip("torch")
        torch.save({name: torch.tensor(rows)}, path)
    else:
        values = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])
        pq.write_table(pa.table({name: values}), path, row_group_size=7)
    return path


@pytest.fixture(name="write", scope="session")
def _write():
    return write


@pytest.fixture(params=SUFFIXES, scope="session")
def suffix(request):
    return request.param


@pytest.fixture
def rows():
    return np.random.default_rng(0).normal(size=(20, 8)).astype(np.float32)


@pytest.fixture
def layout(tmp_path):
    """Write a clip-retrieval folder of 3 + 4 rows, and return it."""
    rng = np.random.default_rng(1)
    for folder in ("img_emb", "text_emb", "metadata"):
        (tmp_path / "root" / folder).mkdir(parents=True)
    for shard, n in enumerate((3, 4)):
        for folder in ("img_emb", "text_emb"):
            path = tmp_path / "root" / folder / f"{folder}_{shard}.npy"
            np.save(path, rng.normal(size=(n, 5)).astype(np.float16))
        table = pa.table({"image_id": [f"im{shard}{i // 2}" for i in range(n)], "number": list(range(n))})
        pq.write_table(table, tmp_path / "root" / "metadata" / f"metadata_{shard}.parquet")
    return tmp_path / "root"


@pytest.fixture
def realdata():
    folder = Path(os.environ.get("ISTHMUS_REALDATA", Path(__file__).parents[3] / "shared" / "realdata"))
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is absent, and ISTHMUS_REALDATA does not name it")
    return folder
