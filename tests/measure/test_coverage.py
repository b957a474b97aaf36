"""Calibration: intervals hold the constants that the generator was given, in 93% of 200 draws or more.

Recall, ranks and hubness are left out: what is true of them depends on the size of the gallery.
"""

import numpy as np
import pytest

from isthmus.checks import unit_rows
from isthmus.measure import find_items, summary
from isthmus.measure.bootstrap import Bootstrap
from isthmus.measure.items import Items
from isthmus.measure.statistics import GapStatistics, cosine_distance, relative_gap
from isthmus.theory import Geometry, sample
from isthmus.theory.geometry import population

DRAWS = 200
WIDE = Geometry(dim=40, shared_dimension=12, noise_dimension=20)
NARROW = Geometry(dim=40, gap=0.1, alignment=0.7, shared_dimension=12, noise_dimension=20)
EVEN = Geometry(dim=40, shared_dimension=36, noise_dimension=36)  # what is shared and noise: isotropic
EVEN_NARROW = Geometry(dim=40, gap=0.1, alignment=0.7, shared_dimension=36, noise_dimension=36)


def truth_of(geometry, seed):
    """Constants as they were put in; distances, which have no closed form, of 100,000 other pairs."""
    truth = population(geometry, seed=seed)
    out = {"alignment": geometry.alignment, "l2m": geometry.gap}
    out |= {"cone_x": geometry.cone, "cone_y": geometry.cone}
    out["rmg_cosine"] = relative_gap(cosine_distance(geometry.alignment), cosine_distance(geometry.cone))
    out |= {f"gap_share_top_{k}": truth.gap_share(k) for k in (1, 2, 10)}
    x, y, _ = sample(100_000, geometry, seed=999)  # distances do not depend on directions
    within = [np.linalg.norm(z - np.roll(z, 1, axis=0), axis=1) for z in (x, y)]
    out |= {f"uniformity_{k}": np.log(np.exp(-2 * d**2).mean()) for k, d in zip("xy", within, strict=True)}
    out["rmg"] = relative_gap(np.linalg.norm(x - y, axis=1).mean(), (within[0] + within[1]).mean() / 2)
    return out


def replicated(data, whole_items=True, pairwise=True):
    """Figures of each data set by name, replicated: all of `isthmus.measure`'s but those of retrieval."""
    boots = {}
    for k, (x, y, groups) in enumerate(data):
        items = find_items(x, y, groups)
        if not whole_items:
            items = Items(np.arange(len(x)), np.arange(len(x)), np.arange(len(y)))
        if k < 10:  # drawing the resamples takes longest: ten sets of them take turns
            boots[k] = Bootstrap(items.group, seed=k)
        boot = boots[k % 10]
        out = summary._summing_figures(x, y, items, boot)
        pair = out.pop("pair_distance")
        rows = np.arange(len(x))
        if not pairwise:
            yield out
            continue
        yield out | summary._pairwise_figures(x, y, items, boot, rows=rows, pair_distance=pair)


def coverage(found, truth):
    """Share of the data sets whose interval holds the truth, by figure."""
    figures = [{name: Bootstrap.figure(figure[name]) for name in truth} for figure in found]
    for name in truth:
        assert all(figure[name].low <= figure[name].value <= figure[name].high for figure in figures)
    return {n: np.mean([f[n].low <= value <= f[n].high for f in figures]) for n, value in truth.items()}


def draws(geometry, n, captions, seed):
    """Data sets of `n` items each, from one population."""
    x, y, groups = sample(DRAWS * n, geometry, captions=captions, seed=seed)
    if captions == 5:  # people write some captions twice
        y[3::5], y[4::5] = y[1::5], y[2::5]
    rows = n * captions
    return [tuple(z[k * rows : (k + 1) * rows] for z in (x, y, groups)) for k in range(DRAWS)]


@pytest.mark.parametrize(
    "geometry, n, captions",
    [(WIDE, 300, 1), (WIDE, 200, 5), (NARROW, 300, 1), (EVEN, 300, 1), (EVEN_NARROW, 200, 1)],
)
def test_intervals_hold_what_was_put_in(geometry, n, captions):
    covered = coverage(replicated(draws(geometry, n, captions, seed=11)), truth_of(geometry, 11))
    assert {name: share for name, share in covered.items() if share < 0.93} == {}


@pytest.mark.parametrize("gap, alignment", [(0.83, 0.31), (0.1, 0.7)])
def test_intervals_hold_where_rows_vary_along_the_gap(gap, alignment):
    geometry = Geometry(dim=40, gap=gap, alignment=alignment, shared_dimension=12, noise_dimension=20)
    rng, n, sets = np.random.default_rng(0), 300, 1000

    def blurred(z):
        z = z.copy()
        z[:, :4] += 0.4 * rng.normal(size=(len(z), 4))
        return unit_rows(z)

    x, y = (blurred(z) for z in sample(n * sets, geometry, seed=12)[:2])
    found = GapStatistics().update(x, y)
    truth = {"alignment": found.alignment, "l2m": found.l2m, "rmg_cosine": found.rmg_cosine}
    truth |= {"cone_x": found.cone[0], "cone_y": found.cone[1], "gap_share_top_10": found.gap_share(10)}
    data = [(x[k * n :][:n], y[k * n :][:n], None) for k in range(sets)]
    covered = coverage(replicated(data, pairwise=False), truth)
    assert {name: share for name, share in covered.items() if share < 0.93} == {}


def test_this_test_can_fail():
    """Intervals half as wide, of rows in place of items, and about the biased value, all miss too often."""
    data, truth = draws(WIDE, 200, 5, seed=11), truth_of(WIDE, 11)

    def about(centre, width):
        """Intervals of that width, about the value or about the middle of the resamples."""
        for figures in found:
            yield {
                name: np.append(v[0], (v[0] if centre == "value" else middle) + width * (v[1:] - middle))
                for name, v in figures.items()
                for middle in [np.median(v[1:])]
            }

    found = list(replicated(data))
    halved = coverage(about("middle", 0.5), truth)
    assert max(halved[name] for name in ("alignment", "rmg", "rmg_cosine")) < 0.8
    biased = coverage(about("value", 1), truth)
    assert max(biased[name] for name in ("l2m", "gap_share_top_1", "gap_share_top_2")) < 0.5
    rows = coverage(replicated(data, whole_items=False), truth)
    assert max(rows[name] for name in ("alignment", "rmg", "rmg_cosine", "cone_y", "uniformity_y")) < 0.92
