"""A captioner trained: from which rows, validated on which, stopped and resumed."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from isthmus.checks import unit_rows
from isthmus.decode.captioner import Captioner
from isthmus.decode.connection import Connection
from isthmus.decode.data import CaptionData
from isthmus.decode.methods import METHODS
from isthmus.decode.run import CaptionRun
from isthmus.decode.settings import CaptionTraining
from isthmus.decode.task import CaptionTask, Tokens, text_loss
from isthmus.decode.training import train_captioner
from isthmus.decode.writer import open_writer
from isthmus.store.lock import locked

WORDS = ("a dog", "one cat", "the sun", "red sea", "old oak", "wet ink", "my hat", "big jug")
TINY = CaptionTraining(
    prefix=2,
    width=16,
    layers=1,
    heads=2,
    vocabulary=300,
    positions=40,
    dropout=0.0,
    epochs=20,
    batch_size=32,
    learning_rate=1e-2,
    warmup=5,
    std=0.02,
    held_out=0.1,
    device="cpu",
)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def space(*, gap=1.5, items=64, turned=0, seed=0):
    """Items of eight meanings: two captions each, and images a constant vector away.

    Images mean what the captions `turned` meanings further say.
    """
    rng = np.random.default_rng(seed)
    meanings = np.eye(16)[:8] + 0.1
    kind = np.arange(items) % 8
    text = meanings[np.repeat(kind, 2)] + 0.03 * rng.normal(size=(2 * items, 16))
    image = meanings[(kind - turned) % 8] + gap * np.eye(16)[15] + 0.03 * rng.normal(size=(items, 16))
    ids = [f"i{i}" for i in np.repeat(np.arange(items), 2)]
    captions = [WORDS[k] for k in np.repeat(kind, 2)]
    return CaptionData({"image": np.repeat(image, 2, axis=0), "text": text}, ids, captions)


def files(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and p.name != ".lock"}


def written(folder, data, modality):
    rows = data.distinct(modality) if modality != "text" else data.of("text")[data.first]
    return [writing.text for writing in open_writer(folder, device="cpu").write(rows, modality)]


def test_c3_writes_of_images_what_it_writes_of_texts_and_c1_does_not(tmp_path):
    data, truth = space(gap=6), [WORDS[i % 8] for i in range(64)]
    right = {}
    for method, std in (("C1", None), ("C3", 0.02)):
        train_captioner(data, replace(TINY, method=method, std=std), folder=tmp_path / method)
        assert written(tmp_path / method, data, "text") == truth
        right[method] = np.mean(np.array(written(tmp_path / method, data, "image")) == truth)
    assert right["C3"] == 1
    assert right["C1"] < 0.5


class Killed(Exception):
    pass


@pytest.mark.parametrize("at", [1, 3, 5])
def test_a_run_that_was_stopped_ends_in_the_same_bytes(tmp_path, at, monkeypatch):
    monkeypatch.setattr("isthmus.training._TELL_SECONDS", 0.0)
    settings = replace(TINY, epochs=3, dropout=0.1, checkpoint_seconds=0.0)
    data = space(items=40)
    train_captioner(data, settings, folder=tmp_path / "whole")
    calls = []

    def stop(progress):
        calls.append(progress)
        if len(calls) == at:
            raise Killed

    with pytest.raises(Killed):
        train_captioner(data, settings, folder=tmp_path / "killed", progress=stop)
    with pytest.raises(ValueError, match="training is not done; the command that began it goes on with it"):
        open_writer(tmp_path / "killed")
    resumed = []
    train_captioner(data, settings, folder=tmp_path / "killed", progress=resumed.append)
    assert files(tmp_path / "whole") == files(tmp_path / "killed")
    whole = 3 * calls[0].steps
    assert len(resumed) < whole or at == 1
    last = resumed[-1]
    assert (last.epoch, last.step, last.epochs) == (3, last.steps, 3)
    assert last.tokens_per_second > 0
    assert last.seconds_left == 0


def test_a_complete_run_is_left_alone_and_another_is_refused(tmp_path):
    data, settings = space(items=16), replace(TINY, epochs=1)
    first = train_captioner(data, settings, folder=tmp_path)
    before = files(tmp_path)
    calls = []
    again = train_captioner(data, replace(settings, device="auto"), folder=tmp_path, progress=calls.append)
    assert (again.story, calls, files(tmp_path)) == (first.story, [], before)
    with pytest.raises(ValueError, match=r"is another run: seed is 0 there and 1 here\. Train into another"):
        train_captioner(data, replace(settings, seed=1), folder=tmp_path)
    with pytest.raises(ValueError, match="is another run: it learned from other data"):
        train_captioner(space(items=16, seed=1), settings, folder=tmp_path)
    assert files(tmp_path) == before


def test_a_folder_of_something_else_or_in_use_is_refused(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(ValueError, match=r"expected a new or empty folder, found thesis.txt"):
        train_captioner(space(items=16), TINY, folder=tmp_path / "mine")
    (tmp_path / "busy").mkdir()
    with (
        locked(tmp_path / "busy" / ".lock", timeout=0),
        pytest.raises(TimeoutError, match="another process is training in"),
    ):
        train_captioner(space(items=16), TINY, folder=tmp_path / "busy")


def test_fine_tuning_learns_from_images_and_keeps_the_means(tmp_path):
    data = space(turned=3)  # what images mean can be learned from pairs alone
    train_captioner(data, TINY, folder=tmp_path / "c3")
    truth = np.array([WORDS[i % 8] for i in range(64)])
    assert np.mean(np.array(written(tmp_path / "c3", data, "image")) == truth) < 0.2
    tuned = replace(  # the network is there already
        TINY, method="ClipCap", std=None, width=CaptionTraining.width, prefix=CaptionTraining.prefix
    )
    run = train_captioner(data, tuned, folder=tmp_path / "tuned", start=tmp_path / "c3")
    assert np.mean(np.array(written(tmp_path / "tuned", data, "image")) == truth) == 1
    assert (run.settings.width, run.settings.prefix) == (16, 2)
    assert (tmp_path / "tuned" / run.connection.name).read_bytes() == (
        tmp_path / "c3" / run.connection.name
    ).read_bytes()
    with pytest.raises(ValueError, match=r"is another run: .*start is "):
        train_captioner(data, tuned, folder=tmp_path / "tuned")


def test_a_share_of_the_pairs_is_learned_from_and_of_more_they_are_a_part(tmp_path):
    data = space()
    paired = replace(TINY, method="ClipCap", std=None, epochs=1)
    few, some = (
        train_captioner(data, replace(paired, pairs=share), folder=tmp_path / str(share))
        for share in (0.1, 0.5)
    )
    learned, validated = data.split(0.1)
    assert (few.story["items"], some.story["items"]) == (6, 29)  # of 58
    assert (few.story["held_out"], some.story["held_out"]) == (2, 6)  # captions of 1 and 3 items of 6
    assert (len(learned), len(validated)) == (58, 6)


def test_a_run_is_trained_further_on_pairs_alone(tmp_path):
    data = space(items=16)
    train_captioner(data, replace(TINY, method="DeCap", std=None, epochs=1), folder=tmp_path / "decap")
    train_captioner(data, replace(TINY, epochs=1), folder=tmp_path / "c3")
    with pytest.raises(ValueError, match="expected a method such as ClipCap, got C3"):
        train_captioner(data, TINY, folder=tmp_path / "x", start=tmp_path / "decap")
    with pytest.raises(
        ValueError, match=r"std must be None where a run is trained further on pairs, got 0.02"
    ):
        train_captioner(data, replace(TINY, method="ClipCap"), folder=tmp_path / "x", start=tmp_path / "c3")
    with pytest.raises(ValueError, match="a run of DeCap cannot be trained further"):
        paired = replace(TINY, method="ClipCap", std=None)
        train_captioner(data, paired, folder=tmp_path / "x", start=tmp_path / "decap")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "keep, settings, message",
    [
        (["image"], {}, "data has no text, it has image"),
        (["text"], {"method": "ClipCap", "std": None}, "data has no image, it has text"),
        (["text"], {}, "C3 subtracts the means of other modalities, but data has text alone"),
        (["text"], {"method": "C1", "std": None, "select": "cross-modal"}, "data has no image, it has text"),
        (["text", "image"], {"method": "ClipCap", "std": None, "modality": "audio"}, "data has no audio"),
        (["text"], {"method": "C1", "std": 0.1}, "std"),
        (["text", "image"], {"language_model": "/nowhere"}, "nowhere"),
    ],
)
def test_what_the_method_learns_from_must_be_there(tmp_path, keep, settings, message):
    data = space(items=16)
    data = replace(data, rows={name: data.rows[name] for name in keep})
    with pytest.raises((ValueError, OSError), match=message):
        train_captioner(data, replace(TINY, **settings), folder=tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_training_stops_when_held_out_captions_get_no_better(tmp_path):
    rng = np.random.default_rng(0)
    data = space(items=32)
    data = replace(data, captions=[WORDS[i] for i in rng.integers(8, size=64)])  # nothing to generalise
    settings = replace(TINY, epochs=60, patience=2)
    history = train_captioner(data, settings, folder=tmp_path).story["history"]
    best = history["best_epoch"]
    assert len(history["losses"]) == best + 3 < 60
    assert history["validations"][best - 1] == min(history["validations"])


def test_of_few_steps_few_warm_up(tmp_path):
    data, settings = space(items=32), replace(TINY, epochs=5)  # 10 steps
    runs = [
        train_captioner(data, replace(settings, warmup=w), folder=tmp_path / str(w)) for w in (1, 1000, 0)
    ]
    one, many, none = ((run.captioner / "weights.safetensors").read_bytes() for run in runs)
    assert one == many != none


def task_of(data, settings, *, held=8):
    tokens = Tokens([[ord(c) for c in text] for text in data.told()], end=0, longest=40)
    rows = np.arange(len(data))
    connection = Connection.fit(
        METHODS[settings.method], data.of("text"), {"image": data.distinct("image")}, std=settings.std
    )
    return CaptionTask(data, connection, settings=settings, rows=(rows[held:], rows[:held]), tokens=tokens)


class Recorder(torch.nn.Module):
    """Stands in for a captioner; keeps what it was shown."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen = []

    def loss(self, x, tokens, mask):
        self.seen.append(x.numpy())
        return self.weight + mask.sum()  # the loss of a batch: its tokens


