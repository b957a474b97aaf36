"""From a source to figures, as a user calls it."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from safetensors.numpy import load_file

from isthmus.align import read_provenance
from isthmus.cli import main
from isthmus.sources import Item, Source
from isthmus.store import Store
from tests.store.test_embedding import BAD, ROOT, Counting, Everything, Picture, source


@pytest.fixture
def run(run, monkeypatch):
    """Call the command line, with a stand-in for the source and the encoder."""

    def call(*words, items=None, encoder=None):
        def opened(name, *, split, on_error):
            assert (name, split) == ("stand:in", "val")
            found = source(60, bad=BAD, count=60) if items is None else items
            found.on_error = on_error
            return found

        monkeypatch.setattr("isthmus.cli.embed.open_source", opened)
        monkeypatch.setattr("isthmus.cli.embed.open_encoder", lambda name, **options: encoder or Counting())
        return run(*words)

    return call


@pytest.fixture
def embed(run, tmp_path):
    words = ("embed", "stand:in", "--split", "val", "--encoder", "stand-in", "--workers", 0)
    return lambda *more, **stand_in: run(*words, "--out", tmp_path / "s", *more, **stand_in)


def test_says_what_was_embedded_and_what_not(embed, tmp_path):
    code, out, err = embed("--on-error", "skip")
    assert (code, out) == (0, "")
    store = Store.open(tmp_path / "s")
    cut = store.origin.truncated["text"]
    assert f"{len(store)} rows of image, text from 48 items, " in err
    assert f" items/s: {tmp_path}/s\n" in err
    assert "12 items were skipped:\n  item 0 has no text, it has image\n" in err
    assert "  item 7: picture.jpg is cut short\n" in err
    assert f"  and 2 more, in {tmp_path}/s/manifest.json\n" in err
    assert f"{cut} of {len(store)} captions were longer than the encoder's limit and cut\n" in err
    assert "images were longer" not in err
    code, out, err = embed("--on-error", "skip", "--json")
    assert "s is complete, nothing was left to do\n" in err
    found = json.loads(out)
    assert (found["rows"], found["items"], found["skipped"]) == (len(store), 48, 12)
    assert found["modalities"]["text"] == {"encoder": "counting", "revision": "r1", "dim": 15}
    assert (found["source"], found["complete"], found["truncated"]["text"]) == ("stand-in", True, cut)


def test_options_reach_the_store(embed, tmp_path):
    words = ("--modality", "image", "--raw", "--dtype", "float16", "--limit", 5, "--precision", "bfloat16")
    code, _, err = embed(*words, "--shard-rows", 2, "--batch-size", 3, "--device", "cpu")
    assert code == 0, err
    store = Store.open(tmp_path / "s")
    assert (store.modalities, len(store), len(store.metadata)) == (("image",), 5, 3)
    assert store["image"][:].max() > 2
    origin = store.origin
    assert (origin.scale, origin.dtype, origin.precision) == ("raw", "float16", "bfloat16")


@pytest.mark.parametrize(
    "words, message",
    [
        ((), "isthmus: item 0 has no text, it has image\n"),
        (("--modality", "audio"), "cannot embed 'audio': stand-in has image, text"),
        (("--limit", "0"), "limit must be a whole number in [1, inf), got 0"),
        (("--dtype", "float64"), "--dtype"),
    ],
)
def test_bad_input_exits_2(embed, words, message):
    code, out, err = embed(*words)
    assert code == 2
    assert message in out + err
    assert "Traceback" not in err


def test_unknown_names_exit_2(monkeypatch, capsys, tmp_path):
    for words, message in (
        (("photos", "--encoder", "world"), "unknown source 'photos', expected one of folder"),
        (("stand:in", "--encoder", "world"), "unknown source 'stand'"),
    ):
        monkeypatch.setattr(sys, "argv", ["isthmus", "embed", *words, "--out", str(tmp_path / "s")])
        with pytest.raises(SystemExit, match="2"):
            main()
        assert message in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


@pytest.fixture
def two_files(embed, tmp_path):
    """Embed a store, and write the same rows and groups to files of their own."""
    assert embed("--on-error", "skip", "--shard-rows", 50)[0] == 0
    import pyarrow.parquet as pq

    store = Store.open(tmp_path / "s")
    groups = [g for path in store.metadata for g in pq.read_table(path)["group"].to_pylist()]
    (tmp_path / "groups.txt").write_text("\n".join(groups) + "\n")
    np.save(tmp_path / "x.npy", store["image"][:])
    np.save(tmp_path / "y.npy", store["text"][:])
    return tmp_path / "x.npy", tmp_path / "y.npy", "--groups", tmp_path / "groups.txt"


@pytest.mark.parametrize(
    "words", [("measure",), ("compare", "--aligner", "collapse", "linear", "--folds", 2), ("align", "--out")]
)
def test_a_store_gives_the_figures_of_two_files(run, tmp_path, two_files, words):
    found = {}
    for name, files in (("store", [tmp_path / "s"]), ("files", two_files)):
        out = [tmp_path / f"{name}.safetensors"] if words[-1] == "--out" else []
        verb, *options = (*words, *out)
        code, out, err = run(verb, *files, *options, "--json")
        assert code == 0, err
        found[name] = json.loads(out)
        found[name].pop("out", None)
        for figures in found[name].get("aligners", {}).values():
            figures.pop("fit_seconds", None)
    assert found["store"] == found["files"]
    assert found["store"]["items"] < 30 < 48
    if "align" in words:
        first, second = (load_file(tmp_path / f"{name}.safetensors") for name in found)
        assert first.keys() == second.keys()  # but for these, each file tells where its pairs come from
        assert all((first[name] == second[name]).all() for name in first)
        told = [read_provenance(tmp_path / f"{name}.safetensors") for name in found]
        assert [p.x.encoder is not None for p in told] == [True, False]


def test_explicit_groups_win(run, tmp_path, two_files):
    by_group = json.loads(run("measure", tmp_path / "s", "--json")[1])["items"]
    by_id = json.loads(run("measure", tmp_path / "s", "--groups", "id", "--json")[1])["items"]
    assert (by_group, by_id) == (len(set(two_files[3].read_text().split())), 48)


def test_any_two_modalities_are_measured(embed, run, tmp_path):
    media = {name: Picture(i) for i, name in enumerate(("image", "audio", "video"))}
    items = [Item(i, i, ("a dog", "dog " * int(i)), **media) for i in "1234"]
    every = Source("s", lambda: iter(items), modalities=("text", "image", "video", "audio"))

    class Numbered(Everything):
        preparation = staticmethod(lambda value, modality: (ord(modality[0]) - 90, len(str(value)), 1))

        def forward(self, prepared, modality):
            rows = super().forward(prepared, modality)
            rows[:, 2] = np.arange(len(rows)) + 1
            return rows

    assert embed(items=every, encoder=Numbered())[0] == 0
    figures = [
        json.loads(run("measure", tmp_path / "s", *words, "--json")[1])
        for words in ((), ("--modalities", "image", "text"), ("--modalities", "audio", "text"))
    ]
    assert figures[0] == figures[1] != figures[2]
    code, _, err = run("measure", tmp_path / "s", "--modalities", "audio")
    assert (code, "modalities must be two of one store, got audio" in err) == (2, True)
    for verb in (("compare",), ("align", "--out", tmp_path / "a.safetensors")):
        code, _, err = run(*verb, tmp_path / "s", "--modalities", "depth", "text")
        assert (code, "has no modality 'depth'" in err) == (2, True)


INTERRUPTED = """
import sys, time
import isthmus.cli.embed as verb
from isthmus.cli import main
from tests.store.test_embedding import Counting, source
Counting.pause = 0.02
verb.open_source = lambda name, **options: source(60)
verb.open_encoder = lambda name, **options: Counting()
sys.argv[1:1] = ["embed", "stand:in", "--encoder", "e", "--shard-rows", "10", "--batch-size", "4"]
main()
"""


def test_interrupt_exits_130_and_is_taken_up(tmp_path):
    command = [sys.executable, "-c", INTERRUPTED, "--out", tmp_path / "s", "--workers", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, cwd=ROOT)
    while not (tmp_path / "s" / "metadata" / "metadata_1.parquet").exists():
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 130
    assert (
        said == f"{tmp_path}/s keeps what it has: the same command goes on from there\nisthmus: interrupted\n"
    )
    assert 0 < Store.open(tmp_path / "s").origin.walked < 60
    again = subprocess.run(command, stderr=subprocess.PIPE, cwd=ROOT, check=True)
    assert b"rows of image, text from 50 items" in again.stderr
    assert Store.open(tmp_path / "s").origin.complete
