import os
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pyarrow.parquet as pq
import pytest

from isthmus.store import Store, open_embeddings, open_pairs
from isthmus.store.lock import locked

ENCODERS = {"image": {"encoder": "ViT-B-32", "revision": "abc"}, "text": {"encoder": "ViT-B-32"}}


def batch(seed, n=3, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=(n, 4)).astype(dtype) for name in ("image", "text")}


def described(*names):
    return {"image_id": list(names), "number": list(range(len(names)))}


@pytest.fixture
def root(tmp_path):
    """Write a store of two shards, of 3 and 2 rows, with metadata."""
    store = Store.create(tmp_path / "store", ENCODERS)
    store.append(batch(0), described("a", "a", "b"))
    store.append(batch(1, n=2), described("b", "c"))
    return tmp_path / "store"


def files(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def whole(modality="image"):
    return np.concatenate([batch(0)[modality], batch(1, n=2)[modality]])


def test_gives_back_what_was_appended(root):
    for verify in (True, False):
        store = Store.open(root, verify=verify)
        assert len(store) == 5
        assert store.modalities == ("image", "text")
        assert store.encoders == {
            "image": {"encoder": "ViT-B-32", "revision": "abc"},
            "text": {"encoder": "ViT-B-32", "revision": None},
        }
        for modality in store.modalities:
            assert np.array_equal(store[modality][:], whole(modality))
    assert [len(pq.read_table(path)) for path in store.metadata] == [3, 2]
    with pytest.raises(ValueError, match="no modality 'audio', it has image, text"):
        store["audio"]


def test_opens_as_pairs(root):
    pairs = Store.open(root).pairs
    assert np.array_equal(pairs.x[:], whole())
    assert np.array_equal(pairs.y[:], whole("text"))
    assert pairs.names == (f"{root}/img_emb", f"{root}/text_emb")
    assert open_pairs(root, groups="image_id").groups.tolist() == [0, 0, 1, 1, 2]
    assert np.array_equal(open_embeddings(root / "text_emb")[:], whole("text"))


def test_the_first_two_modalities_are_the_pair(tmp_path):
    store = Store.create(tmp_path / "s", {name: {"encoder": "e"} for name in ("audio", "text", "image")})
    with pytest.raises(ValueError, match="audio has no rows yet"):
        store.pairs  # noqa: B018
    store.append({"audio": np.eye(3), "text": np.eye(3) + 1, "image": np.ones((3, 2))})
    assert store.pairs.names == (f"{tmp_path}/s/audio_emb", f"{tmp_path}/s/text_emb")
    assert np.array_equal(open_pairs(tmp_path / "s").y[:], np.eye(3) + 1)
    single = Store.create(tmp_path / "one", {"audio": {"encoder": "e"}})
    with pytest.raises(ValueError, match="expected two modalities, found audio"):
        single.pairs  # noqa: B018


def test_the_plain_layout_reader_reads_it_without_its_manifest(root):
    (root / "manifest.json").unlink()
    pairs = open_pairs(root, groups="image_id")
    assert np.array_equal(pairs.x[:], whole())
    assert pairs.groups.tolist() == [0, 0, 1, 1, 2]
    assert np.array_equal(np.load(root / "img_emb" / "img_emb_1.npy"), batch(1, n=2)["image"])


def test_appends_any_kind_of_array_in_blocks(tmp_path, root, monkeypatch):
    monkeypatch.setattr("isthmus.checks.BLOCK_BYTES", 32)
    rows = Store.open(root)["image"]
    store = Store.create(tmp_path / "copy", {"image": {"encoder": "e"}})
    store.append({"image": rows})
    store.append({"image": np.asfortranarray(rows).astype(">f4")})
    assert np.array_equal(Store.open(tmp_path / "copy")["image"][:], np.concatenate([whole(), whole()]))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_appends_any_memory_order_and_dtype(tmp_path, dtype):
    store = Store.create(tmp_path / "s", {"image": {"encoder": "e"}})
    rows = batch(0)["image"].astype(dtype)
    for array in (np.asfortranarray(rows), rows[::-1], rows.tolist() if dtype == np.float64 else rows):
        store.append({"image": array})
    found = Store.open(tmp_path / "s")["image"]
    assert found.dtype == dtype
    assert np.array_equal(found[:], np.concatenate([rows, rows[::-1], rows]))


def test_files_that_are_not_in_the_manifest_are_ignored(root):
    np.save(root / "img_emb" / "img_emb_2.npy", np.ones((9, 9)))
    (root / "text_emb" / "notes.npy").touch()
    (root / "metadata" / "metadata_2.parquet").touch()
    assert np.array_equal(open_embeddings(root / "img_emb")[:], whole())
    assert open_pairs(root, groups="image_id").groups.tolist() == [0, 0, 1, 1, 2]
    Store.open(root).append(batch(2), described("a", "b", "c"))
    assert np.array_equal(Store.open(root)["image"][5:], batch(2)["image"])


BAD = [
    ({"image": np.ones((2, 4))}, None, "expected the modalities image, text, found image"),
    ({**batch(2), "audio": np.ones((3, 4))}, None, "image, text, found image, text, audio"),
    (batch(2) | {"text": np.ones((2, 4))}, None, "image has 3 rows, text has 2"),
    (
        batch(2) | {"text": np.zeros((3, 4))},
        None,
        r"embeddings\['text'\] has 3 zero rows, the first is row 0",
    ),
    (
        batch(2) | {"image": np.full((3, 4), np.nan)},
        None,
        r"embeddings\['image'\] has 3 (NaN or infinite|non-finite) rows",
    ),
    (batch(2) | {"image": np.ones(3)}, None, r"embeddings\['image'\] must have shape \(n, dim\), got \(3,\)"),
    (batch(2) | {"text": np.ones((3, 5), np.float32)}, None, "expected dim 4 and dtype float32, found dim 5"),
    (batch(2) | {"text": np.ones((3, 4))}, None, "expected dim 4 and .*, found dim 4 and dtype float64"),
    (batch(2), None, r"metadata: expected .*, image_id \(string\), number \(int64\), found none"),
    (batch(2), {"image_id": ["a"] * 3}, r"number \(int64\), found image_id \(string\)$"),
    (batch(2), {"image_id": [1] * 3, "number": [1] * 3}, r"found image_id \(int64\), number \(int64\)"),
    (batch(2), described("a"), r"metadata\['image_id'\] has 1 entries, the embeddings have 3 rows"),
    (batch(2), {"image_id": ["a", 1, 2]}, r"metadata\['image_id'\] must hold values of one type"),
    (batch(2), {}, "metadata: expected at least one column, found none"),
]


@pytest.mark.parametrize("embeddings, metadata, message", BAD)
def test_bad_rows_write_nothing(root, embeddings, metadata, message):
    before = files(root)
    with pytest.raises(ValueError, match=message):
        Store.open(root).append(embeddings, metadata)
    assert files(root) == before


def test_metadata_comes_first_or_never(tmp_path):
    store = Store.create(tmp_path / "s", ENCODERS)
    store.append(batch(0))
    with pytest.raises(ValueError, match=r"expected the columns in the store, none, found image_id"):
        store.append(batch(1), described("a", "b", "c"))
    assert open_pairs(tmp_path / "s").metadata is None


@pytest.mark.parametrize(
    "encoders, message",
    [
        ({}, "expected modalities with a folder each, found none"),
        ({"image": {"encoder": "a"}, "img": {"encoder": "a"}}, "folder each, found img_emb, img_emb"),
        ({"../up": {"encoder": "a"}}, r"letters, digits, _ and -, found '../up'"),
        (
            {"image": {"revision": "a"}},
            r"encoders\['image'\]: expected the keys 'encoder' .* found \['revision'\]",
        ),
        ({"image": {"encoder": "a", "dim": "3"}}, r"found \['dim', 'encoder'\]"),
    ],
)
def test_bad_encoders_create_nothing(tmp_path, encoders, message):
    with pytest.raises(ValueError, match=message):
        Store.create(tmp_path / "s", encoders)
    assert not (tmp_path / "s").exists()


def test_create_needs_a_new_or_empty_folder(tmp_path, root):
    before = files(root)
    with pytest.raises(ValueError, match=r"expected a new or empty folder, found img_emb, manifest.json"):
        Store.create(root, ENCODERS)
    assert files(root) == before
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="file is a file, expected a new or empty folder"):
        Store.create(tmp_path / "file", ENCODERS)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "photo.jpg").touch()
    with pytest.raises(ValueError, match=r"expected a new or empty folder, found photo.jpg"):
        Store.create(tmp_path / "full", ENCODERS)
    assert list(files(tmp_path / "full")) == ["photo.jpg"]
    (tmp_path / "empty").mkdir()
    assert len(Store.create(tmp_path / "empty", ENCODERS)) == 0


