import numpy as np
import pytest
from scipy.special import hyp0f1
from scipy.stats import beta

from isthmus.theory.stable_region import (
    _independent,
    _predicted_angle,
    required_margin,
    stable_region,
    widest_angle,
)

_RNG = np.random.default_rng(5)
_NEGATIVES = _RNG.uniform(-0.4, 0.6, size=40)


def loss(positive, negatives, temperature):
    """Loss of a row as Lemma 2 has it, term by term."""
    return np.log(1 + sum(np.exp((s - positive) / temperature) for s in negatives))


@pytest.fixture(scope="module")
def run():
    return stable_region(n=48, dim=96, temperatures=(0.2, 0.01, 0.02, 0.05, 0.1), draws=2)


@pytest.mark.parametrize("temperature", [0.01, 0.07, 1.0])
@pytest.mark.parametrize("delta", [1e-4, 0.01, 0.5])
def test_margin_is_where_the_loss_is_delta(temperature, delta):
    margin = required_margin(_NEGATIVES, temperature=temperature, delta=delta)
    assert loss(_NEGATIVES.max() + margin, _NEGATIVES, temperature) == pytest.approx(delta, rel=1e-9)


def test_tied_negatives_need_all_that_suffices():
    for t in (0.01, 0.3, 1.0):
        margin = required_margin(np.full(30, 0.2), temperature=t, delta=0.01)
        assert margin == pytest.approx(t * np.log(30 / np.expm1(0.01)), abs=1e-9)
    one = required_margin([0.2], temperature=0.3, delta=0.01)
    assert one == pytest.approx(0.3 * np.log(1 / np.expm1(0.01)), abs=1e-9)


def test_margin_does_not_know_the_origin_and_scales_with_the_temperature():
    given = {"temperature": 0.07, "delta": 0.01}
    margin = required_margin(_NEGATIVES, **given)
    assert required_margin(_NEGATIVES - 0.3, **given) == pytest.approx(margin)
    assert required_margin(3 * _NEGATIVES, temperature=0.21, delta=0.01) == pytest.approx(3 * margin)
    assert required_margin(_NEGATIVES[::-1], **given) == pytest.approx(margin)


def test_bounds_hold_and_margins_shrink_with_the_temperature(run):
    c = run.curves
    assert c["temperatures"].tolist() == [0.01, 0.02, 0.05, 0.1, 0.2]
    assert c["found"] == pytest.approx(c["exact"], abs=1e-9)
    assert (c["necessary"] < c["found"]).all()
    assert (c["found"] <= c["lemma"] + 1e-12).all()
    assert (c["lemma"] <= c["sufficient"]).all()
    assert (c["lemma"] - c["found"] <= c["temperatures"] * np.log(2)).all()
    for name in ("necessary", "found", "lemma", "sufficient"):
        assert (np.diff(c[name]) > 0).all()
    for name in ("angle", "widest", "orthogonal", "hardest"):
        assert (np.diff(c[name]) <= 0).all()


def test_orthogonal_rows_have_the_region_of_the_closed_form(run):
    assert run.curves["orthogonal"] == pytest.approx(run.curves["orthogonal_predicted"], abs=1e-3)
    assert run.curves["orthogonal"][-1] == 0  # too hot for any row
    assert run.curves["orthogonal"][0] > 90
    for t in (0.1, 0.29):  # at 0.29 the region no longer holds the positive itself
        exact = np.degrees(np.arccos(t * np.log(4 / np.expm1(0.1)) / np.sqrt(1.25)) + np.arctan(0.5))
        found = widest_angle(np.eye(5)[:, ::-1] * 3, temperature=t, delta=0.1)
        assert found == pytest.approx(exact, abs=1e-3)


def test_random_rows_have_the_angles_of_the_closed_form(run):
    c = run.curves
    assert (c["hardest"] < c["angle"]).sum() == 4
    assert (c["angle"] <= c["widest"]).all()
    many = stable_region(temperatures=(0.02, 0.05, 0.07), seed=1).curves  # n = 256, dim = 512
    assert many["angle"] == pytest.approx(many["angle_predicted"], abs=0.4)


