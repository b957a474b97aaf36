"""Noise: each kind is what its source says, and only what is trained on is corrupted."""

import csv

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.covariance import LedoitWolf
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from isthmus.align import AdaptiveNoise, CalibratedNoise, GaussianNoise, SpanNoise
from tests.measure.oracles import unit

ALL = [GaussianNoise(), GaussianNoise("auto"), AdaptiveNoise(), SpanNoise(), CalibratedNoise()]


def fitted(noise, rows=None):
    """Fitted on pairs with a gap, five captions an item."""
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(100, 7)) if rows is None else rows
    return clone(noise).fit(
        rows + rng.normal(size=rows.shape) + 3, rows, groups=np.repeat(np.arange(20), 5)[: len(rows)]
    )


def centred(rows):
    return rows - rows.mean(axis=0)


def mean_cosine(a, b):
    return float((unit(a) * unit(b)).sum(axis=1).mean())


def alone(estimator):
    """scikit-learn's checks pass labels and nothing else: give each noise what it learns from."""

    class Alone(type(estimator)):
        __init__ = type(estimator).__init__

        def fit(self, X, y=None):
            return super().fit(X)

        def _learn(self, X, Y, groups):
            super()._learn(X + 1, X, groups)

        def fit_transform(self, X, y=None):
            return self.fit(X).corrupt(X, np.random.default_rng(self.seed))

    Alone.__name__ = Alone.__qualname__ = type(estimator).__name__ + "Alone"
    Alone = globals().setdefault(Alone.__name__, Alone)  # where pickle finds it
    return Alone(**estimator.get_params())


def refused(estimator):
    if isinstance(estimator, CalibratedNoise):
        return {}  # rows paired with themselves leave no noise
    design = "fit_transform corrupts, transform does not"
    return {"check_transformer_general": design, "check_transformer_data_not_an_array": design}


@parametrize_with_checks(
    [alone(noise) for noise in (GaussianNoise(), AdaptiveNoise(), SpanNoise(), CalibratedNoise())],
    expected_failed_checks=refused,
)
def test_follows_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize("noise", ALL, ids=str)
def test_only_what_is_trained_on_is_corrupted(noise, pairs):
    rows = pairs[1]
    before = rows.copy()
    groups = np.repeat(np.arange(24), 5)
    corrupted = clone(noise).fit_transform(pairs[0], rows, groups=groups)
    learned = clone(noise).fit(*pairs, groups=groups)
    assert (learned.transform(rows) == before).all()
    assert (corrupted != before).any(axis=1).all()
    assert (corrupted == learned.corrupt(rows, np.random.default_rng(0))).all()
    assert (rows == before).all()