CRASH = """
import os, sys
import numpy as np
from isthmus.store import Store
calls = 0
def crash(function):
    def wrapped(*args):
        global calls
        calls += 1
        if calls == int(sys.argv[2]):
            os._exit(9)
        return function(*args)
    return wrapped
os.replace, os.fsync = crash(os.replace), crash(os.fsync)
rows = np.ones((6, 4), np.float32)
Store.open(sys.argv[1]).append({"image": rows, "text": rows}, {"image_id": ["z"] * 6, "number": [9] * 6})
print(calls)
"""


def run(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )


def test_a_crash_at_any_point_leaves_the_old_store(root):
    before = files(root)
    for step in (
        1,
        2,
        3,
        5,
        8,
        10,
        11,
    ):  # a file is: fsync, rename, fsync of the folder; the manifest is 10-12
        crashed = run(CRASH, root, step)
        crashed.communicate()
        assert crashed.returncode == 9
        store = Store.open(root)
        assert np.array_equal(store["text"][:], whole("text"))
        assert np.array_equal(open_embeddings(root / "img_emb")[:], whole())
        after = files(root)
        assert {name: after[name] for name in before} == before
    final = run(CRASH, root, 0)
    assert final.communicate()[0] == "12\n"
    assert np.array_equal(Store.open(root)["image"][:], np.concatenate([whole(), np.ones((6, 4))]))
    assert not list(root.rglob("*.tmp"))


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_a_failed_rename_leaves_the_old_store_and_no_temporary_file(root, monkeypatch, step):
    replaced = []

    def fail(source, target):
        replaced.append(target.name)
        if len(replaced) == step:
            raise OSError(28, "No space left on device")
        os.rename(source, target)

    store = Store.open(root)
    monkeypatch.setattr("isthmus.store.shard.os.replace", fail)
    with pytest.raises(OSError, match="No space left"):
        store.append(batch(2), described("a", "b", "c"))
    assert replaced == ["img_emb_2.npy", "text_emb_2.npy", "metadata_2.parquet", "manifest.json"][:step]
    assert len(store) == len(Store.open(root)) == 5
    assert not list(root.rglob("*.tmp"))
    monkeypatch.undo()
    store.append(batch(3, n=4), described(*"abcd"))
    assert np.array_equal(Store.open(root)["image"][5:9], batch(3, n=4)["image"])


