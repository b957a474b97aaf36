"""The closed forms of an isotropic space, against spaces drawn that way and brute force."""

import numpy as np
import pytest

from isthmus.measure import geometry_isotropic as isotropic
from isthmus.measure.geometry_distribution import distribution_of
from isthmus.measure.geometry_groups import group_figures
from isthmus.measure.geometry_spectrum import spectrum


def draw(n, dim, length, noise, seed=0):
    """Pairs whose rows spread isotropically, about means that differ by `length`; rows of any length."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(scale=np.sqrt(noise / (2 * dim)), size=(2, n, dim))
    x[:, 0] += length / 2
    y[:, 0] -= length / 2
    return x, y


@pytest.fixture
def raw(monkeypatch):
    """Takes rows as they are: closed forms are of Gaussian rows, which unit length bends."""
    monkeypatch.setattr("isthmus.measure.geometry_groups.unit_rows", lambda rows: rows)


@pytest.mark.parametrize(
    "length, noise, dim, g", [(0.83, 0.6, 128, 12), (0.2, 1.0, 64, 10), (0.0, 1.0, 50, 5), (1.5, 0.1, 12, 8)]
)
def test_groups_of_isotropic_noise_are_as_predicted(raw, length, noise, dim, g):
    x, y = draw(800 * g, dim, length, noise)
    found = group_figures(x, y, np.arange(len(x)).reshape(800, g), lambda rows: None)
    square = length**2
    mean, std = isotropic.gap_length(square, noise, dim, groups_of=g)
    assert found.lengths.mean == pytest.approx(mean, abs=4 * std / np.sqrt(800))
    assert found.lengths.std == pytest.approx(std, rel=0.08)
    mean, std = isotropic.direction(square, noise, dim, groups_of=g)
    assert found.directions.mean == pytest.approx(mean, abs=0.006)
    assert found.directions.std == pytest.approx(std, rel=0.12)
    for tally in (found.orthogonality_x, found.orthogonality_y):  # 1 / sqrt(dim), as of any direction
        assert tally.mean == pytest.approx(0, abs=4 / np.sqrt(800 * (g - 1) * dim))
        assert tally.std == pytest.approx(dim**-0.5, rel=0.02)
    mean, std = isotropic.residual_cosine(dim, groups_of=g)
    assert found.residual_cosines.mean == pytest.approx(mean, rel=0.02)
    assert found.residual_cosines.std == pytest.approx(std, rel=0.02)


def test_limits():
    assert isotropic.gap_length(0.64, 0.0, 9, groups_of=5) == pytest.approx((0.8, 0))
    assert isotropic.direction(0.64, 0.0, 9, groups_of=5) == pytest.approx((1, 0))
    assert isotropic.gap_length(0.0, 0.0, 9, groups_of=5) == (0, 0)
    assert isotropic.direction(0.0, 0.0, 9, groups_of=5) == (0, 0)
    assert isotropic.residual_cosine(9, groups_of=2) == (-1, 0)
    assert isotropic.cone(1.0, 9) == (1, 0)
    big = 10**4  # with many dimensions, the mean cosine is the one that the noise's length alone gives
    assert isotropic.direction(0.7, 0.6, big, groups_of=10)[0] == pytest.approx(
        1 / (1 + 0.06 / 0.7), rel=1e-4
    )


@pytest.mark.parametrize(
    "cones, gap, shared, tilt",
    [
        ((0.52, 0.52), 0.83, 0.3, 0),
        ((0.2, 0.2), 0.5, 0.0, 0),
        ((0.7, 0.3), 1.0, 0.2, 1),
        ((0.6, 0.6), 1.5, 0.2, 0),
    ],
)
def test_unit_length_bends_what_varies_along_the_mean(cones, gap, shared, tilt):
    """Rows that are isotropic before they are scaled, of means at any angle to the gap."""
    dim, g, count = 160, 20, 400
    rng = np.random.default_rng(0)
    half = (gap / 2 - 0.2 * tilt, -gap / 2 - 0.2 * tilt)  # the means' parts along the gap
    means = np.zeros((2, dim))
    means[:, 0], means[:, 1] = half, [np.sqrt(max(c - h**2, 0)) for c, h in zip(cones, half, strict=True)]
    if not tilt:
        means[1, 1] = means[0, 1]
    spreads = [1 - mean @ mean for mean in means]
    common = rng.normal(scale=np.sqrt(shared / dim), size=(g * count, dim))
    x, y = (
        mean + common + rng.normal(scale=np.sqrt((spread - shared) / dim), size=common.shape)
        for mean, spread in zip(means, spreads, strict=True)
    )
    x, y = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (x, y))
    found = group_figures(x, y, np.arange(len(x)).reshape(count, g), lambda rows: None)

    spans = [(z.mean(axis=0), z.var(axis=0).sum()) for z in (x, y)]
    apart = spans[0][0] - spans[1][0]
    noise = (x - y).var(axis=0).sum()
    along = isotropic.along_gap(*spans, noise)
    assert along == pytest.approx(((x - y) @ apart / np.linalg.norm(apart)).var(), rel=0.06)
    mean, std = isotropic.gap_length(apart @ apart, noise, dim, groups_of=g, along=along)
    assert found.lengths.mean == pytest.approx(mean, abs=4 * std / np.sqrt(count))
    assert found.lengths.std == pytest.approx(std, rel=0.15)
    plain = isotropic.gap_length(apart @ apart, noise, dim, groups_of=g)[1]
    assert abs(std / plain - 1) > 0.03  # what pairs share adds to it, what they do not takes away
    for tally, span in zip((found.orthogonality_x, found.orthogonality_y), spans, strict=True):
        assert tally.std == pytest.approx(isotropic.orthogonality(*span, apart)[1], rel=0.03)


@pytest.mark.parametrize("square", [0.0, 0.3, 0.8])
def test_cone(square):
    dim, rng = 128, np.random.default_rng(0)
    rows = rng.normal(scale=np.sqrt((1 - square) / dim), size=(1500, dim))
    rows[:, 0] += np.sqrt(square)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    products = (rows @ rows.T)[np.triu_indices(1500, 1)]
    mean, std = isotropic.cone(products.mean(), dim)
    assert mean == products.mean()
    assert products.std() == pytest.approx(std, rel=0.02)


def test_residual_std():
    rows = np.random.default_rng(0).normal(scale=0.3, size=(200, 5000))
    mean, std = isotropic.residual_std(5000 * 0.09, 5000, n=200)
    assert mean == pytest.approx(rows.std(axis=0, ddof=1).mean(), rel=0.005)
    assert std == pytest.approx(rows.std(axis=0, ddof=1).std(), rel=0.05)


@pytest.mark.parametrize("k, dim", [(1, 512), (2, 512), (10, 512), (2, 24), (10, 12)])
def test_top_share(k, dim):
    square = np.sort(np.random.default_rng(0).normal(size=(4000, dim)) ** 2, axis=1)[:, ::-1]
    share = (square[:, :k].sum(axis=1) / square.sum(axis=1)).mean()
    assert isotropic.top_share(k, dim) == pytest.approx(share, rel=0.12)
    assert isotropic.top_share(dim, dim) == 1


@pytest.mark.parametrize("dim, n", [(100, 60), (100, 101), (100, 400), (40, 4000), (8, 10_000)])
def test_spectrum_of_isotropic_rows(dim, n):
    rows = np.random.default_rng(0).normal(size=(n, dim))
    found = spectrum(np.cov(rows, rowvar=False), n)
    assert found.isotropic_effective_dimension == pytest.approx(found.effective_dimension, abs=1)
    assert found.isotropic_largest == pytest.approx(found.shares[0], rel=0.1)
    assert found.participation_ratio == pytest.approx(dim, rel=0.04)
    assert found.variance == pytest.approx(dim, rel=0.05)
    assert found.scale == pytest.approx(found.variance / found.participation_ratio)


@pytest.mark.parametrize("n", [30, 200])
def test_participation_ratio_has_no_bias_of_few_rows(n):
    variances = np.linspace(3, 0.1, 40) ** 2
    truth = variances.sum() ** 2 / (variances**2).sum()
    rng = np.random.default_rng(0)
    draws = [np.cov(rng.normal(size=(n, 40)) * np.sqrt(variances), rowvar=False) for _ in range(60)]
    found = [spectrum(c, n).participation_ratio for c in draws]
    plain = [np.trace(c) ** 2 / (c**2).sum() for c in draws]
    assert np.mean(found) == pytest.approx(truth, rel=0.03)
    assert np.mean(plain) < 0.92 * truth


@pytest.mark.parametrize("share", [0.5, 0.99])
def test_effective_dimension_of_very_many_rows_is_the_share_of_dimensions(share):
    assert isotropic.effective_dimension(512, 10**9, share) == np.ceil(share * 512)


def test_no_spread_is_refused():
    with pytest.raises(ValueError, match="expected rows of x that differ, got 7 that are all equal"):
        spectrum(np.zeros((3, 3)), 7, name="rows of x")


def test_values_that_differ_by_rounding_alone_have_a_histogram():
    values = np.array([1.0, np.nextafter(1, 2)])
    found = distribution_of(values, isotropic=(1.0, 0.0))
    assert found.counts.sum() == 2
    assert found.edges[0] < 1 < found.edges[-1]
