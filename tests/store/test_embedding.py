import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from isthmus.encoders import Encoder
from isthmus.measure import measure
from isthmus.sources import BadItem, Item, Source
from isthmus.store import EmbeddingOptions, Store, embed, open_pairs
from isthmus.store.lock import locked

ROOT = Path(__file__).resolve().parents[2]
N = 40


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    """Let worker processes import this module."""
    monkeypatch.syspath_prepend(ROOT)


class Picture:
    """Draws the picture of an item when it is called; pictures of some items are bad."""

    def __init__(self, number, bad=None):
        self.number, self.bad = number, bad

    def __call__(self):
        if self.bad is not None:
            raise self.bad
        return np.random.default_rng(self.number).integers(1, 256, size=(6, 5, 3), dtype=np.uint8)


def captions_of(number):
    words = np.random.default_rng(1000 + number).choice(["dog", "cat", "red", "blue", "box"], size=(6, 7))
    return tuple(" ".join(row[: 2 + i]) for i, row in enumerate(words[: number % 6]))


def read(n=N, bad=None, entries=None):
    """Yield `n` items with 0 to 5 captions, a `BadItem` at some, and a bad picture at others."""
    for number in range(n):
        if entries and number in entries:
            yield BadItem(f"row {number}: no cell")
        picture = Picture(number, (bad or {}).get(number))
        yield Item(str(number), f"g{number // 2}", captions_of(number), image=picture)
    if entries and n in entries:
        yield BadItem(f"row {n}: no cell")


def source(n=N, *, on_error="skip", modalities=("image", "text"), name="stand-in", count=None, **options):
    return Source(
        name, lambda: read(n, **options), count=count, modalities=modalities, on_error=on_error
    )  # fmt: skip


def prepare(value, modality):
    """Return counts of bytes of a text, mean colours of the columns of an image."""
    if modality == "text":
        return np.frombuffer(value.encode(), np.uint8)
    if value.min() == 0:
        raise ValueError("a black pixel")
    return value.mean(axis=0, dtype=np.float32).ravel()  # (15,)


class Counting(Encoder):
    """Every row is computed on its own, so that batches cannot matter."""

    name, revision, modalities, dim = "counting", "r1", ("image", "text"), 15
    preparation = staticmethod(prepare)
    limit, zero, pause = 20, None, 0.0

    def forward(self, prepared, modality):
        assert 1 <= len(prepared) <= 64
        time.sleep(self.pause)
        rows = [
            np.bincount(value[: self.limit] % 15, minlength=15) if modality == "text" else value
            for value in prepared
        ]
        if self.zero and modality == "text":
            rows = [
                row * (self.zero not in bytes(value).decode())
                for row, value in zip(rows, prepared, strict=True)
            ]
        return np.stack(rows).astype(np.float32)

    def is_truncated(self, prepared, modality):
        return modality == "text" and len(prepared) > self.limit


def plain(n=N, *, unit=True):
    """Embed in a loop; return image and text rows, and the metadata."""
    encoder, x, y, names = Counting(), [], [], []
    for item in read(n):
        for caption in item.captions:
            x += [encoder.forward([prepare(item.load("image"), "image")], "image")[0]]
            y += [encoder.forward([prepare(caption, "text")], "text")[0]]
            names += [(item.id, item.group, caption)]
    scale = (lambda rows: rows / np.sqrt(np.einsum("nd,nd->n", rows, rows))[:, None]) if unit else np.array
    return scale(np.stack(x)), scale(np.stack(y)), names


