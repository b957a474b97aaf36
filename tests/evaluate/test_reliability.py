"""Figures of probabilities on held-out items, against scikit-learn's and brute force."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from isthmus.align import LinearMap, MeanCollapse
from isthmus.align.calibration import MatchCalibrator
from isthmus.align.matching import collect_trials
from isthmus.evaluate import reliability as module
from isthmus.evaluate.reliability import held_out_reliability, reliability
from isthmus.measure import find_items
from isthmus.report.reliability import reliability_picture


@pytest.fixture(scope="module")
def noisy():
    shared, noise = np.random.default_rng(0).normal(size=(2, 300, 48))
    return shared + 0.3, shared + 1.8 * noise


def judged(trials, p, prior):
    """Figures by scikit-learn, matches and mismatches weighing as the prior has it."""
    weight = np.where(trials.match, prior / trials.match.sum(), (1 - prior) / (~trials.match).sum())
    bins = np.minimum((p * 10).astype(int), 9)
    return {
        "auc": roc_auc_score(trials.match, p),
        "brier": brier_score_loss(trials.match, p, sample_weight=weight),
        "log_loss": log_loss(trials.match, p, sample_weight=weight),
        "ece": sum(abs((weight * (trials.match - p))[bins == b].sum()) for b in range(10)),
        "recall": (p >= 0.5)[trials.match].mean(),
        "precision": (weight * trials.match)[p >= 0.5].sum() / weight[p >= 0.5].sum(),
    }


@pytest.mark.parametrize("method, prior", [("logistic", 0.5), ("isotonic", 0.05)])  # without ties, and with
def test_figures_are_scikit_learns(noisy, method, prior):
    x, y = noisy
    calibrator = MatchCalibrator(method, prior=prior)
    found = held_out_reliability(x, y, calibrator=calibrator).readings
    trials = collect_trials(
        x.astype(float), y, find_items(x, y), space=(None, True), query=(False, 1000), seed=0
    )
    p = np.empty(len(trials.match))
    for k in range(5):
        rest, test = trials.take(trials.fold != k), trials.fold == k
        p[test] = MatchCalibrator(method, prior=prior).fit_scores(rest.score, rest.match).probability(
            trials.cosine[test]
        )  # fmt: skip
    for name, predicted in (("raw, calibrated", p), ("raw cosine", np.clip(trials.cosine, 1e-3, 1 - 1e-3))):
        expected = judged(trials, predicted, prior)
        assert found[name].figures.keys() == expected.keys()
        for figure, value in expected.items():
            got = found[name].figures[figure]
            assert got.value == pytest.approx(value, abs=1e-9), (name, figure)
            assert got.low <= got.value <= got.high
    folk = found["raw cosine >= 0.25"].figures
    assert folk["recall"].value == pytest.approx((trials.cosine >= 0.25)[trials.match].mean())


def test_intervals_of_recall_are_binomial(noisy):
    recall = (
        held_out_reliability(*noisy, calibrator=MatchCalibrator())
        .readings["raw, calibrated"]
        .figures["recall"]
    )
    std = np.sqrt(recall.value * (1 - recall.value) / 300)
    assert (recall.high - recall.low) / (2 * 1.96 * std) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("n", [4, 20])
def test_what_few_pairs_agree_on_is_not_certain(n):
    """Clopper and Pearson's bounds; no figure leaves [0, 1]."""
    x = np.eye(n)
    found = held_out_reliability(x, x, calibrator=MatchCalibrator("logistic", prior=0.1))
    exact = 0.025 ** (1 / n)
    for name, reading in found.readings.items():
        if not name.startswith("raw cosine"):
            continue  # what one half of four pairs teaches about the other is little
        figures = reading.figures
        assert figures["recall"] == pytest.approx((1, exact, 1))
        alarms = 0.9 * (1 - exact)
        assert figures["precision"] == pytest.approx((1, 0.1 / (0.1 + alarms), 1))
        if not name.endswith(">= 0.25"):
            assert figures["auc"] == pytest.approx((1, exact, 1))


def test_no_figure_leaves_its_range():
    rng = np.random.default_rng(3)
    for _ in range(10):
        x, noise = rng.normal(size=(2, 20, 32))
        found = held_out_reliability(x, x + 1.3 * noise, calibrator=MatchCalibrator("logistic"))
        for reading in found.readings.values():
            for name in {"auc", "brier", "precision", "recall"} & set(reading.figures):
                value, low, high = reading.figures[name]
                assert 0 <= low <= value <= high <= 1, name


