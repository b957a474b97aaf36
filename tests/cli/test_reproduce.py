"""isthmus reproduce: the paper's figures, orders judged, and tables run on very few scenes."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from isthmus.align.noise import RELEASED_STD
from isthmus.cli.reproduce.experiment import FULL, QUICK, Experiment
from isthmus.cli.reproduce.orders import Order, judge
from isthmus.cli.reproduce.published import PUBLISHED, PaperFigure
from isthmus.cli.reproduce.tables import TABLES, Row
from isthmus.cli.reproduce.workshop import recipe_of

PAPER = Path(__file__).resolve().parents[3] / "shared" / "papers" / "004_57a06f02ba598e00.txt"
TINY = Experiment(
    *(12, 2, 6, 2, 6),
    tuning_rows=16,
    batch_size=16,
    prefix=2,
    width=16,
    layers=1,
    heads=2,
    length=4,
    candidates=2,
)
NAMES_THERE = {"C2-collapse": "C2\n\n1", "C2-corrupt": "C2\n\n2", "C2-span": "C2\n\n2 (span noise only)"}


def test_published_figures_by_hand():
    """Those that the paper's text speaks of, and a few read off its tables."""
    two, four, five, six, seven = PUBLISHED.values()
    assert two.figure("C3", "cider") == PaperFigure(93.3, 0.3)
    assert two.figure("CapDec", "bleu_4").value == 26.4
    assert [two.figure("ZeroCap", m) for m in ("bleu_1", "spice")] == [PaperFigure(49.8), None]
    assert (four.figure("C2-corrupt", "audio"), four.figure("C3, audio", "meteor").value) == (None, 20.1)
    assert four.figure("C2-collapse, video", "bleu_1").value == 25.1
    assert [five.figure(f"{m}, 1%", "cider").value for m in ("ClipCap", "C3")] == [71.1, 96.4]
    assert five.figure("C1, 100%", "cider").value == 109.7
    assert [six.figure(f"gap {gap}", "rouge_1").value for gap in (0.0, 0.8, 2.0)] == [85.5, 30.5, 13.8]
    assert [seven.figure("C2-span", m).value for m in seven.metrics] == [41.2, 6.2, 14.9, 33.6, 22.8, 8.3]


@pytest.mark.skipif(not PAPER.is_file(), reason="the paper is not at hand")
@pytest.mark.parametrize("name", ["c3-table2", "c3-table4", "c3-table5", "c3-table6", "c3-table7"])
def test_every_published_figure_stands_in_the_paper(name):
    """Each row, as printed, is a run of figures in the paper's text, behind its method's name."""
    text, paper = PAPER.read_text(encoding="utf-8"), PUBLISHED[name]
    rows = paper.rows
    if name == "c3-table4":  # whose rows hold three modalities
        rows = {}
        for row, figures in paper.rows.items():
            rows.setdefault(row.split(",")[0], {}).update({f"{row}{m}": f for m, f in figures.items()})
    for row, figures in rows.items():
        method = row.split(",")[0].removeprefix("gap ")
        printed = " ".join("-" if f is None else str(f).replace(" ± ", "±") for f in figures.values())
        head = re.escape(NAMES_THERE.get(method, method))
        found = re.search(rf"^{head}(?!\w).{{0,30}}{re.escape(printed)}", text, re.MULTILINE | re.DOTALL)
        assert found, row


def test_tables_hold_every_row_of_the_paper():
    for name, table in TABLES.items():
        ours = {table.paper_row(row) for row in table.rows}
        lacking = set(table.paper.rows) - ours
        assert lacking == ({"ESPER"} if name == "c3-table2" else set())
        assert len({row.name for row in table.rows}) == len(table.rows)
        for order in table.orders:
            assert set(order.rows) <= {row.name for row in table.rows}
    assert any("ESPER is not built" in note for note in TABLES["c3-table2"].notes)


def scores(seeds=3, items=200, **means):
    """Scores of rows around a mean, items in common."""
    shared = np.random.default_rng(0).normal(size=(1, items))
    ones = np.ones((seeds, items))
    noise = np.random.default_rng(1)
    return {
        name.replace("_", "-"): np.stack(
            [mean + 0.3 * shared + 0.01 * noise.normal(size=(seeds, items)), ones], axis=2
        )
        for name, mean in means.items()
    }


