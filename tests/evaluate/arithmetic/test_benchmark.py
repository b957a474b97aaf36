"""The benchmark against a slow one, in spaces whose arithmetic is known."""

import io
import json
from itertools import islice, product

import numpy as np
import pytest
from rich.console import Console

from isthmus.align import MeanCollapse
from isthmus.encoders import CallableEncoder
from isthmus.evaluate.arithmetic import (
    ArithmeticOptions,
    arithmetic_benchmark,
    benchmark,
    fit_aligners,
    fitting,
)
from isthmus.evaluate.arithmetic.editing import VALUES, key_of, kinds_shown, neighbours
from isthmus.evaluate.arithmetic.queries import KINDS, draw_queries
from isthmus.evaluate.arithmetic.result import PAIRED, ArithmeticResult, Tally
from isthmus.evaluate.arithmetic.scoring import facts_right
from isthmus.evaluate.arithmetic.tables import sheets
from isthmus.evaluate.arithmetic.weighing import choose_weights
from isthmus.evaluate.world import shown
from isthmus.measure.bootstrap import Figure
from isthmus.sources.world import draw_scene, read_caption
from isthmus.sources.world.source import SPLITS

AXES = {(kind, value): i for i, (kind, value) in enumerate((k, v) for k in VALUES for v in VALUES[k])}
DIM = len(AXES) + 2
OPTIONS = ArithmeticOptions(4, 500, (0, 3), ("image",), weights=(0.2,))


def facts_row(facts, gap, axis):
    """The sum of an axis per fact, and a gap of a modality."""
    row = np.zeros(DIM)
    for thing in facts.things:
        for kind, value in vars(thing).items():
            if value is not None:
                row[AXES[kind, value]] += 1
    for kind in ("texture", "light"):
        if getattr(facts, kind) is not None:
            row[AXES[kind, getattr(facts, kind)]] += 1
    row[-1 - axis] = gap
    return row


def ideal(gap):
    """Words that mean what they say: a scene's row is the sum of its facts'; pictures are not looked at."""
    return CallableEncoder(
        {
            "image": lambda images: np.ones((len(images), DIM)),
            "text": lambda texts: [facts_row(read_caption(t), gap, 1) + 1e-9 for t in texts],
        },
        name="ideal",
        dim=DIM,
        revision="1",
    )


@pytest.fixture
def see(monkeypatch):
    """Let scenes be embedded by their facts."""

    def with_gap(gap):
        def embed(encoder, scenes, modality):
            rows = np.array([facts_row(shown(s.facts, modality), gap, 0) for s in scenes])
            return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

        monkeypatch.setattr(benchmark, "embed_scenes", embed)
        monkeypatch.setattr(fitting, "embed_scenes", embed)
        return ideal(gap)

    return with_gap


def recall(result, kind, prompt, method="raw", answer="arithmetic"):
    return result.row("image", kind, prompt, method, answer=answer).figures["recall_at_1"].value


def test_an_ideal_space_is_right_and_the_trivial_answers_are_not(see):
    options = ArithmeticOptions(15, 500, (0,), ("image",), ("change", "add", "remove"), weights=(0.2,))
    found = arithmetic_benchmark(see(0.0), {}, options=options)
    for prompt, answer in (
        ("word", "weight 0.2"),
        ("caption", "arithmetic"),
    ):  # of two small things: which?
        assert recall(found, "change", prompt, answer=answer) > 0.8
    assert recall(found, "all", "", answer="image") < 0.2
    assert recall(found, "all", "word", answer="text") < 0.2
    row = found.row("image", "change", "word", "raw", answer="weight 0.2")
    assert row.figures["changed"].value > 0.8
    assert row.figures["kept"].value > 0.95


def test_a_constant_orthogonal_gap_is_not_in_the_way(see):
    """It adds the same to the scores of all candidates of one modality, so that only weights change."""
    options = ArithmeticOptions(10, 500, (0,), ("image",), ("change",), weights=(0.2,))
    near, far = (arithmetic_benchmark(see(gap), {}, options=options) for gap in (0.0, 3.0))
    a, b = (recall(found, "change", "word", answer="weight 0.2") for found in (near, far))
    assert a > 0.6
    assert b > 0.6