def files(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def table(store):
    columns = [pq.read_table(path) for path in store.metadata]
    return [tuple(row.values()) for part in columns for row in part.to_pylist()]


@pytest.mark.parametrize("raw", [True, False])
def test_rows_are_those_of_a_plain_loop(tmp_path, raw):
    store = embed(source(), Counting(), tmp_path / "s", options=EmbeddingOptions(workers=0, raw=raw))
    x, y, names = plain(unit=not raw)
    assert store.modalities == ("image", "text")
    assert np.array_equal(store["image"][:], x)
    assert np.array_equal(store["text"][:], y)
    assert table(store) == names
    origin = Store.open(tmp_path / "s").origin
    uncaptioned = [i for i in range(N) if i % 6 == 0]
    assert (origin.items, origin.skipped, origin.walked) == (N - len(uncaptioned), len(uncaptioned), N)
    assert origin.messages[1] == "item 6 has no text, it has image"
    assert origin.truncated == {"image": 0, "text": sum(len(name[2]) > 20 for name in names)}
    assert (origin.scale, origin.complete, origin.source) == ("raw" if raw else "unit", True, "stand-in")
    assert store.encoders["text"] == {"encoder": "counting", "revision": "r1"}


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("batch_size, shard_rows", [(1, 8192), (7, 10), (64, 1), (64, 33)])
def test_workers_batches_and_shards_change_no_embedding(tmp_path, workers, batch_size, shard_rows):
    options = EmbeddingOptions(workers=workers, batch_size=batch_size, shard_rows=shard_rows)
    store = embed(source(), Counting(), tmp_path / "s", options=options)
    x, y, names = plain()
    assert np.array_equal(store["image"][:], x)
    assert np.array_equal(store["text"][:], y)
    assert table(store) == names
    for path in store.metadata:  # an item is never split, and no shard is larger than it must be
        rows = pq.read_table(path).to_pylist()
        assert len(rows) <= shard_rows or len({row["id"] for row in rows}) == 1
    alone = EmbeddingOptions(workers=0, batch_size=batch_size, shard_rows=shard_rows)
    embed(source(), Counting(), tmp_path / "alone", options=alone)
    assert files(tmp_path / "s") == files(tmp_path / "alone")


class Small(Counting):
    """The first of any two batches takes the longer."""

    small, calls = True, 0

    def forward(self, prepared, modality):
        self.calls += 1
        time.sleep(0.02 * (self.calls % 2))
        return super().forward(prepared, modality)


def test_batches_of_a_small_network_side_by_side_stay_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr("isthmus.store.forwarding.processors", lambda: 3)
    options = EmbeddingOptions(workers=0, batch_size=3, shard_rows=33)
    store = embed(source(), Small(), tmp_path / "s", options=options)
    x, y, _ = plain()
    assert np.array_equal(store["image"][:], x)
    assert np.array_equal(store["text"][:], y)


def test_an_error_of_a_small_network_is_raised_and_torch_gets_its_threads_back(tmp_path):
    class Broken(Small):
        def forward(self, prepared, modality):
            raise ArithmeticError(f"no {modality} today, with {torch.get_num_threads()} threads")

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(ArithmeticError, match="today, with 1 threads"):
            embed(source(), Broken(), tmp_path / "s", options=EmbeddingOptions(workers=0))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_without_text_a_row_is_an_item(tmp_path):
    options = EmbeddingOptions(modalities=("image",), workers=0, limit=7, dtype="float16")
    store = embed(source(), Counting(), tmp_path / "s", options=options)
    assert store.modalities == ("image",)
    assert store["image"].dtype == np.float16
    assert table(store) == [(str(i), f"g{i // 2}") for i in range(7)]


def test_only_texts_need_no_image(tmp_path):
    options = EmbeddingOptions(modalities=("text",), workers=0)
    store = embed(source(bad={3: OSError("disk")}), Counting(), tmp_path / "s", options=options)
    assert np.array_equal(store["text"][:], plain()[1])


def test_modalities_stand_in_one_order(tmp_path):
    options = EmbeddingOptions(modalities=("text", "image"), workers=0)
    assert embed(source(), Counting(), tmp_path / "s", options=options).modalities == ("image", "text")


class Lookup(Encoder):
    """Rows computed elsewhere, by id."""

    name, revision, modalities, dim = "lookup", "r", ("image", "text"), 2
    preparation = staticmethod(lambda value, modality: value)
    reads = "id"

    def forward(self, prepared, modality):
        return np.array([[float(i) for i in (value + "#9").split("#")[:2]] for value in prepared], np.float32)


def test_an_encoder_that_reads_ids_decodes_nothing(tmp_path):
    bad = dict.fromkeys(range(N), OSError("disk"))
    options = EmbeddingOptions(workers=0, raw=True)
    store = embed(source(bad=bad), Lookup(), tmp_path / "s", options=options)
    assert store["text"][:3].tolist() == [[1, 0], [2, 0], [2, 1]]
    assert store["image"][:3].tolist() == [[1, 9], [2, 9], [2, 9]]


BAD = {7: ValueError("picture.jpg is cut short"), 9: FileNotFoundError("no such file: picture.jpg")}


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_items_are_skipped_and_counted_in_order(tmp_path, workers):
    bad = source(bad=BAD, entries={8, 20, 39, 40})
    options = EmbeddingOptions(workers=workers, shard_rows=9)
    origin = embed(bad, Counting(), tmp_path / "s", options=options).origin
    expected = [
        *(f"item {i} has no text, it has image" for i in (0, 6)),
        "item 7: picture.jpg is cut short",
        "row 8: no cell",
        "item 9: no such file: picture.jpg",
        *(f"item {i} has no text, it has image" for i in (12, 18)),
        "row 20: no cell",
        *(f"item {i} has no text, it has image" for i in (24, 30, 36)),
        "row 39: no cell",
        "row 40: no cell",
    ]
    assert origin.messages == expected
    assert (origin.items, origin.skipped) == (N - 9, len(expected))
    assert sorted(bad.skipped) == sorted(expected)


def test_a_hundred_messages_are_kept(tmp_path):
    options = EmbeddingOptions(workers=0)
    origin = embed(source(900), Counting(), tmp_path / "s", options=options).origin
    assert (origin.skipped, len(origin.messages)) == (150, 100)


def test_bad_items_raise_unless_they_are_skipped(tmp_path):
    options = EmbeddingOptions(workers=0, modalities=("image",))
    for keywords, message in (
        ({"bad": BAD}, "item 7: picture.jpg is cut short"),
        ({"entries": {5}}, "row 5: no cell"),
    ):
        with pytest.raises(ValueError, match=message):
            embed(source(on_error="raise", **keywords), Counting(), tmp_path / "s", options=options)
    with pytest.raises(ImportError, match="isthmus"):
        missing = source(bad={3: ImportError('pip install "isthmus[media]"')})
        embed(missing, Counting(), tmp_path / "s", options=options)


@pytest.mark.parametrize("workers", [0, 2])
def test_zero_rows_are_bad_items(tmp_path, workers):
    encoder = Counting()
    encoder.zero = "red box"
    options = EmbeddingOptions(workers=workers, shard_rows=10)
    store = embed(source(), encoder, tmp_path / "s", options=options)
    lost = {name[0] for name in plain()[2] if "red box" in name[2]}
    assert lost
    x, y, names = plain()
    kept = [i for i, name in enumerate(names) if name[0] not in lost]
    assert table(store) == [names[i] for i in kept]
    assert np.array_equal(store["image"][:], x[kept])
    assert np.array_equal(store["text"][:], y[kept])
    messages = [m for m in store.origin.messages if "embedding is" in m]
    assert sorted(messages) == sorted(f"item {i}: its text embedding is zero or not finite" for i in lost)
    assert store.origin.truncated["text"] == sum(len(row[2]) > 20 for row in table(store))
    assert store.origin.items == len({row[0] for row in table(store)})


def test_what_is_too_long_for_float16_is_bad(tmp_path):
    class Long(Counting):
        def forward(self, prepared, modality):
            return super().forward(prepared, modality) * (1e6 if modality == "image" else 1)

    options = EmbeddingOptions(workers=0, raw=True, dtype="float16")
    with pytest.raises(ValueError, match="item 0: its image embedding is zero or not finite"):
        embed(
            source(on_error="raise"),
            Long(),
            tmp_path / "s",
            options=EmbeddingOptions(modalities=("image",), workers=0, raw=True, dtype="float16"),
        )
    with pytest.raises(
        ValueError, match=r"stand-in: found nothing to embed: 40 items, 40 skipped, the first"
    ):
        embed(source(), Long(), tmp_path / "t", options=options)


def test_media_that_cannot_be_pickled_are_decoded_here(tmp_path):
    items = [Item(i, i, ("a dog",), image=lambda: np.ones((2, 5, 3), np.uint8)) for i in "abc"]
    options = EmbeddingOptions(workers=2)
    assert len(embed(Source("s", lambda: iter(items)), Counting(), tmp_path / "s", options=options)) == 3


class Deadly:
    """Ends the process that decodes it."""

    def __call__(self):
        os._exit(3)


def test_an_end_of_a_worker_is_told(tmp_path):
    items = [Item(i, i, ("a dog",), image=Deadly()) for i in "abc"]
    with pytest.raises(ChildProcessError, match=r"a process that prepares items has ended.*0 workers"):
        embed(
            Source("s", lambda: iter(items)), Counting(), tmp_path / "s", options=EmbeddingOptions(workers=1)
        )


RUN = """
import sys
from tests.store.test_embedding import *
if sys.argv[2] == "slow":
    Counting.pause = 0.02
SOURCE = source(bad=BAD, entries={8, 20, 39, 40})
def tell(done, total):
    print(done, flush=True)
options = EmbeddingOptions(workers=int(sys.argv[3]), batch_size=4, shard_rows=10)
embed(SOURCE, Counting(), sys.argv[1], options=options, progress=tell)
"""


def start(root, *words):
    return subprocess.Popen(
        [sys.executable, "-c", RUN, root, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_killed_run_ends_in_the_same_bytes(tmp_path, workers):
    alone = start(tmp_path / "alone", "fast", workers)
    assert alone.communicate()[1] == ""
    starts = []
    for shard in (1, 4):
        process = start(tmp_path / "killed", "slow", workers)
        starts.append(int(process.stdout.readline()))
        while not (tmp_path / "killed" / f"metadata/metadata_{shard}.parquet").exists():
            assert process.poll() is None
            time.sleep(0.002)
        process.kill()
        process.communicate()
        origin = Store.open(tmp_path / "killed").origin
        assert not origin.complete
        assert 0 < origin.walked < N
    last = start(tmp_path / "killed", "fast", workers)
    out, err = last.communicate()
    assert (last.returncode, err) == (0, "")
    starts.append(int(out.split()[0]))
    assert starts == sorted(set(starts)), "each begins where the one before had got to"
    assert files(tmp_path / "killed") == files(tmp_path / "alone")


def test_a_kill_before_the_last_word_changes_nothing(tmp_path, monkeypatch):
    options = EmbeddingOptions(workers=0, shard_rows=20)
    bad = {"bad": BAD, "entries": {8, 39, 41}}
    embed(source(41, **bad), Counting(), tmp_path / "alone", options=options)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "describe", lambda self, origin: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            embed(source(41, **bad), Counting(), tmp_path / "s", options=options)
    assert files(tmp_path / "s") != files(tmp_path / "alone")
    embed(source(41, **bad), Counting(), tmp_path / "s", options=options)
    assert files(tmp_path / "s") == files(tmp_path / "alone")


def test_workers_end_with_their_parent(tmp_path):
    process = start(tmp_path / "s", "slow", "2")
    process.stdout.readline()
    process.stdout.readline()
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not children.exists():
        process.kill()
        pytest.skip("no /proc")
    workers = children.read_text().split()
    assert len(workers) >= 2
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline, "a worker has outlived its parent"
        time.sleep(0.01)


def test_a_complete_store_is_left_alone(tmp_path):
    options, calls = EmbeddingOptions(workers=0), []
    for _ in range(2):
        store = embed(
            source(count=N), Counting(), tmp_path / "s", options=options, progress=lambda *c: calls.append(c)
        )
        before = files(tmp_path / "s")
    assert calls == [(i, N) for i in range(N + 1)]
    assert store.origin.complete
    assert files(tmp_path / "s") == before


class Other(Counting):
    """Another encoder."""

    name, revision = "other", "r2"


@pytest.mark.parametrize(
    "changed, there, asked",
    [
        ({"encoder": Other()}, "encoder counting, revision r1", "encoder other, revision r2"),
        ({"source": source(name="mine")}, "source stand-in", "source mine"),
        ({"raw": True}, "scale unit", "scale raw"),
        ({"limit": 10}, "limit 25", "limit 10"),
        ({"dtype": "float16"}, "dtype float32", "dtype float16"),
        ({"precision": "bfloat16"}, "precision float32", "precision bfloat16"),
        ({"modalities": ("text",)}, "modalities image, text", "modalities text"),
    ],
)
def test_a_store_of_something_else_is_refused(tmp_path, changed, there, asked):
    options = {"workers": 0, "limit": 25}
    embed(source(), Counting(), tmp_path / "s", options=EmbeddingOptions(**options))
    before = files(tmp_path / "s")
    given = {"source": source(), "encoder": Counting()} | changed
    first, second = given.pop("source"), given.pop("encoder")
    message = rf"^{tmp_path}/s holds {there}, asked for was {asked}: embed into another folder$"
    with pytest.raises(ValueError, match=message):
        embed(first, second, tmp_path / "s", options=EmbeddingOptions(**options | given))
    assert files(tmp_path / "s") == before


def test_other_folders_are_refused(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"expected a new or empty folder, found notes.txt"):
        embed(source(), Counting(), tmp_path, options=EmbeddingOptions(workers=0))
    assert list(files(tmp_path)) == ["notes.txt"]
    Store.create(tmp_path / "hand", {"image": {"encoder": "e"}})
    with pytest.raises(ValueError, match=r"hand is a store that was not made by embedding"):
        embed(source(), Counting(), tmp_path / "hand", options=EmbeddingOptions(workers=0))


def test_one_process_embeds_at_a_time(tmp_path):
    (tmp_path / "s").mkdir()
    with (
        locked(tmp_path / "s" / ".embedding.lock", timeout=0),
        pytest.raises(TimeoutError, match=rf"another process is embedding into {tmp_path}/s"),
    ):
        embed(source(), Counting(), tmp_path / "s", options=EmbeddingOptions(workers=0))
    assert len(embed(source(), Counting(), tmp_path / "s", options=EmbeddingOptions(workers=0)))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"dtype": "int8"}, r"dtype must be one of \('float32', 'float16'\), got 'int8'"),
        ({"precision": "float8"}, "precision must be one of"),
        ({"batch_size": 0}, r"batch_size must be a whole number in \[1, inf\), got 0"),
        ({"shard_rows": 0}, "shard_rows must be"),
        ({"workers": -1}, r"workers must be a whole number in \[0, inf\), got -1"),
        ({"limit": 0}, "limit must be"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        EmbeddingOptions(**options)


def test_modalities_that_are_not_shared(tmp_path):
    with pytest.raises(
        ValueError, match="cannot embed 'audio': stand-in has image, text; counting embeds image, text"
    ):
        embed(source(), Counting(), tmp_path / "s", options=EmbeddingOptions(modalities=("audio",)))
    with pytest.raises(
        ValueError, match="no modality to embed: stand-in has video; counting embeds image, text"
    ):
        embed(source(modalities=("video",)), Counting(), tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_groups_of_an_embedded_store_come_by_themselves(tmp_path):
    store = embed(source(), Counting(), tmp_path / "s", options=EmbeddingOptions(workers=0))
    pairs = open_pairs(tmp_path / "s")
    names = [row[1] for row in table(store)]
    assert pairs.groups.tolist() == open_pairs(tmp_path / "s", groups=names).groups.tolist()
    assert len(set(pairs.groups)) == len(set(names)) < len({row[0] for row in table(store)})
    x, y, _ = plain()
    found = measure(pairs.x, pairs.y, groups=pairs.groups).to_dict()
    assert found == measure(x, y, groups=np.array(names)).to_dict()
    assert len(set(open_pairs(tmp_path / "s", groups="id").groups)) > len(set(names))


class Everything(Encoder):
    """Four modalities in one space."""

    name, revision, modalities, dim = "everything", "r", ("text", "video", "audio", "image"), 3
    preparation = staticmethod(lambda value, modality: (ord(modality[0]) - 90, len(str(value)), 1))

    def forward(self, prepared, modality):
        return np.array(prepared, np.float32)


def test_any_two_of_four_modalities(tmp_path):
    media = {name: Picture(i) for i, name in enumerate(("image", "audio", "video"))}
    items = [Item(i, i, ("a dog", "dog " * int(i)), **media) for i in "123"]
    every = Source("s", lambda: iter(items), modalities=("text", "image", "video", "audio"))
    options = EmbeddingOptions(workers=0)
    store = embed(every, Everything(), tmp_path / "s", options=options)
    assert store.modalities == ("image", "audio", "video", "text")
    root = tmp_path / "s"
    assert open_pairs(root).names == (f"{root}/img_emb", f"{root}/text_emb")
    assert open_pairs(root, modalities=["text", "audio"]).names == (f"{root}/text_emb", f"{root}/audio_emb")
    for modalities in (["image"], ["image", "image"], ["image", "text", "audio"]):
        with pytest.raises(ValueError, match=f"modalities must be two of one store, got {modalities[0]}"):
            open_pairs(root, modalities=modalities)
    with pytest.raises(ValueError, match=r"has no modality 'depth', it has image, audio, video, text"):
        open_pairs(root, modalities=["depth", "text"])


def test_text_is_the_second_of_a_pair_wherever_it_stands(tmp_path):
    store = Store.create(tmp_path / "s", {name: {"encoder": "e"} for name in ("text", "depth", "audio")})
    store.append({"text": np.eye(3), "depth": np.eye(3), "audio": np.eye(3)})
    assert store.pairs.names == (f"{tmp_path}/s/depth_emb", f"{tmp_path}/s/text_emb")
    assert open_pairs(tmp_path / "s").groups is None


def test_a_call_that_wrote_no_row_does_not_hold_the_folder(tmp_path):
    options = EmbeddingOptions(workers=0)
    none = Source("none", lambda: iter(()), modalities=("image", "text"))
    with pytest.raises(ValueError, match="found nothing to embed"):
        embed(none, Counting(), tmp_path / "s", options=options)
    assert len(embed(source(), Counting(), tmp_path / "s", options=options))


@pytest.mark.parametrize("other", [{"batch_size": 3}, {"shard_rows": 7}])
def test_a_store_begun_in_other_batches_is_refused(tmp_path, other):
    embed(source(), Counting(), tmp_path / "s", options=EmbeddingOptions(workers=0))
    with pytest.raises(ValueError, match=f"holds {next(iter(other))} .*, asked for was {next(iter(other))}"):
        embed(source(), Counting(), tmp_path / "s", options=EmbeddingOptions(workers=0, **other))