@pytest.mark.parametrize("noise", ALL, ids=str)
def test_a_seed_is_one_noise(noise):
    rows = np.random.default_rng(1).normal(size=(50, 7))
    learned = fitted(noise)
    first, same, other = (learned.corrupt(rows, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert (first == same).all()
    assert (first != other).any(axis=1).all()
    single = learned.corrupt(rows.astype(np.float32), np.random.default_rng(3))
    assert single.dtype == np.float32
    assert single == pytest.approx(first, abs=1e-5)
    state = np.random.get_state()[1].copy()  # noqa: NPY002  that nothing draws from it
    learned.corrupt(rows, np.random.default_rng(0))
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002


@pytest.mark.parametrize("noise", ALL, ids=str)
def test_bad_arguments_are_refused(noise):
    rows = np.ones((4, 7))
    with pytest.raises(NotFittedError):
        clone(noise).corrupt(rows, np.random.default_rng(0))
    learned = fitted(noise)
    with pytest.raises(ValueError, match=r"rng must be a numpy.random.Generator, got 0"):
        learned.corrupt(rows, 0)
    with pytest.raises(ValueError, match="features"):
        learned.corrupt(rows[:, :3], np.random.default_rng(0))
    with pytest.raises(ValueError, match="NaN"):
        learned.corrupt(rows * np.nan, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"seed must be a whole number in \[0, inf\), got -1"):
        fitted(clone(noise).set_params(seed=-1))


@pytest.mark.parametrize(
    ("noise", "arguments", "message"),
    [
        (GaussianNoise(std=-1), {}, r"std must be a number in \[0, inf\), got -1"),
        (GaussianNoise(std="big"), {}, r"std must be a number in \[0, inf\), 'auto' or 'capdec', got 'big'"),
        (GaussianNoise(std="auto"), {}, "std='auto' compares captions of one item: expected groups"),
        (GaussianNoise(std="capdec"), {}, "std='capdec' compares captions of one item: expected groups"),
        (
            GaussianNoise(std="auto"),
            {"groups": [0, 1, 2]},
            "some item two rows or more, got 3 items, a row each",
        ),
        (GaussianNoise(std="auto"), {"groups": [0, 1]}, "groups has 2 entries, the embeddings have 3 rows"),
        (GaussianNoise(std="auto"), {"groups": [0, 0, 0], "X": np.ones((3, 2))}, "must differ somewhere"),
        (AdaptiveNoise(alpha=1.5), {}, r"alpha must be a number in \[0, 1\], got 1.5"),
        (SpanNoise(), {}, "SpanNoise learns the gap of two modalities: expected X and Y, got Y=None"),
        (SpanNoise(), {"Y": np.eye(3)[:, :2]}, "must have a gap between their means"),
        (CalibratedNoise(scale=-1), {}, r"scale must be a number in \[0, inf\), got -1"),
        (CalibratedNoise(), {}, "expected Y or groups, got neither"),
        (CalibratedNoise(), {"Y": np.eye(2)}, "X and Y must pair row by row: X has 3 rows, Y has 2"),
        (CalibratedNoise(), {"X": np.eye(1), "Y": np.eye(1)}, "at least 2 pairs of X and Y, got 1 sample"),
        (CalibratedNoise(), {"Y": -np.eye(3)[:, :2]}, r"share something: expected a slope above 0, got -1"),
    ],
)
def test_error_says_what_was_expected(noise, arguments, message):
    with pytest.raises(ValueError, match=message):
        noise.fit(**({"X": np.eye(3)[:, :2]} | arguments))


def test_gaussian_noise_has_its_std_in_every_dimension_and_direction():
    rows = np.random.default_rng(0).normal(size=(40_000, 5))
    added = GaussianNoise(std=0.3).fit(rows).corrupt(rows, np.random.default_rng(1)) - rows
    assert added.mean(axis=0) == pytest.approx(np.zeros(5), abs=0.01)
    assert np.cov(added.T) == pytest.approx(0.09 * np.eye(5), abs=0.002)
    assert GaussianNoise().fit(rows).std_ ** 2 == pytest.approx(0.016)
    assert (GaussianNoise(std=0).fit_transform(rows) == rows).all()


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("auto", lambda apart: np.sqrt(np.mean(np.square(apart)))),
        ("capdec", lambda apart: np.abs(apart).max(axis=1).mean()),
    ],
)
def test_rules_of_the_std(rule, expected):
    """By brute force, on items of 1 to 5 captions, in any order."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(12), rng.integers(1, 6, size=12))
    order = rng.permutation(len(groups))
    rows = rng.normal(size=(len(groups), 6))
    apart = [rows[i] - rows[j] for i in range(len(rows)) for j in range(i) if groups[i] == groups[j]]
    std = pytest.approx(expected(np.array(apart)))
    noise = GaussianNoise(std=rule)
    assert noise.fit(rows, groups=groups).std_ == std
    assert noise.fit(rows[order], groups=groups[order]).std_ == std
    assert noise.fit(rows + 7, groups=[f"item {g}" for g in groups]).std_ == std
    assert noise.fit(np.ones((1, 6)), rows, groups=groups).std_ == std


def test_std_auto_moves_a_caption_as_far_as_another_of_its_item():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(3000, 20)).repeat(2, axis=0) + rng.normal(size=(6000, 20)) * np.arange(20)
    noise = GaussianNoise(std="auto").fit(rows, groups=np.arange(6000) // 2)
    moved = noise.corrupt(rows, rng) - rows
    assert np.square(moved).sum(axis=1).mean() == pytest.approx(
        np.square(rows[::2] - rows[1::2]).sum(axis=1).mean(), rel=0.03
    )


def test_adaptive_noise_by_hand():
    rows = np.array([[3.0, 4.0, 0.0], [0.0, 0.0, 0.5]])
    n = np.random.default_rng(8).standard_normal((2, 3))
    expected = [
        0.25 * rows[i] + 0.75 * np.sqrt((rows[i] ** 2).sum()) * n[i] / np.sqrt((n[i] ** 2).sum())
        for i in range(2)
    ]
    assert AdaptiveNoise(seed=8).fit_transform(rows) == pytest.approx(np.array(expected))
    assert AdaptiveNoise(alpha=0).fit_transform(rows) == pytest.approx(rows)


def test_adaptive_noise_is_the_papers_form_in_direction():
    """f + xi |f| n/|n| with xi = a / (1 - a) points where the released code's form does."""
    rows = np.random.default_rng(0).normal(size=(10, 4))
    n = np.random.default_rng(0).standard_normal((10, 4))
    paper = rows + 0.6 / 0.4 * np.linalg.norm(rows, axis=1, keepdims=True) * unit(n)
    assert unit(AdaptiveNoise(alpha=0.6).fit_transform(rows)) == pytest.approx(unit(paper))


