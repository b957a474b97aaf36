"""The summary as a whole: against loops, against truth, and where it must not change."""

import io
import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from isthmus.measure import find_items, gap_direction_cosine, geometry, mean_cosine_within, measure
from isthmus.measure.geometry_distribution import Single
from isthmus.measure.geometry_isotropic import top_share
from isthmus.measure.geometry_table import LABELS
from isthmus.theory import Geometry, sample
from tests.measure.oracles import unit

KINDS = ("gap_length", "direction", "orthogonality_x", "orthogonality_y", "residual_mean", "residual_cosine")
SMALL = Geometry(dim=48, shared_dimension=8, noise_dimension=12)


def by_loops(x, y, groups_of, seed):
    """Table 1 as its definitions read, one pair at a time, on the groups that the seed draws."""
    rng = np.random.default_rng(seed)
    rows = find_items(x, y).one_pair_of_each(rng)
    order = rng.permutation(rows)
    x, y = unit(x), unit(y)
    out = {kind: [] for kind in KINDS}
    gaps, total = [], np.zeros(x.shape[1])
    for start in range(0, len(rows) - groups_of + 1, groups_of):
        group = order[start : start + groups_of]
        gap = sum(x[i] - y[i] for i in group) / groups_of
        gaps.append(gap)
        out["gap_length"].append(np.sqrt(gap @ gap))
        residuals = [x[i] - y[i] - gap for i in group]
        total += sum(residuals)
        for j, k in itertools.combinations(range(groups_of), 2):
            out["residual_cosine"].append(cosine(residuals[j], residuals[k]))
            for name, z in (("x", x), ("y", y)):
                out[f"orthogonality_{name}"].append(cosine(gap, z[group[j]] - z[group[k]]))
    out["direction"] = [cosine(a, b) for a, b in itertools.combinations(gaps, 2)]
    out["residual_mean"] = total / (len(gaps) * groups_of)
    return out


def cosine(a, b):
    return a @ b / np.sqrt((a @ a) * (b @ b))


@pytest.mark.parametrize(
    "n, groups_of, dim, seed", [(10, 5, 3, 0), (47, 6, 4, 3), (120, 20, 12, 1), (9, 2, 2, 0)]
)
def test_agrees_with_definition(n, groups_of, dim, seed):
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(n, dim)) + 0.5, rng.normal(size=(n, dim)) * rng.uniform(0.1, 9, size=(n, 1))
    found, expected = geometry(x, y, groups_of=groups_of, seed=seed), by_loops(x, y, groups_of, seed)
    for kind in KINDS:
        value = getattr(found, kind)
        assert value.count == len(expected[kind])
        assert value.mean == pytest.approx(np.mean(expected[kind]), abs=1e-9), kind
        assert value.std == pytest.approx(np.std(expected[kind]), abs=1e-9), kind
        assert value.counts.sum() == value.count
        assert value.edges[0] <= min(expected[kind]) + 1e-3
        assert value.edges[-1] >= max(expected[kind]) - 1e-3


