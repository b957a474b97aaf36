import numpy as np
import pytest
from scipy.spatial.distance import pdist

import isthmus.measure as measure
from tests.measure import oracles

FIGURES = {
    "alignment": measure.alignment,
    "l2m": measure.l2m,
    "rmg": measure.relative_modality_gap,
    "rmg_cosine": lambda x, y: measure.relative_modality_gap(x, y, distance="cosine"),
    "gap_share": lambda x, y: measure.gap_share(x, y, k=2),
    "cone": lambda x, y: measure.mean_cosine_within(x),
    "uniformity": lambda x, y: measure.uniformity(x),
}


@pytest.mark.parametrize("n, dim", [(2, 2), (5, 3), (60, 16)])
def test_agrees_with_definition(n, dim):
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(n, dim)) + 0.5, rng.normal(size=(n, dim)) - 0.5
    u, v = oracles.unit(x), oracles.unit(y)
    difference = u.mean(axis=0) - v.mean(axis=0)
    square = sorted(difference**2, reverse=True)
    cosines = [u[i] @ u[j] for i in range(n) for j in range(n) if i != j]
    expected = {
        "alignment": np.mean([a @ b for a, b in zip(u, v, strict=True)]),
        "l2m": np.sqrt(sum(difference**2)),
        "rmg": oracles.rmg(x, y, oracles.euclidean),
        "rmg_cosine": oracles.rmg(x, y, oracles.cosine),
        "gap_share": sum(square[:2]) / sum(square),
        "cone": np.mean(cosines),
        "uniformity": np.log(np.mean(np.exp(-2 * pdist(u) ** 2))),
    }
    for name, function in FIGURES.items():
        precision = 1e-6 if name in {"rmg", "uniformity"} else 1e-12
        assert function(x, y) == pytest.approx(expected[name], rel=precision, abs=1e-12), name


@pytest.mark.parametrize("name", FIGURES)
def test_does_not_change_under_scaling_rotation_and_order(name, pairs):
    x, y = pairs
    function = FIGURES[name]
    rng = np.random.default_rng(1)
    order = rng.permutation(len(x))
    scale = rng.uniform(0.1, 10, size=(len(x), 1))
    rotation = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    value = function(x, y)
    assert function(x * scale, y * scale) == pytest.approx(value, rel=1e-6)
    assert function(x[order], y[order]) == pytest.approx(value, rel=1e-6)
    if name != "gap_share":  # depends on the axes, by definition
        assert function(x @ rotation, y @ rotation) == pytest.approx(value, rel=1e-6)


def test_limits():
    rng = np.random.default_rng(0)
    x, other = rng.normal(size=(2, 2000, 64))
    assert measure.relative_modality_gap(x, x) == pytest.approx(0, abs=1e-12)
    assert measure.relative_modality_gap(x, other) == pytest.approx(0.5, abs=0.005)
    assert measure.relative_modality_gap(x, other, distance="cosine") == pytest.approx(0.5, abs=0.005)
    point = np.tile([[1.0, 0, 0]], (3, 1))
    assert measure.relative_modality_gap(point, point[:, ::-1]) == pytest.approx(1)
    assert measure.l2m(point, -point) == pytest.approx(2)
    assert measure.alignment(x, -x) == pytest.approx(-1)
    assert measure.mean_cosine_within(point) == pytest.approx(1)
    assert measure.gap_share(x, other, k=64) == pytest.approx(1)
    assert measure.uniformity(point) == pytest.approx(0, abs=1e-6)
    assert measure.uniformity(x) == pytest.approx(-4, abs=0.15)  # distances concentrate at sqrt(2)


def test_narrow_cone_keeps_its_digits():
    rng = np.random.default_rng(0)
    x = 1 + 1e-3 * rng.normal(size=(300, 64))
    exact = pdist(oracles.unit(x)).mean()
    assert measure.distances_within(x).mean() == pytest.approx(exact, rel=1e-6)


