"""Queries say what they ask, and their answers are what was asked for."""

from collections import Counter
from dataclasses import replace
from itertools import combinations, count, pairwise, permutations

import numpy as np
import pytest

from isthmus.evaluate.arithmetic.editing import is_possible, key_of, kinds_shown, value_of
from isthmus.evaluate.arithmetic.queries import KINDS, PROMPTS, draw_queries, draw_query
from isthmus.evaluate.arithmetic.scoring import Right, facts_right
from isthmus.evaluate.world import shown
from isthmus.sources.world import Facts, draw_scene, read_caption

MODALITIES = ("image", "audio", "video")


def scenes():
    return (draw_scene(0, i) for i in count(5000))


@pytest.fixture(scope="module")
def queries():
    return {(m, k): draw_queries(scenes(), k, m, count=40, seed=1) for m in MODALITIES for k in KINDS}


def test_answers_are_scenes_of_the_world_and_not_the_operand(queries):
    for (modality, kind), found in queries.items():
        assert len(found) == len({q.scene.index for q in found}) == 40
        for query in found:
            assert (query.kind, query.modality) == (kind, modality)
            assert is_possible(query.answer)
            assert key_of(query.answer, modality) != key_of(query.scene, modality)


def test_changed_facts_are_those_that_differ(queries):
    for (modality, kind), found in queries.items():
        for query in found:
            if kind in ("add", "remove"):
                continue
            places = [(None, k) if k in ("texture", "light") else (i, k)
                      for k in kinds_shown(modality) for i in range(len(query.scene.things))]  # fmt: skip
            differ = {p for p in places if value_of(query.scene, *p) != value_of(query.answer, *p)}
            assert differ == query.changed


def test_things_come_and_go(queries):
    for modality in MODALITIES:
        for query in queries[modality, "add"]:
            assert query.answer.things[:-1] == query.scene.things
            assert {i for i, _ in query.changed} == {2}
        for query in queries[modality, "remove"]:
            assert len(set(query.scene.things) - set(query.answer.things)) == 1
            assert query.changed == {(None, "count")}


def test_all_that_a_modality_shows_is_asked_for(queries):
    for modality in MODALITIES:
        asked = Counter(kind for query in queries[modality, "change"] for _, kind in query.changed)
        assert set(asked) == set(kinds_shown(modality))


def test_texts_are_true(queries):
    """What is subtracted is so in the scene, what is added in the answer, and nothing hidden is told."""
    for (modality, _), found in queries.items():
        for query in found:
            for prompt, words in query.words.items():
                for text, scene in ((words.minus, query.scene), (words.plus, query.answer)):
                    if text is None:
                        continue
                    told = read_caption(text, strict=True)
                    assert shown(told, modality) == told
                    if prompt != "word":
                        assert told.fits(scene.facts)
                    if prompt == "caption":
                        assert len(told) == len(shown(scene.facts, modality))


def test_texts_tell_what_changes(queries):
    for query in queries["image", "change"]:
        ((_, kind),) = query.changed
        old, new = (read_caption(t) for t in (query.words["phrase"].minus, query.words["phrase"].plus))
        if kind in ("texture", "light"):
            assert getattr(old, kind) != getattr(new, kind)
        else:
            assert getattr(old.things[0], kind) != getattr(new.things[0], kind)
            assert old.things[0].shape is not None
    for query in queries["video", "add"]:
        told = read_caption(query.words["phrase"].plus)
        assert told == Facts((query.answer.things[-1].facts,))


def test_wordings(queries):
    for (_, kind), found in queries.items():
        for query in found:
            expected = [p for p in PROMPTS if not (p == "word" and kind == "swap")
                        and not (p == "contrast" and kind in ("change", "swap"))]  # fmt: skip
            assert list(query.words) == expected
            alone = [w.minus is None or w.plus is None for w in query.words.values()]
            assert alone == [
                kind in ("add", "remove", "combine") and p in ("word", "phrase") for p in query.words
            ]


def test_same_seed_same_queries():
    a, b, c = (draw_queries(scenes(), "change", "image", count=9, seed=s) for s in (1, 1, 2))
    assert a == b != c


def test_unknown_kind():
    with pytest.raises(
        ValueError, match="kind must be one of change, combine, add, remove, swap, got 'turn'"
    ):
        draw_query(draw_scene(0, 0), "turn", "image", np.random.default_rng(0))


def test_the_answer_is_all_right_and_the_operand_keeps_everything(queries):
    for (_, kind), found in queries.items():
        for query in found:
            assert facts_right(query, query.answer) == Right(1, 1)
            operand = facts_right(query, query.scene)
            if kind in ("change", "combine"):
                assert operand == Right(0, 1)
            elif kind == "remove":
                assert (operand.changed, operand.kept) == (0, 1)
            else:
                assert operand.changed < 1


def test_shares_are_counted_against_the_facts(queries):
    """Both shares together are the recall of the answer's facts, as the world's own reader counts them."""
    for (modality, kind), found in queries.items():
        if kind == "remove":
            continue
        for query, other in pairwise(found):
            truth, guess = (shown(s.facts, modality) for s in (query.answer, other.scene))
            right, n = facts_right(query, other.scene), len(query.changed)
            total = right.changed * n + right.kept * (len(truth) - n)
            assert total == pytest.approx(guess.agreement(truth))


def test_of_matches_equally_good_the_one_with_more_changed_facts_counts(queries):
    kinds = [kind for kind in kinds_shown("image") if kind not in ("texture", "light")]
    ties = 0
    for query, other in combinations(queries["image", "swap"], 2):
        things, found = query.answer.things, other.scene.things
        best = {}  # how many changed facts agree, by how many agree at all
        for chosen in permutations([*found, *([None] * len(things))], len(things)):
            agreed = [
                (i, kind) in query.changed
                for i, thing in enumerate(chosen)
                for kind in kinds
                if thing is not None and getattr(thing.facts, kind) == getattr(things[i].facts, kind)
            ]
            best.setdefault(len(agreed), set()).add(sum(agreed))
        ties += len(best[max(best)]) > 1
        right = facts_right(query, other.scene).changed
        assert right == pytest.approx(max(best[max(best)]) / len(query.changed))
    assert ties > 0


def test_too_few_things_are_not_the_right_number(queries):
    for query in queries["image", "remove"]:
        fewer = replace(query.answer, things=query.answer.things[1:])
        assert facts_right(query, fewer).changed == 0


def test_things_are_matched_in_any_order(queries):
    for query in queries["image", "swap"]:
        turned = replace(query.answer, things=query.answer.things[::-1])
        assert facts_right(query, turned) == Right(1, 1)
