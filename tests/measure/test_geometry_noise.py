"""The variance along the gap and the noise's normality, against spaces of known truth."""

from functools import partial

import numpy as np
import pytest
from scipy.stats import norm, t

from isthmus.measure.bootstrap import Bootstrap
from isthmus.measure.geometry_noise import _gap_and_noise, _of_so_few, differences, normality, replicate
from isthmus.measure.geometry_spectrum import Span, spectrum
from isthmus.theory import Geometry, sample
from isthmus.theory.geometry import population


def draw(n, lean, seed, dim=20, noise=0.8):
    """Rows that spread along few axes, with a gap along another, in which variance is `lean` times theirs."""
    rng = np.random.default_rng(seed)
    scale = np.r_[np.sqrt(lean), np.ones(4), np.full(dim - 5, 1e-3)]
    shared = rng.normal(size=(n, dim)) * scale * 0.2
    shared[:, -1] = 3.0  # far from the origin along one axis, so that unit length bends little
    x, y = shared + rng.normal(size=(2, n, dim)) * scale * noise * 0.2
    x[:, 0] += 0.15
    y[:, 0] -= 0.15
    return x, y


def replicates(x, y, seed):
    rows = np.arange(len(x))
    sums = differences(x, y, rows, seed, lambda rows: None)
    spans = tuple(Span.of(z, rows, name=name) for z, name in ((x, "x"), (y, "y")))
    return replicate(x, y, sums, spans, seed=seed, advance=lambda rows: None)


@pytest.mark.parametrize("lean", [0.0, 2.0])
def test_variance_along_the_gap_is_that_of_the_space_however_noisy_the_gap_is(lean):
    truth = lean * (lean + 4) / (lean**2 + 4)  # of the mean variance of the span, tr(C^2) / tr(C)
    found = [replicates(*draw(120, lean, seed), seed).ratio_x for seed in range(16)]
    values = np.array([f.value for f in found])
    assert values.mean() == pytest.approx(truth, abs=4 * values.std() / 4 + 0.01 * truth)
    assert np.mean([f.low <= truth <= f.high for f in found]) > 0.8
    assert np.mean([f.high - f.low for f in found]) < 7 * values.std()  # 4 would be exact


def test_replicates_agree_with_loops():
    x, y = draw(50, 0.5, seed=3)
    unit = [z / np.linalg.norm(z, axis=1)[:, None] for z in (x, y)]
    d = unit[0] - unit[1]
    sums = differences(x, y, np.arange(50), 7, lambda rows: None)
    assert sums.gap == pytest.approx(d.mean(axis=0))
    assert sums.covariance == pytest.approx(np.cov(d, rowvar=False), abs=1e-15)
    gaps = [d[sums.part == k].mean(axis=0) for k in range(3)]
    assert sums.part_gaps == pytest.approx(np.array(gaps))
    assert sorted(np.bincount(sums.part)) == [16, 17, 17]
    found = replicates(x, y, 7)
    for z, ratio in zip(unit, (found.ratio_x, found.ratio_y), strict=True):
        along, norm = 0.0, 0.0
        for k, (i, j) in enumerate(((1, 2), (2, 0), (0, 1))):
            own = np.cov(z[sums.part == k], rowvar=False)
            along += (sums.part == k).mean() * (gaps[i] @ own @ gaps[j])
            norm += gaps[i] @ gaps[j] / 3
        scale = spectrum(np.cov(z, rowvar=False), 50).scale
        assert ratio.value == pytest.approx(along / norm / scale)
        assert ratio.low < ratio.value < ratio.high


def test_interval_of_the_gap_covers_its_length():
    big = [z / np.linalg.norm(z, axis=1)[:, None] for z in draw(200_000, 0.0, seed=999)]
    truth = np.linalg.norm(big[0].mean(axis=0) - big[1].mean(axis=0))
    found = [replicates(*draw(100, 0.0, seed), seed).length for seed in range(16)]
    values = np.array([f.value for f in found])
    assert values.mean() == pytest.approx(truth, abs=4 * values.std() / 4)
    assert sum(f.low <= truth <= f.high for f in found) >= 13


@pytest.fixture
def ten_bootstraps(monkeypatch):
    """Drawing the resamples takes longest: ten sets of them take turns."""
    boots = {}

    def one_of_ten(group, seed):
        return boots.setdefault((len(group), seed % 10), Bootstrap(group, seed % 10))

    monkeypatch.setattr("isthmus.measure.geometry_noise.Bootstrap", one_of_ten)
    return one_of_ten