def test_noise_is_in_what_is_learned_from_and_not_in_what_is_validated_on():
    data, network = space(items=16), Recorder()
    task = task_of(data, replace(TINY, std=0.3))
    centred = unit_rows(unit_rows(data.of("text")) - unit_rows(data.of("text")).mean(axis=0))
    torch.manual_seed(0)
    task.loss(network, np.arange(4))
    torch.manual_seed(0)
    task.loss(network, np.arange(4))
    torch.manual_seed(1)
    task.loss(network, np.arange(4))
    first, again, other = network.seen
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.01
    assert np.abs(first - centred[8:12]).max() > 0.1
    network.seen.clear()
    task.validate(network)
    np.testing.assert_allclose(network.seen[0], centred[:8], atol=1e-6)


def test_the_held_out_loss_is_a_mean_over_tokens_of_texts_or_of_images():
    data, network = space(items=16), Recorder()
    lengths = np.array([len(text) + 1 for text in data.told()])
    task = task_of(data, TINY)
    assert task.validate(network) == pytest.approx(lengths[:8].sum())  # one batch, whose loss is its tokens
    assert task.weight(np.array([0, 3])) == lengths[8] + lengths[11]
    across = task_of(data, replace(TINY, select="cross-modal"))
    across.validate(network)
    image = unit_rows(data.of("image"))
    means = unit_rows(data.distinct("image")).mean(axis=0)
    np.testing.assert_allclose(network.seen[-1], unit_rows(image - means)[:8], atol=1e-6)
    assert task_of(data, TINY, held=0).validate(network) is None


