import importlib
import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from isthmus.checks import unit_rows
from isthmus.measure import alignment, l2m
from isthmus.theory.contrastive import loss, loss_gradients
from isthmus.theory.initialization import collapsed
from isthmus.theory.optimization import optimization
from isthmus.theory.optimization_config import OptimizationConfig
from isthmus.theory.optimization_descent import Descent

room = importlib.import_module("isthmus.theory.optimization")  # the name in the room is the function

SMALL = {"n": 60, "dim": 40, "effective": (5, 9), "steps": 40, "records": 4}
READINGS = {"scaled": 60.0, "unit": 1.5, "renormalized": 1.5, "free": 1.5}  # with steps that move far


def oracle(config):
    """Descent by the closed gradients in float64, in all dimensions, one reading after the other."""
    x, y = collapsed(config.n, dim=config.dim, effective=config.effective, seed=config.seed)
    if config.reading != "scaled":
        x, y = unit_rows(x), unit_rows(y)
    log_scale = -np.log(config.temperature)
    for step in range(config.steps):
        if config.final_temperature:
            ratio = config.final_temperature / config.temperature
            log_scale = -np.log(config.temperature * ratio ** (step / (config.steps - 1)))
        temperature = np.exp(-log_scale)
        scaled = config.reading in ("scaled", "unit")
        by_x, by_y = loss_gradients(x, y, temperature=temperature, scaled=scaled)
        if config.learn_temperature:
            u, v = (unit_rows(x), unit_rows(y)) if scaled else (x, y)
            ends = [loss(u, v, temperature=np.exp(-log_scale - s)) for s in (1e-5, -1e-5)]
            log_scale = min(log_scale - config.learning_rate * (ends[0] - ends[1]) / 2e-5, np.log(100))
        x, y = x - config.learning_rate * by_x, y - config.learning_rate * by_y
        if config.reading == "renormalized":
            x, y = unit_rows(x), unit_rows(y)
    return x, y, np.exp(log_scale)


@pytest.fixture(autouse=True)
def blocks(monkeypatch):
    """Several blocks of rows, also of few rows."""
    monkeypatch.setattr("isthmus.theory.optimization_descent._ROWS", 25)


def descend(config):
    x, y, plane = room.rotated(*room._start(config), config)
    descent = Descent(x, y, config)
    descent.advance(config.steps)
    width = sum(config.effective)
    return *(np.hstack([z[:, :width], z[:, width:] @ plane.T]) for z in (descent.x, descent.y)), descent.scale


@pytest.mark.parametrize("reading", READINGS)
def test_descent_is_the_oracles(reading):
    config = OptimizationConfig(**SMALL, reading=reading, learning_rate=READINGS[reading])
    for ours, theirs, start in zip(descend(config)[:2], oracle(config)[:2], room._start(config), strict=True):
        assert np.abs(theirs - start).max() > 0.05  # it moved
        np.testing.assert_allclose(ours, theirs, atol=2e-6)


@pytest.mark.parametrize(
    "more",
    [
        {"learn_temperature": True, "learning_rate": 0.3},
        {"learn_temperature": True, "learning_rate": 0.5, "temperature": 1.0},
        {"final_temperature": 0.01},
        {"final_temperature": 1.0},
        {"temperature": 0.01},
    ],
)
def test_temperatures_are_the_oracles(more):
    config = OptimizationConfig(**(SMALL | {"reading": "unit", "learning_rate": 0.5} | more))
    ours, theirs = descend(config), oracle(config)
    for left, right in zip(ours[:2], theirs[:2], strict=True):
        np.testing.assert_allclose(left, right, atol=2e-4)  # late logits are 100 times the cosines
    if "learn_temperature" in more:
        assert ours[2] == pytest.approx(theirs[2], rel=1e-4)
        assert ours[2] <= 100.0001
        assert abs(np.log(ours[2] * config.temperature)) > 0.01