def predicted(n, dim, temperature, delta=0.01):
    return _predicted_angle(_independent(2000, n, dim, np.random.default_rng(0)), temperature, delta)


def test_predicted_angles_are_medians_where_few_rows_decide_too():
    """Medians of 16 rows vary by 2 to 3 degrees between spaces."""
    few = stable_region(n=16, dim=16, temperatures=(0.01,), draws=40).curves
    assert few["angle"][0] == pytest.approx(few["angle_predicted"][0], abs=3 * 2.5 / np.sqrt(40))


@pytest.mark.parametrize("n, dim", [(2, 8), (16, 16), (200, 512)])
def test_a_cold_predicted_angle_is_that_of_the_nearest_negative(n, dim):
    """The largest of n - 1 coordinates u of uniform unit rows: (1 + u) / 2 has a beta distribution."""
    nearest = 2 * beta.ppf(0.5 ** (1 / (n - 1)), (dim - 1) / 2, (dim - 1) / 2) - 1
    assert np.cos(np.radians(predicted(n, dim, 1e-6))) == pytest.approx(nearest, abs=0.1 / np.sqrt(dim))


def test_a_hot_predicted_angle_is_that_of_the_mean_over_negatives():
    """By the Bessel function that is the mean of an exponential of one coordinate."""
    n, dim, t, delta = 200, 512, 0.1, 0.1
    mean = np.log((n - 1) * hyp0f1(dim / 2, 1 / (2 * t) ** 2) / np.expm1(delta))
    assert predicted(n, dim, t, delta) == pytest.approx(np.degrees(np.arccos(t * mean)), abs=0.1)


def test_few_surrounding_negatives_do_not_hold_the_search():
    """Between orthogonal negatives the loss is locally least: one start of sixteen lies there."""
    exact = np.degrees(np.arccos(0.1 * np.log(4 / np.expm1(0.1)) / np.sqrt(1.25)) + np.arctan(0.5))
    for seed in range(24):
        found = widest_angle(np.eye(5), temperature=0.1, delta=0.1, seed=seed)
        assert found == pytest.approx(exact, abs=1e-3)


def test_widest_angle_by_brute_force():
    """Of many points of a sphere, none with a loss that small lies farther away, and some as far."""
    points = np.random.default_rng(0).normal(size=(400_000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    turns = np.radians([0, 100, 230])  # of negatives around the positive: some are near in every direction
    ring = np.column_stack([2 * np.cos(turns), 2 * np.sin(turns), np.ones(3)])
    for rows in (np.random.default_rng(3).normal(size=(4, 3)), np.vstack([[0, 0, 1], ring])):
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        for temperature in (0.02, 0.1, 0.2):
            inside = loss(points @ rows[0], (points @ rows[1:].T).T, temperature) <= 0.2
            farthest = np.degrees(np.arccos((points[inside] @ rows[0]).min())) if inside.any() else 0.0
            found = widest_angle(rows, temperature=temperature, delta=0.2)
            assert found == pytest.approx(farthest, abs=0.5)


def test_widest_angle_does_not_turn_with_the_space():
    rows = np.random.default_rng(1).normal(size=(12, 6)) + np.eye(12, 6)
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(6, 6)))[0]
    given = {"temperature": 0.05, "delta": 0.1}
    angle = widest_angle(rows, **given)
    assert angle > 10
    assert widest_angle(rows @ turn, seed=4, **given) == pytest.approx(angle, abs=1e-3)
    assert widest_angle(rows[[0, *range(11, 0, -1)]], **given) == pytest.approx(angle, abs=1e-3)


def test_there_is_no_region_around_a_positive_that_is_its_own_negative():
    assert widest_angle(np.eye(4)[[0, 0, 1]], temperature=0.01, delta=0.5) == 0