def test_span_noise_spares_the_gap_and_nothing_else():
    """Appendix H: the noise minus its projection on the gap."""
    rng = np.random.default_rng(0)
    image, text = rng.normal(size=(300, 6)) + np.array([2, 0, 1, 0, 0, 0]), rng.normal(size=(8_000, 6))
    gap = image.mean(axis=0) - text.mean(axis=0)
    noise = SpanNoise(std=0.3).fit(image, text)
    assert noise.directions_ == pytest.approx(unit(gap[None]))
    added = noise.corrupt(text, np.random.default_rng(4)) - text
    epsilon = 0.3 * np.random.default_rng(4).standard_normal(text.shape)
    on_gap = (epsilon @ gap / np.linalg.norm(gap))[:, None] * gap / np.linalg.norm(gap)
    assert added == pytest.approx(epsilon - on_gap, abs=1e-12)
    assert added @ gap == pytest.approx(np.zeros(len(text)), abs=1e-12)
    variance = np.linalg.eigvalsh(np.cov(added.T))
    assert variance == pytest.approx([0] + [0.09] * 5, abs=0.008)


@pytest.mark.parametrize("rule", ["auto", "capdec"])
def test_span_noise_knows_the_rules(pairs, rule):
    groups = np.repeat(np.arange(24), 5)
    expected = GaussianNoise(rule).fit(pairs[1], groups=groups).std_
    assert SpanNoise(rule).fit(*pairs, groups=groups).std_ == expected


@pytest.fixture
def model():
    """Pairs x = 0.4 (y + noise) in 4 dimensions, with the covariance of the noise."""
    rng = np.random.default_rng(0)
    root = rng.normal(size=(4, 4))
    y, noise = rng.normal(size=(2, 20_000, 4))
    return 0.4 * (y + noise @ root) + 3, y - 1, root.T @ root


def test_calibrated_noise_finds_the_noise_of_the_model(model):
    x, y, covariance = model
    noise = CalibratedNoise().fit(x, y)
    assert noise.slope_ == pytest.approx(0.4, abs=0.01)
    assert noise.covariance_ == pytest.approx(covariance, rel=0.05, abs=0.1)
    assert noise.std_ == pytest.approx(np.sqrt(np.trace(covariance) / 4), rel=0.01)
    assert noise.root_ @ noise.root_ == pytest.approx(noise.covariance_)
    added = noise.corrupt(y, np.random.default_rng(1)) - y
    assert np.cov(added.T) == pytest.approx(noise.covariance_, rel=0.05, abs=0.1)
    assert added.mean(axis=0) == pytest.approx(np.zeros(4), abs=0.05)
    assert mean_cosine(y + added + 1, y + 1) == pytest.approx(mean_cosine(x - 3, y + 1), abs=0.01)


def test_calibrated_noise_needs_no_collapsed_rows(model):
    """The means of the pairs do not matter: regression has an intercept."""
    x, y, _ = model
    a, b = CalibratedNoise().fit(x, y), CalibratedNoise().fit(centred(x), centred(y))
    assert a.slope_ == pytest.approx(b.slope_)
    assert a.covariance_ == pytest.approx(b.covariance_)


def test_scale_multiplies_calibrated_noise(model):
    x, y, _ = model
    once, thrice, none = (CalibratedNoise(scale=s).fit(x, y) for s in (1, 3, 0))
    assert thrice.std_ == pytest.approx(3 * once.std_)
    assert thrice.covariance_ == pytest.approx(9 * once.covariance_)
    added = [noise.corrupt(y, np.random.default_rng(2)) - y for noise in (once, thrice, none)]
    assert added[1] == pytest.approx(3 * added[0])
    assert not added[2].any()


def test_few_pairs_are_shrunk_as_scikit_learn_does():
    rng = np.random.default_rng(0)
    y = centred(rng.normal(size=(30, 40)))
    x = centred(0.5 * y + rng.normal(size=(30, 40)))
    slope = (x * y).sum() / (y * y).sum()
    oracle = LedoitWolf(assume_centered=True).fit((x - slope * y) / slope)
    noise = CalibratedNoise().fit(x, y)
    assert noise.covariance_ == pytest.approx(oracle.covariance_)
    assert noise.shrinkage_ == pytest.approx(oracle.shrinkage_)
    assert np.linalg.matrix_rank(noise.covariance_) == 40