def test_tiles_and_panels_add_up(monkeypatch):
    x = np.random.default_rng(0).normal(size=(101, 7)).astype(np.float32)
    whole = measure.distances_within(x, potential=True)
    monkeypatch.setattr("isthmus.measure.distances._BLOCK", 17)
    assert measure.distances_within(x, potential=True) == pytest.approx(whole, rel=1e-5)
    monkeypatch.setattr("isthmus.measure.distances._PREPARED_BYTES", 0)
    assert measure.distances_within(x, potential=True) == pytest.approx(whole, rel=1e-5)


def test_probe_finds_a_gap_and_only_a_gap():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 1000, 16))
    assert measure.modality_probe(x + 3, y - 3).mean() == 1
    assert measure.modality_probe(x, y).mean() == pytest.approx(0.5, abs=0.04)


def test_probe_never_trains_on_the_item_it_tells():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(40), 5)
    x, y = np.repeat(rng.normal(size=(2, 40, 200)), 5, axis=1)
    assert measure.modality_probe(x, y, groups=labels).mean() < 0.75
    assert measure.modality_probe(x, y).mean() > 0.85  # having seen repeated rows, it remembers them


@pytest.mark.parametrize(
    "x, y, message",
    [
        ([[1, 0]], [[1, 0]], "at least 2 pairs, got 1"),
        (np.ones((3, 2)), np.ones((2, 2)), "x has 3 rows, y has 2"),
        (np.ones((3, 2)), np.ones((3, 4)), "x has dim 2, y has dim 4"),
        (np.zeros((2, 2)), np.ones((2, 2)), "x has 2 zero rows, the first is row 0"),
        ([[1, 0], [1, np.nan]], np.ones((2, 2)), "x has 1 NaN or infinite row, the first is row 1"),
        (np.ones((2, 2)), [[1, 0], [np.inf, 1]], "y has 1 NaN or infinite row, the first is row 1"),
        (np.ones(3), np.ones(3), r"x must have shape \(n, dim\), got \(3,\)"),
        (np.ones((2, 2, 2)), np.ones((2, 2)), r"x must have shape \(n, dim\), got \(2, 2, 2\)"),
        (np.ones((0, 2)), np.ones((0, 2)), "x is empty"),
        ([["a", "b"]], [[1, 2]], "x must hold float16, float32 or float64"),
        (np.ones((2, 2), np.longdouble), np.eye(2), "x must hold float16, float32 or float64, got dtype"),
        ([[1, 2], [1]], np.ones((2, 2)), "x must be a rectangular array"),
    ],
)
@pytest.mark.parametrize("function", [measure.alignment, measure.l2m, measure.relative_modality_gap])
def test_errors(function, x, y, message):
    with pytest.raises(ValueError, match=message):
        function(x, y)


def test_errors_of_arguments(pairs):
    with pytest.raises(ValueError, match="distance must be 'euclidean' or 'cosine', got 'l1'"):
        measure.relative_modality_gap(*pairs, distance="l1")
    with pytest.raises(ValueError, match="between 1 and dim = 12, got 13"):
        measure.gap_share(*pairs, k=13)
    with pytest.raises(ValueError, match="undefined: x and y are one repeated direction"):
        measure.relative_modality_gap(np.ones((3, 2)), np.ones((3, 2)), distance="cosine")


def test_published_facts_of_clip_on_coco(clip_pairs):
    x, y = clip_pairs
    assert measure.alignment(x, y) == pytest.approx(0.3099, abs=5e-5)
    assert measure.l2m(x, y) == pytest.approx(0.8514, abs=5e-5)
    assert measure.relative_modality_gap(x, y) == pytest.approx(0.5477, abs=5e-5)
    assert measure.relative_modality_gap(x, y, distance="cosine") == pytest.approx(0.5915, abs=5e-5)
    assert measure.gap_share(x, y, k=2) == pytest.approx(0.686, abs=5e-4)
    assert measure.mean_cosine_within(x) == pytest.approx(0.531, abs=5e-4)
    assert measure.mean_cosine_within(y) == pytest.approx(0.515, abs=5e-4)


def test_gap_of_an_untrained_clip(realdata):
    x, y = np.load(realdata / "liang2022" / "features_clip_random.npy")
    assert measure.l2m(x, y) == pytest.approx(1.1361, abs=5e-5)
