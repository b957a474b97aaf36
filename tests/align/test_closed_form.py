import numpy as np
import pytest
from sklearn.cross_decomposition import CCA
from sklearn.linear_model import Ridge

from isthmus.align import LinearMap, MeanCollapse, MeanShift, Procrustes, RegularizedCCA
from isthmus.measure import l2m, retrieval_ranks
from tests.measure.oracles import unit


def test_collapse_follows_the_released_order(pairs):
    """Unit rows, minus the modality's mean, unit rows again."""
    x, y = pairs
    u, v = MeanCollapse().fit(x, y).transform(x, y)
    assert u == pytest.approx(unit(unit(x) - unit(x).mean(axis=0)))
    assert v == pytest.approx(unit(unit(y) - unit(y).mean(axis=0)))
    assert l2m(u, v) < l2m(x, y) / 5


def test_collapse_needs_no_pairs(pairs):
    x, y = pairs
    shuffled = MeanCollapse().fit(x, y[::-1][:50])
    assert shuffled.x_offset_ == pytest.approx(MeanCollapse().fit(x, y).x_offset_)


def test_collapse_is_invariant_to_the_order_of_rows(pairs):
    x, y = pairs
    order = np.random.default_rng(0).permutation(len(x))
    assert MeanCollapse().fit(x[order], y).x_offset_ == pytest.approx(MeanCollapse().fit(x, y).x_offset_)


def test_shift_moves_along_the_gap(pairs):
    x, y = pairs
    gap = unit(x).mean(axis=0) - unit(y).mean(axis=0)
    half = MeanShift(strength=0.5).fit(x, y)
    assert half.transform(x) == pytest.approx(unit(unit(x) - 0.25 * gap))
    assert half.transform_y(y) == pytest.approx(unit(unit(y) + 0.25 * gap))
    assert MeanShift(strength=0).fit(x, y).transform(x) == pytest.approx(unit(x))
    assert l2m(*MeanShift().fit(x, y).transform(x, y)) < l2m(x, y) / 5


def test_linear_map_is_ridge_regression(pairs):
    x, y = pairs
    u, v = unit(x), unit(y)
    variance = u.var(axis=0).mean()
    ridge = Ridge(alpha=0.3 * variance * len(u)).fit(u, v)
    mapped, same = LinearMap(alpha=0.3).fit(x, y).transform(x, y)
    assert mapped == pytest.approx(unit(ridge.predict(u)))
    assert same == pytest.approx(v)


def test_linear_map_chooses_the_penalty_of_generalised_cross_validation(pairs):
    x, y = pairs
    u, v = unit(x) - unit(x).mean(axis=0), unit(y) - unit(y).mean(axis=0)
    n, variance = len(u), u.var(axis=0).mean()

    def error(alpha):
        hat = u @ np.linalg.solve(u.T @ u + alpha * variance * n * np.eye(12), u.T)
        return ((v - hat @ v) ** 2).sum() / (n - 1 - np.trace(hat)) ** 2

    chosen = LinearMap().fit(x, y).alpha_
    assert error(chosen) == pytest.approx(min(error(a) for a in np.logspace(-4, 3, 29)))


def test_procrustes_finds_a_rotation_and_only_a_rotation(pairs):
    x, _ = pairs
    rotation = np.linalg.qr(np.random.default_rng(3).normal(size=(12, 12)))[0]
    fitted = Procrustes().fit(x, x @ rotation)
    assert fitted.x_matrix_ == pytest.approx(rotation)
    noisy = Procrustes().fit(*pairs).x_matrix_
    assert noisy @ noisy.T == pytest.approx(np.eye(12), abs=1e-12)


def test_cca_without_ridge_finds_the_canonical_correlations():
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(2000, 3))
    x = np.hstack([shared, rng.normal(size=(2000, 3))])
    y = np.hstack([shared + 0.5 * rng.normal(size=(2000, 3)), rng.normal(size=(2000, 3))])
    ours = RegularizedCCA(alpha=0, components=3).fit(x, y)
    theirs = CCA(n_components=3, max_iter=5000).fit(unit(x), unit(y))
    a, b = theirs.transform(unit(x), unit(y))
    expected = [np.corrcoef(a[:, k], b[:, k])[0, 1] for k in range(3)]
    assert ours.correlations_ == pytest.approx(expected, abs=1e-3)


def test_cca_of_fewer_pairs_than_dimensions(clip_pairs):
    x, y = clip_pairs
    u, v = RegularizedCCA(alpha=1.0).fit(x[:400], y[:400]).transform(x[400:], y[400:])
    assert (retrieval_ranks(u, v) == 1).mean() > 0.4


@pytest.mark.parametrize("alpha", [1.0, 0.0])
@pytest.mark.parametrize("captions", [1, 5])
def test_cca_keeps_the_directions_that_its_items_span_and_no_rounding(alpha, captions):
    """Of n rows about their mean, n - 1 directions vary, whatever the width and the precision."""
    rng = np.random.default_rng(0)
    for items in (2, 3, 15):
        x, y = (rng.normal(size=(count, 128)).astype(np.float32) for count in (items, items * captions))
        x = x.repeat(captions, axis=0)
        single, double = (
            RegularizedCCA(alpha, strength=0).fit(x.astype(kind), y.astype(kind)) for kind in "fd"
        )
        assert single.transform(x).shape == double.transform(x).shape == (len(x), items - 1)
        assert single.correlations_ == pytest.approx(double.correlations_, abs=1e-9)
        assert single.correlations_.max() <= 1


def test_cca_keeps_no_direction_in_which_modalities_do_not_correlate():
    """A design in which x and y share one factor of two: what is left of the other is rounding."""
    one, two, three = (level.ravel() for level in np.meshgrid(*[np.arange(6)] * 3))
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(40, 40)))[0]
    x, y = (np.hstack([np.eye(6)[one], np.eye(6)[other]]) @ turn[:12] for other in (two, three))
    for kind in "fd":
        assert len(RegularizedCCA().fit(x.astype(kind), y.astype(kind)).correlations_) == 5


def test_cca_of_real_pairs_has_one_width_in_either_precision(clip_pairs):
    x, y = clip_pairs
    for n in (2, 30, 250):
        for kind in "fd":
            assert len(RegularizedCCA().fit(x[:n].astype(kind), y[:n].astype(kind)).correlations_) == n - 1


def test_predicting_the_mean_caption_looks_aligned_and_finds_nothing(clip_pairs):
    """Why no gap figure is shown without its retrieval."""
    x, y = clip_pairs
    mapped, text = LinearMap(alpha=1e4).fit(x[:400], y[:400]).transform(x[400:], y[400:])
    raw = retrieval_ranks(x[400:], y[400:])
    assert (mapped * text).sum(axis=1).mean() > 0.7
    assert (retrieval_ranks(mapped, text) == 1).mean() < 0.3 * (raw == 1).mean()