APPEND = """
import sys
import numpy as np
from isthmus.store import Store
store = Store.open(sys.argv[1])
print("ready", flush=True)
for i in range(15):
    rows = np.full((2, 4), int(sys.argv[2]) + i, np.float32)
    store.append({"image": rows, "text": rows}, {"image_id": ["z"] * 2, "number": [9] * 2})
"""


def test_two_processes_that_append_at_once_lose_nothing(root):
    writers = [run(APPEND, root, start) for start in (100, 200)]
    for writer in writers:
        writer.communicate(timeout=120)
        assert writer.returncode == 0
    store = Store.open(root)
    assert len(store) == 5 + 2 * 2 * 15
    values = sorted(store["text"][5:][:, 0])
    assert values == sorted([*range(100, 115), *range(200, 215)] * 2)


def test_a_lock_that_is_held_is_named(root, monkeypatch):
    monkeypatch.setattr("isthmus.store.store._LOCK_SECONDS", 0.1)
    before = files(root)
    with (
        locked(root / ".lock", timeout=0),
        pytest.raises(TimeoutError, match=r"another process holds .*/\.lock"),
    ):
        Store.open(root).append(batch(2), described("a", "b", "c"))
    assert files(root) == before
    Store.open(root).append(batch(2), described("a", "b", "c"))


def test_two_processes_that_create_at_once_make_one_store(tmp_path, monkeypatch):
    @contextmanager
    def late(path, *, timeout):
        with locked(path, timeout=timeout):
            (path.parent / "manifest.json").write_text("of the other")
            yield

    monkeypatch.setattr("isthmus.store.store.locked", late)
    with pytest.raises(ValueError, match=r"expected a new or empty folder, found manifest.json"):
        Store.create(tmp_path / "s", ENCODERS)
    assert (tmp_path / "s" / "manifest.json").read_text() == "of the other"


def test_a_lock_is_waited_for(tmp_path):
    holder = run(
        "import sys, time; from pathlib import Path; from isthmus.store.lock import locked\n"
        "with locked(Path(sys.argv[1]), timeout=0):\n"
        "    print('held', flush=True); time.sleep(0.3)",
        tmp_path / ".lock",
    )
    assert holder.stdout.readline() == "held\n"
    start = time.monotonic()
    with locked(tmp_path / ".lock", timeout=30):
        assert time.monotonic() - start > 0.1
    holder.communicate()
