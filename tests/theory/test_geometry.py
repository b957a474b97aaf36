"""The generator of pairs, against what it says of its population."""

import numpy as np
import pytest

from isthmus.measure import GapStatistics, effective_dimension
from isthmus.theory import Geometry, sample
from isthmus.theory.geometry import population

TINY = Geometry(dim=12, shared_dimension=4, noise_dimension=6)  # where scaling rows would change most


@pytest.mark.parametrize(
    "geometry",
    [
        TINY,
        Geometry(dim=64, shared_dimension=10, noise_dimension=20),
        Geometry(dim=33, gap=0.5, cone=0.6, alignment=0.55, shared_dimension=9, noise_dimension=12),
        Geometry(dim=24, gap=0.0, cone=0.0, alignment=0.5, shared_dimension=20, noise_dimension=20),
        Geometry(dim=24, gap=1.0, cone=0.25, alignment=-0.1, shared_dimension=6, noise_dimension=8),
    ],
)
def test_constants_are_those_of_the_population(geometry):
    n = 100_000
    x, y, _ = sample(n, geometry, seed=1)
    truth = population(geometry, seed=1)
    assert np.linalg.norm(x, axis=1) == pytest.approx(1, abs=1e-6)
    assert np.linalg.norm(y, axis=1) == pytest.approx(1, abs=1e-6)
    assert np.linalg.norm(truth.gap) == pytest.approx(geometry.gap, abs=1e-12)
    assert (truth.means**2).sum(axis=1) == pytest.approx(geometry.cone, abs=1e-12)
    assert truth.means[0] @ truth.means[1] + np.trace(truth.cross_covariance) == pytest.approx(
        geometry.alignment, abs=1e-12
    )
    cosine = (x * y).sum(axis=1, dtype=np.float64)
    assert abs(cosine.mean() - geometry.alignment) < 4 * cosine.std() / np.sqrt(n)
    found = GapStatistics(covariance=True).update(x.astype(np.float64), y)
    spread = np.trace(truth.covariance)
    assert spread == pytest.approx(1 - geometry.cone, abs=1e-12)
    squared = ((found.means - truth.means) ** 2).sum(axis=1)
    assert (squared < 3 * spread / n).all()  # spread / n is expected
    whole = truth.covariance, truth.covariance, truth.cross_covariance
    for covariance, expected in zip(found.covariances, whole, strict=True):
        assert np.linalg.norm(covariance - expected) < 2 * spread / np.sqrt(n)
    residual = np.cov((x - y).astype(np.float64), rowvar=False, bias=True)
    assert np.linalg.norm(residual - truth.residual_covariance) < 4 * spread / np.sqrt(n)


def test_the_gap_is_orthogonal_to_both_spans():
    x, y, _ = sample(500, seed=4)
    truth = population(seed=4)
    assert np.abs(truth.basis @ truth.means.T).max() == 0
    for z, mean in zip((x, y), truth.means, strict=True):
        assert np.abs((z - mean) @ truth.gap).max() < 1e-6
    for k in (1, 2, 4):
        square = np.sort(truth.gap**2)[-k:].sum()
        assert truth.gap_share(k) == pytest.approx(square / 0.83**2)
    assert truth.gap_share(1) < truth.gap_share(2) < truth.gap_share(4) == pytest.approx(1)


def test_no_gap_stands_in_no_dimension():
    geometry = Geometry(dim=24, gap=0.0, alignment=0.6, shared_dimension=8, noise_dimension=12)
    assert population(geometry).gap_share(2) == 0  # as the measure has it, and no 0 / 0


def test_noise_has_the_effective_dimension_asked_for():
    for overlap in (0.0, 0.1, 1.0):
        geometry = Geometry(dim=64, shared_dimension=10, noise_dimension=25.5, noise_overlap=overlap)
        truth = population(geometry, seed=3)
        spectrum = np.linalg.eigvalsh(truth.residual_covariance)
        assert spectrum.sum() ** 2 / (spectrum**2).sum() == pytest.approx(25.5, rel=1e-6)
        assert spectrum.sum() == pytest.approx(2 * geometry.noise_variance)
        in_order = (np.diff(truth.noise) <= 0).mean()  # as the lengths of what is shared are
        assert in_order == 1 if overlap == 1 else in_order < 0.7
        shared = np.linalg.eigvalsh(truth.cross_covariance)
        assert shared.sum() ** 2 / (shared**2).sum() == pytest.approx(10, rel=1e-6)
    assert truth.noise / truth.noise[0] == pytest.approx(
        (np.arange(30) / 2.5 + 1) ** (np.log(truth.noise[1] / truth.noise[0]) / np.log(1.4))
    )  # one spectrum with what is shared: a power law