def test_figures_of_all_pairs_agree_with_definition(pairs):
    x, y = (unit(z) for z in pairs)
    found, n = geometry(*pairs, groups_of=20), len(x)
    d = x - y
    square = sum(d[i] @ d[j] for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    assert found.gap_length_unbiased.value == pytest.approx(np.sqrt(square))
    whole = (d**2).sum(axis=1).mean()
    assert found.constant_share.value == pytest.approx(square / whole)
    assert found.noise_std.value == pytest.approx(np.sqrt((whole - square) / 12))
    assert found.noise_std.value == pytest.approx(np.sqrt(d.var(axis=0, ddof=1).mean()))
    assert found.residual_std.mean == pytest.approx(d.std(axis=0, ddof=1).mean())
    for z, cone, spectrum in ((x, found.cone_x, found.spectrum_x), (y, found.cone_y, found.spectrum_y)):
        cosines = [z[i] @ z[j] for i in range(n) for j in range(i)]
        assert (cone.mean, cone.std) == pytest.approx((np.mean(cosines), np.std(cosines)))
        values = np.linalg.svd(np.cov(z, rowvar=False), compute_uv=False)
        assert spectrum.shares == pytest.approx(values / values.sum())
    gap = measure(*pairs)
    for k in (1, 2, 10):
        name = f"gap_share_top_{k}"
        assert getattr(found, name).value == pytest.approx(getattr(gap, name).value)
        assert getattr(found, name).isotropic == top_share(k, 12)
    assert found.spectrum_x.effective_dimension == gap.effective_dimension_x
    assert found.spectrum_y.effective_dimension == gap.effective_dimension_y
    assert (found.cone_x.mean, found.cone_y.mean) == pytest.approx((gap.cone_x.value, gap.cone_y.value))


@pytest.fixture(scope="module")
def drawn():
    """Pairs from the geometry that Proposition 1 describes, but for noise that is not isotropic."""
    return geometry(*sample(4000, SMALL, seed=1)[:2])


def test_constants_come_out_as_they_went_in(drawn):
    assert drawn.gap_length_unbiased.value == pytest.approx(SMALL.gap, abs=0.01)
    assert (drawn.cone_x.mean, drawn.cone_y.mean) == pytest.approx((SMALL.cone, SMALL.cone), abs=0.015)
    assert drawn.direction.mean > 0.98
    for ratio in (drawn.gap_variance_x, drawn.gap_variance_y):
        assert abs(ratio.value) < 0.2 * ratio.isotropic  # no more than what unit length bends
    words = {verdict.part: verdict.verdict for verdict in drawn.verdicts}
    assert words == {
        "constant length": "holds",
        "constant direction": "holds",
        "gap orthogonal to the span of x": "holds",
        "gap orthogonal to the span of y": "holds",
        "noise zero-mean": "holds",
        "noise isotropic": "does not hold",
        "noise Gaussian": "holds",
    }


def test_the_mean_of_a_cone_is_of_all_rows_and_its_spread_of_a_sample(drawn):
    x, y, _ = sample(4000, SMALL, seed=1)
    assert drawn.cone_x.count == 2000 * 1999 / 2
    assert drawn.cone_x.mean == pytest.approx(mean_cosine_within(x), rel=1e-12)
    assert drawn.cone_y.mean == pytest.approx(mean_cosine_within(y), rel=1e-12)


def test_facts_of_clip_on_coco(clip_pairs):
    found = geometry(*clip_pairs)
    assert (found.pairs, found.items, found.groups, found.groups_in_all, found.tested) == (
        500,
        500,
        5,
        5,
        500,
    )
    assert found.gap_length.mean == pytest.approx(0.854, abs=0.001)
    assert found.gap_length.std == pytest.approx(0.004, abs=0.004)  # of five groups
    assert (
        found.gap_length_unbiased.low < found.gap_length_unbiased.value < 0.8514
    )  # l2m, which noise lengthens
    assert found.direction.mean == pytest.approx(0.99, abs=0.003)
    assert found.direction.mean == pytest.approx(gap_direction_cosine(*clip_pairs), abs=0.003)
    assert found.orthogonality_x.std == pytest.approx(0.069, abs=0.003)
    assert found.residual_cosine.std == pytest.approx(0.1065, abs=0.002)
    assert found.residual_cosine.isotropic[1] == pytest.approx(0.044, abs=0.001)
    assert found.noise_std.value == pytest.approx(0.0358, abs=0.0001)
    assert found.gap_share_top_2.value == pytest.approx(0.686, abs=0.0005)
    assert (found.cone_x.mean, found.cone_y.mean) == pytest.approx((0.531, 0.515), abs=0.0006)
    assert found.rejecting.value == pytest.approx(0.16, abs=0.001)
    words = {verdict.part: verdict.verdict for verdict in found.verdicts}
    assert words["constant length"] == words["constant direction"] == "holds"
    assert words["noise isotropic"] == "does not hold"
    for name in "xy":  # far less than along the span, but more than along a random direction
        ratio = getattr(found, f"gap_variance_{name}")
        assert 2 * ratio.isotropic < ratio.low < ratio.high < 0.4
        assert words[f"gap orthogonal to the span of {name}"] == "does not hold"


def test_effective_dimensions_of_an_untrained_clip(realdata):
    found = geometry(*np.load(realdata / "liang2022" / "features_clip_random.npy"))
    assert (found.spectrum_x.effective_dimension, found.spectrum_y.effective_dimension) == (25, 230)


def values(found, names=None):
    """Every number, but those by dimension, which depend on the axes."""
    by_axis = ("residual_mean", "residual_std", "gap_share", "rejecting", "kurtosis", "verdicts")
    flat = {}

    def walk(prefix, value):
        if isinstance(value, dict):
            for name, inner in value.items():
                walk(f"{prefix}.{name}", inner)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            flat[prefix] = value

    for name, value in found.to_dict().items():
        if not name.startswith(by_axis) and (names is None or name in names):
            walk(name, value)
    return flat


def test_does_not_change_under_scaling_and_rotation(pairs):
    x, y = pairs
    rng = np.random.default_rng(1)
    rotation = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    scale = rng.uniform(0.1, 10, size=(len(x), 1))
    expected = values(geometry(x, y, groups_of=20))
    assert len(expected) > 80
    for a, b in ((x @ rotation, y @ rotation), (x * scale, y / scale), (x, y.tolist())):
        assert values(geometry(a, b, groups_of=20)) == pytest.approx(expected, rel=1e-7, abs=1e-9)


def test_order_of_rows_changes_no_more_than_the_seed(pairs):
    x, y = pairs
    order = np.random.default_rng(1).permutation(len(x))
    first, second = (geometry(a, b, groups_of=20) for a, b in ((x, y), (x[order], y[order])))
    names = ("pairs", "items", "cone_x", "cone_y", "spectrum_x", "spectrum_y", "spectrum_noise")
    assert values(first, names) == pytest.approx(values(second, names))
    for name in ("gap_length_unbiased", "constant_share", "noise_std", "rejecting", "kurtosis"):
        assert getattr(first, name).value == pytest.approx(getattr(second, name).value)
    assert first.residual_std.counts.tolist() == second.residual_std.counts.tolist()
    seeds = [geometry(x, y, groups_of=20, seed=seed).residual_cosine.mean for seed in range(6)]
    shuffled = [
        geometry(x[order], y[order], groups_of=20, seed=seed).residual_cosine.mean for seed in range(6)
    ]
    assert np.mean(shuffled) == pytest.approx(np.mean(seeds), abs=4 * np.std(seeds) / np.sqrt(6))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_files_and_blocks_do_not_show(tmp_path, monkeypatch, pairs, dtype):
    x, y = (z.astype(dtype) for z in pairs)
    expected = geometry(x, y, groups_of=20).to_dict()
    for name, rows in (("x", x), ("y", y)):
        np.save(tmp_path / f"{name}.npy", rows)
    monkeypatch.setattr("isthmus.measure.statistics._BLOCK_ROWS", 7)
    monkeypatch.setattr("isthmus.measure.statistics._PART_ROWS", 25)
    monkeypatch.setattr("isthmus.measure.geometry_noise._PART_ROWS", 25)
    monkeypatch.setattr("isthmus.measure.geometry_groups._PART", 1)
    steps = []
    mapped = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "xy"]
    found = geometry(*mapped, groups_of=20, progress=lambda done, total: steps.append((done, total)))
    assert values(found) == pytest.approx(values(geometry(x, y, groups_of=20)), rel=1e-9, abs=1e-12)
    assert found.to_dict()["verdicts"] == expected["verdicts"]
    assert steps == sorted(steps)
    assert len(steps) > 10
    assert steps[-1] == (600, 600)  # rows of x, of y, twice the differences, and the groups


