import numpy as np
import pytest

from isthmus.align import Dials, MeanCollapse, SharedSpace
from isthmus.align.latent import LatentModel
from isthmus.align.selection import choose_dials, fold_statistics
from isthmus.align.shared import _unpaired
from isthmus.measure import GapStatistics, find_items, l2m, relative_modality_gap, retrieval_ranks
from isthmus.theory import Geometry, sample
from tests.measure.oracles import unit

SMALL = Geometry(dim=24, shared_dimension=6, noise_dimension=8)


def centred(x):
    x = unit(x)
    return x - x.mean(axis=0)


def power(matrix, exponent):
    value, vector = np.linalg.eigh(matrix)
    return (vector * value**exponent) @ vector.T


@pytest.fixture(scope="module")
def simulated():
    return sample(3000, SMALL, seed=2)[:2]


def test_common_noise_agrees_with_its_formula(simulated):
    """Whiten by N^-1/2, weight eigen-direction k of N^-1/2 S N^-1/2 by (k / (k + 1))^strength."""
    x, y = simulated
    a, b = centred(x), centred(y)
    n, dim = a.shape
    S = (a.T @ b + b.T @ a) / (2 * n)
    N = (a.T @ a + b.T @ b) / (2 * n) - S
    N = 0.7 * N + 0.3 * np.trace(N) / dim * np.eye(dim)
    value, vector = np.linalg.eigh(S)
    S = (vector * np.maximum(value, 0)) @ vector.T
    white = power(N, -0.5)
    k, direction = np.linalg.eigh(white @ S @ white)
    k = np.maximum(k, 0)
    expected = unit(a @ white @ direction * (k / (k + 1)) ** 1.5)
    mapped, other = SharedSpace(noise="common", shrinkage=0.3, strength=1.5).fit(x, y).transform(x, y)
    assert mapped @ mapped[:50].T == pytest.approx(expected @ expected[:50].T, abs=1e-4)  # up to a rotation
    assert mapped.mean(axis=0) == pytest.approx(other.mean(axis=0), abs=0.05)


def test_separate_noise_is_the_posterior_mean_of_what_is_shared(simulated):
    """(t I + R' N_x^-1 R)^-1 R' N_x^-1 (x - m_x), with S = R R'."""
    x, y = simulated
    a, b = centred(x), centred(y)
    n = len(a)
    S = (a.T @ b + b.T @ a) / (2 * n)
    value, vector = np.linalg.eigh(S)
    kept = value > 1e-9 * value[-1]
    R = vector[:, kept] * np.sqrt(value[kept])

    def posterior(rows):
        e, u = np.linalg.eigh(rows.T @ rows / n - S)
        e = np.maximum(e, 0)
        N = (u * (0.2 * e + 0.8 * e.mean())) @ u.T
        return unit(
            rows
            @ np.linalg.solve(4 * np.eye(R.shape[1]) + R.T @ np.linalg.solve(N, R), np.linalg.solve(N, R).T).T
        )

    expected = posterior(a), posterior(b)
    mapped = SharedSpace(noise="separate", shrinkage=0.8, strength=4).fit(x, y).transform(x, y)
    for u, v in ((0, 0), (0, 1), (1, 1)):
        assert mapped[u] @ mapped[v][:50].T == pytest.approx(expected[u] @ expected[v][:50].T, abs=1e-4)


def test_no_noise_is_the_collapse(simulated):
    x, y = simulated
    a, b = SharedSpace(noise="none").fit(x, y).transform(x, y)
    c, d = MeanCollapse().fit(x, y).transform(x, y)
    assert a == pytest.approx(c, abs=1e-5)
    assert b == pytest.approx(d, abs=1e-5)