def test_another_caption_of_the_item_is_learned_from():
    data, network = space(items=16), Recorder()
    data = replace(data, id=["a"] * 3 + ["b"] * 2 + ["c"] * 27, group=None)
    text = unit_rows(data.of("text"))
    task = task_of(data, replace(TINY, method="WS-ClipCap-Multi", std=None), held=0)
    shown = []
    for seed in range(300):
        torch.manual_seed(seed)
        task.loss(network, np.array([0, 4]))
        shown.append([int(np.abs(text - row).sum(axis=1).argmin()) for row in network.seen[-1]])
    first, second = np.array(shown).T
    assert set(first) == {1, 2}  # never itself
    assert 100 < np.sum(first == 1) < 200
    assert set(second) == {3}
    following = task_of(data, replace(TINY, method="WS-ClipCap", std=None), held=0)
    for seed in range(5):
        torch.manual_seed(seed)
        following.loss(network, np.array([0, 2]))
        np.testing.assert_allclose(network.seen[-1], text[[1, 0]], atol=1e-6)
    alone = replace(data, id=[str(i) for i in range(32)])
    with pytest.raises(ValueError, match="expected items of several captions, every item has one"):
        task_of(alone, replace(TINY, method="WS-ClipCap", std=None))


def test_tokens_are_padded_by_mask_and_cut_at_the_longest():
    tokens = Tokens([[5, 6, 7], [8], []], end=0, longest=3)
    assert (tokens.lengths.tolist(), tokens.cut) == ([3, 2, 1], 1)
    rows, mask = tokens.batch(np.array([2, 0, 1]))
    assert rows.tolist() == [[0, 0, 0], [5, 6, 7], [8, 0, 0]]
    assert mask.tolist() == [[True, False, False], [True, True, True], [True, True, False]]