def slow(encoder, embed, options, *, mean=(0.0, 0.0)):
    """The benchmark, query by query and candidate by candidate, with means to subtract."""

    def unit(row, which):
        row = np.asarray(row, float)
        row = row / np.linalg.norm(row) - mean[which]
        return row / np.linalg.norm(row)

    out = {}
    for seed in options.seeds:
        start = SPLITS["test"] + (1 + seed) * 10**6
        scenes = (draw_scene(0, i) for i in range(start, start + 10**5))
        queries = [
            q
            for k in options.kinds
            for q in draw_queries(scenes, k, "image", count=options.queries, seed=seed)
        ]
        pool = list(islice(scenes, options.candidates))
        for query in queries:
            near = {}
            kinds = kinds_shown("image")
            for s in (
                query.scene,
                query.answer,
                *neighbours(query.scene, kinds),
                *neighbours(query.answer, kinds),
            ):
                near.setdefault(key_of(s, "image"), s)
            among = [*near.values(), *pool][: options.candidates]
            rows = [unit(row, 0) for row in embed(encoder, among, "image")]
            for prompt, words in query.words.items():
                step = np.zeros(DIM)
                for sign, text in ((-1, words.minus), (1, words.plus)):
                    if text is not None:
                        step = step + sign * unit(encoder.encode([text], "text")[0], 1)
                for weight in (1.0, *options.weights):
                    point = rows[0] + weight * step
                    cosines = [float(point @ row) for row in rows]
                    first = max(range(1, len(among)), key=lambda i: (round(cosines[i], 6), i == 1))
                    right = facts_right(query, among[first])
                    rank = sum(c > cosines[1] for c in cosines[2:])
                    kept = out.setdefault((query.kind, prompt, weight), [])
                    kept.append(
                        (rank < 1, rank < 10, rank < 1 and cosines[1] > cosines[0], right.changed, right.kept)
                    )
    return {key: np.mean(values, axis=0) for key, values in out.items()}


@pytest.mark.parametrize("collapsed", [False, True])
def test_the_same_as_one_by_one(collapsed, monkeypatch):
    rng = np.random.default_rng(0)
    turn, noise = rng.normal(size=(DIM, DIM)), rng.normal(size=DIM)

    def embed(encoder, scenes, modality):  # noise of its own for every scene: no ties
        rows = np.array([facts_row(shown(s.facts, modality), 0, 0) @ turn + noise for s in scenes])
        for row, scene in zip(rows, scenes, strict=True):
            row += np.random.default_rng(
                [scene.index, *map(ord, repr(key_of(scene, modality))[:2000:7])]
            ).normal(size=DIM)
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    def read(texts):
        return [
            facts_row(read_caption(t), 0, 0) @ turn + noise + 0.1 * np.sin(np.arange(DIM) * len(t))
            for t in texts
        ]

    encoder = CallableEncoder(
        {"image": lambda i: np.ones((len(i), DIM)), "text": read}, name="t", dim=DIM, revision="1"
    )
    monkeypatch.setattr(benchmark, "embed_scenes", embed)
    means, aligners = (0.0, 0.0), {}
    if collapsed:
        aligner = MeanCollapse().fit(rng.normal(size=(9, DIM)) + 1, rng.normal(size=(9, DIM)) - 1)
        means, aligners = (-aligner.x_offset_, -aligner.y_offset_), {"image": {"mine": aligner}}
    options = ArithmeticOptions(2, 500, (0, 3) if collapsed else (1,), ("image",), weights=(0.2,))
    found = arithmetic_benchmark(encoder, aligners, options=options)
    expected = slow(encoder, embed, options, mean=means)
    for (kind, prompt, weight), values in expected.items():
        answer = "arithmetic" if weight == 1 else f"weight {weight:g}"
        row = found.row("image", kind, prompt, "mine" if collapsed else "raw", answer=answer)
        assert row.queries == 2 * len(options.seeds)
        assert [f.value for f in row.figures.values()] == pytest.approx(values.tolist())


