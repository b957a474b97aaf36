import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus.store import open_pairs

NAMES = ["dog", "dog", "cat", "dög"]
NUMBERS = [0, 0, 1, 2]


@pytest.fixture
def groups_of(tmp_path):
    """Open four pairs with the groups in file `name`, of this content."""
    np.save(tmp_path / "x.npy", np.eye(4))

    def read(name, content):
        path = tmp_path / name.partition(":")[0]
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        elif isinstance(content, np.ndarray):
            np.save(path, content, allow_pickle=True)
        else:
            pq.write_table(pa.table(content), path)
        return open_pairs(tmp_path / "x.npy", tmp_path / "x.npy", groups=str(tmp_path / name)).groups

    return read


def lines(items):
    return "".join(json.dumps(item) + "\n" for item in items)


@pytest.mark.parametrize(
    "name, content",
    [
        ("g.npy", np.array([7, 7, 3, 5])),
        ("g.npy", np.array(NAMES)),
        ("g.txt", "dog\ndog\ncat\ndög\n"),
        ("g.txt", "dog\r\ndog\r\ncat\r\nd\u2028og"),
        ("g.csv", "id\ndog\ndog\ncat\ndög\n"),
        ("g.csv:id", '\ufeffid,caption\ndog,"a, b"\ndog,"two\nlines"\n\ncat,\ndög,x\n'),
        ("g.csv:caption", "id,caption\n1,a\n2,a\n3,b\n4,c"),
        ("g.jsonl", lines({"id": name} for name in NAMES)),
        ("g.jsonl:id", lines({"caption": str(i), "id": i} for i in (5, 5, 4, 9))),
        ("g.parquet", {"id": NAMES}),
        ("g.parquet:id", {"id": pa.array(NAMES).dictionary_encode(), "caption": ["", "", "", ""]}),
        ("g.parquet:id", {"id": [5, 5, 2, 3], "embedding": [[1.0]] * 4}),
        ("g.parquet:id", {"id": [5.0, 5.0, 2.0, 3.0]}),
    ],
)
def test_every_format(groups_of, name, content):
    groups = groups_of(name, content)
    assert groups.dtype == np.int64
    assert groups.tolist() == NUMBERS


def test_array_like(tmp_path):
    np.save(tmp_path / "x.npy", np.eye(4))
    for groups in (NAMES, np.array([9, 9, 1, 2]), tuple(NAMES)):
        assert open_pairs(tmp_path / "x.npy", tmp_path / "x.npy", groups=groups).groups.tolist() == NUMBERS
    with pytest.raises(ValueError, match="groups has 2 entries, the embeddings have 4 rows"):
        open_pairs(tmp_path / "x.npy", tmp_path / "x.npy", groups=["a", "b"])


@pytest.mark.parametrize(
    "name, content",
    [
        ("g.npy", np.arange(3)),
        ("g.txt", "a\nb\nc\n"),
        ("g.csv:id", "id,n\na,1\nb,1\nc,1\n"),
        ("g.jsonl:id", lines({"id": i} for i in range(3))),
        ("g.parquet:id", {"id": ["a", "b", "c"]}),
    ],
)
def test_wrong_length(groups_of, name, content):
    with pytest.raises(ValueError, match=rf"{name} has 3 entries, the embeddings have 4 rows"):
        groups_of(name, content)


