"""Ctrl-C keeps the last step done, however soon it comes."""

import importlib
import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from isthmus.theory.optimization import optimization
from isthmus.theory.optimization_config import OptimizationConfig
from isthmus.theory.optimization_descent import Descent

room = importlib.import_module("isthmus.theory.optimization")  # the name in the room is the function
CONFIG = OptimizationConfig(n=60, dim=40, effective=(5, 9), steps=40, records=4, learning_rate=60.0)


@pytest.fixture
def stopped(monkeypatch):
    """Raises KeyboardInterrupt once, by the step at which it was asked for, in `place`."""

    def ask(owner, name, step):
        whole, raised = getattr(owner, name), []

        def interrupted(first, *more, **named):
            found = whole(first, *more, **named)
            descent = first if isinstance(first, Descent) else more[0]
            if descent.step >= step and not raised:
                raised.append(True)
                raise KeyboardInterrupt
            return found

        monkeypatch.setattr(owner, name, interrupted)

    return ask


def test_the_first_seconds_of_a_run_are_kept(tmp_path, stopped):
    alone, path = optimization(CONFIG), tmp_path / "run.npz"
    stopped(Descent, "advance", 1)
    with pytest.raises(KeyboardInterrupt):
        optimization(CONFIG, checkpoint=path)
    assert path.is_file()
    assert optimization(CONFIG, checkpoint=path).to_dict() == alone.to_dict()
    assert [file.name for file in tmp_path.iterdir()] == ["run.npz"]


def test_the_state_is_that_of_the_last_step(tmp_path, monkeypatch, stopped):
    monkeypatch.setattr(room, "_TELL_SECONDS", 1e-9)  # one step at a time
    path = tmp_path / "run.npz"
    stopped(Descent, "advance", 17)
    with pytest.raises(KeyboardInterrupt):
        optimization(CONFIG, checkpoint=path)
    begun, advance = [], Descent.advance

    def seen(self, steps):
        begun.append(self.step)
        advance(self, steps)

    monkeypatch.setattr(Descent, "advance", seen)
    optimization(CONFIG, checkpoint=path)
    assert begun == list(range(17, 40))


def test_without_a_file_nothing_is_written(tmp_path, monkeypatch, stopped):
    monkeypatch.chdir(tmp_path)
    stopped(Descent, "advance", 1)
    with pytest.raises(KeyboardInterrupt):
        optimization(CONFIG)
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_twice_waits_for_the_step(tmp_path, monkeypatch):
    """The second one leaves the pool while its threads still move rows."""
    alone, path = optimization(CONFIG), tmp_path / "run.npz"
    phase = Descent._move_y

    def slow(self, b):
        time.sleep(0.02)
        phase(self, b)

    def hasty(self, *_):
        self.shutdown(wait=False)
        raise KeyboardInterrupt

    with monkeypatch.context() as m:
        m.setattr(Descent, "_move_y", slow)
        m.setattr(ThreadPoolExecutor, "__exit__", hasty)
        m.setattr("concurrent.futures.Future.result", lambda self: None)  # waits for nobody
        with pytest.raises(KeyboardInterrupt):
            optimization(CONFIG, checkpoint=path)
    assert optimization(CONFIG, checkpoint=path).to_dict() == alone.to_dict()


def test_the_command_says_so_and_goes_on_to_the_same_bits(tmp_path):
    def start(out):
        words = ("--n", "300", "--steps", "400", "--learning-rate", "50", "--json", "--out", str(out))
        command = [sys.executable, "-m", "isthmus", "theory", "optimization", *words]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    alone = start(tmp_path / "alone")
    told = alone.communicate(timeout=240)[0]
    assert alone.returncode == 0
    stopped, out = start(tmp_path / "stopped"), tmp_path / "stopped"
    while not out.is_dir():  # made just before the run begins
        time.sleep(0.01)
    time.sleep(0.5)
    stopped.send_signal(signal.SIGINT)
    said = stopped.communicate(timeout=60)[1]
    assert stopped.returncode == 130
    assert "Traceback" not in said
    if (out / "optimization.npz.partial").is_file():  # a slow machine may have been importing
        assert "keeps the last step: the same command goes on from there" in said
    again = start(out)
    assert json.loads(again.communicate(timeout=240)[0]) == json.loads(told)
    assert [file.name for file in sorted(out.iterdir())] == ["optimization.json", "optimization.svg"]