def test_captions_of_an_image_are_not_independent():
    x, y, groups = sample(300, SMALL, captions=4, seed=2)
    found = geometry(x, y, groups_of=30)
    assert (found.pairs, found.items, found.groups_in_all, found.spectrum_x.rows) == (1200, 300, 10, 300)
    assert found.spectrum_y.rows == 1200
    same = geometry(x, y, groups_of=30, groups=[f"image {g}" for g in groups])
    assert same.to_dict() == found.to_dict()
    rows = find_items(x, y).one_pair_of_each(np.random.default_rng(0))
    assert groups[rows].tolist() == list(range(300))
    assert len(set((rows % 4).tolist())) == 4  # any of the captions
    once = geometry(x[::4], y[::4], groups_of=30)
    assert found.residual_cosine.std == pytest.approx(once.residual_cosine.std, rel=0.05)
    assert found.noise_std.value == pytest.approx(once.noise_std.value, rel=0.05)


def test_of_many_groups_some_are_looked_at(monkeypatch, pairs):
    whole = geometry(*pairs, groups_of=10)
    assert (whole.groups, whole.groups_in_all, whole.compared) == (12, 12, 12)
    monkeypatch.setattr("isthmus.measure.geometry_groups.MAX_COMPARED", 3 * 45)
    part = geometry(*pairs, groups_of=10)
    assert (part.groups, part.compared, part.residual_cosine.count) == (12, 3, 135)
    assert part.gap_length.count == 12
    assert part.gap_length.mean == whole.gap_length.mean
    assert part.residual_mean.mean == pytest.approx(0, abs=1e-15)