def verdicts(orders, found):
    return [one["verdict"] for one in judge(orders, found, measure="facts_f1")]


def test_orders_are_judged_by_pairs():
    """Items differ by 0.3 and rows by 0.02: only paired can that be told from chance."""
    found = scores(low=0.50, high=0.52, same=0.52)
    orders = [Order("below", "low", "high"), Order("below", "high", "low"), Order("below", "high", "same")]
    assert verdicts(orders, found) == ["holds", "reversed", "not shown"]
    at_least = [Order("at least", "low", "high"), Order("at least", "high", "same")]
    assert verdicts([*at_least, Order("at least", "high", "low")], found) == ["holds", "holds", "reversed"]


def test_nearness_and_gains():
    found = scores(span=0.21, collapse=0.20, corrupt=0.30, few=0.1, many=0.4)
    near = Order("near", "span", "collapse", rather_than="corrupt")
    far = Order("near", "span", "corrupt", rather_than="collapse")
    assert verdicts([near, far], found) == ["holds", "reversed"]
    less = Order("gains less", "collapse", "corrupt", than=("few", "many"))
    more = Order("gains less", "few", "many", than=("collapse", "corrupt"))
    assert verdicts([less, more], found) == ["holds", "reversed"]
    assert judge([less], found, measure="x")[0]["difference"] == pytest.approx(0.2, abs=0.01)


def test_an_order_that_a_seed_denies_is_not_shown():
    found = scores(low=0.5, high=0.9)
    found["low"][2], found["high"][2] = found["high"][2] + 0.1, found["low"][2].copy()
    (one,) = judge([Order("below", "low", "high")], found, measure="facts_f1")
    assert one["low"] > 0
    assert one["by_seed"][2] < 0
    assert one["verdict"] == "not shown"


def test_ratios_are_of_sums():
    """Two scenes, 1 of 1 and 0 of 3: a quarter, not a half."""
    found = {"a": np.array([[[1.0, 1.0], [0.0, 3.0]]]), "none": np.zeros((1, 2, 2))}
    assert judge([Order("below", "none", "a")], found, measure="x")[0]["difference"] == 0.25


def test_rows_that_were_not_run_are_not_judged():
    assert judge([Order("below", "low", "absent")], scores(low=0.5), measure="x") == []


def test_sizes():
    assert QUICK.items < FULL.items
    with pytest.raises(ValueError, match=r"heads must be a whole number in \[1, inf\), got 0"):
        replace(FULL, heads=0)
    rare, all_pairs = (FULL.training("ClipCap", 0, share=share) for share in (0.01, 1.0))
    assert (rare.pairs, all_pairs.pairs) == (0.01, 1.0)
    for settings in (rare, FULL.training("ClipCap", 0, share=0.25)):
        seen = settings.epochs * settings.pairs * FULL.items * FULL.captions
        assert seen == pytest.approx(FULL.tuning_rows, rel=0.5)