def test_intervals_of_mismatches_are_over_items():
    """A mismatch is of two items: the mean of a_i + b_j over them varies as the mean of items does."""
    x, y = np.random.default_rng(1).normal(size=(2, 400, 8))
    trials = collect_trials(x, y, find_items(x, y), space=(None, True), query=(False, 2), seed=0, folds=1)
    judge = module._Judge(trials, 0.5, 0)
    a = np.random.default_rng(2).normal(size=400)
    values = (a[trials.x_item] + a[trials.y_item])[~trials.match]
    replicated = judge.mean(values + 10, False)
    assert replicated[0] == pytest.approx(10 + 2 * a.mean())
    assert replicated[1:].std() == pytest.approx(2 * a.std() / np.sqrt(400), rel=0.1)


def test_ece_of_probabilities_that_are_right_may_be_nothing():
    """Chance alone makes it larger than 0; the interval knows, also of how far off it may be at most."""
    x, y = np.random.default_rng(1).normal(size=(2, 100, 8))
    trials = collect_trials(x, y, find_items(x, y), space=(None, True), query=(False, 2), seed=0, folds=1)
    judge = module._Judge(trials, 0.5, 0)
    rng = np.random.default_rng(2)
    score = np.where(trials.match, rng.normal(1.5, 1, len(trials.match)), rng.normal(0, 1, len(trials.match)))
    right = 1 / (1 + np.exp(-(1.5 * score - 1.5**2 / 2)))  # the log likelihood ratio of such scores
    found = judge._ece(right)
    assert found.low == 0 < found.value < found.high < 0.15
    assert judge._ece(np.clip(right + 0.3, 0, 0.999)).low > 0.05


def test_what_is_saved_is_compared_resample_by_resample(noisy):
    """What is saved is known better than the losses themselves: most of their error is the same."""
    aligner = MeanCollapse().fit(noisy[0], noisy[0])
    found = held_out_reliability(
        *noisy, calibrator=MatchCalibrator("logistic", "y"), aligner=("same", aligner), again=False
    ).readings
    base, mapped = found["raw, calibrated"].figures, found["same, calibrated"].figures
    assert "saved" not in base
    assert "saved" not in found["raw cosine"].figures
    assert mapped["saved"].value == pytest.approx(base["log_loss"].value - mapped["log_loss"].value)
    width = base["log_loss"].high - base["log_loss"].low
    assert mapped["saved"].high - mapped["saved"].low < 0.7 * width


def test_bins_are_where_they_are_counted(noisy):
    reading = held_out_reliability(*noisy, calibrator=MatchCalibrator()).readings["raw, calibrated"]
    bins = {name: np.array(values) for name, values in reading.bins.items()}
    assert bins["share"].sum() == pytest.approx(1)
    ece = bins["share"] @ np.abs(bins["predicted"] - bins["observed"])
    assert reading.figures["ece"].value == pytest.approx(ece, abs=1e-9)
    assert (bins["low"] <= bins["observed"]).all()
    assert (bins["observed"] <= bins["high"]).all()
    assert (np.diff(bins["predicted"]) > 0).all()


def test_calibrated_probabilities_are_reliable_and_cosines_are_not(noisy):
    found = held_out_reliability(*noisy, calibrator=MatchCalibrator())
    assert found.readings["raw cosine"].figures["ece"].value > 0.2
    assert found.readings["raw, calibrated"].figures["ece"].value < 0.03
    assert (found.items, found.matches, found.mismatches) == (300, 300, 5 * 60 * 59)
    assert set(found.to_dict()["readings"]) == set(found.readings)


def test_an_overfit_aligner_is_judged_on_what_it_has_not_seen():
    shared, noise = np.random.default_rng(0).normal(size=(2, 60, 40))
    x, y = shared + 0.3, shared + 1.5 * noise
    aligner = LinearMap(alpha=1e-6).fit(x, y)
    held, seen = (
        held_out_reliability(x, y, calibrator=MatchCalibrator(), aligner=("linear", aligner), again=again)
        for again in (True, False)
    )
    aucs = [found.readings["linear, calibrated"].figures["auc"].value for found in (held, seen)]
    assert aucs[0] < 0.9 < aucs[1]
    assert held.readings["raw cosine"] == seen.readings["raw cosine"]


