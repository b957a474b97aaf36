"""Captioners from the command line."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from isthmus.cli import captions
from isthmus.encoders import open_encoder
from isthmus.sources import Item, Source, open_source
from isthmus.store import EmbeddingOptions, Store, embed

SOURCE = "world:24?captions=2"
TINY = """
method: C3
std: 0.02
prefix: 2
width: 16
layers: 1
heads: 2
vocabulary: 300
positions: 40
epochs: 2
batch_size: 16
warmup: 5
held_out: 0.1
device: cpu
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("caption") / "store"
    options = EmbeddingOptions(modalities=("image", "text"), workers=0)
    embed(open_source(SOURCE), open_encoder("world", device="cpu"), root, options=options)
    return root


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="module")
def trained(store, tmp_path_factory):
    from isthmus.decode.data import CaptionData
    from isthmus.decode.settings import CaptionTraining, read_settings
    from isthmus.decode.training import train_captioner

    folder = tmp_path_factory.mktemp("trained")
    (folder / "tiny.yaml").write_text(TINY)
    settings = CaptionTraining.from_dict(read_settings(folder / "tiny.yaml"))
    return train_captioner(CaptionData.from_store(Store.open(store)), settings, folder=folder / "run").folder


def files(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and p.name != ".lock"}


def test_train_says_what_it_did_and_flags_win(run, store, config, tmp_path):
    words = ("caption", "train", store, "--out", tmp_path / "run", "--config", config, "--epochs", 1)
    code, out, err = run(*words)
    assert (code, out) == (0, ""), err
    assert "epoch 1 of 1, loss " in err
    assert "tokens/s" in err
    assert "C3 from 44 captions of 22 items, epoch 1 of 1 kept, held-out loss " in err
    assert f", noise of std 0.02: {tmp_path / 'run'}\n" in err
    story = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (story["settings"]["epochs"], story["settings"]["width"]) == (1, 16)
    assert story["encoders"]["image"]["encoder"] == "world"
    before = files(tmp_path / "run")
    code, out, err = run(*words, "--json")
    assert code == 0
    assert f"{tmp_path}/run is complete, nothing was left to do\n" in err
    assert json.loads(out)["history"] == story["history"]
    assert files(tmp_path / "run") == before
    code, _, err = run(*words, "--seed", 3)
    assert (code, "seed is 0 there and 3 here" in err) == (2, True)


@pytest.mark.parametrize(
    "line, words, message",
    [
        ("epoch: 3", (), "tiny.yaml: unknown setting 'epoch', did you mean 'epochs'?"),
        ("", ("--method", "C4"), "isthmus: method must be one of C1, "),
        ("", ("--std", "much"), "--std"),
        (
            "",
            ("--method", "CLIPRe", "--epochs", 3, "--batch-size", 9),
            "isthmus: epochs, batch_size: does not apply to CLIPRe, which trains no network",
        ),
        (
            "method: CLIPRe",
            (),
            "epochs, batch_size, warmup: does not apply to CLIPRe, which trains no network",
        ),
        ("", ("--method", "ClipCap", "--modality", "audio"), "has no audio, it has image, text"),
        ("", ("--from", "nowhere"), "nowhere is not a captioner's run: no nowhere/run.json"),
    ],
)
def test_bad_settings_exit_2(run, store, config, tmp_path, line, words, message):
    config.write_text(TINY + line)
    code, out, err = run("caption", "train", store, "--out", tmp_path / "run", "--config", config, *words)
    assert code == 2
    assert message in out + err
    assert "Traceback" not in err
    assert not (tmp_path / "run").exists()


def test_a_store_that_tells_too_little_exits_2(run, tmp_path):
    made = Store.create(tmp_path / "images", {"image": {"encoder": "mine"}})
    made.append({"image": np.eye(4)}, {"id": list("abcd")})
    for place, message in (
        (tmp_path / "images", "images has no text, it has image"),
        (tmp_path, "is not a store"),
    ):
        code, _, err = run("caption", "train", place, "--out", tmp_path / "run")
        assert (code, message in err) == (2, True), err