def test_a_learned_temperature_stops_where_clips_does():
    settings = SMALL | {"steps": 300, "reading": "unit", "learning_rate": 0.2, "learn_temperature": True}
    x, y, scale = descend(OptimizationConfig(**settings))
    assert scale == pytest.approx(100)
    assert np.isfinite(x).all()
    assert np.isfinite(y).all()


def test_the_rotated_run_is_the_run_in_all_dimensions():
    both = [
        descend(OptimizationConfig(n=60, steps=200, learning_rate=20, rotated=rotated))[:2]
        for rotated in (True, False)
    ]
    np.testing.assert_allclose(both[0], both[1], atol=2e-6)
    start = collapsed(60)
    plane = np.linalg.qr(np.stack([z[0, 255:] for z in start], axis=1))[0]
    for z in both[1]:  # ran in 512 dimensions, and kept to the plane of the constants by itself
        rest = z[:, 255:] - z[:, 255:] @ plane @ plane.T
        assert np.abs(rest).max() < 1e-6
        assert z[:, 255:].std(axis=0).max() > 1e-3


def test_free_rows_keep_what_their_products_have_in_common():
    """Unscaled, the flow keeps x'x - y'y; its steps do so up to the squared step."""
    coarse = OptimizationConfig(**(SMALL | {"steps": 100}), reading="free", learning_rate=0.1)
    fine = OptimizationConfig(**(SMALL | {"steps": 2000}), reading="free", learning_rate=0.005)
    start, errors = room._start(coarse), []
    for config in (coarse, fine):
        x, y, _ = descend(config)
        assert np.abs(x.T @ x - start[0].T @ start[0]).max() > 0.1
        before, after = (a.T @ a - b.T @ b for a, b in (start, (x, y)))
        errors.append(np.abs(after - before).max())
    assert errors[1] == pytest.approx(errors[0] / 20, rel=0.2)


@pytest.mark.parametrize("steps, fewer", [(150, 2), (50, 1), (149, 1), (20_000, 200)])
def test_coarser_steps_go_as_far_in_all(steps, fewer):
    coarse = OptimizationConfig(steps=steps, learning_rate=0.1).coarser(100)
    assert coarse.steps == fewer
    assert coarse.steps * coarse.learning_rate == pytest.approx(steps * 0.1)


def test_coarser_steps_end_where_fine_ones_do():
    fine = OptimizationConfig(**(SMALL | {"steps": 2000}), learning_rate=0.6)
    coarse = fine.coarser(20)
    assert (coarse.steps, coarse.learning_rate) == (100, 12)
    for name in ("gap after", "ineffective gap after", "pair cosine after", "loss after"):
        assert optimization(coarse)[name].measured == pytest.approx(
            optimization(fine)[name].measured, rel=0.01
        )


def test_simulation_measures_both_ends():
    config = OptimizationConfig(**SMALL, learning_rate=60.0)
    run = optimization(config)
    for rows, when, point in ((room._start(config), "before", 0), (descend(config)[:2], "after", -1)):
        x, y = (unit_rows(z) for z in rows)
        assert run[f"gap {when}"].measured == pytest.approx(l2m(x, y), abs=1e-6) == run.curves["gap"][point]
        apart = np.linalg.norm((x.mean(axis=0) - y.mean(axis=0))[14:])
        assert run[f"ineffective gap {when}"].measured == pytest.approx(apart, abs=1e-6)
        assert run[f"pair cosine {when}"].measured == pytest.approx(alignment(x, y), abs=1e-6)
        assert run[f"loss {when}"].measured == pytest.approx(loss(x, y), rel=1e-5)
        for name, z in (("x", x), ("y", y)):
            np.testing.assert_allclose(run.curves[f"variance_{name}_{when}"], z.var(axis=0), atol=1e-7)
    assert run.curves["step"].tolist() == [0, 10, 20, 30, 40]
    kept = run["ineffective gap after"].measured / run["ineffective gap before"].measured
    assert run["ineffective gap kept"].measured == pytest.approx(kept)
    assert run["variance outside the plane after"].measured < 1e-12
    assert run["pair cosine after"].measured > run["pair cosine before"].measured + 0.1