def test_gains_are_paired_and_all_is_the_mean(see):
    encoder = see(1.0)
    aligners = fit_aligners(encoder, ["collapse", "linear"], modalities=["image"], pairs=60)
    found = arithmetic_benchmark(encoder, aligners, options=OPTIONS)
    for method in ("raw", "collapse", "linear"):
        row = found.row("image", "all", "phrase", method)
        assert row.queries == 8 * len(KINDS)
        kinds = [recall(found, kind, "phrase", method) for kind in KINDS]
        assert row.figures["recall_at_1"].value == pytest.approx(np.mean(kinds))
        raw = found.row("image", "all", "phrase", "raw").figures
        for name in PAIRED:
            gain = row.over_raw[name].value if method != "raw" else 0
            assert gain == pytest.approx(row.figures[name].value - raw[name].value)
        text = recall(found, "all", "phrase", method, "text")
        assert row.gains["text"].value == pytest.approx(row.figures["recall_at_1"].value - text)
        assert row.gains.get("raw") == row.over_raw.get("recall_at_1")
        for figures in (row.figures, row.gains, row.over_raw):
            assert all(figure.low <= figure.value <= figure.high for figure in figures.values())
    with pytest.raises(KeyError):
        found.row("image", "swap", "word", "raw")


def test_gains_are_over_the_same_queries():
    tally = Tally()
    for name, values in {
        ("raw", "arithmetic"): (0, 0, 1, 1),
        ("raw", "text"): (0, 0, 0, 0),
        ("mine", "arithmetic"): (1, 1, 1, 0),
        ("mine", "text"): (1, 0, 0, 0),
    }.items():
        for query, value in enumerate(values):
            tally.add(("image", "add", "word", *name), query, {"recall_at_1": float(value)})
    found = ArithmeticResult.of(tally, encoder="e", options={})
    gains = found.row("image", "add", "word", "mine").gains
    assert (gains["raw"].value, gains["text"].value) == (0.25, 0.5)
    assert found.row("image", "add", "word", "raw").gains["text"].value == 0.5
    assert "raw" not in found.row("image", "add", "word", "raw").gains
    assert found.row("image", "add", "word", "mine", answer="text").gains == {}


def test_what_is_right_on_the_same_queries_differs_by_nothing():
    """Compared query by query, whatever the order, the interval is a point."""
    tally, right = Tally(), [1.0, 0, 0, 1, 1, 0, 1, 0, 0, 0]
    for name, order in (("raw", range(10)), ("mine", range(9, -1, -1))):
        for query in order:
            found = {"recall_at_1": right[query], "recall_at_10": 1.0 - (query % 3 == 0)}
            tally.add(("image", "add", "word", name, "arithmetic"), query, found)
    row = ArithmeticResult.of(tally, encoder="e", options={}).row("image", "add", "word", "mine")
    assert row.over_raw == {"recall_at_1": Figure(0, 0, 0), "recall_at_10": Figure(0, 0, 0)}
    assert row.figures["recall_at_1"].low < 0.4 < row.figures["recall_at_1"].high


def test_weight_is_chosen_on_the_other_seeds_and_over_all_kinds():
    tally, rng = Tally(), np.random.default_rng(0)
    answers, kinds = ("arithmetic", "weight 0.5", "weight 2"), ("add", "swap")
    values = (rng.random((2, 3, 3, 2, 4)) < 0.5).astype(float)  # methods, answers, seeds, kinds, queries
    for m, a, s, k, q in np.ndindex(values.shape):
        key = ("image", kinds[k], "word", ("raw", "mine")[m], answers[a])
        tally.add(key, (s, kinds[k], q), {"recall_at_1": values[m, a, s, k, q]})
    choose_weights(tally)
    found = ArithmeticResult.of(tally, encoder="e", options={})
    order = [1, 0, 2]  # weights 0.5, 1 and 2: of equal ones the smallest
    for m, method in enumerate(("raw", "mine")):
        expected = []
        for s in range(3):
            others = [i for i in range(3) if i != s]
            means = [values[m, a][others].mean() for a in order]
            expected.append(values[m, order[int(np.argmax(means))], s])  # (kinds, queries)
        assert recall(found, "all", "word", method, "chosen weight") == pytest.approx(np.mean(expected))
        for k, kind in enumerate(kinds):
            mine = np.mean([part[k] for part in expected])
            assert recall(found, kind, "word", method, "chosen weight") == pytest.approx(mine)
    gain = found.row("image", "all", "word", "mine", answer="chosen weight").gains["raw"].value
    assert gain == pytest.approx(
        recall(found, "all", "word", "mine", "chosen weight")
        - recall(found, "all", "word", "raw", "chosen weight")
    )