def test_recovers_what_is_shared():
    """Noise in two directions out of twelve: mapped rows are nearer to the latent than raw ones."""
    rng = np.random.default_rng(0)
    latent, noise = rng.normal(size=(4000, 12)), rng.normal(size=(2, 4000, 12)) * ([3.0] * 2 + [0.3] * 10)
    x, y = latent + noise[0], latent + noise[1]
    u, v = SharedSpace(noise="common", shrinkage=0.0, strength=1.0).fit(x, y).transform(x, y)
    truth = unit(latent) @ unit(latent)[:200].T

    def error(z):
        return 1 - np.corrcoef((z @ z[:200].T).ravel(), truth.ravel())[0, 1]

    assert error(u) < 0.5 * error(unit(x))
    assert relative_modality_gap(u, v) < 0.6 * relative_modality_gap(x, y)


def test_strength_trades_gap_for_retrieval(clip_pairs):
    x, y = clip_pairs
    gaps, recalls = [], []
    for strength in (2, 8, 32, 128):
        aligner = SharedSpace(noise="separate", shrinkage=0.9, strength=strength).fit(x[:400], y[:400])
        u, v = aligner.transform(x[400:], y[400:])
        gaps.append(relative_modality_gap(u, v))
        recalls.append((retrieval_ranks(u, v) == 1).mean())
    assert gaps == sorted(gaps, reverse=True)
    assert recalls[0] > recalls[-1]


@pytest.mark.parametrize("keep_recall", [0.8, 0.9, 0.99])
def test_auto_keeps_the_recall_asked_for_where_pairs_are_fewer_than_dimensions(clip_pairs, keep_recall):
    x, y = clip_pairs
    raw, kept, gap = [], [], []
    for fold in range(5):
        test = np.arange(500) % 5 == fold
        aligner = SharedSpace(keep_recall=keep_recall).fit(x[~test], y[~test])
        u, v = aligner.transform(x[test], y[test])
        raw.append(sum((retrieval_ranks(*p) == 1).mean() for p in ((x[test], y[test]), (y[test], x[test]))))
        kept.append(sum((retrieval_ranks(*p) == 1).mean() for p in ((u, v), (v, u))))
        gap.append(relative_modality_gap(u, v))
    assert sum(kept) / sum(raw) > keep_recall - 0.03
    assert np.mean(gap) < {0.8: 0.34, 0.9: 0.39, 0.99: 0.46}[keep_recall]


def test_auto_holds_out_whole_items():
    """Near-copies of a pair in training and held-out rows would make every recall look perfect."""
    x, y, groups = sample(60, SMALL, captions=6, seed=5)
    folds = fold_statistics(x, y, groups, seed=0)
    seen = [set(item.tolist()) for _, _, item in folds.pairs]
    assert sum(len(s) for s in seen) == len(set.union(*seen)) == 60


def test_the_held_out_pairs_to_choose_by_are_whole_items_from_everywhere(monkeypatch):
    monkeypatch.setattr("isthmus.align.selection._HELD_OUT_PAIRS", 30)
    x, y, groups = sample(400, SMALL, captions=3, seed=5)
    folds = fold_statistics(x, y, groups, seed=0)
    chosen = np.concatenate([item for _, _, item in folds.pairs])
    assert (np.unique(chosen, return_counts=True)[1] == 3).all()
    assert 30 <= len(chosen) / 5 <= 33
    assert chosen.max() > 300  # not only the first rows of the file


def test_fold_statistics_add_up(simulated):
    x, y = (z.astype(np.float64) for z in simulated)
    folds = fold_statistics(x, y, np.arange(len(x)), seed=0)
    a, b = centred(x), centred(y)
    assert folds.total.pairs == len(x)
    assert folds.total.covariances[2] == pytest.approx(a.T @ b / len(x), abs=1e-12)
    assert folds.without(0).pairs == len(x) - folds.parts[0].pairs


def test_when_nothing_keeps_enough_the_most_is_kept(simulated):
    x, y = (z[:200] for z in simulated)
    folds = fold_statistics(x, y, np.arange(200), seed=0)
    bad = [Dials("common", 0.1, strength) for strength in (30.0, 60.0)]
    chosen = choose_dials(folds, bad, extra=[None, None], target="shared", keep_recall=1.0)
    assert chosen.strength == 30.0