def test_a_line_per_item_the_same_from_store_and_source(run, store, trained, tmp_path):
    found = {}
    for name, place in (("store", store), ("source", SOURCE)):
        out = tmp_path / f"{name}.jsonl"
        code, printed, err = run("caption", "write", trained, place, "--out", out, "--device", "cpu")
        assert (code, printed) == (0, ""), err
        assert err.startswith("24 captions, ")
        found[name] = [json.loads(line) for line in out.read_text().splitlines()]
        assert set(found[name][0]) == {"id", "caption", "modality", "score"}
    ids = [item.id for item in open_source(SOURCE)]
    assert [line["id"] for line in found["store"]] == ids
    assert [line["caption"] for line in found["store"]] == [line["caption"] for line in found["source"]]
    code, printed, _ = run("caption", "write", trained, store, "--limit", 3)
    assert [json.loads(line) for line in printed.splitlines()] == found["store"][:3]


def test_options_of_writing_reach_the_writer(run, store, trained):
    words = ("caption", "write", trained, store, "--limit", 6)
    _, greedy, _ = run(*words, "--length", 3)
    _, drawn, _ = run(*words, "--strategy", "nucleus", "--temperature", 5, "--length", 3)
    _, again, _ = run(*words, "--strategy", "nucleus", "--temperature", 5, "--length", 3, "--batch-size", 2)
    _, other, _ = run(*words, "--strategy", "nucleus", "--temperature", 5, "--length", 3, "--seed", 1)
    texts = [
        [json.loads(line)["caption"] for line in out.splitlines()] for out in (drawn, again, other, greedy)
    ]
    assert texts[0] == texts[1] != texts[2]
    assert texts[0] != texts[3]


