"""Expressions of pairs: against loops, in spaces whose gap is known, and on real embeddings."""

import csv
import io
import json

import numpy as np
import pytest
from rich.console import Console

from isthmus.align import MeanCollapse
from isthmus.checks import unit_rows
from isthmus.evaluate import Protocol
from isthmus.evaluate.arithmetic import pair_arithmetic
from isthmus.evaluate.arithmetic.pairs import POINTS, _operands, _walk
from isthmus.measure.items import find_items

RNG = np.random.default_rng(0)


def space(gap, *, items=40, texts=2, noise=0.3, dim=24):
    """Pairs about two means that are orthogonal to all else; all rows have one length."""
    e = unit_rows(RNG.normal(size=(items, dim)))
    x = np.repeat(e, texts, axis=0)
    y = unit_rows(x + noise * unit_rows(RNG.normal(size=(items * texts, dim))))
    zero, g = np.zeros((items * texts, 1)), np.full((items * texts, 1), gap)
    return np.hstack([x, g, zero]), np.hstack([y, zero, g]), np.repeat(np.arange(items), texts)


def test_against_loops():
    x, y, groups = space(0.8, items=12, texts=3)
    x, y = unit_rows(x), unit_rows(y)
    items = find_items(x, y, groups)
    found = _walk(x, y, items, np.random.default_rng(7))
    rng = np.random.default_rng(7)  # the same draws, in the order that they are made
    order = rng.permutation(12)
    partner = {int(order[at]): int(order[at - 1]) for at in range(12)}
    rows = [rng.choice(np.flatnonzero(groups == i)) for i in range(12)]
    others = [rng.choice(np.flatnonzero(groups == partner[i])) for i in range(12)]
    images = [3 * i for i in range(12)]  # the first row of each
    near = {point: {"x": [], "y": []} for point in POINTS}
    for i in range(12):
        a, b, j = rows[i], others[i], partner[i]
        assert len({i, j, partner[j]}) == 3
        k = partner[j]
        points = {"x": x[a], "y'": y[b], "x - y + y'": x[a] - y[a] + y[b], "x + y'": x[a] + y[b]}
        points["x - x' + x''"] = x[a] - x[b] + x[rows[k]]
        assert found["pair"][i] == pytest.approx(x[a] @ y[a])
        for point, at in points.items():
            at = at / np.linalg.norm(at)
            for name, gallery, z in (("x", images, x), ("y", range(36), y)):
                cosines = {r: float(at @ z[r]) for r in gallery}
                strangers = [c for r, c in cosines.items() if groups[r] not in (i, j, k)]
                near[point][name].append(max(strangers))
                assert found[f"{point} nearest_{name}"][i] == pytest.approx(max(strangers))
                if point in ("y'", "x - y + y'"):
                    seen = {
                        r: c
                        for r, c in cosines.items()
                        if (groups[r] != i if name == "x" else r not in (a, b))
                    }
                    assert found[f"{point} to_{name}"][i] == float(groups[max(seen, key=seen.get)] == j)
    limits = np.quantile(near["x"]["x"], 0.05), np.quantile(near["y'"]["y"], 0.05)
    for point, both in near.items():
        far = (np.array(both["x"]) < limits[0]) & (np.array(both["y"]) < limits[1])
        assert found[f"{point} secluded"].tolist() == far.astype(float).tolist()
        assert found[f"{point} among_x"].tolist() == np.greater(both["x"], both["y"]).astype(float).tolist()


def test_a_constant_orthogonal_gap_secludes_but_does_not_mislead():
    """It adds the same number to all scores within a modality: what is nearest stays nearest."""
    x, y, groups = space(0.0)
    none = pair_arithmetic(x, y, groups=groups, aligners=[]).points["raw"]["x - y + y'"]
    x[:, -2] = y[:, -1] = 3.0
    found = pair_arithmetic(x, y, groups=groups, aligners=["collapse"])
    wide = found.points["raw"]["x - y + y'"]
    assert (wide.to_x, wide.to_y) == (none.to_x, none.to_y)
    assert (none.among_x.value < 0.9, wide.among_x.value) == (True, 1.0)
    assert found.matched["raw"].value < 0.2 < found.matched["collapse"].value


def test_exchanges_of_perfect_pairs_are_right():
    x, y, groups = space(0.0, noise=0.0)
    found = pair_arithmetic(x, y, groups=groups, aligners=[])
    points = found.points["raw"]
    assert points["x - y + y'"].to_x.value == points["x - y + y'"].to_y.value == 1
    assert found.matched["raw"].value == pytest.approx(1)
    assert points["x - y + y'"].to_x == pytest.approx((1, 0.025 ** (1 / 40), 1))  # exact, of 40 items
    assert points["x"].to_x is None
    assert found.matched["raw"] == pytest.approx((1, 1, 1))  # a cosine, no share


