"""What captions find among both modalities: held to a plain loop, and shown."""

import numpy as np
import pytest

from isthmus.evaluate import HeldOut, compare
from isthmus.measure.items import find_items
from isthmus.report import render, summarize
from isthmus.report.search import searches
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
    u, v = out.mapped["raw"]
    for search in searches(out, items, out.mapped, seed=3):
        query = search["row"] - 1000
        every = [(u[i] @ v[query], "x", i) for i in items.x_rows]
        every.sort(key=lambda entry: -entry[0])
        for found, (cosine, _, row) in zip(search["raw"]["nearest"], every, strict=False):
            assert found["row"] - 1000 == row
            assert found["cosine"] == pytest.approx(cosine, abs=1e-4)
            assert found["right"] == (group[row] == group[query])
        every += [(v[i] @ v[query], "y", i) for i in items.y_rows if group[i] != group[query]]
        every.sort(key=lambda entry: -entry[0])
        assert search["raw"]["mixed"] == sum(modality == "x" for _, modality, _ in every[:10])


def test_text_outranks_images_where_there_is_a_gap_and_not_where_there_is_none(pairs):
    x, y, group = pairs
    out = held(x, y, group)
    items = find_items(*out.mapped["raw"], groups=group)
    assert all(search["raw"]["mixed"] == 0 for search in searches(out, items, out.mapped, seed=0))
    same = held(x, x, group)
    items = find_items(*same.mapped["raw"], groups=group)
    for search in searches(same, items, same.mapped, seed=0):
        assert search["raw"]["mixed"] in range(3, 9)
        assert search["raw"]["nearest"][0]["right"]


def test_pictures_are_asked_for_by_row_and_shown(pairs):
    x, y, group = pairs
    comparison = compare(x, y, groups=group, aligners=["collapse"])
    asked = []

    def draw(rows):
        asked.extend(rows)
        return {row: b"PNG of %d" % row for row in rows[1:]}

    labels = [f"caption <{i}>" for i in range(len(x))]
    summary = summarize(comparison, aligner="collapse", labels=labels, pictures=draw)
    shown = [r for s in summary["searches"] for space in ("before", "after") for r in s[space]["nearest"]]
    assert set(asked) == {r["row"] for r in shown}
    assert all((r["picture"] is None) == (r["row"] == asked[0]) for r in shown)
    page = render(summary)
    assert page.count("data:image/png;base64,") == sum(r["picture"] is not None for r in shown) > 0
    assert "img-src data:" in page
    assert "caption &lt;" in page
    assert "caption <" not in page


def test_without_labels_there_is_no_search(pairs):
    x, y, group = pairs
    summary = summarize(compare(x, y, groups=group, aligners=["collapse"]))
    assert summary["searches"] == []
    assert "What a search finds" not in render(summary)
