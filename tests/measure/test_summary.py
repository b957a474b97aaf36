import json

import numpy as np
import pytest

import isthmus
import isthmus.measure as measure
from isthmus.measure import summary
from isthmus.measure.bootstrap import Bootstrap
from tests.measure import oracles


def test_summary_says_what_the_functions_say(pairs):
    x, y = pairs
    gap = isthmus.measure(x, y)
    assert gap.alignment.value == pytest.approx(measure.alignment(x, y))
    assert gap.l2m.value == pytest.approx(measure.l2m(x, y))
    assert gap.rmg.value == pytest.approx(measure.relative_modality_gap(x, y))
    assert gap.rmg_cosine.value == pytest.approx(measure.relative_modality_gap(x, y, distance="cosine"))
    assert gap.gap_share_top_2.value == pytest.approx(measure.gap_share(x, y, k=2))
    assert gap.cone_y.value == pytest.approx(measure.mean_cosine_within(y))
    assert gap.uniformity_y.value == pytest.approx(measure.uniformity(y))
    assert gap.probe_accuracy.value == pytest.approx(measure.modality_probe(x, y).mean())
    ranks = measure.retrieval_ranks(x, y)
    assert gap.recall_at_5_x_to_y.value == pytest.approx(measure.recall_at(ranks, 5))
    assert gap.mrr_x_to_y.value == pytest.approx(measure.mean_reciprocal_rank(ranks))
    assert gap.median_rank_x_to_y.value == np.sort(ranks)[(len(ranks) - 1) // 2]
    assert gap.hubness_y_to_x.value == pytest.approx(measure.hubness(y, x))


def test_repeating_every_pair_changes_no_value(pairs):
    x, y = pairs
    once, twice = measure.measure(x, y), measure.measure(np.repeat(x, 3, axis=0), np.repeat(y, 3, axis=0))
    assert (twice.pairs, twice.items) == (360, 120)
    for name, figure in once.figures.items():
        assert twice.figures[name] == pytest.approx(figure, rel=1e-6), name


def test_intervals_hold_the_value_and_shrink_with_more_items():
    rng = np.random.default_rng(0)
    shared, noise = rng.normal(size=(2, 1600, 8))
    x, y = shared + 1, shared + 0.5 * noise - 1
    few, many = measure.measure(x[:100], y[:100]), measure.measure(x, y)
    for name, figure in few.figures.items():
        if not name.startswith("median_rank"):
            assert figure.low <= figure.value <= figure.high, name
    for name in ("alignment", "l2m", "rmg", "rmg_cosine", "cone_x", "recall_at_1_x_to_y", "mrr_y_to_x"):
        a, b = few.figures[name], many.figures[name]
        assert a.low <= a.value <= a.high
        assert (b.high - b.low) < (a.high - a.low) / 2.5  # 4 in expectation


def test_captions_of_one_image_do_not_narrow_the_interval():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 8)) + 1
    y = x - 2 + 0.3 * rng.normal(size=(100, 8))
    copies = np.repeat(y, 20, axis=0) + 1e-6 * rng.normal(size=(2000, 8))
    single = measure.measure(x, y).alignment
    grouped = measure.measure(
        np.repeat(x, 20, axis=0), copies, groups=np.repeat(np.arange(100), 20)
    ).alignment
    assert grouped == pytest.approx(single, abs=1e-4)


@pytest.mark.parametrize("name", ["alignment", "l2m", "rmg", "rmg_cosine", "cone_x", "recall_at_1_x_to_y"])
def test_intervals_cover_the_truth(name):
    def draw(seed, n):
        rng = np.random.default_rng(seed)
        shared, noise = rng.normal(size=(2, n, 6))
        return shared[:, :6] + 0.8, shared + 0.6 * noise - 0.8

    # recall depends on the size of the gallery, so its truth is the mean over draws of that size
    gaps = [summary_of(name, *draw(seed, 80), seed) for seed in range(150)]
    truth = (
        np.mean([g.value for g in gaps]) if "recall" in name else summary_of(name, *draw(999, 4000), 0).value
    )
    covered = np.mean([g.low <= truth <= g.high for g in gaps])
    assert covered >= 0.88  # 0.95 nominal, 150 draws of 80 items