def test_writing_that_was_stopped_goes_on(run, store, trained, tmp_path, monkeypatch):
    from isthmus.decode.writer import CaptionWriter

    monkeypatch.setattr(captions, "CHUNK", 10)
    words = ("caption", "write", trained, store, "--strategy", "nucleus", "--out")
    assert run(*words, tmp_path / "whole.jsonl")[0] == 0
    calls, true = [], CaptionWriter.write

    def write(self, rows, *more, **options):
        calls.append(len(rows))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return true(self, rows, *more, **options)

    monkeypatch.setattr(CaptionWriter, "write", write)
    code, _, err = run(*words, tmp_path / "some.jsonl")
    assert (code, "is kept: the same command goes on from there" in err) == (130, True)
    assert not (tmp_path / "some.jsonl").exists()
    assert run(*words, tmp_path / "some.jsonl")[0] == 0
    assert calls == [10, 10, 10, 4]
    assert (tmp_path / "some.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["some.jsonl", "whole.jsonl"]
    code, _, err = run(*words, tmp_path / "some.jsonl")
    assert (code, "some.jsonl exists: remove it, or write elsewhere" in err) == (2, True)


def test_what_was_written_with_other_options_is_not_gone_on_with(run, store, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(captions, "CHUNK", 10)
    scratch = captions.claim(tmp_path / "x.jsonl")
    (scratch / "identity").write_text("of another run")
    (scratch / "000000000.jsonl").write_text('{"id": "0", "caption": "not this", "score": 0}\n')
    assert run("caption", "write", trained, store, "--out", tmp_path / "x.jsonl")[0] == 0
    assert "not this" not in (tmp_path / "x.jsonl").read_text()


@pytest.mark.parametrize(
    "words, message",
    [
        (("--modality", "audio"), "has no audio, it has image, text"),
        (("--split", "test"), "is a store: --split is of sources"),
        (("--limit", 0), "limit must be a whole number in [1, inf), got 0"),
        (("--out", "captions.json"), "captions.json must end in .jsonl"),
        (("--length", 500), "positions"),
    ],
)
def test_bad_requests_exit_2(run, store, trained, words, message):
    code, out, err = run("caption", "write", trained, store, *words)
    assert code == 2
    assert message in out + err
    assert "Traceback" not in err


def test_sources_and_stores_that_do_not_fit_exit_2(run, trained, tmp_path):
    made = Store.create(tmp_path / "other", {"image": {"encoder": "clip:x", "revision": "7"}})
    made.append({"image": np.eye(4)}, {"id": list("abcd")})
    for place, message in (
        (tmp_path / "other", "image was embedded by clip:x of revision 7, "),
        ("photos", "no such store: photos; unknown source 'photos', expected one of folder, "),
        (tmp_path, "is not a store"),
        ("world:3?captions=2&seed=x", "seed must be a whole number"),
    ):
        code, _, err = run("caption", "write", trained, place)
        assert (code, message in err) == (2, True), err


class Stand:
    """Stands in for a writer, and for its encoder."""

    class run:
        encoders = {}  # noqa: RUF012

    def encoder(self, modality):
        return self

    def encode(self, values, modality):
        return np.array(values, float).reshape(-1, 1)


def test_items_that_cannot_be_read_are_left_out_or_raised(monkeypatch):
    def broken():
        raise ValueError("picture.jpg is cut short")

    monkeypatch.setattr(captions, "CHUNK", 2)
    pictures = [1, 2, broken, 4, 5]
    items = [Item(str(i), str(i), image=picture) for i, picture in enumerate(pictures)]
    source = Source("mine", lambda: iter(items), modalities=("image",), on_error="skip")
    found = captions.SourceItems(source, captions.Choice("image", limit=4), Stand())
    chunks = [(names, rows.tolist()) for names, rows in found.chunks(0)]
    assert chunks == [(["0", "1"], [[1], [2]]), (["3"], [[4]])]
    assert found.skipped == ["item 2: picture.jpg is cut short"]
    assert [names for names, _ in found.chunks(1)] == [["3"]]
    source.on_error = "raise"
    with pytest.raises(ValueError, match=r"item 2: picture\.jpg is cut short"):
        list(found.chunks(0))


def test_items_that_are_skipped_are_told_on_every_path(run, trained, tmp_path, monkeypatch):
    ids, true = [item.id for item in open_source(SOURCE)], Item.load
    bad = {ids[1]}

    def load(self, modality):
        if self.id in bad:
            raise ValueError("cut short")
        return true(self, modality)

    monkeypatch.setattr(Item, "load", load)
    words = (trained, SOURCE, "--on-error", "skip")
    ways = [("write", *words), ("write", *words, "--out", tmp_path / "x.jsonl")]
    ways += [("score", *words, "--metrics", "CLIPScore"), ("score", *words, "--out", tmp_path / "y.jsonl")]
    for way in ways:
        code, _, err = run("caption", *way)
        assert (code, f"1 item was skipped, the first: item {ids[1]}: cut short\n" in err) == (0, True), err
    bad.update(ids)
    for path in tmp_path.iterdir():
        path.unlink()
    for way in ways:
        code, out, err = run("caption", *way)
        assert (code, out) == (2, "")
        assert f"nothing was written: 24 items were skipped, the first: item {ids[0]}: cut short" in err
        assert not list(tmp_path.iterdir())


WORDS = ("--metrics", "BLEU", "CIDEr-D", "CLIPScore", "--json")


def test_scores_are_those_of_the_captions_written(run, store, trained, tmp_path):
    from isthmus.evaluate.captions import score_captions, score_facts
    from isthmus.sources.world import draw_scene

    out = tmp_path / "x.jsonl"
    code, printed, err = run("caption", "score", trained, store, "--out", out, *WORDS)
    assert code == 0, err
    found = json.loads(printed)
    written = captions.read_captions(out)
    items = list(open_source(SOURCE))
    references = {item.id: item.captions for item in items}
    expected = score_captions(written, references, metrics=["BLEU", "CIDEr-D"]).to_dict()
    assert {name: found["corpus"][name] for name in expected["corpus"]} == expected["corpus"]
    truths = {item.id: draw_scene(0, int(item.id)).facts for item in items}
    assert found["facts"] == score_facts(written, truths, modality="image").to_dict()
    encoder = open_encoder("world", device="cpu")
    texts = encoder.encode(list(written.values()), "text")
    images = Store.open(store)["image"][::2]
    cosine = np.maximum(np.sum(texts * images, axis=1), 0)
    assert found["corpus"]["CLIPScore"]["value"] == pytest.approx(2.5 * cosine.mean(), abs=1e-5)
    assert "RefCLIPScore" in found["corpus"]
    for what, where in ((out, store), (trained, store), (trained, SOURCE)):
        code, printed, err = run("caption", "score", what, where, *WORDS)
        assert (code, json.loads(printed)["corpus"]["CIDEr-D"]) == (0, found["corpus"]["CIDEr-D"]), err


def test_a_file_of_some_items_is_scored_on_those(run, store, trained, tmp_path):
    out = tmp_path / "x.jsonl"
    assert run("caption", "write", trained, store, "--limit", 10, "--out", out)[0] == 0
    code, printed, err = run("caption", "score", out, store, "--metrics", "ROUGE-L")
    assert code == 0
    assert "10 of 24 items have a caption, and are scored\n" in err
    assert "10 captions" in printed
    assert "precision" in printed
    out.write_text(out.read_text() + '{"id": "dog", "caption": "a dog"}\n')
    code, _, err = run("caption", "score", out, store, "--metrics", "ROUGE-L")
    assert (code, "item dog has a caption, but there are no references of it" in err) == (2, True)


def test_captions_are_scored_as_what_they_were_written_of(run, tmp_path):
    columns = ("image", "audio", "text")
    made = Store.create(tmp_path / "s", {name: {"encoder": "mine:x"} for name in columns})
    made.append({name: np.eye(2) for name in columns}, {"id": ["a", "b"], "caption": ["one dog", "a cat"]})
    out = tmp_path / "x.jsonl"
    line = '{"id": "a", "caption": "a dog", "modality": "audio"}\n'
    out.write_text(line)
    words = ("caption", "score", out, tmp_path / "s", "--metrics", "ROUGE-L")
    code, printed, err = run(*words)
    assert (code, "of audio" in printed) == (0, True), err
    assert json.loads(run(*words, "--json")[1])["modality"] == "audio"
    code, _, err = run(*words, "--modality", "image")
    assert (code, "x.jsonl holds captions of audio, --modality is image" in err) == (2, True)
    out.write_text(line + line.replace("audio", "image").replace('"a"', '"b"'))
    code, _, err = run(*words)
    assert (code, "line 2: expected audio as before, found image" in err) == (2, True)


def test_what_cannot_be_scored_is_said(run, tmp_path):
    made = Store.create(tmp_path / "s", {"image": {"encoder": "mine:x"}, "text": {"encoder": "mine:x"}})
    made.append({"image": np.eye(2), "text": np.eye(2)}, {"id": ["a", "b"], "caption": ["one dog", "a cat"]})
    out = tmp_path / "x.jsonl"
    out.write_text('{"id": "a", "caption": "a dog"}\n{"id": "b", "caption": "a cat"}\n')
    code, _, err = run("caption", "score", out, tmp_path / "s", "--metrics", "CLIPScore")
    assert (code, "CLIPScore: the encoder of the embeddings cannot be opened: unknown encoder" in err) == (
        2,
        True,
    )
    code, printed, _ = run("caption", "score", out, tmp_path / "s", "--metrics", "ROUGE-L", "--json")
    assert (code, json.loads(printed)["facts"]) == (0, None)
    code, _, err = run("caption", "score", out, tmp_path / "s", "--out", tmp_path / "y.jsonl")
    assert (code, "x.jsonl is no run: --out is for captions that are written here" in err) == (2, True)


@pytest.mark.parametrize(
    "text, message",
    [
        ('{"id": "1"}\n', "x.jsonl, line 1: expected an object with id and caption, found"),
        (
            '{"id": "1", "caption": "a"}\n{"id": "1", "caption": "b"}\n',
            "line 2: item 1 has a caption already",
        ),
        ('{"id": 1, "caption": "a"}\n', "line 1: expected id and caption as text"),
        ("a dog\n", "line 1, is not JSON"),
        ("", "x.jsonl holds no captions"),
    ],
)
def test_files_of_captions_are_checked_line_by_line(tmp_path, text, message):
    path = tmp_path / "x.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        captions.read_captions(path)


@pytest.mark.slow
def test_a_killed_training_ends_in_the_same_bytes(store, config, tmp_path):
    words = [sys.executable, "-m", "isthmus", "caption", "train", str(store), "--config", str(config)]
    words += ["--epochs", "40", "--checkpoint-seconds", "0.05", "--out"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([*words, str(tmp_path / "whole")], check=True, env=environment, capture_output=True)
    for _ in range(2):
        process = subprocess.Popen(
            [*words, str(tmp_path / "killed")], env=environment, stderr=subprocess.DEVNULL
        )
        checkpoint = tmp_path / "killed" / "checkpoint.safetensors"
        while not checkpoint.exists() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(0.3)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run([*words, str(tmp_path / "killed")], check=True, env=environment, capture_output=True)
    assert files(tmp_path / "killed") == files(tmp_path / "whole")