@pytest.mark.parametrize("seed", [0, 3])
def test_the_search_does_not_start_at_the_positive(seed):
    """Nothing but rounding is left of a start that is a multiple of it."""
    given = {"temperature": 0.05, "delta": 0.1}
    for key in (seed, [seed, 0], [seed, 0, 4]):
        rows = np.random.default_rng(key).normal(size=(6, 64))
        elsewhere = widest_angle(rows, seed=99, **given)
        assert widest_angle(rows, seed=seed, **given) == pytest.approx(elsewhere, abs=1e-3)
    square = stable_region(n=64, dim=64, temperatures=(0.05,), draws=1, seed=seed).curves
    assert square["widest"][0] > square["angle"][0]


def test_no_two_draws_are_of_one_stream(monkeypatch):
    """NumPy takes the keys [3, 0] and [3] for one."""
    given, whole = [], np.random.default_rng
    monkeypatch.setattr(np.random, "default_rng", lambda key: given.append(key) or whole(key))
    stable_region(n=4, dim=8, temperatures=(0.05,), draws=5, seed=3)
    states = {str(whole(key).bit_generator.state) for key in given}
    searches = 2  # over drawn and over orthogonal rows: from the same start
    assert len(states) == len(given) - searches + 1


def test_seeds_and_lines(run):
    again = stable_region(n=48, dim=96, temperatures=(0.2, 0.01, 0.02, 0.05, 0.1), draws=2)
    assert run.to_dict() == again.to_dict()
    other = stable_region(n=48, dim=96, temperatures=(0.05,), draws=1, seed=1)
    assert other.curves["found"][0] != run.curves["found"][2]
    line = run["angle at temperature 0.05"]
    assert line.measured == run.curves["angle"][2]
    assert 0 < line.spread < 3
    assert "Above a temperature of 0.118" in run.notes[-1]
    near = stable_region(n=4, dim=8, temperatures=(0.0100001, 0.01000012), draws=1)
    assert len({line.name for line in near.lines}) == len(near.lines) == 6


def test_most_of_clips_rows_on_coco_lie_outside(clip_pairs):
    """At the temperature that CLIP learned, a batch of 500 leaves few rows with a loss of 0.01."""
    x, y = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in clip_pairs.astype(np.float64))
    cosine = x @ y.T
    own = np.diag(cosine).copy()
    np.fill_diagonal(cosine, -2)
    margin = own - cosine.max(axis=1)
    needed = [
        required_margin(np.delete(row, i), temperature=0.01, delta=0.01) for i, row in enumerate(cosine)
    ]
    assert (margin >= needed).mean() == pytest.approx(0.094, abs=0.001)
    assert (margin < 0).mean() == pytest.approx(0.448, abs=0.001)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: stable_region(n=1), r"n must be a whole number in \[2, 512\], got 1"),
        (lambda: stable_region(n=9, dim=8), r"n must be a whole number in \[2, 8\], got 9"),
        (lambda: stable_region(dim=2), r"dim must be a whole number in \[3, inf\), got 2"),
        (lambda: stable_region(delta=0.7), r"delta must be a number in \(0, 0.6931\), got 0.7"),
        (
            lambda: stable_region(temperatures=()),
            r"temperatures must hold at least one number in \(0, inf\), got none",
        ),
        (
            lambda: stable_region(temperatures=(0.1, 0.2, 0.1)),
            "temperatures must be different numbers, got 0.1 more than once",
        ),
        (lambda: stable_region(temperatures=(0.0,)), r"temperatures must be a number in \(0, inf\), got 0.0"),
        (lambda: stable_region(draws=0), "draws must be a whole number"),
        (lambda: required_margin([], temperature=1, delta=0.1), r"negatives must be .* got shape \(0,\)"),
        (lambda: required_margin([np.nan], temperature=1, delta=0.1), "negatives must be finite"),
        (lambda: required_margin([0.1], temperature=0, delta=0.1), "temperature must be a number"),
        (lambda: required_margin([0.1], temperature=1, delta=0), "delta must be a number"),
        (lambda: widest_angle(np.eye(3)[:1], temperature=1, delta=0.1), r"n >= 2, dim >= 3\), got \(1, 3\)"),
        (lambda: widest_angle(np.zeros((3, 3)), temperature=1, delta=0.1), "rows has 3 zero rows"),
        (lambda: widest_angle(np.eye(3), temperature=-1, delta=0.1), "temperature must be a number"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
