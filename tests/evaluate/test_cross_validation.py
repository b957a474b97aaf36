import json

import numpy as np
import pytest

import isthmus
from isthmus.align import MeanCollapse, PairedAligner, SharedSpace
from isthmus.checks import unit_rows
from isthmus.evaluate import Protocol, compare, cross_validate, hold_out
from isthmus.evaluate import cross_validation as module
from isthmus.measure import alignment, find_items, recall_at, relative_modality_gap, retrieval_ranks
from isthmus.theory import Geometry, sample

SMALL = Geometry(dim=24, shared_dimension=6, noise_dimension=8)


@pytest.fixture(scope="module")
def simulated():
    return sample(300, SMALL, seed=1)[:2]


class MeanCaption(PairedAligner):
    """Maps every image almost onto the mean caption: what fools gap figures."""

    def fit(self, X, Y, *, groups=None):
        X, Y = self._check_fit(X, Y)
        self.mean_ = unit_rows(Y).mean(axis=0)
        return self

    @property
    def _n_features_out(self):
        return self.n_features_in_

    def _map(self, unit, modality):
        return unit if modality == "y" else self.mean_ + 1e-6 * unit


class Memory(PairedAligner):
    """Perfect on what it was fitted on, and only there."""

    def fit(self, X, Y, *, groups=None):
        X, Y = self._check_fit(X, Y)
        self.known_ = {
            row.tobytes(): other
            for row, other in zip(unit_rows(X, X.dtype), unit_rows(Y, X.dtype), strict=True)
        }
        return self

    @property
    def _n_features_out(self):
        return self.n_features_in_

    def _map(self, unit, modality):
        return unit if modality == "y" else np.array([self.known_.get(row.tobytes(), row) for row in unit])


def test_figures_are_those_of_the_functions_averaged_over_folds(simulated):
    x, y = simulated
    protocol = Protocol(folds=3, seed=4)
    found = compare(x, y, aligners=["collapse"], protocol=protocol)
    items = find_items(x, y)
    expected = {"rmg": [], "alignment": [], "recall_at_1_x_to_y": []}
    for test in module._folds(items, protocol):
        u, v = MeanCollapse().fit(x[~test], y[~test]).transform(x[test], y[test])
        expected["rmg"].append(relative_modality_gap(u, v))
        expected["alignment"].append(alignment(u, v))
        expected["recall_at_1_x_to_y"].append(recall_at(retrieval_ranks(u, v), 1))
    for name, values in expected.items():
        figure = found.verdicts["collapse"].figures[name]
        assert figure.value == pytest.approx(np.mean(values), rel=1e-5)
        assert figure.low <= figure.value <= figure.high


def test_predicting_the_mean_caption_is_marked_collapsed_and_sorted_last(simulated):
    found = compare(*simulated, aligners={"fooled": MeanCaption(), "collapse": MeanCollapse()})
    verdicts = found.verdicts
    assert verdicts["fooled"].figures["alignment"].value > verdicts["raw"].figures["alignment"].value + 0.2
    assert verdicts["fooled"].collapsed
    assert verdicts["fooled"].kept_recall.high < 0.5
    assert list(verdicts)[-1] == "fooled"
    assert found.best != "fooled"
    assert found.to_dict()["aligners"]["fooled"]["collapsed"] is True


def test_the_smallest_gap_is_not_the_best_if_it_costs_the_retrieval():
    def figures(rmg, recall):
        recalls = dict.fromkeys(("recall_at_1_x_to_y", "recall_at_1_y_to_x"), np.full(5, recall))
        return [{"rmg": np.full(5, rmg), **recalls}]

    made = {"raw": figures(0.5, 0.8), "fooled": figures(0.1, 0.4), "good": figures(0.3, 0.75)}
    verdicts = module._judge(made, {name: [] for name in made}, keep_recall=0.9, floor=0.01, items=100)
    assert list(verdicts) == ["good", "raw", "fooled"]
    assert [v.collapsed for v in verdicts.values()] == [False, False, True]
    assert verdicts["fooled"].kept_recall.value == pytest.approx(0.5)


def test_nothing_is_measured_on_what_was_learned(simulated):
    x, y = simulated
    verdicts = compare(x, y, aligners={"memory": Memory()}).verdicts
    assert verdicts["memory"].figures["alignment"].value == pytest.approx(
        verdicts["raw"].figures["alignment"].value
    )


def test_rows_that_do_not_pair_up_are_called_out(simulated):
    x, y = simulated
    shuffled = compare(x, y[np.random.default_rng(0).permutation(300)], aligners=["collapse"])
    assert shuffled.raw_at_chance
    assert shuffled.to_dict()["raw_at_chance"] is True
    assert not compare(x, y, aligners=["collapse"]).raw_at_chance


def test_raw_rows_that_find_nothing_do_not_break_the_verdict():
    found = compare(np.eye(8), -np.eye(8), aligners=["collapse"], protocol=Protocol(folds=2))
    assert found.verdicts["raw"].kept_recall == (1, 1, 1)
    assert not found.verdicts["raw"].collapsed
    assert np.isfinite(found.verdicts["collapse"].kept_recall).all()