def test_methods_that_look_captions_up_keep_those_they_learned_from(tmp_path):
    data = space(items=16)
    run = train_captioner(data, replace(TINY, method="CLIPRe", std=None), folder=tmp_path / "clipre")
    rows = data.rows_of(data.split(0.1)[0])
    assert run.captions() == [data.captions[row] for row in rows]
    assert not run.captioner.exists()
    found = open_writer(run.folder).write(data.of("text")[rows], "text")
    np.testing.assert_allclose([writing.score for writing in found], 1, atol=1e-6)
    decap = train_captioner(data, replace(TINY, method="DeCap", std=None), folder=tmp_path / "decap")
    assert (decap.captions(), decap.captioner.is_dir()) == (run.captions(), True)


def test_steered_methods_learn_the_captions_alone(tmp_path):
    data = space(items=32)
    settings = replace(TINY, method="MAGIC", std=None, epochs=40, batch_size=16)
    run = train_captioner(data, settings, folder=tmp_path)
    captioner = Captioner.load(run.captioner)
    tokens, mask = captioner.rows(WORDS)
    model = captioner.language_model.eval()
    with torch.no_grad():
        known = float(text_loss(model, tokens, mask, end=captioner.tokenizer.end))
        oracle = []
        for row, real in zip(tokens, mask, strict=True):  # a text at a time, a token at a time
            before = [captioner.tokenizer.end]
            for token in row[real].tolist():
                logits, _ = model(model.embed(torch.tensor([before])))
                oracle.append(-float(logits[0, -1].log_softmax(0)[token]))
                before.append(token)
    assert known == pytest.approx(np.mean(oracle), abs=1e-5)
    least = np.log(8) * 8 / int(mask.sum())  # which of eight it is, once per caption
    assert known < least * 1.2


def test_a_run_tells_what_it_was_made_of(tmp_path):
    data = replace(space(items=16), encoders={"image": {"encoder": "clip:x", "revision": "7"}})
    settings = replace(TINY, epochs=1)
    train_captioner(data, settings, folder=tmp_path)
    run = CaptionRun.open(tmp_path)
    assert run.settings == settings
    assert run.encoders == {"image": {"encoder": "clip:x", "revision": "7"}}
    assert (run.story["items"], run.story["captions"], run.story["held_out"]) == (14, 28, 4)
    assert sorted(run.story["modalities"]) == ["image", "text"]
    assert not run.checkpoint.exists()
    (tmp_path / "run.json").write_text('{"format": "other"}')
    with pytest.raises(ValueError, match="expected format 'isthmus-captioner' version 1, found 'other'"):
        CaptionRun.open(tmp_path)