def test_target_y_leaves_the_index_alone(clip_pairs):
    x, y = clip_pairs
    aligner = SharedSpace(target="y", noise="separate", shrinkage=0.8, strength=16).fit(x[:400], y[:400])
    u, v = aligner.transform(x[400:], y[400:])
    assert v == pytest.approx(unit(y[400:]), abs=1e-6)
    assert relative_modality_gap(u, v) < relative_modality_gap(x[400:], y[400:]) - 0.1
    careful = SharedSpace(target="y", keep_recall=0.99).fit(x[:400], y[:400])
    hits = [(retrieval_ranks(z, y[400:]) == 1).mean() for z in (careful.transform(x[400:]), x[400:])]
    assert hits[0] >= 0.93 * hits[1]


def test_unpaired_rows_count_as_the_statistics_of_all(simulated):
    """Means and covariances of the model are those of paired and unpaired rows together."""
    x, y = (z.astype(np.float64) for z in simulated)
    u, v = unit(x), unit(y)
    pairs = GapStatistics(covariance=True).update(x[:300], y[:300])
    model = LatentModel.of(pairs, [_unpaired(x[300:]), None])
    assert model.means[0] == pytest.approx(u.mean(axis=0), abs=1e-12)
    assert model.covariances[0] == pytest.approx(np.cov(u, rowvar=False, bias=True), abs=1e-12)
    assert model.covariances[1] == pytest.approx(np.cov(v[:300], rowvar=False, bias=True), abs=1e-12)


def test_unpaired_rows_bring_the_means_together_where_pairs_are_few():
    x, y, _ = sample(3000, SMALL, seed=3)
    train, test = slice(0, 30), slice(2000, 3000)
    left = []
    for extra in ({}, {"unpaired_x": x[30:2000], "unpaired_y": y[30:2000]}):
        aligner = SharedSpace(noise="separate", shrinkage=0.5, strength=8).fit(x[train], y[train], **extra)
        left.append(l2m(*aligner.transform(x[test], y[test])))
    assert left[1] < left[0] / 2


def test_seeds_and_repeats(simulated):
    x, y = (z[:300] for z in simulated)
    a, b = SharedSpace(seed=1).fit(x, y), SharedSpace(seed=1).fit(x, y)
    assert a.dials_ == b.dials_
    assert (a.x_matrix_ is None and b.x_matrix_ is None) or (a.x_matrix_ == b.x_matrix_).all()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"noise": "pink"}, "noise must be one of auto, separate, common, none, got 'pink'"),
        ({"shrinkage": 1.5}, r"shrinkage must be a number in \[0, 1\], got 1.5"),
        ({"strength": -1}, r"strength must be a number in \[0, inf\), got -1"),
        ({"keep_recall": 0}, r"keep_recall must be a number in \(0, 1\], got 0"),
        ({"target": "x"}, "target must be 'shared' or 'y', got 'x'"),
    ],
)
def test_errors_of_options(options, message, pairs):
    with pytest.raises(ValueError, match=message):
        SharedSpace(**options).fit(*pairs)


def test_error_of_too_few_items_and_of_nothing_shared(pairs):
    x, y = pairs
    with pytest.raises(ValueError, match="at least 4 items, got 3"):
        SharedSpace().fit(x[:3], y[:3])
    with pytest.raises(ValueError, match="the pairs share nothing"):
        SharedSpace(noise="common", shrinkage=0.5, strength=1).fit(
            [[1, 0.1], [1, -0.1]], [[1, -0.1], [1, 0.1]]
        )


def test_auto_only_collapses_where_pairs_share_nothing(pairs):
    x, _ = pairs
    assert SharedSpace().fit(x, -x).dials_.noise == "none"


def test_items_of_repeated_rows_are_one(pairs):
    x, y = pairs
    assert find_items(np.repeat(x, 2, axis=0), np.repeat(y, 2, axis=0)).count == len(x)