def test_of_weights_equally_good_the_smallest_is_chosen():
    tally = Tally()
    for (seed, query), (answer, ten) in product(
        product((0, 1), range(2)), {"arithmetic": 0.1, "weight 2": 0.2, "weight 0.5": 0.3}.items()
    ):
        key = ("image", "add", "word", "raw", answer)
        tally.add(key, (seed, "add", query), {"recall_at_1": 0.5, "recall_at_10": ten})
    choose_weights(tally)
    chosen = tally.found["image", "add", "word", "raw", "chosen weight"]
    assert [found["recall_at_10"] for found in chosen.values()] == [0.3] * 4


def test_shares_of_nothing_and_all_reach_to_what_so_many_queries_allow():
    tally = Tally()
    for kind, query in product(("add", "swap"), range(20)):
        key = ("image", kind, "word", "raw", "arithmetic")
        tally.add(key, (0, kind, query), {"recall_at_1": 0.0, "kept": 1.0})
    found = ArithmeticResult.of(tally, encoder="ideal", options={})
    for kind, count in (("add", 20), ("all", 40)):
        figures = found.row("image", kind, "word", "raw").figures
        assert figures["recall_at_1"] == pytest.approx((0, 0, 1 - 0.025 ** (1 / count)))
        assert figures["kept"] == pytest.approx((1, 0.025 ** (1 / count), 1))


def test_one_seed_chooses_no_weight(see):
    options = ArithmeticOptions(2, 500, (0,), ("image",), ("add",))
    found = arithmetic_benchmark(see(0.0), {}, options=options)
    assert "chosen weight" not in {row.answer for row in found.rows}
    assert "chosen" not in sheets(found)[-1].markdown()


def test_aligners_are_fitted_on_other_scenes_than_are_asked_about(see, monkeypatch):
    encoder, seen = see(0.0), {}
    for module in (fitting, benchmark):
        embed, kept = module.embed_scenes, seen.setdefault(module.__name__, set())

        def record(encoder, scenes, modality, embed=embed, kept=kept):
            kept.update(scene.index for scene in scenes)
            return embed(encoder, scenes, modality)

        monkeypatch.setattr(module, "embed_scenes", record)
    aligners = fit_aligners(encoder, ["collapse"], modalities=["image"], pairs=60)
    arithmetic_benchmark(encoder, aligners, options=ArithmeticOptions(2, 500, (0, 3), ("image",), ("add",)))
    fitted, asked = (seen[module.__name__] for module in (fitting, benchmark))
    assert fitted == set(range(SPLITS["train"], SPLITS["train"] + 60))
    later = sorted(SPLITS.values())
    ends = {name: min([at for at in later if at > SPLITS[name]], default=np.inf) for name in SPLITS}
    assert max(fitted) < ends["train"]
    assert all(SPLITS["test"] <= index < ends["test"] for index in asked)
    assert not fitted & asked