def test_aligned_dimensions_and_what_the_others_have_of_variance():
    run = optimization(OptimizationConfig(n=300, records=1).coarser(2000))
    before, after = run["ineffective variance before"], run["ineffective variance after"]
    assert before.measured == pytest.approx(before.predicted, rel=0.3)
    assert before.measured < after.measured < 0.01
    assert run["ineffective gap after"].measured < 0.95 * run["ineffective gap before"].measured
    assert run["effective dimension of both after"].measured <= 257


@pytest.mark.parametrize(
    "more",
    [
        {"learn_temperature": True, "learning_rate": 0.3},
        *({"reading": reading, "learning_rate": rate} for reading, rate in READINGS.items()),
    ],
)
def test_a_killed_run_ends_in_the_same_bits(tmp_path, monkeypatch, more):
    config = OptimizationConfig(**(SMALL | {"learning_rate": 60.0} | more))
    alone = optimization(config)
    monkeypatch.setattr(room, "_CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(room, "_TELL_SECONDS", 1e-9)  # one step at a time
    path, told = tmp_path / "new" / "run.npz", []

    def stop(done, total, text):
        told.append((done, total, text[:5]))
        if done in (13, 30):
            raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            optimization(config, checkpoint=path, progress=stop)
    resumed = optimization(config, checkpoint=path, progress=lambda *_: None)
    assert told[0] == (0, 40, "loss ")
    assert [done for done, *_ in told].count(13) == 2  # the second run began where the first was killed
    assert resumed.to_dict() == alone.to_dict()
    assert optimization(config, checkpoint=path).to_dict() == alone.to_dict()  # nothing left to do
    assert [file.name for file in path.parent.iterdir()] == ["run.npz"]


@pytest.fixture
def processors(monkeypatch):
    """Blocks of few rows, on as many processors as one asks for."""
    monkeypatch.setattr("isthmus.theory.optimization_descent._ROWS", 9)  # seven blocks of 60 rows

    def ask(count):
        monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(count)), raising=False)

    return ask


def test_threads_do_not_change_a_bit(processors):
    config = OptimizationConfig(**SMALL, learning_rate=60.0)
    ends = []
    for count in (1, 2, 3, 7):
        processors(count)
        ends.append(descend(config))
    assert all((a == b).all() for end in ends[1:] for a, b in zip(ends[0][:2], end[:2], strict=True))


@pytest.mark.parametrize("where", ["_exponentials", "_move_x", "_move_y", "_invert", "_turn"])
def test_what_fails_in_one_thread_ends_all(processors, monkeypatch, where):
    processors(3)
    config = OptimizationConfig(**SMALL)
    descent = Descent(*collapsed(60, dim=40, effective=(5, 9)), config)
    whole = getattr(Descent, where)

    def fails(self, *block):
        if self.step == 2 and block in ((4,), ()):
            raise MemoryError("none left")
        return whole(self, *block)

    monkeypatch.setattr(Descent, where, fails)
    before = threading.active_count()
    with pytest.raises(MemoryError, match="none left"):
        descent.advance(5)
    assert threading.active_count() == before


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), KeyboardInterrupt()])
def test_a_thread_that_never_begins_is_not_waited_for(processors, monkeypatch, error):
    processors(2)
    descent = Descent(*collapsed(60, dim=40, effective=(5, 9)), OptimizationConfig(**SMALL))
    submit, begun = ThreadPoolExecutor.submit, []

    def once(self, *task):
        if begun:
            raise error
        begun.append(submit(self, *task))
        return begun[0]

    monkeypatch.setattr(ThreadPoolExecutor, "submit", once)
    before = threading.active_count()
    with pytest.raises(type(error)):
        descent.advance(3)
    assert threading.active_count() == before


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    path = tmp_path / "run.npz"
    optimization(OptimizationConfig(**SMALL), checkpoint=path)
    with pytest.raises(ValueError, match=r"other settings: learning_rate is 0\.1 there and 0\.2 here"):
        optimization(OptimizationConfig(**SMALL, learning_rate=0.2), checkpoint=path)
    whole = path.read_bytes()
    held = dict(np.load(path, allow_pickle=False))

    def packed(**arrays):
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        return buffer.getvalue()

    flat = io.BytesIO()
    np.save(flat, np.zeros(3))
    for content in (
        b"",
        b"no archive",
        whole[:500],
        flat.getvalue(),
        packed(config=held["config"]),
        packed(**held | {"x": np.array([{}])}),
        packed(**held | {"config": np.array("[1]")}),
        packed(**held | {"x": held["x"][1:]}),
        packed(**held | {"curves": held["curves"][:, 1:]}),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"run\.npz is not a checkpoint of an optimization") as told:
            optimization(OptimizationConfig(**SMALL), checkpoint=path)
        assert "pickle" not in str(told.value)  # which NumPy advises to load


