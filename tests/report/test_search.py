"""What captions find among both modalities: held to a plain loop, and shown."""

import numpy as np
import pytest

from isthmus.evaluate import HeldOut, compare
from isthmus.measure.items import find_items
from isthmus.report import render, summarize
from isthmus.report.search import mixed_search
from isthmus.theory import sample


@pytest.fixture(scope="module")
def pairs():
    x, y, group = sample(60, captions=3, seed=1)
    return x, y, group


def held(x, y, group, offset=0):
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (x, y)]
    return HeldOut(np.arange(len(x)) + offset, np.asarray(group), {"raw": tuple(unit)})


def test_nearest_rows_are_those_of_a_plain_loop(pairs):
    x, y, group = pairs
    out = held(x, y, group, offset=1000)
    items = find_items(*out.mapped["raw"], groups=group)
    for search in mixed_search(out, items, out.mapped, seed=3):
        query = search["row"] - 1000
        u, v = out.mapped["raw"]
        every = [("x", i, u[i] @ v[query]) for i in items.x_rows]
        every += [("y", i, v[i] @ v[query]) for i in items.y_rows if group[i] != group[query]]
        every.sort(key=lambda entry: -entry[2])
        for found, (modality, row, cosine) in zip(search["raw"], every, strict=False):
            assert (found["modality"], found["row"] - 1000) == (modality, row)
            assert found["cosine"] == pytest.approx(cosine, abs=1e-4)
            assert found["right"] == (group[row] == group[query])
            assert modality == "x" or not found["right"]


def test_text_outranks_images_where_there_is_a_gap_and_not_where_there_is_none(pairs):
    x, y, group = pairs
    out = held(x, y, group)
    items = find_items(*out.mapped["raw"], groups=group)
    raw = mixed_search(out, items, out.mapped, seed=0)
    assert all(found["modality"] == "y" for search in raw for found in search["raw"])
    same = held(x, x, group)
    items = find_items(*same.mapped["raw"], groups=group)
    none = mixed_search(same, items, same.mapped, seed=0)
    assert all(search["raw"][0]["modality"] == "x" and search["raw"][0]["right"] for search in none)


def test_pictures_are_asked_for_by_row_and_shown(pairs):
    x, y, group = pairs
    comparison = compare(x, y, groups=group, aligners=["collapse"])
    asked = []

    def draw(rows):
        asked.extend(rows)
        return {row: b"PNG of %d" % row for row in rows[1:]}

    labels = [f"caption <{i}>" for i in range(len(x))]
    summary = summarize(comparison, aligner="collapse", labels=labels, pictures=draw)
    shown = [r for s in summary["searches"] for space in ("before", "after") for r in s[space]]
    assert set(asked) == {r["row"] for r in shown if r["modality"] == "x"}
    assert all(r["picture"] is None for r in shown if r["modality"] == "y" or r["row"] == asked[0])
    page = render(summary)
    assert page.count("data:image/png;base64,") == sum(r["picture"] is not None for r in shown) > 0
    assert "caption &lt;" in page
    assert "caption <" not in page


def test_without_labels_there_is_no_search(pairs):
    x, y, group = pairs
    summary = summarize(compare(x, y, groups=group, aligners=["collapse"]))
    assert summary["searches"] == []
    assert "search in both modalities" not in render(summary)