def test_calibrated_noise_without_pairs_has_the_shape_of_siblings_and_the_distance_of_siblings():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(8000), rng.integers(1, 5, size=8000))
    own = rng.normal(size=(len(groups), 3)) * [1, 2, 3]
    rows = 10 * rng.normal(size=(8000, 3))[groups] + own
    noise = CalibratedNoise().fit(rows, groups=groups)
    assert noise.slope_ is None
    assert noise.std_ == pytest.approx(GaussianNoise("auto").fit(rows, groups=groups).std_)
    shape = noise.covariance_ / np.trace(noise.covariance_)
    assert shape == pytest.approx(np.diag([1, 4, 9]) / 14, abs=0.02)
    order = rng.permutation(len(groups))
    assert CalibratedNoise().fit(rows[order], groups=groups[order]).covariance_ == pytest.approx(
        noise.covariance_
    )
    assert CalibratedNoise(2).fit(rows, groups=groups).std_ == pytest.approx(2 * noise.std_)
    several = np.bincount(groups)[groups] > 1
    without = CalibratedNoise().fit(rows[several], groups=groups[several])
    assert without.shrinkage_ == pytest.approx(noise.shrinkage_)
    assert without.covariance_ == pytest.approx(noise.covariance_)


def test_a_corrupted_caption_of_clip_is_as_far_from_itself_as_its_image_is(clip_pairs):
    """Slope 0.306 and 0.094 per dimension; C3's noise goes too far."""
    image, text = (centred(unit(rows.astype(float))) for rows in clip_pairs)
    noise = CalibratedNoise().fit(image, text)
    assert noise.slope_ == pytest.approx(0.306, abs=5e-4)
    assert noise.std_ == pytest.approx(0.0939, abs=5e-5)
    many = np.tile(text, (4, 1))
    itself = mean_cosine(noise.fit(image, text).corrupt(many, np.random.default_rng(0)), many)
    released = mean_cosine(GaussianNoise().fit(text).corrupt(many, np.random.default_rng(0)), many)
    assert mean_cosine(image, text) == pytest.approx(0.315, abs=5e-4)
    assert itself == pytest.approx(0.311, abs=0.003)
    assert released == pytest.approx(0.234, abs=0.003)


def test_the_noise_of_clip_lies_in_few_dimensions(clip_pairs):
    """Effective dimension (participation ratio) of the noise: about 51 of 512 measured, 64 when shrunk."""

    def dimension(covariance):
        return np.trace(covariance) ** 2 / (covariance**2).sum()

    image, text = (centred(unit(rows.astype(float))) for rows in clip_pairs)
    noise = CalibratedNoise().fit(image, text)
    residuals = image / noise.slope_ - text
    assert dimension(np.cov(residuals.T)) == pytest.approx(51, abs=1)
    assert dimension(noise.covariance_) == pytest.approx(64, abs=1)
    added = noise.corrupt(np.zeros((3000, 512)), np.random.default_rng(0))
    assert dimension(np.cov(added.T)) == pytest.approx(64, abs=3)


def test_the_noise_of_clip_is_that_of_pairs_never_seen(clip_pairs):
    """Learned on 300 pairs, the cosine that noise gives is that of 200 others."""
    image, text = (unit(rows.astype(float)) for rows in clip_pairs)
    noise = CalibratedNoise().fit(image[:300], text[:300])
    x, y = (rows[300:] - rows[:300].mean(axis=0) for rows in (image, text))
    itself = mean_cosine(noise.corrupt(np.tile(y, (8, 1)), np.random.default_rng(0)), np.tile(y, (8, 1)))
    assert itself == pytest.approx(mean_cosine(x, y), abs=0.02)


def test_capdecs_rule_on_five_captions_an_image(realdata):
    """About the square root of 0.016 that the released code has; "auto" finds .030, and pairs have .036."""
    folder = realdata / "flickr8k-clip"
    if not folder.is_dir():
        pytest.skip(f"no embeddings of five captions an image at {folder}")
    text = unit(np.load(folder / "text_embeddings.npy").astype(float))
    with open(folder / "metadata.csv", encoding="utf-8", newline="") as file:
        items = [row["image_id"] for row in csv.DictReader(file)]
    assert GaussianNoise(std="capdec").fit(text, groups=items).std_ == pytest.approx(0.1245, abs=5e-4)
    assert GaussianNoise(std="auto").fit(text, groups=items).std_ == pytest.approx(0.0299, abs=5e-5)
    assert CalibratedNoise().fit(text, groups=items).std_ == pytest.approx(0.0299, abs=5e-5)