def test_tables_and_json_hold_what_was_found(see):
    options = ArithmeticOptions(3, 500, (0,), ("image",), ("change", "swap"))
    found = arithmetic_benchmark(see(0.0), {}, options=options)
    told = json.loads(json.dumps(found.to_dict()))
    assert told["options"]["queries"] == 3
    assert len(told["rows"]) == len(found.rows)
    assert told["rows"][0]["recall_at_1"] == found.rows[0].figures["recall_at_1"]._asdict()
    overview, kinds, wordings, weights = (sheet.markdown() for sheet in sheets(found))  # raw: no differences
    figure = found.row("image", "all", "phrase", "raw").figures["recall_at_1"]
    cell = f"{100 * figure.value:.0f} ({100 * figure.low:.0f} to {100 * figure.high:.0f})"
    assert f"| raw | {cell} |" in overview
    assert "| the text alone (best: raw) |" in overview
    assert "|  | change | swap |" in kinds
    assert "| swap | - |" in wordings
    assert "|  | 0.25 | 0.5 | 1 | 2 |" in weights
    Console(file=(out := io.StringIO()), width=200).print(found)
    assert cell in out.getvalue()


def test_tables_of_differences_and_of_the_chosen_weight(see):
    encoder = see(1.0)
    aligners = fit_aligners(encoder, ["collapse", "linear"], modalities=["image"], pairs=60)
    found = arithmetic_benchmark(
        encoder, aligners, options=ArithmeticOptions(4, 500, (0, 3), ("image",), ("add", "change"))
    )
    tables = {sheet.title: sheet for sheet in sheets(found)}
    table = tables["image: more than raw on the same queries, worded as a phrase"]
    operand = "R@1, operand among the candidates"
    assert table.heads == ("", "R@1", "R@10", operand, "R@1, change", "R@1, add")
    assert [row[0] for row in table.rows] == ["collapse", "linear"]
    every, add = (found.row("image", kind, "phrase", "linear").over_raw for kind in ("all", "add"))
    for cell, figure in zip(
        table.rows[1][1:4] + table.rows[1][5:], (*every.values(), add["recall_at_1"]), strict=True
    ):
        value, low, high = (round(100 * each) for each in figure)
        assert cell == f"{value:+d} ({low:+d} to {high:+d})"
    weights = tables["image: R@1 over all queries, by what the texts are multiplied with"]
    assert weights.heads[-3:] == ("2", "chosen on the other seeds", "more than raw, both chosen")
    row = found.row("image", "all", "phrase", "linear", answer="chosen weight")
    assert weights.rows[2][-2].startswith(f"{100 * row.figures['recall_at_1'].value:.0f} (")
    assert weights.rows[2][-1].startswith(f"{round(100 * row.gains['raw'].value):+d} (")
    assert weights.rows[0][-1] == ""


def test_progress_and_determinism(see):
    options = ArithmeticOptions(2, 500, (0, 1), ("image",), ("add",))
    steps = []
    a, b = (
        arithmetic_benchmark(see(0.5), {}, options=options, progress=lambda *s: steps.append(s)) for _ in "ab"
    )
    assert a == b
    assert steps[:2] == [(0, 2, "image, seed 0"), (1, 2, "image, seed 1")]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"queries": 1}, r"queries must be a whole number in \[2, inf\), got 1"),
        ({"candidates": 10}, r"candidates must be a whole number in \[500, inf\), got 10"),
        ({"modalities": ("smell",)}, "modalities must be some of image, audio, video, got"),
        ({"kinds": ()}, "kinds must be some of change, combine, add, remove, swap, got"),
        ({"seeds": ()}, "seeds must name at least one seed"),
        ({"seeds": (-1,)}, "a seed must be a whole number"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        ArithmeticOptions(**options)


def test_what_cannot_be_asked(see):
    with pytest.raises(ValueError, match="ideal embeds image, text, not audio"):
        arithmetic_benchmark(see(0.0), {}, options=ArithmeticOptions(2, 500, (0,), ("audio",)))
    with pytest.raises(ValueError, match="aligners must not be called 'raw'"):
        arithmetic_benchmark(see(0.0), {"image": {"raw": MeanCollapse()}}, options=OPTIONS)
    with pytest.raises(ValueError, match=r"pairs must be a whole number in \[20, inf\), got 3"):
        fit_aligners(ideal(0.0), ["collapse"], modalities=["image"], pairs=3)
    with pytest.raises(ValueError, match="unknown aligner 'foo'"):
        fit_aligners(ideal(0.0), ["foo"], modalities=["image"], pairs=20)