def test_noise_is_found_from_captions_where_a_row_names_none():
    stds = {row.name: recipe_of(row) for row in TABLES["c3-table2"].rows}
    found = {name: FULL.training(recipe.method, 0, std=recipe.std).std for name, recipe in stds.items()}
    assert found["C3"] == found["C2-corrupt"] == found["C2-span"] == "auto"
    assert found["C3, std 0.126"] == found["C2-corrupt, std 0.126"] == RELEASED_STD
    assert found["CapDec"] is found["C1"] is found["C3-calibrated"] is None
    assert stds["C3"].name != stds["C3, std 0.126"].name


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A table of each kind run on 12 scenes, one seed."""
    pytest.importorskip("torch", reason="torch is an extra")
    pytest.importorskip("tokenizers", reason="tokenizers is an extra")
    from isthmus.cli.reproduce import run, tables
    from isthmus.evaluate.captions import scores as module
    from isthmus.evaluate.captions.meteor import Unavailable

    def no_java(*_):
        raise Unavailable("needs Java")

    folder = tmp_path_factory.mktemp("reproduce") / "out"
    few = {
        "c3-table7": ("C1", "C2-collapse", "C3"),
        "c3-table2": ("CLIPRe", "ZeroCap", "MAGIC", "C1", "C3"),
        "c3-table4": ("C3, audio", "C3, video"),
        "c3-table5": ("ClipCap, 25%", "C3, 25%"),
        "c3-table6": ("C3, gap 0.0", "C3, gap 2.0"),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "meteor_counts", no_java)
        for name, rows in few.items():
            kept = tuple(row for row in TABLES[name].rows if row.name in rows)
            patch.setitem(tables.TABLES, name, replace(TABLES[name], rows=kept))

        def again(name, **options):
            told = []
            settings = {"experiment": TINY, "seeds": [0], "workers": 1} | options
            found = run.run_table(name, folder, advance=lambda *at: told.append(at), **settings)
            return found, told

        yield folder, again, {name: again(name)[0] for name in few}


def test_a_table_is_written_and_shown(tiny, capsys):
    from isthmus.cli.show import show

    folder, _, found = tiny
    report = found["c3-table7"].to_dict()
    assert json.loads((folder / "c3-table7.json").read_text()) == report
    assert [row["name"] for row in report["rows"]] == ["C1", "C2-collapse", "C3"]
    assert report["rows"][2]["paper"]["cider"] == {"value": 93.3, "spread": None}
    assert [one["order"] for one in report["orders"]] == ["C1 < C2-collapse", "C2-collapse < C3"] * 2
    text = (folder / "c3-table7.md").read_text()
    assert "*93.3*" in text
    assert "on COCO: other data" in text
    assert (folder / "c3-table7.svg").read_text().startswith("<svg ")
    show(found["c3-table7"], as_json=False)
    out = capsys.readouterr().out
    assert "93.3" in out
    assert "1 seed, which says nothing of the spread" in out


def test_all_measures_are_there_or_said_to_be_left_out(tiny):
    report = tiny[2]["c3-table7"].to_dict()
    every = {"facts_f1", "facts_precision", "facts_recall", "bleu_1", "bleu_4", "rouge_l", "cider"}
    assert set(report["rows"][0]["figures"]) == every | {"clip_score"}
    assert report["skipped"]["METEOR"] == "needs Java"
    assert "METEOR is left out: needs Java" in (tiny[0] / "c3-table7.md").read_text()
    assert "clip_score" not in tiny[2]["c3-table6"].to_dict()["rows"][0]["figures"]


def test_a_repeated_call_does_nothing_and_says_the_same(tiny):
    folder, again, found = tiny
    before = (folder / "c3-table7.json").read_bytes()
    repeated, told = again("c3-table7")
    assert repeated.to_dict() == found["c3-table7"].to_dict()
    assert (folder / "c3-table7.json").read_bytes() == before
    assert told == []


def test_what_is_lost_is_made_again_alike(tiny):
    folder, again, found = tiny
    (lost,) = folder.glob("results/C3-image-seed0.json")
    lost.unlink()
    repeated, told = again("c3-table7")
    assert repeated.to_dict() == found["c3-table7"].to_dict()
    assert [at[2] for at in told] == ["C3, seed 0"]  # not trained again


def test_tables_share_their_captioners(tiny):
    folder, _, found = tiny
    trained = {path.name for path in folder.glob("captioners/*")}
    names = ("C1", "C2-collapse", "C3", "CLIPRe", "MAGIC", "ClipCap-0.25", "C3-0.25")
    assert trained == {f"{name}-seed0" for name in names}
    by_name = {row["name"]: row for row in found["c3-table2"].to_dict()["rows"]}
    assert by_name["C3"]["figures"] == found["c3-table7"].to_dict()["rows"][2]["figures"]
    assert (by_name["ZeroCap"]["trained"], by_name["ZeroCap"]["items"]) == ("MAGIC", 2)
    assert by_name["ZeroCap"]["fewer"]
    story = json.loads((folder / "captioners" / "C3-0.25-seed0" / "run.json").read_text())
    assert story["settings"]["method"] == "ClipCap"
    assert story["items"] == 3  # a quarter of those that are not held out


def test_the_gap_is_orthogonal_and_collapse_removes_it(tiny):
    """A constant that is orthogonal to all rows turns them by a known angle, and C3's not at all."""
    from isthmus.cli.reproduce.workshop import Workshop, name_of
    from isthmus.decode.connection import Connection
    from isthmus.decode.methods import METHODS

    folder, _, _ = tiny
    shop = Workshop(folder, TINY)
    learned = np.asarray(shop.learned.of("text")[:])
    assert np.abs(learned @ shop.gap).max() < 1e-5
    assert np.linalg.norm(shop.gap) == pytest.approx(1)
    turned = {}
    for method in ("C1", "C3"):
        seen = []
        for gap in (0.0, 2.0):
            row = Row(method, "text", gap=gap)
            rows, ids, means = shop.shown(row)
            connection = Connection(METHODS[method], {"text": learned.mean(axis=0)} | means)
            seen.append(connection.infer(rows, name_of(row)))
        assert (len(ids), rows.shape) == (TINY.test, (TINY.test, 256))
        turned[method] = np.sum(seen[0] * seen[1], axis=1)
    assert turned["C1"] == pytest.approx(np.full(6, 5**-0.5), abs=0.1)  # of length 1, beside one of 2
    assert turned["C3"].min() > 0.95