def test_noise_can_be_isotropic():
    geometry = Geometry(dim=64, shared_dimension=10, noise_dimension=60)
    truth = population(geometry)
    assert geometry.span == 60
    within = np.diag([0.0] * 4 + [2 * geometry.noise_variance / 60] * 60)
    assert truth.residual_covariance == pytest.approx(within, abs=1e-12)
    x, y, _ = sample(3000, geometry)
    assert effective_dimension(x - y - truth.gap) >= 58  # 59.4 of 60 hold 0.99 of it
    residual = x - y - truth.gap
    residual /= np.linalg.norm(residual, axis=1, keepdims=True)
    cosines = (residual @ residual.T)[np.triu_indices(3000, 1)]
    assert cosines.std() == pytest.approx(1 / np.sqrt(60), rel=0.01)


def test_residuals_look_like_clips():
    x, y, _ = sample(500)
    residual = (x - y) - (x - y).mean(axis=0)
    residual /= np.linalg.norm(residual, axis=1, keepdims=True)
    cosines = (residual @ residual.T)[np.triu_indices(500, 1)]
    assert cosines.std() == pytest.approx(0.1025, abs=0.01)  # isotropic noise would have 0.044
    assert (x - y).std(axis=0).mean() == pytest.approx(0.0358, abs=0.002)
    curve = np.array([np.mean(z**4) / np.mean(z**2) ** 2 for z in (x - x.mean(axis=0)).T[4:]])
    assert curve.mean() == pytest.approx(3, abs=0.1)  # of a normal distribution; circles alone have 1.5


def test_spectra_depend_on_no_seed_and_directions_do():
    first, second = population(TINY, seed=1), population(TINY, seed=2)
    assert (first.noise == second.noise).all()
    assert (first.shared == second.shared).all()
    assert np.abs(first.means - second.means).max() > 0.01
    assert np.abs(first.basis - second.basis).max() > 0.1


def test_captions_of_an_item_repeat_its_image():
    x, y, groups = sample(20, captions=3, seed=2)
    assert groups.tolist() == np.repeat(np.arange(20), 3).tolist()
    assert (x[0::3] == x[1::3]).all()
    assert np.abs(y[0::3] - y[1::3]).max(axis=1).min() > 0.01
    assert (x == sample(20, captions=3, seed=2)[0]).all()


def test_captions_of_an_item_are_as_near_as_is_said():
    _, y, _ = sample(30_000, TINY, captions=2, seed=5)
    cosine = (y[0::2] * y[1::2]).sum(axis=1, dtype=np.float64)
    expected = population(TINY, seed=5).sibling_cosine
    assert expected == pytest.approx(0.52 + TINY.shared_variance)
    assert abs(cosine.mean() - expected) < 4 * cosine.std() / np.sqrt(30_000)


def test_blocks_do_not_show(monkeypatch):
    monkeypatch.setattr("isthmus.theory.geometry._BLOCK", 7)
    x, y, groups = sample(30, TINY, captions=2, seed=3)
    assert len(x) == len(y) == len(groups) == 60
    assert np.linalg.norm(y, axis=1) == pytest.approx(1, abs=1e-6)
    assert len(np.unique(x.round(5), axis=0)) == 30
    assert (x[0::2] == x[1::2]).all()
    # an item's phases reach both of its modalities in every block
    apart = (x * y).sum(axis=1).mean() - (x[::2] * np.roll(y[::2], 1, axis=0)).sum(axis=1).mean()
    assert apart == pytest.approx(TINY.shared_variance, abs=0.1)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: sample(1), "n >= 2 and captions >= 1, got n=1"),
        (lambda: sample(9, captions=0), "captions=0"),
        (lambda: Geometry(gap=1.9), "no unit rows have gap 1.9"),
        (lambda: Geometry(alignment=0.9), "no unit rows have"),
        (lambda: Geometry(noise_overlap=1.5), r"noise_overlap must be a number in \[0, 1\], got 1.5"),
        (lambda: Geometry(gap_dimensions=1), r"gap_dimensions must be a whole number in \[2, 510\], got 1"),
        (lambda: Geometry(dim=3), r"dim must be a whole number in \[4, inf\), got 3"),
        (
            lambda: sample(9, Geometry(noise_dimension=600)),
            "an effective dimension must be between .* and 508, got 600",
        ),
        (lambda: population(Geometry(shared_dimension=1)), "an effective dimension must be between"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
