"""The one loop: what a kill or a report must not change."""

import json
import math
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is an extra")

from safetensors import safe_open  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from isthmus import training  # noqa: E402
from isthmus.checkpoint import Run, forget  # noqa: E402
from isthmus.training import TrainingConfig, train  # noqa: E402

ROOT = Path(__file__).parents[1]


class Line:
    """Fit y = 3 x with a linear layer and dropout, x seen through noise."""

    def __init__(self, n=64, name="line", noise=0.0):
        self.n, self.name, self.noise = n, name, noise
        self.x = torch.as_tensor(np.random.default_rng(0).normal(size=(n, 4)), dtype=torch.float32)
        self.seen, self.drawn = [], []

    def loss(self, network, rows):
        self.seen.append(rows)
        self.drawn.append(torch.randn(len(rows), 4))
        return self.error(network, self.x[rows] + self.noise * self.drawn[-1], rows).mean()

    def error(self, network, x, rows):
        return (network(x) - 3 * self.x[rows, :1]) ** 2

    def validate(self, network):
        network.eval()
        with torch.no_grad():
            return float(self.error(network, self.x, slice(None)).mean())


class Killed(Exception):
    pass


class Mortal(Line):
    """Dies in place of taking a step, counted from 0."""

    def __init__(self, step, **kwargs):
        super().__init__(**kwargs)
        self.step = step

    def loss(self, network, rows):
        if len(self.seen) == self.step:
            raise Killed
        return super().loss(network, rows)


def network(dropout=0.2):
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.Dropout(dropout), torch.nn.Linear(16, 1))


def state(net):
    return torch.cat([p.detach().ravel() for p in net.parameters()])


CONFIG = TrainingConfig(epochs=12, batch_size=16, learning_rate=0.02, checkpoint_seconds=0)


def test_learns_and_visits_every_row_once_per_epoch():
    net, task = network(), Line()
    history = train(net, task, config=CONFIG)
    assert history.losses[-1] < history.losses[0] / 3
    assert len(task.seen) == 12 * 4
    for epoch in range(12):
        assert sorted(np.concatenate(task.seen[4 * epoch : 4 * epoch + 4])) == list(range(64))


def test_one_step_is_adamw_on_the_mean_loss():
    """By hand, from the row order of the first batch: warm-up's rate, clipped gradient, decayed weight."""
    net, task = network(0), Line()
    by_hand = network(0)
    train(net, task, config=TrainingConfig(epochs=1, batch_size=64, learning_rate=0.02, warmup=4))
    optimizer = torch.optim.AdamW(by_hand.parameters(), lr=0.02 / 4, weight_decay=0.01)
    task.error(by_hand, task.x, slice(None)).mean().backward()
    torch.nn.utils.clip_grad_norm_(by_hand.parameters(), 1.0)
    optimizer.step()
    assert torch.allclose(state(net), state(by_hand), atol=1e-6)


@pytest.fixture(scope="module")
def whole():
    """A run that was left alone."""
    net, task = network(), Line(noise=0.1)
    return SimpleNamespace(history=train(net, task, config=CONFIG), state=state(net), task=task)


@pytest.mark.parametrize("step", [1, 3, 4, 5, 22, 47])
def test_killed_before_any_step_and_resumed_gives_the_same_bits(whole, tmp_path, step):
    with pytest.raises(Killed):
        train(network(), Mortal(step, noise=0.1), config=CONFIG, checkpoint=tmp_path / "run")
    resumed, task = network(), Line(noise=0.1)
    torch.manual_seed(123)  # the state of the global generator does not matter
    history = train(resumed, task, config=CONFIG, checkpoint=tmp_path / "run")
    assert history == whole.history
    assert torch.equal(state(resumed), whole.state)
    assert len(task.drawn) == 48 - step  # no step is taken twice
    assert all(torch.equal(a, b) for a, b in zip(task.drawn, whole.task.drawn[step:], strict=True))


@pytest.mark.parametrize("fate", ["validate", "progress"])
def test_killed_between_steps_and_validation_gives_the_same_bits(whole, tmp_path, fate):
    task = Line(noise=0.1)
    calls = []

    def kill(*_):
        calls.append(0)
        if len(calls) == 3:
            raise Killed
        return Line.validate(task, *_) if fate == "validate" else None

    with pytest.raises(Killed):
        if fate == "validate":
            task.validate = kill
        progress = kill if fate == "progress" else None
        train(network(), task, config=CONFIG, checkpoint=tmp_path / "run", progress=progress)
    resumed, rest = network(), Line(noise=0.1)
    assert train(resumed, rest, config=CONFIG, checkpoint=tmp_path / "run") == whole.history
    assert torch.equal(state(resumed), whole.state)
    assert len(rest.seen) == 48 - 12


STOPPED = """
import sys, time
from isthmus import training
from tests.test_training import CONFIG, Line, network

def progress(p):
    if (p.epoch, p.step) == (3, 2):
        print("there", flush=True)
        time.sleep(600)

training._TELL_SECONDS = 0
training.train(network(), Line(noise=0.1), config=CONFIG, checkpoint=sys.argv[1], progress=progress)
"""