def test_other_sizes_are_refused(tiny):
    folder, again, _ = tiny
    words = rf"{re.escape(str(folder))} was begun with other settings: test is 6 there and 7 here"
    with pytest.raises(ValueError, match=words):
        again("c3-table7", experiment=replace(TINY, test=7))


def test_a_folder_of_something_else_is_refused(run, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    code, _, err = run("reproduce", "c3-table7", "--quick", "--out", tmp_path)
    assert code == 2
    assert "expected a new or empty folder, or one of isthmus reproduce" in err
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_bad_usage(run):
    code, _, err = run("reproduce", "c3-table3")
    assert code == 2
    assert "c3-table2" in err
    assert run("reproduce", "c3-table2", "--seeds", 0)[::2] == (
        2,
        "isthmus: seeds must be a whole number in [1, inf), got 0\n",
    )


def test_options_reach_the_run(run, monkeypatch, tmp_path):
    from isthmus.cli.reproduce import run as module

    asked = []

    def stop(name, folder, **options):
        asked.append((name, folder, options))
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "run_table", stop)
    code, _, err = run("reproduce", "c3-table5", "--quick", "--workers", 3, "--out", tmp_path)
    ((name, folder, options),) = asked
    assert (name, folder, options["experiment"]) == ("c3-table5", tmp_path, QUICK)
    assert (list(options["seeds"]), options["workers"]) == ([0], 3)
    assert code == 130
    assert f"{tmp_path} keeps what it has: the same command goes on from there" in err
    run("reproduce", "c3-table5")
    assert (str(asked[1][1]), asked[1][2]["experiment"]) == ("isthmus-reproduce", FULL)
    assert list(asked[1][2]["seeds"]) == [0, 1, 2]


def test_stages_train_what_others_start_from_first(tmp_path):
    from isthmus.cli.reproduce.jobs import jobs_of
    from isthmus.cli.reproduce.workshop import Workshop

    rows = (Row("C3", share=0.01), Row("ClipCap", share=0.01), Row("C1"), Row("C1", "audio"))
    first, then = jobs_of(Workshop(tmp_path, TINY), rows, [0])
    assert [(str(job), len(job.rows)) for job in first] == [
        ("ClipCap-0.01, seed 0", 1),
        ("C1, seed 0", 2),
        ("C3, seed 0", 0),
    ]
    assert [str(job) for job in then] == ["C3-0.01, seed 0"]


@pytest.mark.slow
def test_processes_side_by_side_come_to_the_same(tiny, tmp_path):
    from isthmus.cli.reproduce.run import run_table

    folder, _, found = tiny
    for name in ("learned", "held-out"):
        shutil.copytree(folder / name, tmp_path / "out" / name)
    shutil.copy(folder / "experiment.json", tmp_path / "out")
    both = run_table(
        "c3-table7", tmp_path / "out", experiment=TINY, seeds=[0], workers=2, advance=lambda *_: None
    )
    for one, other in zip(both.to_dict()["rows"], found["c3-table7"].to_dict()["rows"], strict=True):
        figures = {name: found for name, found in one["figures"].items() if name != "meteor"}
        assert figures == other["figures"]  # of which no Java was asked in this process