def test_what_each_query_has_in_common_with_everything_is_taken_away(noisy):
    """Every caption leans by its own amount towards all images: per query, that does not count."""
    x, y = noisy
    lean = np.random.default_rng(3).uniform(-1, 1, size=(300, 1))
    x = x + 6 * np.eye(48)[0]
    y = y + 12 * lean * np.eye(48)[0]
    found = held_out_reliability(x, y, calibrator=MatchCalibrator("logistic", "y")).readings
    plain, seen = (found[f"raw, calibrated{name}"].figures for name in ("", " per query"))
    assert seen["auc"].low > plain["auc"].high
    assert seen["log_loss"].high < plain["log_loss"].low


def test_a_calibrator_is_judged_on_other_pairs(noisy):
    x, y = noisy
    for query in (False, "y"):
        fitted = MatchCalibrator("logistic", query).fit(x[:150], y[:150])
        found = reliability(x[150:], y[150:], calibrator=fitted).readings["calibrated"]
        trials = collect_trials(
            x[150:],
            y[150:],
            find_items(x[150:], y[150:]),
            space=(None, True),
            query=(False, 9),
            seed=0,
            folds=1,
        )
        rows = trials.match  # row i is item i, and the matches come first
        right = fitted.predict_proba(x[150:], y[150:])[:, 1]
        assert found.figures["recall"].value == (right >= 0.5).mean()
        assert rows[:150].all()
        shuffled = [fitted.predict_proba(x[150:], np.roll(y[150:], k, axis=0))[:, 1] for k in range(1, 150)]
        brier = 0.5 * ((1 - right) ** 2).mean() + 0.5 * (np.array(shuffled) ** 2).mean()
        assert found.figures["brier"].value == pytest.approx(brier, abs=1e-4)


def test_an_offset_between_data_sets_is_taken_away_per_query(noisy):
    """A threshold of cosines learned without the offset is of no use with it; per query, it still is."""
    x, y = noisy
    offset = np.eye(48)[0] * 8
    plain, seen = (MatchCalibrator("logistic", query).fit(x, y) for query in (False, "y"))
    moved = x + offset, y + offset
    before = reliability(*moved, calibrator=plain).readings["calibrated"].figures
    after = reliability(*moved, calibrator=seen, direction="y").readings["calibrated"].figures
    assert before["log_loss"].value > 1
    assert after["log_loss"].value < 0.5
    with pytest.raises(ValueError, match="direction must be x or y, got 'z'"):
        reliability(*noisy, calibrator=plain, direction="z")


def test_too_few_items_are_named():
    with pytest.raises(ValueError, match="expected at least 4 items, to hold some out, got 3"):
        held_out_reliability(np.eye(3), np.eye(3), calibrator=MatchCalibrator())


def test_where_nothing_is_accepted_there_is_no_precision(noisy):
    found = held_out_reliability(*noisy, calibrator=MatchCalibrator("logistic", prior=1e-6)).readings
    assert "precision" not in found["raw, calibrated"].figures
    assert found["raw, calibrated"].figures["recall"].value == 0


def test_real_reliability(clip_pairs):
    """Liang et al.'s embeddings: figures of docs/calibration.md."""
    found = held_out_reliability(*clip_pairs, calibrator=MatchCalibrator()).readings
    assert found["raw cosine"].figures["ece"].value == pytest.approx(0.377, abs=0.002)
    assert found["raw, calibrated"].figures["ece"].value < 0.015
    folk = found["raw cosine >= 0.25"].figures
    assert folk["precision"].value == pytest.approx(0.946, abs=0.002)
    assert folk["recall"].value == pytest.approx(0.968, abs=0.002)


def test_picture_and_table_show_every_space(noisy):
    aligner = MeanCollapse().fit(*noisy)
    found = held_out_reliability(
        *noisy, calibrator=MatchCalibrator(per_query="x"), aligner=("collapse", aligner)
    )
    picture = reliability_picture(found)
    assert picture == reliability_picture(found)
    for space in ("raw", "collapse"):
        ece = found.readings[f"{space}, calibrated per query"].figures["ece"].value
        assert f"{space}, expected calibration error" in picture
        assert f"and {ece:.3f} after" in picture
    table = found.__rich__()
    assert [*table.columns[0].cells] == [
        *("raw cosine", "raw cosine >= 0.25", "raw, calibrated", "raw, calibrated per query"),
        *("collapse cosine", "collapse cosine >= 0.25", "collapse, calibrated"),
        "collapse, calibrated per query",
    ]
