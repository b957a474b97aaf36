import numpy as np
import pytest

from isthmus.measure import alignment, l2m, mean_cosine_within
from isthmus.theory import Geometry, sample


@pytest.mark.parametrize(
    "geometry",
    [
        Geometry(),
        Geometry(gap=0.5, cone=0.6, alignment=0.55),
        Geometry(dim=64, shared_dimension=10, noise_dimension=20),
    ],
)
def test_constants_come_out_as_they_went_in(geometry):
    x, y, _ = sample(4000, geometry, seed=1)
    assert l2m(x, y) == pytest.approx(geometry.gap, abs=0.01)
    assert alignment(x, y) == pytest.approx(geometry.alignment, abs=0.01)
    assert mean_cosine_within(x) == pytest.approx(geometry.cone, abs=0.015)
    assert mean_cosine_within(y) == pytest.approx(geometry.cone, abs=0.015)


def test_gap_is_orthogonal_to_both_spans():
    geometry = Geometry()
    x, y, _ = sample(2000, geometry)
    gap = x.mean(axis=0) - y.mean(axis=0)
    for z in (x, y):
        centred = z - z.mean(axis=0)
        cosines = centred @ gap / np.linalg.norm(centred, axis=1) / np.linalg.norm(gap)
        assert np.abs(cosines.mean()) < 0.01
        assert cosines.std() < 0.07  # 0.069 is CLIP's on COCO


def test_residuals_look_like_clips():
    x, y, _ = sample(500)
    residual = (x - y) - (x - y).mean(axis=0)
    residual /= np.linalg.norm(residual, axis=1, keepdims=True)
    cosines = (residual @ residual.T)[np.triu_indices(500, 1)]
    assert cosines.std() == pytest.approx(0.1025, abs=0.01)  # isotropic noise would have 0.044
    assert (x - y).std(axis=0).mean() == pytest.approx(0.0358, abs=0.002)


def test_captions_of_an_item_repeat_its_image():
    x, y, groups = sample(20, captions=3, seed=2)
    assert groups.tolist() == np.repeat(np.arange(20), 3).tolist()
    assert (x[0::3] == x[1::3]).all()
    assert not (y[0::3] == y[1::3]).any()
    assert (x == sample(20, captions=3, seed=2)[0]).all()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: sample(1), "n >= 2 and captions >= 1, got n=1"),
        (lambda: sample(9, captions=0), "captions=0"),
        (lambda: sample(9, Geometry(gap=1.9)), "no unit rows have gap 1.9"),
        (lambda: sample(9, Geometry(alignment=0.9)), "no unit rows have"),
        (lambda: sample(9, Geometry(noise_dimension=600)), "effective dimension must be between"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