def test_one_text_an_item_has_no_other_to_find():
    x, y, _ = space(0.5, texts=1)
    points = pair_arithmetic(x, y, aligners=[]).points["raw"]
    assert points["y'"].to_y is None
    assert points["y'"].to_x.value > 0.5


def test_items_with_one_text_are_left_out_of_what_asks_for_another():
    x, y, groups = space(0.5)
    keep = np.r_[0:40:2, 40:80]  # half of the items keep but one text
    found = pair_arithmetic(x[keep], y[keep], groups=groups[keep], aligners=[]).points["raw"]["y'"]
    assert 0 < found.to_y.value <= 1


def test_length_and_rotation_do_not_matter():
    x, y, groups = space(0.5)
    turn = np.linalg.qr(RNG.normal(size=(26, 26)))[0]
    a = pair_arithmetic(x, y, groups=groups, aligners=["collapse"])
    b = pair_arithmetic(3 * x @ turn, y @ turn / 7, groups=groups, aligners=["collapse"])
    for name in ("raw", "collapse"):
        for point in POINTS:
            for f, g in zip(
                vars(a.points[name][point]).values(), vars(b.points[name][point]).values(), strict=True
            ):
                assert (f is None) == (g is None)
                if f is not None:
                    assert f == pytest.approx(g)


def test_fitted_on_other_items_than_calculated_with():
    fits, rows = [], []

    class Spy(MeanCollapse):
        def fit(self, X, Y, *, groups=None):
            fits.append(set(np.asarray(groups).tolist()))
            return super().fit(X, Y)

        def transform(self, X, Y=None):
            rows.append((len(X), len(Y)))
            return super().transform(X, Y)

    x, y, groups = space(0.5)
    pair_arithmetic(x, y, groups=groups, aligners={"spy": Spy()}, protocol=Protocol(folds=4))
    assert [len(f) for f in fits] == [30] * 4
    assert set.union(*({*range(40)} - f for f in fits)) == {*range(40)}
    assert rows == [(20, 20)] * 4


def test_table_and_json():
    x, y, groups = space(0.5)
    steps = []
    found = pair_arithmetic(x, y, groups=groups, aligners=["shift"], progress=lambda *s: steps.append(s))
    assert steps[1] == (1, 10, "shift")
    told = json.loads(json.dumps(found.to_dict()))
    assert told["points"]["shift"]["x"]["nearest_x"] == found.points["shift"]["x"].nearest_x._asdict()
    assert told["matched"]["raw"] == found.matched["raw"]._asdict()
    assert told["protocol"]["folds"] == 5
    Console(file=(out := io.StringIO()), width=200).print(found)
    assert "80 pairs of 40 items, 8 or more held out at a time" in out.getvalue()
    assert f"{found.points['raw']['x'].nearest_x.value:.2f}" in out.getvalue()


def test_errors():
    x, y, groups = space(0.5)
    with pytest.raises(ValueError, match="expected at least 4 items in each of 5 folds, got 19 items in all"):
        pair_arithmetic(x[:38], y[:38], groups=groups[:38], aligners=[])
    with pytest.raises(ValueError, match="x has 80 rows, y has 79"):
        pair_arithmetic(x, y[1:], aligners=[])
    with pytest.raises(ValueError, match="unknown aligner 'foo'"):
        pair_arithmetic(x, y, groups=groups, aligners=["foo"])


def test_real_expressions_are_secluded_until_the_means_are_taken_away(realdata):
    folder = realdata / "flickr8k-clip"
    with (folder / "metadata.csv").open(encoding="utf-8", newline="") as file:
        groups = [row["image_id"] for row in csv.DictReader(file)]
    x, y = (np.load(folder / f"{name}_embeddings.npy") for name in ("image", "text"))
    found = pair_arithmetic(x, y, groups=groups, aligners=["collapse"])
    raw, collapse = (found.points[name]["x - y + y'"] for name in ("raw", "collapse"))
    assert raw.secluded.low > 0.6
    assert collapse.secluded.high < 0.4
    assert raw.to_x.value == pytest.approx(0.61, abs=0.05)
    assert collapse.to_x.value > raw.to_x.value
    assert found.matched["raw"].value == pytest.approx(0.33, abs=0.02)


def test_operands_are_hidden():
    x, y, groups = space(0.5, items=4)
    items = find_items(x, y, groups)
    rows, others = np.array([0, 3, 4, 6]), np.array([2, 5, 7, 1])
    assert items.group[items.x_rows].tolist() == [0, 1, 2, 3]
    assert _operands("x", rows, others, items).tolist() == np.eye(4, dtype=bool).tolist()
    hidden = _operands("y", rows, others, items)
    assert [np.flatnonzero(line).tolist() for line in hidden] == [[0, 2], [3, 5], [4, 7], [1, 6]]
