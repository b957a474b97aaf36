"""What every aligner must do, whichever it is."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from isthmus.align import (
    ALIGNERS,
    LinearMap,
    MeanCollapse,
    MeanShift,
    NonLinearAligner,
    Procrustes,
    RegularizedCCA,
    SharedSpace,
    load_aligner,
    save_aligner,
)
from isthmus.store import ShardedRows
from isthmus.theory import Geometry, sample
from isthmus.training import TrainingConfig

FAST = TrainingConfig(epochs=3)
ALL = [
    MeanCollapse(),
    MeanShift(),
    MeanShift(strength=0.3),
    LinearMap(),
    LinearMap(alpha=1.0),
    Procrustes(),
    RegularizedCCA(),
    RegularizedCCA(components=2),
    SharedSpace(noise="common", shrinkage=0.5, strength=1.0),
    SharedSpace(noise="separate", shrinkage=0.8, strength=8),
    SharedSpace(noise="separate", shrinkage=0.8, strength=8, target="y"),
    SharedSpace(noise="none"),
    NonLinearAligner(widths=(8,), training=FAST),
]


def paired_with_itself(estimator):
    """scikit-learn's checks pass labels where ours takes the other modality: pair X with itself there."""

    class Paired(type(estimator)):
        __init__ = type(estimator).__init__

        def fit(self, X, y=None):
            return super().fit(X, X)

        def fit_transform(self, X, y=None):
            return self.fit(X).transform(X)

    Paired.__name__ = Paired.__qualname__ = type(estimator).__name__ + "Paired"
    Paired = globals().setdefault(Paired.__name__, Paired)  # where pickle finds it
    return Paired(**estimator.get_params())


def refused(estimator):
    return {"check_estimators_dtypes": "its integer data has rows of zeros: no direction, so refused"}


@parametrize_with_checks(
    [paired_with_itself(e) for e in [*ALL, SharedSpace()]], expected_failed_checks=refused
)
def test_follows_scikit_learn(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def simulated():
    x, y, _ = sample(260, Geometry(dim=24, shared_dimension=6, noise_dimension=8), seed=1)
    return x, y


@pytest.mark.parametrize("aligner", ALL, ids=str)
def test_gives_unit_rows_and_keeps_precision(aligner, simulated):
    x, y = simulated
    fitted = clone(aligner).fit(x, y)
    for dtype in (np.float32, np.float64):
        u, v = fitted.transform(x.astype(dtype), y.astype(dtype))
        assert u.dtype == v.dtype == dtype
        assert np.linalg.norm(u, axis=1) == pytest.approx(1, abs=1e-5)
        assert np.linalg.norm(v, axis=1) == pytest.approx(1, abs=1e-5)
        assert (fitted.transform(x.astype(dtype)) == u).all()
        assert (fitted.transform_y(y.astype(dtype)) == v).all()


@pytest.mark.parametrize("aligner", ALL, ids=str)
def test_length_of_rows_does_not_matter(aligner, simulated):
    x, y = simulated
    scale = np.random.default_rng(0).uniform(0.1, 10, size=(len(x), 1))
    a = clone(aligner).fit(x, y).transform(x)
    b = clone(aligner).fit(x * scale, y * scale[::-1]).transform(x * scale)
    if isinstance(aligner, RegularizedCCA):
        b = b * np.sign((a * b).sum(axis=0))  # canonical directions have no sign of their own
    assert a == pytest.approx(b, abs=1e-4)


@pytest.mark.parametrize("aligner", ALL, ids=str)
def test_saved_and_loaded_gives_the_same_bits(aligner, simulated, tmp_path):
    x, y = simulated
    fitted = clone(aligner).fit(x, y)
    save_aligner(fitted, tmp_path / "aligner.safetensors")
    loaded = load_aligner(tmp_path / "aligner.safetensors")
    assert loaded.get_params() == fitted.get_params()
    for a, b in zip(loaded.transform(x, y), fitted.transform(x, y), strict=True):
        assert (a == b).all()


@pytest.mark.parametrize("aligner", ALL, ids=str)
def test_rows_on_disk_are_read_where_they_lie(aligner, simulated, tmp_path):
    x, y = simulated
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    shards = ShardedRows([y[:100], y[100:]])
    fitted, other = clone(aligner).fit(x, y), clone(aligner).fit(mapped, shards)
    assert other.transform(mapped) == pytest.approx(fitted.transform(x), abs=1e-5)
    assert other.transform_y(shards) == pytest.approx(fitted.transform_y(y), abs=1e-5)


@pytest.mark.parametrize("aligner", ALL, ids=str)
def test_bad_pairs_are_refused(aligner, simulated):
    x, y = simulated
    broken = x.copy()
    broken[7] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        clone(aligner).fit(broken, y)
    zero = y.copy()
    zero[9] = 0
    if not isinstance(aligner, MeanCollapse):
        with pytest.raises(ValueError, match="X has 260 rows, Y has 259"):
            clone(aligner).fit(x, y[1:])
        with pytest.raises(ValueError, match="Y has 1 zero row, the first is row 9"):
            clone(aligner).fit(x, zero)
    with pytest.raises(ValueError, match=r"features|dim"):
        clone(aligner).fit(x, y[:, :-1])
    with pytest.raises(ValueError, match="Y has 1 zero row, the first is row 9"):
        clone(aligner).fit(x, y).transform_y(zero)


def test_every_aligner_of_the_command_line_is_tested_here():
    assert {type(a) for a in ALL} == set(ALIGNERS.values())