def share_that_holds(figures, truth):
    """Share of intervals that hold the truth; where there is none, nothing is said that is wrong."""
    there = [figure for figure in figures if figure is not None]
    assert all(figure.low <= figure.value <= figure.high for figure in there)
    wrong = sum(not figure.low <= truth <= figure.high for figure in there)
    return (len(figures) - wrong) / len(figures)


UNEVEN, EVEN = (
    {"shared_dimension": 12, "noise_dimension": 20},
    {"shared_dimension": 36, "noise_dimension": 36},
)


@pytest.mark.parametrize(
    "spread, gap, alignment, n",
    [
        (UNEVEN, 0.83, 0.31, 300),
        (UNEVEN, 0.1, 0.7, 300),
        (UNEVEN, 0.83, 0.31, 60),
        (UNEVEN, 0.1, 0.7, 60),
        (UNEVEN, 0.0, 0.7, 60),
        (EVEN, 0.1, 0.7, 100),
        (EVEN, 0.83, 0.31, 60),
    ],
)
def test_intervals_hold_what_was_put_in(spread, gap, alignment, n, ten_bootstraps):
    """In 93% of 200 draws or more; the gap is orthogonal to both spans, so that no row varies along it."""
    sets = 200
    put_in = Geometry(dim=40, gap=gap, alignment=alignment, **spread)
    noise = np.trace(population(put_in, seed=11).residual_covariance)
    truth = {"length": gap, "constant_share": gap**2 / (gap**2 + noise), "noise_std": np.sqrt(noise / 40)}
    truth |= {"ratio_x": 0.0, "ratio_y": 0.0}
    x, y, _ = sample(sets * n, put_in, seed=11)
    found = [replicates(x[k * n :][:n], y[k * n :][:n], k) for k in range(sets)]
    covered = {k: share_that_holds([getattr(f, k) for f in found], value) for k, value in truth.items()}
    assert {name: share for name, share in covered.items() if share < 0.93} == {}
    told = np.mean([f.ratio_x is not None for f in found])
    assert told < 0.05 if gap == 0 else told > 0.5


def along_and_across(n, dim, gap):
    """Differences (n, dim) that spread alike in all directions, along the gap too."""
    return gap * np.eye(dim)[0] + np.random.default_rng(1).normal(size=(n, dim)) * (0.83 / dim**0.5)


def across(n, dim, gap, spread):
    """Differences of a gap that no row varies along."""
    x, y, _ = sample(n, Geometry(dim=dim, gap=gap, alignment=0.3 if gap > 0.5 else 0.7, **spread), seed=1)
    return (x - y).astype(np.float64)


def power_law(n, dim, gap):
    """Differences of a gap that points anywhere, their variances those of a power law."""
    rng = np.random.default_rng(5)
    std = np.arange(1, dim + 1) ** -0.35
    direction = rng.normal(size=dim)
    direction *= gap / np.linalg.norm(direction)
    return direction + rng.normal(size=(n, dim)) * (0.83 * std / np.linalg.norm(std))


MANY = {"noise_dimension": 252}


@pytest.mark.parametrize(
    "draw_differences, dim, gap, n",
    [
        (along_and_across, 40, 0.8, 10),
        (along_and_across, 5, 0.8, 20),
        (partial(across, spread=UNEVEN), 40, 0.83, 20),
        (partial(across, spread=UNEVEN), 40, 0.1, 60),
        (partial(across, spread=EVEN), 40, 0.1, 20),
        (partial(across, spread=MANY), 256, 0.83, 5),
        (power_law, 64, 0.0, 60),
        (power_law, 64, 0.1, 60),
        (power_law, 64, 0.8, 60),
    ],
)
def test_the_gap_and_the_noise_of_few_items(draw_differences, dim, gap, n, ten_bootstraps):
    """In 93% of 200 draws or more: the length from 5 items on, all three from 60 on."""
    covered = coverage(draw_differences, dim, gap, n, ten_bootstraps)
    assert covered[0] >= 0.93
    assert n < 60 or min(covered) >= 0.93, covered