def test_sigkill_in_the_middle_of_an_epoch_changes_no_bit(whole, tmp_path):
    command = [sys.executable, "-c", STOPPED, str(tmp_path / "run")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout.readline() == "there\n"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    resumed, task = network(), Line(noise=0.1)
    assert train(resumed, task, config=CONFIG, checkpoint=tmp_path / "run") == whole.history
    assert torch.equal(state(resumed), whole.state)
    assert len(task.seen) == 48 - 9  # the tenth step was not yet kept


def test_random_numbers_are_of_the_seed_and_the_step(whole):
    drawn = {tuple(d.ravel().tolist()) for d in whole.task.drawn}
    assert len(drawn) == 48
    again, other = Line(noise=0.1), Line(noise=0.1)
    train(network(), again, config=CONFIG)
    train(network(), other, config=TrainingConfig(epochs=12, batch_size=16, seed=1))
    assert {tuple(d.ravel().tolist()) for d in again.drawn} == drawn
    assert not {tuple(d.ravel().tolist()) for d in other.drawn} & drawn


def test_validation_draws_the_same_numbers_in_every_epoch():
    class Noisy(Line):
        def validate(self, network):
            return float(torch.randn(()))

    found = train(network(), Noisy(), config=CONFIG).validations
    assert len(set(found)) == 1


def test_progress_and_checkpoints_change_no_bit(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "_TELL_SECONDS", 0.0)
    net = network()
    history = train(
        net,
        Line(noise=0.1),
        config=CONFIG,
        checkpoint=tmp_path / "run",
        progress=lambda p: torch.manual_seed(p.step),
    )
    assert history == whole.history
    assert torch.equal(state(net), whole.state)


class Clock:
    """A clock that a step of training takes on by `step` seconds, and a checkpoint by `save`."""

    def __init__(self, monkeypatch, step, save=0.0):
        self.now, self.saves = 100.0, []
        monkeypatch.setattr(training, "time", SimpleNamespace(monotonic=lambda: self.now))
        real_loss, real_save = Line.loss, Run.save

        def loss(task, *args):
            self.now += step
            return real_loss(task, *args)

        def saved(run, path):
            self.now += save
            self.saves.append(run.step)
            real_save(run, path)

        monkeypatch.setattr(Line, "loss", loss)
        monkeypatch.setattr(Run, "save", saved)


def test_progress_comes_each_second_and_after_each_epoch(monkeypatch):
    Clock(monkeypatch, step=0.4)
    losses = []

    class Told(Line):
        def loss(self, network, rows):
            losses.append((value := super().loss(network, rows)).item())
            return value

    told = []
    config = TrainingConfig(epochs=2, batch_size=10)
    history = train(network(), Told(n=70), config=config, progress=told.append)
    assert [(p.epoch, p.step, p.epoch_ended) for p in told] == [
        *((1, 3, False), (1, 6, False), (1, 7, True)),
        *((2, 3, False), (2, 6, False), (2, 7, True)),
    ]
    for p in told:
        done = 7 * (p.epoch - 1)
        assert p.loss == pytest.approx(np.mean(losses[done : done + p.step]), rel=1e-6)
        assert (p.epochs, p.steps) == (2, 7)
        assert p.rows_per_second == pytest.approx(10 / 0.4)
        assert p.epochs_done == pytest.approx((done + p.step) / 7)
        ended = p.epoch - (not p.epoch_ended)
        assert p.validation == (history.validations[ended - 1] if ended else None)
    assert [p.loss for p in told if p.epoch_ended] == history.losses


@pytest.mark.parametrize(
    "step, save, seconds, expected",
    [
        (1.0, 0.0, 10.0, [10, 20, 30, 40, 50, 60]),
        (1.0, 0.6, 10.0, [10, 30, 50, 60]),  # each checkpoint buys 20 s
        (0.1, 0.0, 10.0, [60]),  # the end is kept in any case
        (1.0, 3.0, 0.0, sorted([*range(1, 61), 20, 40, 60])),  # every step, and every epoch
    ],
)
def test_checkpoints_take_a_small_share_of_the_time(monkeypatch, tmp_path, step, save, seconds, expected):
    clock = Clock(monkeypatch, step, save)
    config = TrainingConfig(epochs=3, batch_size=4, checkpoint_seconds=seconds)
    train(network(), Line(n=80), config=config, checkpoint=tmp_path / "run")
    assert clock.saves[: len(expected)] == expected
    assert set(clock.saves[len(expected) :]) <= {60}


def test_finished_run_returns_at_once(tmp_path):
    first = network()
    train(first, Line(), config=CONFIG, checkpoint=tmp_path / "run")
    task, again = Line(), network()
    train(again, task, config=CONFIG, checkpoint=tmp_path / "run")
    assert task.seen == []
    assert torch.equal(state(first), state(again))
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_tied_weights_are_kept(tmp_path):
    def tied():
        net = network()
        net.add_module("again", torch.nn.Linear(1, 1))
        net.again.weight = torch.nn.Parameter(torch.ones(1, 1))
        net.again.bias = net[2].bias
        return net

    alone, resumed = tied(), tied()
    train(alone, Line(), config=CONFIG)
    with pytest.raises(Killed):
        train(tied(), Mortal(9), config=CONFIG, checkpoint=tmp_path / "run")
    train(resumed, Line(), config=CONFIG, checkpoint=tmp_path / "run")
    assert torch.equal(state(resumed), state(alone))
    assert resumed.again.bias is resumed[2].bias


def test_global_generators_are_left_alone():
    torch.manual_seed(7)
    before = torch.get_rng_state()
    net = network()
    torch.set_rng_state(before)
    train(net, Line(), config=CONFIG)
    assert torch.equal(torch.get_rng_state(), before)


def test_early_stopping_keeps_the_best_weights():
    class Worsening(Line):
        losses = iter([5.0, 3.0, 4.0, 4.0, 4.0, 4.0, 4.0])

        def validate(self, network):
            self.kept = (
                state(network).clone() if (loss := next(self.losses)) == 3.0 else getattr(self, "kept", None)
            )
            return loss

    net, task = network(), Worsening()
    history = train(net, task, config=TrainingConfig(epochs=50, patience=2))
    assert (history.best_epoch, len(history.losses)) == (2, 5)
    assert torch.equal(state(net), task.kept)


def test_a_kill_while_a_checkpoint_is_written_leaves_nothing_in_the_end(tmp_path, monkeypatch):
    def dies(tensors, path, metadata):
        path.with_name(".tmpA1b2C3").touch()  # safetensors writes under such a name first
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("safetensors.torch.save_file", dies)
        for _ in range(2):  # what one kill left is not in the way of the next
            with pytest.raises(Killed):
                train(network(), Line(), config=CONFIG, checkpoint=tmp_path / "run")
    assert list(tmp_path.rglob(".tmp*"))
    train(network(), Line(), config=CONFIG, checkpoint=tmp_path / "run")
    assert list(tmp_path.iterdir()) == [tmp_path / "run"]
    with monkeypatch.context() as patch:
        patch.setattr("safetensors.torch.save_file", dies)
        with pytest.raises(Killed):
            train(network(), Line(), config=replace(CONFIG, epochs=13), checkpoint=tmp_path / "other")
    forget(tmp_path / "run")
    forget(tmp_path / "other")
    assert not list(tmp_path.iterdir())


def test_checkpoint_of_another_run_is_refused(tmp_path):
    train(network(), Line(), config=CONFIG, checkpoint=tmp_path / "run")
    other = TrainingConfig(epochs=12, batch_size=16, learning_rate=0.01)
    with pytest.raises(ValueError, match=r"another run: learning_rate is 0.02 there and 0.01 here"):
        train(network(), Line(), config=other, checkpoint=tmp_path / "run")
    with pytest.raises(ValueError, match="another run: task is line there and curve here"):
        train(network(), Line(name="curve"), config=CONFIG, checkpoint=tmp_path / "run")
    often = TrainingConfig(epochs=12, batch_size=16, learning_rate=0.02, checkpoint_seconds=5)
    train(network(), Line(), config=often, checkpoint=tmp_path / "run")  # how often it is kept is no matter


def test_checkpoint_of_whole_epochs_is_refused(tmp_path):
    train(network(), Line(), config=CONFIG, checkpoint=tmp_path / "run")
    with safe_open(tmp_path / "run", framework="pt") as file:
        story = json.loads(file.metadata()["training"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    del story["step"]
    save_file(tensors, tmp_path / "run", {"training": json.dumps(story)})
    with pytest.raises(ValueError, match="run is the checkpoint of an earlier isthmus"):
        train(network(), Line(), config=CONFIG, checkpoint=tmp_path / "run")


def test_corrupt_checkpoint_is_named(tmp_path):
    (tmp_path / "run").write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match="run is not a checkpoint"):
        train(network(), Line(), config=CONFIG, checkpoint=tmp_path / "run")


def test_diverging_loss_says_what_to_try(tmp_path):
    config = TrainingConfig(learning_rate=1e30, warmup=0, epochs=5, batch_size=8, checkpoint_seconds=0)
    with pytest.raises(ValueError, match=r"training loss is .* try a learning_rate below"):
        train(network(), Line(), config=config, checkpoint=tmp_path / "run")
    with safe_open(tmp_path / "run", framework="pt") as file:
        assert math.isfinite(json.loads(file.metadata()["training"])["total"])


def test_unknown_devices_are_refused(monkeypatch):
    with pytest.raises(ValueError, match="device must be auto, cpu, cuda or mps, got 'tpu'"):
        TrainingConfig(device="tpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="device 'cuda' was asked for, but torch finds no CUDA device here"):
        train(network(), Line(), config=TrainingConfig(device="cuda"))
