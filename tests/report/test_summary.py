import json

import numpy as np
import pytest

from isthmus.evaluate import Protocol, compare
from isthmus.report import summarize
from isthmus.theory import sample


def test_it_is_json_and_holds_the_numbers_of_the_comparison(comparison):
    summary = summarize(comparison, aligner="procrustes", labels=[f"caption {i}" for i in range(200)])
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert summary["comparison"] == comparison.to_dict()
    verdict = comparison.verdicts["procrustes"]
    for change in summary["changes"][:3]:
        assert change["before"] == comparison.verdicts["raw"].figures[change["key"]]._asdict()
        assert change["after"] == verdict.figures[change["key"]]._asdict()
    keys = {change["key"] for change in summary["changes"]}
    unused = {"gap_share_top_1", "gap_share_top_2", "gap_share_top_10"}
    assert keys == (set(verdict.figures) - unused) | {"kept_recall"}
    assert summary["held_out"] == {"pairs": 100, "items": 50, "x_rows": 50, "y_rows": 100}
    assert all(pair["label"] == f"caption {pair['row']}" for pair in summary["worst"])


def test_a_change_is_good_or_bad_only_where_intervals_part(comparison):
    for change in summarize(comparison, aligner="procrustes")["changes"]:
        before, after = change["before"], change["after"]
        apart = after["low"] > before["high"] or after["high"] < before["low"]
        assert (change["change"] is not None) == apart
        if apart:
            rose = after["value"] > before["value"]
            assert change["change"] == ("better" if rose == (change["better"] == "higher") else "worse")
    changes = {c["key"]: c["change"] for c in summarize(comparison, aligner="procrustes")["changes"]}
    assert (changes["rmg"], changes["kept_recall"]) == ("better", "worse")


def test_the_best_is_the_subject_by_default(comparison):
    assert summarize(comparison)["aligner"] == comparison.best == "collapse"


def test_raw_has_nothing_after_it(comparison):
    summary = summarize(comparison, aligner="raw")
    assert "after" not in summary["clouds"]
    assert all(change["after"] is None and change["change"] is None for change in summary["changes"])
    assert summary["steps"] == []


def test_the_pareto_front_is_not_beaten(comparison):
    summary = summarize(comparison)
    points = {
        k: (v["kept_recall"]["value"], -v["rmg"]["value"])
        for k, v in summary["comparison"]["aligners"].items()
    }
    beaten = {
        a
        for a in points
        for b in points
        if points[a] != points[b] and all(np.less_equal(points[a], points[b]))
    }
    assert set(summary["pareto"]) == set(points) - beaten
    assert summary["pareto"]


def test_steps_make_the_file_where_there_is_none_and_quote_its_name(comparison):
    first = summarize(comparison)["steps"][0]["code"]
    assert first == "isthmus align X Y --aligner collapse --keep-recall 0.9 --out collapse.safetensors"
    steps = summarize(comparison, aligner_path='my "best".safetensors')["steps"]
    assert [step["title"] for step in steps] == ["Apply it in Python", "Or on the command line"]
    compile(steps[0]["code"], "snippet", "exec")
    assert 'load_aligner("my \\"best\\".safetensors")' in steps[0]["code"]
    assert steps[1]["code"].startswith("isthmus apply 'my \"best\".safetensors' X --modality x --out")


def test_an_estimator_of_ones_own_is_saved_in_python():
    from isthmus.align import MeanCollapse

    comparison = compare(
        *sample(60)[:2], aligners={"mine": MeanCollapse()}, protocol=Protocol(folds=2, keep_recall=1e-9)
    )
    first = summarize(comparison, aligner="mine")["steps"][0]["code"]
    assert first == 'isthmus.save_aligner(aligner.fit(x, y), "mine.safetensors")'


def test_no_recipe_for_a_collapsed_aligner(comparison):
    assert comparison.verdicts["procrustes"].collapsed
    assert summarize(comparison, aligner="procrustes")["steps"] == []


@pytest.mark.parametrize(
    "given, message",
    [
        ({"aligner": "magic"}, "aligner must be one of .*collapse.*, got 'magic'"),
        ({"names": ("image",)}, "names must be two"),
        ({"names": "xy"}, "names must be two"),
        ({"labels": ["a"]}, "one for each of the 200 rows, got 1"),
    ],
)
def test_what_does_not_fit_is_refused(comparison, given, message):
    with pytest.raises(ValueError, match=message):
        summarize(comparison, **given)