def test_equal_rows_have_no_difference():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(12, 5)) + 1
    x = np.repeat(rng.normal(size=(6, 5)), 2, axis=0)
    found = geometry(x, y, groups_of=6, groups=np.arange(12))
    pairs_of_twins = 2 * 15 - found.orthogonality_x.count
    assert 0 <= pairs_of_twins <= 6
    assert found.orthogonality_y.count == 30
    assert np.isfinite(found.orthogonality_x.std)
    together = geometry(x, y, groups_of=4, groups=np.arange(12), seed=1)
    assert together.orthogonality_x.count < 18


def test_isotropic_rows_spread_as_isotropic_rows_would():
    """Of unit rows, whatever scaling has bent: what is measured is what stands beside it."""
    rng = np.random.default_rng(0)
    common, *own = rng.normal(size=(3, 4000, 96)) / 96**0.5
    middle, half = np.zeros((2, 96))
    middle[0], half[1] = 0.6, 0.4
    found = geometry(middle + half + 0.5 * common + 0.5 * own[0], middle - half + 0.5 * common + 0.5 * own[1])
    for name in ("orthogonality_x", "orthogonality_y", "cone_x", "cone_y", "residual_cosine"):
        one = getattr(found, name)
        assert one.std == pytest.approx(one.isotropic[1], rel=0.04), name
    assert found.orthogonality_x.std < 0.92 * 96**-0.5
    assert found.gap_length.std == pytest.approx(found.gap_length.isotropic[1], rel=0.35)  # of 40 groups


def test_no_gap_is_told():
    x, other = np.random.default_rng(0).normal(size=(2, 600, 20))
    found = geometry(x, other, groups_of=50)
    assert found.gap_length_unbiased.low == 0
    words = {verdict.part: verdict for verdict in found.verdicts}
    for part in ("constant length", "constant direction", "gap orthogonal to the span of x"):
        assert words[part].verdict == "does not hold"
    assert "no gap can be told from 0: its length is 0.0" in words["constant length"].reason
    assert words["noise isotropic"].verdict == "holds"
    assert found.gap_length.mean == pytest.approx(found.gap_length.isotropic[0], abs=0.03)
    assert found.direction.mean == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize(
    "high, word", [(0.49, "holds"), (0.51, "holds in part"), (0.99, "holds in part"), (1.01, "does not hold")]
)
def test_orthogonality_is_judged_by_its_interval(drawn, high, word):
    chance = drawn.spectrum_x.participation_ratio / drawn.dim  # of a direction at random
    found = replace(drawn, gap_variance_x=Single(0.1, 0.4, 0.0, high * chance))
    assert found.verdicts[2].part == "gap orthogonal to the span of x"
    assert found.verdicts[2].verdict == word


