import pytest

from isthmus.report.verdict import judge, percent

NEEDED = 0.85


def figure(value, half=0.002):
    return {"value": value, "low": value - half, "high": value + half}


def entry(rmg=0.5, kept=1.0, *, half=0.01, l2m=0.1, rmg_half=0.002):
    return {
        "rmg": figure(rmg, rmg_half),
        "l2m": figure(l2m),
        "kept_recall": figure(kept, half),
        "recall_at_1_x_to_y": figure(0.6 * kept),
        "recall_at_1_y_to_x": figure(0.4 * kept),
        "collapsed": kept < NEEDED,
    }


def told(aligner, **aligners):
    """The verdict on `aligner`, its sentences joined."""
    aligners["raw"] = entry(0.548, l2m=0.85, half=0)
    order = sorted(aligners, key=lambda k: (aligners[k]["collapsed"], aligners[k]["rmg"]["value"]))
    best = next(name for name in order if not aligners[name]["collapsed"])
    verdict = judge(
        {"keep_recall": NEEDED, "best": best, "aligners": {k: aligners[k] for k in order}}, aligner
    )
    assert len(verdict["sentences"]) == 2
    return verdict["status"], verdict["headline"], " ".join(verdict["sentences"])


def test_a_gap_that_closes():
    others = {name: entry(0.3, kept) for name, kept in (("a", 0.62), ("b", 0.7), ("c", 0.79))}
    status, headline, text = told("shared", shared=entry(0.344, 0.882), **others)
    assert (status, headline) == ("use", "Use “shared”")
    assert text == (
        "The gap can be closed: “shared” lowers the relative modality gap from 0.548 to 0.344 on held-out "
        "pairs and keeps 88% of R@1. Three other aligners (a, b, c) lower it further only by collapsing "
        "retrieval, to 62% to 79% of R@1."
    )


def test_a_gap_whose_means_stay_apart_is_narrowed_not_closed():
    assert "can be narrowed:" in told("a", a=entry(0.45, 0.99, l2m=0.3))[2]


def test_one_other_that_collapses_and_none():
    assert (
        "One other aligner (b) lowers it further only by collapsing retrieval, to 60% of R@1."
        in told("a", a=entry(0.4, 0.95), b=entry(0.3, 0.6))[2]
    )
    assert (
        "No other aligner that was compared lowers it further." in told("a", a=entry(0.4), b=entry(0.45))[2]
    )
    assert "It was the only one compared." in told("a", a=entry(0.4, 0.95))[2]


def test_a_better_one_is_named():
    text = told("a", a=entry(0.4, 0.99), b=entry(0.35, 0.95), c=entry(0.2, 0.5))[2]
    assert "“b” lowers it further, to 0.350, and keeps 95% of R@1: look at that one too." in text


def test_recall_that_rises_or_stays():
    assert "raises R@1 to 112% of the raw one" in told("a", a=entry(0.4, 1.12))[2]
    assert "keeps all of R@1 (101% of the raw one)" in told("a", a=entry(0.4, 1.01, half=0.03))[2]


def test_an_interval_of_recall_across_the_threshold_is_not_certain():
    status, headline, text = told("a", a=entry(0.4, 0.87, half=0.04))
    assert (status, headline) == ("uncertain", "“a” looks usable, but that is not certain")
    assert "The gap can probably be closed" in text
    assert "keeps 87% of R@1. That is not certain, and more pairs are needed: the 95% interval" in text
    assert (
        "83.0% to 91.0%, straddles the 85% that must be kept (about 4 times as many would settle it" in text
    )
    assert "more than 50 times as many" in told("a", a=entry(0.4, NEEDED, half=0.04))[2]


def test_intervals_of_the_gap_that_overlap_are_not_certain():
    status, _, text = told("a", a=entry(0.547, 0.95))
    assert status == "uncertain"
    assert "before, 0.546 to 0.550, and after, 0.545 to 0.549, overlap" in text


def test_a_collapsed_aligner_is_warned_of_and_the_best_is_named():
    status, headline, text = told("a", a=entry(0.3, 0.6), b=entry(0.4, 0.95))
    assert (status, headline) == ("collapsed", "Do not use “a”")
    assert text.startswith("Do not use “a”, it collapses retrieval: on held-out pairs it lowers the relative")
    assert (
        "from 0.548 to 0.300, but keeps only 60% of R@1 where 85% must be kept. Look at “b” instead" in text
    )
    assert "straddles" not in text


def test_a_collapsed_aligner_near_the_threshold_and_nothing_else():
    text = told("a", a=entry(0.3, 0.84, half=0.03))[2]
    assert "81.0% to 87.0%, straddles that, so it is not certain and more pairs are needed." in text
    assert text.endswith("leave the embeddings as they are.")
    assert (
        "does not even lower the relative modality gap, from 0.548 to 0.600"
        in told("a", a=entry(0.6, 0.5))[2]
    )


def test_an_aligner_that_does_not_lower_the_gap():
    status, _, text = told("a", a=entry(0.56, 0.99))
    assert status == "no_gain"
    assert "goes from 0.548 to 0.560 on held-out pairs, while it keeps 99% of R@1" in text


def test_raw_where_nothing_keeps_enough():
    status, headline, text = told("raw", a=entry(0.3, 0.6), b=entry(0.4, 0.84, half=0.02))
    assert (status, headline) == ("raw", "Leave the embeddings as they are")
    assert "No aligner of the 2 compared lowers the gap on held-out pairs and keeps 85% of R@1" in text
    assert "a relative modality gap of 0.548 and a mean R@1 of 0.500" in text
    assert (
        "The nearest, “b”, takes the gap from 0.548 to 0.400 but keeps only 84% of R@1; its 95% interval"
        in text
    )
    assert "not certain and more pairs are needed." in text


def test_raw_where_nothing_lowers_the_gap_or_something_does_or_nothing_was_tried():
    assert told("raw", a=entry(0.6, 0.95))[2].endswith("None lowers the gap at all.")
    assert "Look at “a” instead" in told("raw", a=entry(0.4, 0.95))[2]
    assert told("raw")[2].endswith("No aligner was compared.")


@pytest.mark.parametrize(
    "value, expected",
    [(0.882, "88%"), (0.85, "85%"), (0.8499, "84.99%"), (0.998, "99.8%"), (1.12, "112%"), (0.9996, "99.96%")],
)
def test_percent_never_rounds_to_the_threshold_or_to_all(value, expected):
    assert percent(value, NEEDED) == expected
