"""What is said of each part of Proposition 1: at its limits, of few pairs, where noise alone would pass."""

import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from isthmus.measure import geometry
from isthmus.measure.geometry_distribution import Single
from isthmus.theory import Geometry, sample

HOLDS, IN_PART, NOT = "holds", "holds in part", "does not hold"


def isotropic_pairs(n, dim, gap, seed=0):
    """Pairs that share something and differ by a gap and by noise, both isotropic."""
    common, *own = np.random.default_rng(seed).normal(size=(3, n, dim)) * (0.55 / dim**0.5)
    middle, half = 0.6 * np.eye(dim)[1], gap / 2 * np.eye(dim)[0]
    return middle + half + common + own[0], middle - half + common + own[1]


def said(found):
    return {verdict.part: verdict for verdict in found.verdicts}


@pytest.fixture(scope="module")
def drawn():
    return geometry(*sample(2000, Geometry(dim=48, shared_dimension=8, noise_dimension=12), seed=1)[:2])


def test_lengths_that_agree_by_noise_alone_are_no_constant_length():
    found = geometry(*isotropic_pairs(4000, 512, 0.02))
    assert found.gap_length_unbiased.low > 0  # there is a gap,
    assert found.gap_length.std < 0.05 * found.gap_length.mean  # the lengths agree,
    assert found.direction.mean < 0.1  # and it is nearly all noise
    verdict = said(found)["constant length"]
    assert verdict.verdict == NOT
    noise = 1 - found.gap_length_unbiased.value / found.gap_length.mean
    assert 0.6 < noise < 1
    assert verdict.reason.endswith(f"of the mean; {noise:.1%} of it is noise")


@pytest.mark.parametrize("share, word", [(0.96, HOLDS), (0.94, IN_PART), (0.86, IN_PART), (0.84, NOT)])
def test_the_gap_is_most_of_a_constant_length(drawn, share, word):
    found = replace(drawn, gap_length_unbiased=Single(share * drawn.gap_length.mean, None, 0.1, 1.0))
    assert said(found)["constant length"].verdict == word


@pytest.mark.parametrize("share, word", [(0.04, HOLDS), (0.06, IN_PART), (0.14, IN_PART), (0.16, NOT)])
def test_a_constant_length_varies_little(drawn, share, word):
    length = replace(drawn.gap_length, std=share * drawn.gap_length.mean)
    assert said(replace(drawn, gap_length=length))["constant length"].verdict == word


@pytest.mark.parametrize("n", [4, 5, 6])
def test_the_direction_of_a_few_pairs_is_not_tested(n):
    found = geometry(*isotropic_pairs(n, 64, 1.9), groups_of=2)
    for name in "xy":
        verdict = said(found)[f"gap orthogonal to the span of {name}"]
        if n < 6:
            assert (verdict.verdict, verdict.reason) == ("not tested", f"{n} pairs are too few: at least 6")
        else:
            assert verdict.verdict != "not tested"
            assert "of the variance along its span's own directions" in verdict.reason


def test_parts_that_disagree_have_no_direction(drawn):
    found = replace(drawn, gap_variance_x=None)
    verdict = said(found)["gap orthogonal to the span of x"]
    assert verdict.verdict == NOT
    assert verdict.reason == "its direction differs from third to third of the items"


@pytest.mark.parametrize("dim", [8, 64, 256])
def test_isotropic_noise_is_isotropic_however_few_the_pairs(dim):
    for n, words in ((4, {"not tested"}), (79, {"not tested"}), (80, {HOLDS, IN_PART})):
        verdicts = [
            said(geometry(*isotropic_pairs(n, dim, 1.0, seed), groups_of=2))["noise isotropic"]
            for seed in range(25)
        ]
        assert {verdict.verdict for verdict in verdicts} <= words
        assert n < 80 or sum(verdict.verdict == HOLDS for verdict in verdicts) >= 22
        assert n > 79 or verdicts[0].reason == f"{n} pairs are too few: at least 80"


@pytest.mark.parametrize(
    "rows, share, word",
    [
        (80, 0.94, IN_PART),  # chance moves it by 5%
        (80, 0.96, HOLDS),
        (4000, 0.902, HOLDS),
        (4000, 0.9, IN_PART),
        (80, 0.51, NOT),
        (4000, 0.51, IN_PART),
    ],
)
def test_isotropy_counts_what_chance_does(drawn, rows, share, word):
    noise = replace(drawn.spectrum_noise, rows=rows, participation_ratio=share * drawn.dim)
    verdict = said(replace(drawn, spectrum_noise=noise))["noise isotropic"]
    assert verdict.verdict == word
    assert f"give or take {3.92 / (rows - 1):.1%}" in verdict.reason


def test_chance_moves_the_participation_ratio_as_it_says():
    rng, n, dim = np.random.default_rng(0), 100, 200
    shares = []
    for _ in range(300):
        noise = rng.normal(size=(n, dim))
        noise -= noise.mean(axis=0)
        gram, degrees = noise @ noise.T / (n - 1), n - 1
        square = degrees**2 / ((degrees - 1) * (degrees + 2))
        square *= (gram**2).sum() - np.trace(gram) ** 2 / degrees  # tr C^2 without bias
        shares.append(np.trace(gram) ** 2 / square / dim)
    assert np.mean(np.abs(np.array(shares) - 1) < 3.92 / (n - 1)) == pytest.approx(0.95, abs=0.04)


def test_nothing_is_less_than_nothing(drawn):
    found = replace(drawn, gap_variance_x=Single(-1e-7, 0.1, -1e-6, 1e-7))
    reason = said(found)["gap orthogonal to the span of x"].reason
    assert "x has 0.000 [0.000, 0.000] of the variance" in reason
    assert "-0.00" not in reason
    Console(file=(out := io.StringIO()), width=200).print(found)
    assert "-0.0000" not in out.getvalue()
