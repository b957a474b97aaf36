"""What was told against what is so, by all ways to lay things side by side."""

import numpy as np
import pytest

from isthmus.sources.world import Facts, Told, draw_scene, fitting
from tests.sources.world import by_hand

RNG = np.random.default_rng(0)
TRUTHS = [draw_scene(0, i).facts for i in range(40)]
ALIKE = [by_hand.random_facts(RNG, 1.0, few=2) for _ in range(60)]  # scenes of two values of each kind
TOLD = [by_hand.random_facts(RNG, share, few=2) for share in (0.1, 0.2, 0.3, 0.5) for _ in range(60)]
PARTS = [
    Facts(tuple(Told(**{k: v for k, v in by_hand.tells(t).items() if RNG.random() < 0.3}) for t in f.things))
    for f in TRUTHS
]


def test_fits_is_the_definition():
    found = [[told.fits(truth) for truth in ALIKE] for told in TOLD]
    expected = [[by_hand.fits(told, truth) for truth in ALIKE] for told in TOLD]
    assert found == expected
    assert 0.05 < np.mean(expected) < 0.9


@pytest.mark.parametrize(
    "without", [(), ("motion",), ("texture", "light"), ("shape", "colour"), ("light", "place", "size")]
)
def test_fitting_is_the_definition_of_every_pair(without):
    for told, truths in ((TOLD, ALIKE), (PARTS, TRUTHS), (PARTS, ALIKE)):
        expected = np.array([[by_hand.fits(a, b, without) for b in truths] for a in told])
        assert np.array_equal(fitting(told, truths, without=without), expected)


def test_fitting_knows_its_limits():
    assert fitting([Facts()], TRUTHS).all()
    assert fitting([], TRUTHS).shape == (0, 40)
    assert fitting(TRUTHS, []).shape == (40, 0)
    assert fitting(TRUTHS, TRUTHS).diagonal().all()
    four = Facts((Told(),) * 4)
    assert not fitting([four], TRUTHS).any()
    three = fitting([Facts((Told(),) * 3)], TRUTHS)[0]
    assert list(three) == [len(truth.things) == 3 for truth in TRUTHS]
    everything = ("shape", "colour", "size", "place", "motion", "texture", "light")
    assert fitting(TRUTHS, TRUTHS, without=everything).any(axis=1).all()


def test_fitting_refuses_kinds_that_there_are_not():
    with pytest.raises(ValueError, match=r"without must name kinds of fact, .*, got 'lights'"):
        fitting(TRUTHS, TRUTHS, without=("lights",))


def test_fits_does_not_mind_the_order_of_things():
    for told in TOLD[:80]:
        turned = Facts(told.things[::-1], told.texture, told.light)
        for truth in ALIKE[:20]:
            mirrored = Facts(truth.things[::-1], truth.texture, truth.light)
            assert told.fits(truth) == turned.fits(truth) == told.fits(mirrored)
            assert told.agreement(truth) == turned.agreement(truth) == told.agreement(mirrored)


def test_agreement_is_the_definition():
    for a in TOLD[::3]:
        for b in (*ALIKE[:15], *TOLD[1::9]):
            assert a.agreement(b) == by_hand.agreement(a, b) == b.agreement(a)


def test_agreement_and_fits_say_the_same():
    for told in (*TOLD, *PARTS):
        for truth in (*ALIKE, *TRUTHS):
            assert told.agreement(truth) <= min(len(told), len(truth))
            if told.fits(truth):
                assert told.agreement(truth) == len(told)
            elif len(told.things) <= len(truth.things):
                assert told.agreement(truth) < len(told)


def test_length_counts_facts():
    assert len(Facts()) == len(Told()) == 0
    assert len(Told("ring", place="top")) == 2
    assert len(Facts((Told("ring", place="top"), Told(), Told(size="small")), "plain", "dim")) == 5
    assert [len(facts) for facts in TOLD] == [
        sum(len(by_hand.tells(thing)) for thing in (*facts.things, facts)) for facts in TOLD
    ]
