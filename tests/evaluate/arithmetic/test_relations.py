"""Relations, with encoders that know them, in part or not at all."""

import json

import numpy as np
import pytest
from PIL import Image

from isthmus.align import MeanShift
from isthmus.encoders import CallableEncoder
from isthmus.evaluate.arithmetic import Relation, read_relations, score_relations

COUNTRIES = ["France", "Italy", "Japan", "Peru", "Ghana"]
CAPITALS = ["Paris", "Rome", "Tokyo", "Lima", "Accra"]
RELATIONS = [
    Relation(COUNTRIES[i], CAPITALS[i], COUNTRIES[j], CAPITALS[j])
    for i in range(5)
    for j in range(5)
    if i != j
]
PLACES = {**{c: np.r_[2 * np.eye(5)[i], 0] for i, c in enumerate(COUNTRIES)},
          **{c: np.r_[2 * np.eye(5)[i], 1] for i, c in enumerate(CAPITALS)}}  # fmt: skip


def atlas(gap=0.0, seen=None):
    def read(texts):
        if seen is not None:
            seen.extend(texts)
        return [np.r_[PLACES[t.removeprefix("the town of ")], 0, gap] for t in texts]

    def look(images):  # the red of a picture is the number of its country, the green whether it is a capital
        return [np.r_[2 * np.eye(5)[i[0, 0, 0] // 50], i[0, 0, 1] // 255, gap, 0] for i in images]

    return CallableEncoder({"text": read, "image": look}, name="atlas", dim=8, revision="1")


def write(path, *entries):
    path.write_text("\n".join(e if isinstance(e, str) else json.dumps(e) for e in entries))
    return path


@pytest.fixture
def pictures(tmp_path):
    for i, name in enumerate(COUNTRIES):
        Image.new("RGB", (4, 4), (50 * i + 10, 0, 0)).save(tmp_path / f"{name}.png")
        Image.new("RGB", (4, 4), (50 * i + 10, 255, 0)).save(tmp_path / f"{CAPITALS[i]}.png")
    return tmp_path


def test_who_knows_the_relation_is_right():
    scores = score_relations(atlas(), RELATIONS)
    assert (scores.recall_at_1.value, scores.recall_at_5.value) == (1, 1)
    assert scores.found == tuple(r.answer for r in RELATIONS)
    assert (scores.relations, scores.candidates) == (20, 10)
    assert (
        scores.without_relation.value == 1
    )  # a capital is the nearest of its country: the relation adds nothing
    exact = {"value": 1, "low": pytest.approx(0.025 ** (1 / 20)), "high": 1}  # Clopper and Pearson's
    assert scores.to_dict()["recall_at_1"] == exact


def test_against_a_loop():
    rng = np.random.default_rng(0)
    rows = {name: rng.normal(size=4) for name in PLACES}
    encoder = CallableEncoder({"text": lambda t: [rows[x] for x in t]}, name="r", dim=4, revision="1")
    unit = {name: row / np.linalg.norm(row) for name, row in rows.items()}
    ranks = []
    for r in RELATIONS:
        point = unit[r.b] - unit[r.a] + unit[r.c]
        order = sorted((n for n in unit if n not in (r.a, r.b, r.c)), key=lambda n, p=point: -unit[n] @ p)
        ranks.append(order.index(r.answer))
    scores = score_relations(encoder, RELATIONS)
    assert scores.recall_at_1.value == pytest.approx(np.mean([k < 1 for k in ranks]))
    assert scores.recall_at_5.value == pytest.approx(np.mean([k < 5 for k in ranks]))


def test_pictures_lead_to_words_when_the_gap_is_closed(pictures):
    lines = [
        {
            "a": {"image": f"{r.a}.png"},
            "b": {"image": f"{r.b}.png"},
            "c": {"image": f"{r.c}.png"},
            "answer": r.answer,
        }
        for r in RELATIONS
    ]
    relations = read_relations(write(pictures / "list.jsonl", *lines))
    assert relations[0].a == pictures / "France.png"
    encoder = atlas(gap=3.0)
    x, y = (np.array([np.r_[PLACES[n], 3.0 * k, 3.0 * (1 - k)] for n in PLACES]) for k in (1, 0))
    scores = score_relations(encoder, relations, aligner=MeanShift().fit(x, y))
    assert (scores.recall_at_1.value, scores.candidates) == (1, 5)


def test_words_go_through_the_second_map_and_pictures_through_the_first(pictures):
    class Turned:
        """Pictures' coordinates stand in reverse."""

        def transform(self, rows):
            return rows[:, ::-1]

        def transform_y(self, rows):
            return rows

    known = atlas()
    encoder = CallableEncoder(
        {
            "text": lambda texts: known.encode(texts, "text"),
            "image": lambda images: known.encode(images, "image")[:, ::-1],
        },
        name="turned",
        dim=8,
        revision="1",
    )
    relations = [Relation(pictures / f"{r.a}.png", r.b, pictures / f"{r.c}.png", r.answer) for r in RELATIONS]
    assert score_relations(encoder, relations, aligner=Turned()).recall_at_1.value == 1
    assert score_relations(encoder, relations).recall_at_1.value < 1


def test_words_are_put_into_the_template():
    scores = score_relations(atlas(seen=(seen := [])), RELATIONS[:1], template="the town of {}")
    assert seen == [f"the town of {n}" for n in ("France", "Paris", "Italy", "Rome")]
    assert scores.found == ("Rome",)


@pytest.mark.parametrize(
    "line, message",
    [
        ("{", "line 2, is not JSON"),
        ({"a": "x", "b": "y", "c": "z"}, "line 2: expected an object with a, b, c, answer, found a, b, c"),
        ([1], "line 2: expected an object with a, b, c, answer, found list"),
        ({"a": "x", "b": "", "c": "z", "answer": "w"}, "line 2: b: expected words or"),
        ({"a": {"picture": "x"}, "b": "y", "c": "z", "answer": "w"}, "line 2: a: expected words or"),
    ],
)
def test_bad_lines(tmp_path, line, message):
    good = {"a": "France", "b": "Paris", "c": "Italy", "answer": "Rome"}
    with pytest.raises(ValueError, match=message):
        read_relations(write(tmp_path / "list.jsonl", good, line))


def test_bad_lists(pictures):
    with pytest.raises(FileNotFoundError, match=r"no such file: .*nowhere.jsonl"):
        read_relations(pictures / "nowhere.jsonl")
    with pytest.raises(ValueError, match="holds no relations"):
        read_relations(write(pictures / "empty.jsonl", ""))
    good = {"a": "France", "b": "Paris", "c": "Italy", "answer": "Rome"}
    with pytest.raises(ValueError, match="answers must be all words or all pictures, found both"):
        read_relations(write(pictures / "both.jsonl", good, good | {"answer": {"image": "Rome.png"}}))
    with pytest.raises(FileNotFoundError, match=r"line 1: c: no such file: .*Mars.png"):
        read_relations(write(pictures / "mars.jsonl", good | {"c": {"image": "Mars.png"}}))


def test_what_cannot_be_scored():
    with pytest.raises(ValueError, match="relations must hold at least one relation, got none"):
        score_relations(atlas(), [])
    with pytest.raises(ValueError, match=r"template must have a place for words, '\{\}', got 'a photo'"):
        score_relations(atlas(), RELATIONS, template="a photo")