def test_table_and_json_have_every_figure(drawn):
    Console(width=200, file=(out := io.StringIO())).print(drawn)
    text = out.getvalue()
    assert "4000 pairs of 4000 items, dim 48; 40 groups of 100 pairs; normality on 2000 pairs" in text
    for name, (label, unit_) in LABELS.items():
        (line,) = [line for line in text.splitlines() if label in line and unit_ in line]
        value = getattr(drawn, name)
        number = value.mean if hasattr(value, "mean") else value.value
        assert (f"{number:.4f}" if abs(number) > 5e-5 or number == 0 else f"{number:.0e}") in line
    for verdict in drawn.verdicts:
        assert f"{verdict.part}: {verdict.verdict} (" in text
    found = json.loads(json.dumps(drawn.to_dict()))
    assert found["gap_length"]["mean"] == drawn.gap_length.mean
    assert len(found["gap_length"]["edges"]) == len(found["gap_length"]["counts"]) + 1 <= 61
    assert sum(found["spectrum_x"]["shares"]) == pytest.approx(1)
    assert found["verdicts"][0]["verdict"] == "holds"
    assert found["gap_variance_x"]["low"] <= found["gap_variance_x"]["value"]


def test_few_pairs_are_measured_but_for_normality():
    x = np.random.default_rng(0).normal(size=(2, 6, 3)) + np.array([[[1]], [[-1]]])
    found = geometry(*x, groups_of=3)
    assert found.rejecting is None
    assert found.kurtosis is None
    assert "6 pairs are too few" in found.verdicts[-1].reason
    Console(file=(out := io.StringIO()), width=200).print(found)
    assert "not measured" in out.getvalue()
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {},
            "at least 2 groups of 100 pairs of different items, got 120 items in 120 pairs: lower groups_of",
        ),
        ({"groups_of": 1}, r"groups_of must be a whole number in \[2, 2000\], got 1"),
        ({"groups_of": 2001}, r"groups_of must be a whole number in \[2, 2000\], got 2001"),
        ({"groups_of": 2.5}, r"groups_of must be a whole number in \[2, 2000\], got 2.5"),
        ({"groups": np.arange(120) // 4, "groups_of": 20}, "got 30 items in 120 pairs"),
        ({"groups": [1, 2]}, "groups has 2 entries, the embeddings have 120 rows"),
        ({"y": "short"}, "x has 120 rows, y has 119"),
        ({"y": "zero"}, "y has 1 zero row, the first is row 3"),
        ({"x": "nan"}, "x has 1 NaN or infinite row, the first is row 3"),
        (
            {"x": "still", "groups_of": 10, "groups": np.arange(120)},
            "expected rows of x that differ, got 120",
        ),
        (
            {"y": "same", "groups_of": 10},
            "expected differences x - y that differ, got 120 that are all equal",
        ),
    ],
)
def test_errors(pairs, change, message):
    given = dict(zip("xy", pairs, strict=True)) | change
    broken = np.arange(120)[:, None] == 3
    bad = {
        "short": lambda: pairs[1][1:],
        "zero": lambda: np.where(broken, 0, pairs[1]),
        "nan": lambda: np.where(broken, np.nan, pairs[0]),
        "still": lambda: np.ones_like(pairs[0]),
        "same": lambda: pairs[0],
    }
    for name in "xy":
        if isinstance(given[name], str):
            given[name] = bad[given[name]]()
    with pytest.raises(ValueError, match=message):
        geometry(given.pop("x"), given.pop("y"), **given)