def summary_of(name, x, y, seed):
    return Bootstrap.figure(summary.replicate(x, y, measure.find_items(x, y), seed=seed)[name])


def test_sample_estimates_the_whole(monkeypatch, pairs):
    rng = np.random.default_rng(0)
    shared, noise = rng.normal(size=(2, 3000, 10))
    x, y = shared + 1, shared + 0.7 * noise - 1
    exact = measure.measure(x, y)
    monkeypatch.setattr(summary, "EXACT_PAIRS", 1000)
    monkeypatch.setattr(summary, "SAMPLE_PAIRS", 800)
    monkeypatch.setattr(summary, "SAMPLE_QUERIES", 700)
    estimate = measure.measure(x, y)
    assert estimate.sampled_pairs == pytest.approx(800, abs=1)
    assert estimate.sampled_queries == 700
    assert exact.sampled_pairs is None
    assert estimate.alignment == exact.alignment  # sums are exact at any size
    for name in ("rmg", "uniformity_x", "recall_at_1_x_to_y", "recall_at_10_y_to_x", "mrr_x_to_y"):
        figure = estimate.figures[name]
        assert figure.low <= exact.figures[name].value <= figure.high, name
    assert measure.measure(x, y, exact=True).rmg == exact.rmg


def test_sampled_queries_are_as_many_as_is_said(monkeypatch):
    from isthmus.theory import sample

    x, y, _ = sample(300, captions=5)
    monkeypatch.setattr(summary, "SAMPLE_QUERIES", 200)
    asked = []
    real = summary.retrieval_ranks
    monkeypatch.setattr(
        summary, "retrieval_ranks", lambda q, *a, **k: asked.append(len(q)) or real(q, *a, **k)
    )
    monkeypatch.setattr(summary, "EXACT_PAIRS", 1000)
    assert measure.measure(x, y).sampled_queries == 200
    assert asked == [200, 200]


def test_same_seed_same_intervals(pairs):
    assert measure.measure(*pairs, seed=3) == measure.measure(*pairs, seed=3)
    assert measure.measure(*pairs, seed=3) != measure.measure(*pairs, seed=4)


def test_to_dict_is_json(pairs):
    found = json.loads(json.dumps(measure.measure(*pairs).to_dict()))
    assert found["pairs"] == 120
    assert found["dim"] == 12
    assert set(found["rmg"]) == {"value", "low", "high"}


def test_a_collapsed_map_shows_in_retrieval(pairs):
    x, y = pairs
    items = measure.find_items(x, y)
    flat = np.tile(oracles.unit(y).mean(axis=0), (len(x), 1)) + 1e-9 * x
    gap = {k: v[0] for k, v in summary.replicate(flat, y, items).items()}
    assert gap["recall_at_1_x_to_y"] < 0.1
    assert gap["hubness_x_to_y"] > 1


def test_bootstrap_medians_and_bins():
    rng = np.random.default_rng(0)
    boot = Bootstrap(rng.integers(0, 50, 300), seed=0)
    values = rng.integers(0, 9, 300)
    median = boot.median(values)
    for draw in (0, 1, 500):
        repeated = np.sort(np.repeat(values, boot.weights[draw, boot.bin].astype(int)))
        assert median[draw] == repeated[(len(repeated) - 1) // 2]
    many = Bootstrap(np.arange(9000), seed=0)  # more items than bins
    wide = np.ptp(np.quantile(many.mean(rng.normal(size=9000))[1:], [0.025, 0.975]))
    assert wide == pytest.approx(2 * 1.96 / np.sqrt(9000), rel=0.15)