def coverage(draw_differences, dim, gap, n, bootstrap, sets=200):
    """Share of the intervals of the length, of its share and of the noise that hold what was put in."""
    draws = draw_differences(n * sets, dim, gap).reshape(sets, n, dim)
    square = (draws**2).sum(axis=2)
    whole = gap**2 + np.trace(np.cov(draws.reshape(-1, dim), rowvar=False))
    figures = []
    for k, (d, own) in enumerate(zip(draws, square, strict=True)):
        figures.append(_gap_and_noise(bootstrap(np.arange(n), k), d, own))
    truth = (gap, gap**2 / whole, np.sqrt((whole - gap**2) / dim))
    return [
        share_that_holds(one, value) for one, value in zip(zip(*figures, strict=True), truth, strict=True)
    ]


def test_noise_of_few_items_that_are_far_from_the_others(ten_bootstraps):
    def heavy(n, dim, gap):
        rng = np.random.default_rng(5)
        length = np.sqrt(5 / rng.chisquare(7, size=(n, 1)))
        return gap * np.eye(dim)[0] + rng.normal(size=(n, dim)) * length * 0.83 / dim**0.5

    length, _, noise = coverage(heavy, 64, 0.8, 60, ten_bootstraps, sets=400)
    assert length >= 0.93
    assert noise >= 0.93  # 0.92 as wide as Student's t of 60 normal items


def test_fewer_items_that_count_widen_an_interval_more():
    replicated = np.array([1.0, 0.5, 2.0])
    for moves, known in (
        (np.array([1.0, -1.0] * 5), 9),  # flatter than normal: by 10 items, as Student has it
        (np.append(np.zeros(9), 5.0), 2 * 9 / ((0.9**3 + 0.1**3) / 0.09 - 1)),  # one of them is all
        (np.zeros(10), 9),
    ):
        wider = t.ppf(0.975, known) / norm.ppf(0.975) * np.sqrt(10 / 9)
        assert _of_so_few(replicated, moves) == pytest.approx(1 + wider * (replicated - 1))
        assert _of_so_few(replicated, 3 - 7 * moves) == pytest.approx(_of_so_few(replicated, moves))


def test_bins_of_items_do_not_change_the_length(monkeypatch):
    x, y = draw(400, 0.5, seed=3)
    whole = replicates(x, y, 0)
    monkeypatch.setattr("isthmus.measure.bootstrap._BINS", 100)
    binned = replicates(x, y, 0)
    assert binned.length.value == pytest.approx(whole.length.value, rel=1e-12)
    assert binned.constant_share.value == pytest.approx(whole.constant_share.value, rel=1e-12)
    wide = [figure.high - figure.low for figure in (whole.length, binned.length)]
    assert wide[1] == pytest.approx(wide[0], rel=0.25)


def test_residuals_of_known_shape():
    rng = np.random.default_rng(0)
    x = np.full((1500, 60), 0.3)
    y = x + 0.01 * np.hstack(
        [rng.normal(size=(1500, 30)), rng.exponential(size=(1500, 15)), np.zeros((1500, 15))]
    )
    x, y = (np.hstack([z, np.full((1500, 1), 1e3)]) for z in (x, y))  # unit length bends nothing
    tested, rejected, kurtosis = normality(x, y, np.arange(1500), seed=0)
    assert tested == 1500
    assert rejected == pytest.approx((0.05 * 30 + 15) / 45, abs=0.06)  # constant dimensions are left out
    assert kurtosis == pytest.approx(6 * 15 / 45, abs=0.6)  # an exponential's is 6
    assert normality(x, y, np.arange(49), seed=0) == (49, None, None)
    assert normality(x, y, np.arange(50), seed=0)[0] == 50


def test_of_many_pairs_two_thousand_are_tested(monkeypatch):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 5000, 30)) * 0.2 + np.eye(30)[0]
    tested, rejected, _ = normality(x, y, np.arange(5000), seed=0)
    assert tested == 2000
    monkeypatch.setattr("isthmus.measure.geometry_noise.MAX_TESTED", 100)
    few = normality(x, y, np.arange(5000), seed=0)
    assert few[0] == 100
    assert few[1] <= rejected + 0.2


def test_parts_that_disagree_have_no_direction():
    x, y = draw(60, 0.0, seed=0)
    part = differences(x, y, np.arange(60), 0, lambda rows: None).part
    x[part == 0], y[part == 0] = y[part == 0], x[part == 0].copy()
    found = replicates(x, y, 0)
    assert found.ratio_x is None
    assert found.ratio_y is None