def test_an_item_is_never_on_both_sides():
    x, y, groups = sample(50, SMALL, captions=5, seed=2)
    for given in (groups, None):  # captions of one image are found through its repeated row
        items = find_items(x, y, given)
        for test in [*module._folds(items, Protocol()), hold_out(items, Protocol())]:
            assert not set(groups[test]) & set(groups[~test])


def test_folds_cover_every_item_once(simulated):
    items = find_items(*simulated)
    folds = module._folds(items, Protocol(folds=7))
    assert (np.sum(folds, axis=0) == 1).all()
    assert max(f.sum() for f in folds) - min(f.sum() for f in folds) <= 1


def test_kept_recall_is_paired(simulated):
    """The same held-out items are resampled for raw and aligned, so identity keeps exactly 1."""
    found = compare(*simulated, aligners={"same": SharedSpace(target="y", noise="none", strength=0.0)})
    assert found.verdicts["same"].kept_recall == pytest.approx((1, 1, 1))
    assert not found.verdicts["same"].collapsed


def test_same_seed_same_result_and_json(simulated):
    a, b = (compare(*simulated, aligners=["shared"], protocol=Protocol(seed=1)) for _ in range(2))
    found = [c.to_dict()["aligners"] for c in (a, b)]
    for verdict in (v for c in found for v in c.values()):
        del verdict["fit_seconds"]
    assert found[0] == found[1]
    found = json.loads(json.dumps(a.to_dict()))
    assert set(found["aligners"]) == {"raw", "shared"}
    assert set(found["aligners"]["raw"]["rmg"]) == {"value", "low", "high"}


def test_large_folds_are_measured_on_whole_items(monkeypatch):
    x, y, groups = sample(200, SMALL, captions=3, seed=2)
    monkeypatch.setattr(module, "HELD_OUT_PAIRS", 30)
    items = find_items(x, y, groups)
    rows = module._some(items, hold_out(items, Protocol()), seed=0)
    assert len(rows) == 30
    assert (np.bincount(groups[rows])[np.unique(groups[rows])] == 3).all()


def test_progress_counts_every_fit(simulated):
    seen = []
    compare(*simulated, aligners=["collapse", "shift"], protocol=Protocol(folds=2),
            progress=lambda done, total, text: seen.append((done, total)))  # fmt: skip
    assert seen == [(0, 4), (1, 4), (2, 4), (3, 4)]


def test_held_out_rows_are_those_of_the_first_split(simulated):
    x, y = simulated
    items = find_items(x, y)
    test = hold_out(items, Protocol())
    found = cross_validate(
        x, y, items, estimators={"collapse": MeanCollapse()}, splits=[test], protocol=Protocol()
    )
    assert (found.held_out.rows == np.flatnonzero(test)).all()
    assert found.held_out.mapped["raw"][0] == pytest.approx(unit_rows(x[test]), abs=1e-6)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"aligners": ["magic"]}, "unknown aligner 'magic'"),
        ({"protocol": Protocol(folds=200)}, "folds must be between 2 and half the 300 items"),
    ],
)
def test_errors(simulated, options, message):
    with pytest.raises(ValueError, match=message):
        isthmus.compare(*simulated, **options)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"folds": 1}, r"folds must be a whole number in \[2, inf\), got 1"),
        ({"keep_recall": float("nan")}, r"keep_recall must be a number in \(0, 1\], got nan"),
        ({"held_out": 1}, r"held_out must be a number in \(0, 1\), got 1"),
        ({"seed": -1}, r"seed must be a whole number in \[0, inf\), got -1"),
    ],
)
def test_errors_of_the_protocol(options, message):
    with pytest.raises(ValueError, match=message):
        Protocol(**options)


def test_an_aligner_that_cannot_be_fitted_is_named(simulated):
    x, y = simulated
    with pytest.raises(ValueError, match="shared cannot be fitted: choosing by cross-validation needs"):
        compare(x[:6], y[:6], aligners=["collapse", "shared"], protocol=Protocol(folds=2))


def test_error_of_too_small_a_split(simulated):
    items = find_items(*simulated)
    with pytest.raises(ValueError, match="leaves 299 to learn from and 1 to verify on"):
        hold_out(items, Protocol(held_out=0.004))


def test_shared_space_is_ahead_on_clip(clip_pairs):
    """No other closed-form aligner has a lower RMG at equal or higher recall; nor is it collapsed."""
    x, y = clip_pairs
    found = compare(x, y, aligners=module.CLOSED_FORM, protocol=Protocol(keep_recall=0.85))
    shared = found.verdicts["shared"]

    def recall(verdict):
        return verdict.figures["recall_at_1_x_to_y"].value + verdict.figures["recall_at_1_y_to_x"].value

    assert not shared.collapsed
    assert shared.figures["rmg"].value <= 0.37
    for name, verdict in found.verdicts.items():
        if name != "shared":
            assert verdict.figures["rmg"].value > shared.figures["rmg"].value or recall(verdict) < recall(
                shared
            )