@pytest.mark.parametrize(
    "content",
    ["id,caption\na,b\n", lines([{"id": 1, "caption": 2}]), {"id": [1], "caption": ["a"]}],
    ids=["csv", "jsonl", "parquet"],
)
def test_unknown_and_unnamed_column(groups_of, content):
    suffix = "parquet" if isinstance(content, dict) else "csv" if content[0] == "i" else "jsonl"
    with pytest.raises(ValueError, match=rf"g.{suffix} has no entry 'url', it has id.*, caption"):
        groups_of(f"g.{suffix}:url", content)
    with pytest.raises(
        ValueError, match=rf"g.{suffix}: expected one column.*, found 2: id, caption; .*g.{suffix}:id"
    ):
        groups_of(f"g.{suffix}", content)


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("g.txt", "a\n\nb\nc", "g.txt has no entry for row 1"),
        ("g.csv:id", "id,n\na,1\nb,1\n,1\nd,1\n", "g.csv:id has no entry for row 2"),
        ("g.csv", "id\na\n\nb\nc\n", "g.csv:id has no entry for row 1"),
        ("g.jsonl", lines({"id": i} for i in ("a", "b", "c", None)), "g.jsonl has no entry for row 3"),
        (
            "g.jsonl",
            lines({"id": i} for i in ("a", float("nan"), "c", "d")),
            "g.jsonl has no entry for row 1",
        ),
        ("g.jsonl:id", lines([{"id": 1}, {"n": 2}]), r"g.jsonl, line 2, has no entry 'id', it has n"),
        ("g.parquet", {"id": ["a", "b", None, "d"]}, "g.parquet:id has no entry for row 2"),
        ("g.parquet", {"id": [1.0, float("nan"), 1.0, 2.0]}, "g.parquet has no entry for row 1"),
        ("g.npy", np.array([1, np.nan, 2, 2]), "g.npy has no entry for row 1"),
    ],
)
def test_missing_entries(groups_of, name, content, message):
    with pytest.raises(ValueError, match=message):
        groups_of(name, content)


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("g.csv:id", "id,n\na,1\nb\n", "g.csv, line 3: expected 2 cells as in the header, found 1"),
        ("g.csv:id", "id,id\na,1\n", "g.csv has 2 columns called 'id', expected one"),
        ("g.csv:id", 'id,n\n"a"b,1\n', "g.csv, line 2, is not CSV: "),
        ("g.csv", b"id\n\xff\xfe\n", "g.csv is not a text file in UTF-8: "),
        ("g.txt", b"\xff\xfe\n", "g.txt is not a text file in UTF-8: "),
        ("g.jsonl", b'{"id": "\xff"}\n', "g.jsonl is not a text file in UTF-8: "),
        ("g.jsonl", '{"id": 1}\n{"id":', "g.jsonl, line 2, is not JSON: "),
        ("g.jsonl", '{"id": 1}\n\n', "g.jsonl, line 2, is not JSON: "),
        ("g.jsonl", "[1]\n", "g.jsonl, line 1: expected a JSON object, found list"),
        ("g.jsonl", '{"id": [1]}\n', "g.jsonl:id must hold names or numbers, row 0 is a list"),
        ("g.parquet:e", {"e": [[1.0]]}, "g.parquet:e: expected column of names or numbers, found list"),
        ("g.parquet", b"PAR1 no more", "g.parquet is not a readable .parquet file"),
        ("g.npy", np.array([{}, {}], dtype=object), "g.npy holds Python objects"),
        ("g.npy", np.ones((4, 1)), r"g.npy must name one item per row, shape \(n,\), got shape \(4, 1\)"),
        ("g.npy", np.ones(4, complex), "g.npy must hold names or numbers, got dtype complex128"),
        ("g.npy:id", np.arange(4), "g.npy has no columns, got the name 'id'"),
        ("g.txt:id", "a\n", "g.txt has no columns, got the name 'id'"),
        ("g.xls", "a", "g.xls: expected groups in one of .npy, .txt, .csv, .jsonl, .parquet, found '.xls'"),
        *((f"g.{suffix}", b"", "empty file: expected 4 groups, found 0 bytes")
          for suffix in ("npy", "txt", "csv", "jsonl", "parquet")),
    ],
)  # fmt: skip
def test_bad_files(groups_of, name, content, message):
    with pytest.raises(ValueError, match=message):
        groups_of(name, content)


def test_missing_file(tmp_path):
    np.save(tmp_path / "x.npy", np.eye(4))
    with pytest.raises(FileNotFoundError, match=r"no such file or folder: nope.csv:id"):
        open_pairs(tmp_path / "x.npy", tmp_path / "x.npy", groups="nope.csv:id")


def test_a_column_of_the_metadata(layout):
    assert open_pairs(layout, groups="image_id").groups.tolist() == [0, 0, 1, 2, 2, 3, 3]
    assert open_pairs(layout, groups=range(7)).groups.tolist() == list(range(7))
    path = layout / "metadata" / "metadata_0.parquet"
    with pytest.raises(ValueError, match=r"metadata_0.parquet has no entry 'url', it has image_id.*, number"):
        open_pairs(layout, groups="url")
    with pytest.raises(FileNotFoundError, match=r"nope.csv"):
        open_pairs(layout, groups="nope.csv:image_id")
    pq.write_table(pa.table({"image_id": [1, 2, 3]}), path)
    with pytest.raises(
        ValueError, match=r"one type: .*metadata_0.parquet has int64, .*metadata_1.parquet has string"
    ):
        open_pairs(layout, groups="image_id")
    pq.write_table(pa.table({"image_id": ["a", "b"]}), path)
    with pytest.raises(ValueError, match="metadata:image_id has 6 entries, the embeddings have 7 rows"):
        open_pairs(layout, groups="image_id")
    path.unlink()
    with pytest.raises(ValueError, match=r"missing shard metadata_0.parquet"):
        open_pairs(layout, groups="image_id")
    assert len(open_pairs(layout)) == 7
