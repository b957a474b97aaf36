"""Relevance by facts is what the world's own, slower reading says."""

from dataclasses import replace

import numpy as np
import pytest

from isthmus.evaluate.mixed import by_facts, make_documents
from isthmus.evaluate.mixed.facts import agreement_shares
from isthmus.evaluate.world import shown
from isthmus.sources.world import captions, draw_scene, read_caption

SCENES = [draw_scene(0, i) for i in range(60)]
TEXTS = [captions(scene, detail=0.5)[0] for scene in SCENES]


def test_shares_of_facts_are_those_of_agreement():
    told = [read_caption(text) for text in TEXTS]
    truths = [scene.facts for scene in SCENES]
    for others in (truths, told):
        expected = [[a.agreement(b) / len(a) for b in others] for a in told]
        np.testing.assert_allclose(agreement_shares(told, others), expected, atol=1e-6)


def test_a_document_answers_if_it_shows_or_tells_all():
    facts = [scene.facts for scene in SCENES]
    image_row = np.array([*range(20), *[-1] * 20, *range(40, 60)])
    text_row = np.array([*[-1] * 20, *range(20, 60)])
    corpus = make_documents(np.ones((60, 2)), np.ones((60, 2)), image_row=image_row, text_row=text_row)
    queries = [captions(scene, detail=0.1, count=1)[0] for scene in SCENES]
    judged = by_facts(queries, corpus, shows=facts, tells=TEXTS)
    for query, text in enumerate(queries):
        told = read_caption(text)
        expected = {
            i
            for i in range(60)
            if told.fits(shown(facts[i], "image") if image_row[i] >= 0 else read_caption(TEXTS[i]))
        }
        of = slice(judged.starts[query], judged.starts[query + 1])
        assert set(judged.documents[of].tolist()) == expected
        assert query in expected or 20 <= query < 40  # a picture shows whatever its caption tells
    np.testing.assert_array_equal(judged.gains, 1)
    graded = by_facts(queries, corpus, shows=facts, tells=TEXTS, least=0.5)
    assert len(graded.gains) > len(judged.gains)
    assert graded.gains.min() >= 0.5


def test_motions_are_of_no_account():
    """An image does not show them, so a caption that tells one is answered by images all the same."""
    moving = captions(SCENES[4], detail=1.0, motion=True, count=1)[0]
    assert any(thing.motion for thing in read_caption(moving).things)
    other = replace(
        SCENES[4].facts,
        things=tuple(replace(thing, motion="still") for thing in SCENES[4].facts.things),
    )
    corpus = make_documents(np.eye(2))
    judged = by_facts([moving], corpus, shows=[SCENES[4].facts, other], tells=[])
    np.testing.assert_array_equal(judged.documents, [0, 1])


def test_facts_say_what_is_wrong():
    corpus = make_documents(text=np.eye(2))
    with pytest.raises(ValueError, match="tells must have one entry per row: expected 2, got 1"):
        by_facts(["a ring"], corpus, shows=[], tells=["a ring"])
    with pytest.raises(ValueError, match="shows must have one entry per row: expected 0, got 1"):
        by_facts(["a ring"], corpus, shows=[SCENES[0].facts], tells=["a ring"] * 2)
    with pytest.raises(ValueError, match=r"least must be a number in \(0, 1\], got 0"):
        by_facts(["a ring"], corpus, shows=[], tells=["a ring"] * 2, least=0)
    with pytest.raises(ValueError, match="told must tell something: caption 0 tells nothing"):
        agreement_shares([read_caption("")], [SCENES[0].facts])
