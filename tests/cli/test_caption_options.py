"""Options of writing and scoring captions from the command line."""

import io
import re
from dataclasses import fields

import numpy as np
import pytest
from docstring_parser import parse
from rich.console import Console

from isthmus.cli import captions
from isthmus.cli.caption import Training
from isthmus.cli.caption_scores import Scored, Scoring, compare_items, read_candidates, score_items
from isthmus.cli.caption_writing import Rate, Writing, prepare
from isthmus.decode.data import CaptionData
from isthmus.decode.generation import Writing as Told
from isthmus.decode.settings import CaptionTraining
from isthmus.decode.training import train_captioner
from isthmus.encoders import open_encoder
from isthmus.evaluate.captions import CaptionScores
from isthmus.measure.bootstrap import Figure
from isthmus.sources import open_source
from isthmus.store import EmbeddingOptions, Store, embed

SHAPE = {"prefix": 2, "width": 16, "layers": 1, "heads": 2, "vocabulary": 300, "epochs": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("options") / "store"
    options = EmbeddingOptions(modalities=("image", "text"), workers=0)
    embed(open_source("world:24?captions=2"), open_encoder("world", device="cpu"), root, options=options)
    return root


@pytest.fixture(scope="module")
def runs(store, tmp_path_factory):
    """Of the methods that decode, look up and steer, with room for 12 positions."""
    folder, data, found = tmp_path_factory.mktemp("runs"), CaptionData.from_store(Store.open(store)), {}
    for method in ("C3", "CLIPRe", "ZeroCap", "MAGIC"):
        settings = CaptionTraining.from_dict(SHAPE | {"method": method, "positions": 12})
        found[method] = train_captioner(data, settings, folder=folder / method).folder
    return found


@pytest.mark.parametrize("options", [Training, Writing])
def test_every_option_has_help_of_its_own(options):
    told = {parameter.arg_name: parameter.description for parameter in parse(options.__doc__).params}
    assert {field.name for field in fields(options)} <= {name for name, text in told.items() if text}


def test_defaults_that_help_tells_are_those_of_training():
    settings = CaptionTraining()
    for parameter in parse(Training.__doc__ or "").params:
        told = re.search(r"By default ([\d.]+)\.", (parameter.description or "") + " ")
        assert told is None or float(told[1]) == getattr(settings, parameter.arg_name), parameter.arg_name


@pytest.mark.parametrize(
    "method, words, message",
    [
        ("CLIPRe", ("--strategy", "beam"), "--strategy does not apply: CLIPRe finds captions among"),
        ("CLIPRe", ("--length", 5), "--length does not apply: CLIPRe finds"),
        ("ZeroCap", ("--strategy", "nucleus"), "--strategy does not apply: ZeroCap chooses tokens in a way"),
        ("MAGIC", ("--temperature", 2), "--temperature does not apply: MAGIC chooses"),
        ("C3", ("--beams", 3), "--beams does not apply: it is of --strategy beam, not greedy"),
        (None, ("--strategy", "beam"), "--strategy does not apply: the captions in"),
    ],
)
def test_options_that_would_do_nothing_are_refused(run, store, runs, tmp_path, method, words, message):
    (tmp_path / "x.jsonl").write_text('{"id": "0", "caption": "a dog"}\n')
    what = ("write", runs[method]) if method else ("score", tmp_path / "x.jsonl")
    code, out, err = run("caption", *what, store, *words)
    assert (code, out, message in err) == (2, "", True), err


@pytest.mark.parametrize("method, most", [("C3", 10), ("CLIPRe", 30), ("ZeroCap", 10), ("MAGIC", 10)])
def test_captions_are_as_long_as_the_positions_allow(run, store, runs, method, most):
    code, out, err = run("caption", "write", runs[method], store, "--limit", 1)
    assert (code, out.count("\n")) == (0, 1), err
    assert f"length={most}," in prepare(runs[method], str(store), Writing()).identity


def test_captions_of_a_file_are_limited_as_the_items_are(run, store, runs, tmp_path):
    out, ids = tmp_path / "x.jsonl", list(CaptionData.from_store(Store.open(store)).ids)
    code, _, err = run("caption", "write", runs["C3"], store, "--limit", 1, "--out", tmp_path / "one.jsonl")
    assert (code, err.startswith("1 caption, ")) == (0, True), err
    out.write_text("".join(f'{{"id": "{name}", "caption": "a dog"}}\n' for name in ids[2:7]))
    words = ("caption", "score", out, store, "--metrics", "ROUGE-L", "--limit")
    code, printed, err = run(*words, 3)
    assert (code, "1 caption of image" in printed) == (0, True), err
    assert "--limit leaves out the captions of other items: 4\n" in err
    assert "1 of 3 items have a caption" in err
    code, _, err = run(*words, 2)
    assert (code, "x.jsonl holds no captions of the items that --limit 2 leaves" in err) == (2, True)


def test_scores_have_the_digits_that_no_batch_size_changes(runs, store):
    items = prepare(runs["C3"], str(store), Writing(limit=1)).items
    told = [list(captions.lines(items, lambda *_, s=s: [Told("a dog", s)])) for s in (-1.2345612, -1.2345588)]
    assert told[0] == told[1]
    assert '"score": -1.2346}' in told[0][0]


def test_reasons_for_what_is_skipped_are_below_the_table():
    reason, one = 'needs pycocoevalcap: pip install "isthmus[captions]"', np.array([0.5])
    scores = CaptionScores(("a",), {"CIDEr-D": Figure(0.5, 0.5, 0.5)}, {"CIDEr-D": one}, {"METEOR": reason})
    Console(width=100, file=(out := io.StringIO())).print(Scored(scores, None, "image"))
    *table, last = out.getvalue().splitlines()
    assert last.rstrip() == f"skipped: METEOR ({reason})"
    assert max(len(line.rstrip()) for line in table) < 50


def test_the_rate_is_of_the_lines_written_by_this_call(store, runs, tmp_path, monkeypatch):
    monkeypatch.setattr(captions, "CHUNK", 10)
    task, calls = prepare(runs["C3"], str(store), Writing()), []
    task.items.total = None  # as of a source that cannot tell

    def stop_at_20(done, total):
        calls.append(done)
        if calls == [0, 10, 20]:
            raise KeyboardInterrupt

    words = {"identity": task.identity, "progress": stop_at_20}
    with pytest.raises(KeyboardInterrupt):
        captions.write_lines(tmp_path / "x.jsonl", task.items, task.write, **words)
    assert captions.write_lines(tmp_path / "x.jsonl", task.items, task.write, **words) == 24
    assert calls == [0, 10, 20, 20, 24]
    pace = Rate(lambda *told: None)
    pace.begun -= 2
    pace(20, None)
    assert pace.told == ""
    pace(24, None)
    assert pace.told == ", 2/s"


def test_a_caption_may_be_no_longer_than_the_positions_allow(store, runs):
    with pytest.raises(
        ValueError, match="--length must be at most 10, what the language model's positions have room for"
    ):
        prepare(runs["C3"], str(store), Writing(length=11))


def test_a_file_is_no_store(runs, tmp_path):
    (tmp_path / "a.npy").write_bytes(b"")
    with pytest.raises(ValueError, match=r"a\.npy is a file: expected a store"):
        prepare(runs["C3"], str(tmp_path / "a.npy"), Writing(modality="image"))


def test_captions_in_other_letters_than_utf8_are_refused_by_name(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes('{"id": "1", "caption": "café"}\n'.encode("latin-1"))
    with pytest.raises(ValueError, match=r"a\.jsonl must be UTF-8, byte 27 is not"):
        captions.read_captions(path)
    path.write_bytes('{"id": "1", "caption": "café"}\n'.encode("utf-8-sig"))
    assert captions.read_captions(path) == {"1": "café"}


def test_two_captioners_are_compared_on_the_same_items(store, runs, tmp_path):
    files = {}
    for method in ("C3", "CLIPRe"):
        task = prepare(runs[method], str(store), Writing())
        files[method] = tmp_path / f"{method}.jsonl"
        files[method].write_text("".join(captions.lines(task.items, task.write)), encoding="utf-8")
    found = read_candidates(files["CLIPRe"], str(store), Writing())
    compared = compare_items(found, files["C3"], Scoring(("ROUGE-L", "CLIPScore")))
    alone = score_items(found, Scoring(("ROUGE-L", "CLIPScore")))
    for metric, found_there in compared.metrics.items():
        assert found_there.a.value == pytest.approx(alone.scores.corpus[metric].value)
    assert (
        compared.metrics["ROUGE-L"].share == 1.0
    )  # captions of the items themselves are among those learned
    lines = files["C3"].read_text().splitlines()
    files["C3"].write_text("\n".join(lines[1:]) + "\n")
    with pytest.raises(ValueError, match=r"is among the first captions and not among .*C3\.jsonl"):
        compare_items(found, files["C3"], Scoring())
    files["C3"].write_text("\n".join([*lines, '{"id": "elsewhere", "caption": "a ring"}']) + "\n")
    with pytest.raises(
        ValueError, match=r"item elsewhere is among .*C3\.jsonl and not among the first captions"
    ):
        compare_items(found, files["C3"], Scoring())
