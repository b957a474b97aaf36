"""The model card of an aligner tells what its file does, and nothing that it does not."""

import numpy as np
import pytest

from isthmus.align import MeanShift, save_aligner
from isthmus.align.provenance import FittedOn, Provenance, hash_items
from isthmus.report.aligner_card import render_aligner_card


def figure(value):
    return {"value": value, "low": value - 0.01, "high": value + 0.02}


def verdict(rmg, kept, collapsed):
    return {"rmg": figure(rmg), "kept_recall": figure(kept), "collapsed": collapsed}


@pytest.fixture
def card(tmp_path):
    def write(**more):
        aligner = MeanShift(strength=0.3).fit(np.eye(4), np.ones((4, 4)))
        save_aligner(aligner, tmp_path / "shift.safetensors", **more)
        return render_aligner_card(tmp_path / "shift.safetensors")

    return write


def test_everything_that_is_known_is_told(card):
    fitted = Provenance(
        FittedOn("audio", "clap:a", "r7"), FittedOn("text", "clap:t"),
        pairs=12, items=hash_items("abc"), keep_recall=0.87, isthmus="7.8",
    )  # fmt: skip
    text = card(
        verified={"raw": verdict(0.5, 1.0, False), "shift": verdict(0.4, 0.9, False)}, provenance=fitted
    )
    for line in (
        "# shift.safetensors",
        "An aligner of isthmus 7.8 (`shift`): it maps embeddings of two modalities",
        "| modality | audio | text |",
        "| encoder | clap:a | clap:t |",
        "| revision | r7 | not told |",
        "12 pairs of 3 items, of dim 4. It fits embeddings of these encoders, and no others.",
        "- strength: 0.3",
        "| relative modality gap (RMG) | 0.500 (0.490 to 0.520) | 0.400 (0.390 to 0.420) |",
        "as a share of the raw one: 0.900 (0.890 to 0.920); asked for: 0.87.",
        "isthmus apply shift.safetensors STORE --out ALIGNED",
        'aligner = load_aligner("shift.safetensors")',
    ):
        assert line in text
    assert "collapsed" not in text
    assert "mean cosine" not in text  # no such figure was verified
    assert text.endswith("```\n")


def test_what_is_not_known_is_left_out(card):
    text = card()
    assert "fitted on" not in text
    assert "Held-out" not in text
    assert "- strength: 0.3" in text


def test_collapse_and_unnamed_items_are_told(card):
    fitted = Provenance(FittedOn(), FittedOn(), pairs=12, items=hash_items("abc"), named_by="row")
    text = card(
        verified={"raw": verdict(0.5, 1.0, False), "shift": verdict(0.4, 0.2, True)}, provenance=fitted
    )
    assert "**It collapsed**" in text
    assert "asked for" not in text.partition("**It")[0]
    assert "12 pairs of 3 distinct rows of x, of dim 4." in text
    assert "| encoder | not told | not told |" in text
    assert "these encoders" not in text
    assert "the encoders that it was fitted on, and no others; its file does not tell which they are." in text