@pytest.mark.parametrize(
    "more, step",
    [
        ({"reading": "free", "learning_rate": 1e6}, 5),
        ({"learning_rate": 1e300}, 1),
        ({"reading": "renormalized", "learning_rate": 1e200}, 1),
        ({"learn_temperature": True, "learning_rate": 1e6}, 1),
    ],
)
def test_a_run_that_diverges_says_when_and_leaves_the_checkpoint(tmp_path, monkeypatch, more, step):
    """Without warnings, which are errors in tests."""
    monkeypatch.setattr(room, "_CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(room, "_TELL_SECONDS", 1e-9)  # one step at a time
    config = OptimizationConfig(n=20, steps=30, **more)
    path = tmp_path / "run.npz"
    for _ in range(2):  # the second time from the checkpoint
        with pytest.raises(FloatingPointError, match=rf"learning rate .* after step {step} of 30"):
            optimization(config, checkpoint=path)
        with np.load(path) as held:
            assert held["done"] == step - 1
            assert np.isfinite(held["x"]).all()
            assert np.isfinite(held["y"]).all()


def test_printed_figures_stand_beside_the_runs_that_they_are_of():
    def paper(**settings):
        config = OptimizationConfig(**settings)
        record = dict.fromkeys(room.CURVES, 1.0)
        start = collapsed(30, dim=config.dim, effective=config.effective)
        run = room._simulation(config, start, start, [record, record])
        kept, before = run["ineffective gap kept"].paper, run["ineffective gap before"].paper
        assert kept is None or kept == pytest.approx(run["ineffective gap after"].paper / before)
        return run["ineffective gap after"].paper

    assert paper() == paper(steps=2000, learning_rate=10.0) == 0.82
    assert paper(n=500, steps=80_000) == 0.9718
    assert paper(n=500) is None
    assert paper(temperature=0.05) is None
    assert paper(learn_temperature=True) is None


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"steps": 0}, "steps must be a whole number"),
        ({"temperature": 0.001}, "temperature must be a number in"),
        ({"learning_rate": 0}, "learning_rate must be a number in"),
        ({"effective": (300, 300)}, "sum below dim 512"),
        ({"reading": "raw"}, "reading must be scaled, unit, renormalized or free, got 'raw'"),
        ({"final_temperature": 0.1, "learn_temperature": True}, "exclude each other"),
        ({"final_temperature": 0.0}, "final_temperature must be a number"),
    ],
)
def test_errors(settings, message):
    with pytest.raises(ValueError, match=message):
        OptimizationConfig(**settings)


def test_settings_survive_json():
    config = OptimizationConfig(final_temperature=0.02)
    assert OptimizationConfig(**json.loads(json.dumps(config.to_dict()))) == config
