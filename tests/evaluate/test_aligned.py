"""Raw against aligned in one table: against each task alone, known limits, and what is skipped."""

import io

import numpy as np
import pytest

from isthmus.align import LinearMap, MeanCollapse, MeanShift
from isthmus.evaluate import evaluate_aligned, group_retrieval, zero_shot
from isthmus.evaluate.aligned import (
    TASKS,
    WORLD_CLASSES,
    AlignedResult,
    Labelled,
    Row,
    Subject,
    world_classes,
)
from isthmus.evaluate.mixed import mixed_task
from isthmus.evaluate.zero_shot import ensemble
from isthmus.measure import Figure, find_items
from isthmus.sources.world import Facts, Told, draw_scene
from isthmus.theory import Geometry, sample

SMALL = Geometry(dim=24, shared_dimension=6, noise_dimension=8)
X, Y, GROUPS = sample(200, SMALL, captions=2, seed=1)
FIT, HELD = slice(0, 200), slice(200, 400)
ALIGNER = LinearMap().fit(X[FIT], Y[FIT])


@pytest.fixture
def subject():
    """100 items beside two captions each, every third item without a label."""
    x, y = X[HELD], Y[HELD]
    prompts = np.random.default_rng(0).normal(size=(4, 3, 24)) + y.mean(axis=0)
    labels = np.repeat(np.arange(100) % 4, 2)
    labels[np.repeat(np.arange(100) % 3 == 0, 2)] = -1
    labelled = Labelled(prompts, labels, ("a", "b", "c", "d"), temperature=0.05)
    return Subject(ALIGNER, x, y, find_items(x, y, GROUPS[HELD]), labelled=(labelled,), gallery=30)


@pytest.fixture
def found(subject):
    return evaluate_aligned(subject, tasks=["retrieval", "zero-shot", "mixed"])


def test_figures_are_those_of_each_task_alone(subject, found):
    x, y = subject.x, subject.y
    mapped = ALIGNER.transform(x), ALIGNER.transform_y(y)
    for task, gallery in (("retrieval", None), ("retrieval, galleries of 30", 30)):
        raw, aligned = (
            group_retrieval(*pair, groups=GROUPS[HELD], gallery=gallery) for pair in ((x, y), mapped)
        )
        for name in raw.figures:
            row = found.row(task, name)
            assert (row.raw, row.aligned) == (raw.figures[name], aligned.figures[name])
            assert row.difference.value == pytest.approx(row.aligned.value - row.raw.value)
    (labelled,) = subject.labelled
    rows = np.flatnonzero((labelled.labels >= 0) & (np.arange(200) % 2 == 0))  # each image once
    prompts = ALIGNER.transform_y(labelled.prompts.reshape(12, 24)).reshape(4, 3, 24)
    for name, images, texts in (("raw", x, labelled.prompts), ("aligned", mapped[0], prompts)):
        alone = zero_shot(
            images[rows],
            ensemble(texts),
            labels=labelled.labels[rows],
            temperature=0.05,
            names=labelled.names,
        )
        for figure, value in alone.figures.items():
            assert getattr(found.row("zero-shot", figure), name) == pytest.approx(value)
        for of, value in alone.per_class.items():
            assert getattr(found.row("zero-shot", "top_1", of=of), name) == value
    for row in found.rows:
        assert row.difference.value == pytest.approx(row.aligned.value - row.raw.value)
        assert row.lower_is_better == (row.figure == "ece" or row.figure.startswith("median_rank"))
    mixed = mixed_task(x, y, items=GROUPS[HELD], aligner=ALIGNER)
    assert found.row("mixed", "ndcg").aligned == mixed.figure("aligned", "ndcg")
    assert found.row("mixed", "recall_at_1").difference == mixed.difference("aligned", "raw", "recall_at_1")
    assert found.sizes["mixed"] == f"{len(mixed)} queries; 34 image, 33 text, 33 both"
    assert found.sizes["zero-shot"] == "66 images, 4 classes, 3 prompts each"
    assert found.sizes["retrieval, galleries of 30"] == "mean over 3, 10 items left out"


def test_what_changes_nothing_differs_by_nothing(subject):
    """A shift of no strength: every resample is the same one for both."""
    idle = MeanShift(strength=0.0).fit(X[FIT], Y[FIT])
    changed = Subject(idle, subject.x, subject.y, subject.items, labelled=subject.labelled)
    found = evaluate_aligned(changed, tasks=["retrieval", "zero-shot"])
    for row in found.rows:
        if row.figure != "ece":  # which rounding moves
            assert (row.difference, row.verdict) == (Figure(0, 0, 0), "")
        assert row.difference.high - row.difference.low < 1e-6


def test_differences_are_of_the_same_items(subject, found):
    """Of a map that changes little, the difference is known better than either figure."""
    little = MeanShift(strength=0.3).fit(X[FIT], Y[FIT])
    changed = Subject(little, subject.x, subject.y, subject.items)
    row = evaluate_aligned(changed, tasks=["retrieval"]).row("retrieval", "mrr_x_to_y")
    assert row.difference.value != 0
    assert row.difference.high - row.difference.low < 0.6 * (row.raw.high - row.raw.low)
    again = evaluate_aligned(subject, tasks=["retrieval"])
    assert again.rows == found.rows[: len(again.rows)]


def test_verdicts_know_which_way_is_good():
    up = np.concatenate([[0.5], np.full(1000, 0.5)])
    cases = [(False, 0.1, "better"), (False, -0.1, "worse"), (True, 0.1, "worse"), (True, -0.1, "better")]
    for lower, by, verdict in cases:
        assert Row.paired("t", "f", raw=up, aligned=up + by, lower=lower).verdict == verdict
    unsure = np.concatenate([[0.1], np.linspace(-0.1, 0.3, 1000)])
    assert Row.paired("t", "f", raw=up, aligned=up + unsure).verdict == ""
    one_point = MeanCollapse().fit(X[FIT], Y[FIT])
    one_point.x_matrix_ = np.zeros((24, 24))
    one_point.x_offset_ = np.ones(24)
    found = evaluate_aligned(
        Subject(one_point, X[HELD], Y[HELD], find_items(X[HELD], Y[HELD])), tasks=["retrieval"]
    )
    assert found.row("retrieval", "median_rank_y_to_x").verdict == "worse"
    assert found.row("retrieval", "recall_at_1_y_to_x").aligned.value == 0


def test_shares_of_nothing_and_all_reach_to_what_so_many_items_allow():
    """The exact bounds of 0 of n: 1 - 0.025^(1/n), also of each class among its own images."""
    rows = np.repeat(np.eye(24), 2, axis=0)[:20]
    idle = MeanShift(strength=0.0).fit(X[FIT], Y[FIT])
    items = find_items(rows, rows, np.arange(20) // 2)
    found = evaluate_aligned(Subject(idle, rows, rows, items), tasks=["retrieval"])
    row = found.row("retrieval", "recall_at_1_x_to_y")
    assert row.raw == row.aligned == pytest.approx((1, 0.025 ** (1 / 10), 1))
    assert found.row("retrieval", "median_rank_x_to_y").raw == (1, 1, 1)
    assert row.difference == (0, 0, 0)
    alone = Subject(idle, np.diag(np.arange(1.0, 25)), labelled=(_two_and_ten(),))
    found = evaluate_aligned(alone, tasks=["zero-shot"])
    assert found.row("zero-shot", "top_1", of="a").raw == pytest.approx((0, 0, 1 - 0.025 ** (1 / 2)))
    assert found.row("zero-shot", "top_1", of="b").raw == pytest.approx((0, 0, 1 - 0.025 ** (1 / 10)))
    assert found.row("zero-shot", "top_1").raw == pytest.approx((0, 0, 1 - 0.025 ** (1 / 12)))
    assert found.row("zero-shot", "macro").raw == pytest.approx((0, 0, 1 - 0.025 ** (1 / 4)))


def _two_and_ten():
    """Two images of one class and ten of another, none of which is near a prompt."""
    return Labelled(np.eye(24)[[22, 23], None], np.array([0] * 2 + [1] * 10 + [-1] * 12), ("a", "b"))


def test_images_without_pairs_are_told_apart_by_their_rows(subject):
    alone = Subject(ALIGNER, subject.x, labelled=subject.labelled)
    assert (alone.images == np.arange(0, 200, 2)).all()
    found = evaluate_aligned(alone)
    assert found.sizes == {"zero-shot": "66 images, 4 classes, 3 prompts each"}
    assert found.skipped == {
        "retrieval": "it takes pairs, and there is one modality only",
        "mixed": "it takes pairs, and there is one modality only",
        "arithmetic": "it takes scenes of the world, and an encoder that embeds them",
    }
    assert set(found.skipped) | {"zero-shot"} == set(TASKS)


def test_arithmetic_of_scenes_is_asked_of_the_encoder(monkeypatch):
    from isthmus.encoders import CallableEncoder
    from isthmus.evaluate.arithmetic import ArithmeticOptions, arithmetic_benchmark

    toy = CallableEncoder(
        {
            "image": lambda images: [i.mean((0, 1)) + 1 for i in images],
            "text": lambda texts: [[len(t), t.count("e") + 1, 1] for t in texts],
        },
        name="toy",
        dim=3,
        revision="1",
    )
    rows = np.random.default_rng(0).normal(size=(20, 3))
    aligner = LinearMap().fit(rows, rows[:, ::-1] + 1)
    options = ArithmeticOptions(6, 500, (0,), ("image",), ("change", "swap"), ())
    monkeypatch.setattr(ArithmeticOptions, "quick", lambda: options)
    found = evaluate_aligned(Subject(aligner, rows, encoder=lambda: toy), tasks=["arithmetic"])
    alone = arithmetic_benchmark(toy, {"image": {"aligned": aligner}}, options=options)
    counts = {}
    for prompt in ("word", "phrase", "caption"):
        raw, mapped = (alone.row("image", "all", prompt, name) for name in ("raw", "aligned"))
        counts[prompt] = mapped.queries
        for name in ("recall_at_1", "recall_at_10"):
            row = found.row("arithmetic", name, of=prompt)
            assert (row.raw, row.aligned) == (raw.figures[name], mapped.figures[name])
            assert row.difference.value == pytest.approx(row.aligned.value - row.raw.value)
    assert any(row.difference.value for row in found.rows)
    assert found.sizes["arithmetic"] == (
        f"queries: {counts['word']} in a word, {counts['phrase']} in a phrase, "
        f"{counts['caption']} in a caption; among 500 scenes"
    )
    assert len(set(counts.values())) > 1
    other = Subject(aligner, rows, encoder=lambda: toy, modality="text")
    with pytest.raises(ValueError, match="it changes images, sounds and videos by texts, not text"):
        evaluate_aligned(other, tasks=["arithmetic"])


def test_everything_is_in_the_table_and_in_json(found):
    from rich.console import Console

    console = Console(width=170, record=True, file=io.StringIO())
    console.print(found)
    text = console.export_text()
    for shown in ("R@1 x→y", "NDCG@10", "macro top-1", "d: top-1", "66 images, 4 classes"):
        assert shown in text
    told = found.to_dict()
    assert [row["figure"] for row in told["rows"]] == [row.figure for row in found.rows]
    assert told["details"]["mixed"]["items"] == 100


def test_many_classes_are_counted_not_shown():
    half = Figure(0.5, 0.4, 0.6)
    rows = tuple(Row("zero-shot", "top_1", half, half, half, of=str(i)) for i in range(11))
    from rich.console import Console

    console = Console(width=170, record=True, file=io.StringIO())
    console.print(AlignedResult(rows, {"mixed": "no pairs"}))
    text = console.export_text()
    assert "zero-shot: 11 classes, each in --json" in text
    assert "skipped mixed: no pairs" in text
    assert "3: top-1" not in text


def test_errors_name_what_is_wrong(subject):
    with pytest.raises(
        ValueError, match="tasks must be some of retrieval, zero-shot, mixed, arithmetic, got sing"
    ):
        evaluate_aligned(subject, tasks=["sing"])
    with pytest.raises(ValueError, match="nothing to evaluate: zero-shot: there are no labels and classes"):
        evaluate_aligned(Subject(ALIGNER, subject.x), tasks=["zero-shot"])
    with pytest.raises(ValueError, match="x must have dim 24, got dim 5"):
        evaluate_aligned(Subject(ALIGNER, np.ones((4, 5))))
    with pytest.raises(
        ValueError, match=r"tasks must be a list of some of retrieval, .* got the text 'mixed'"
    ):
        evaluate_aligned(subject, tasks="mixed")
    with pytest.raises(ValueError, match="y must have a row for each of the 200 of x, got 5"):
        evaluate_aligned(Subject(ALIGNER, subject.x, subject.y[:5], subject.items))
    with pytest.raises(ValueError, match="y must have dim 24, got dim 5"):
        evaluate_aligned(Subject(ALIGNER, subject.x, subject.y[:, :5], subject.items))
    with pytest.raises(ValueError, match="items must be of the 100 rows of x, got those of 200"):
        evaluate_aligned(Subject(ALIGNER, subject.x[:100], subject.y[:100], subject.items))
    few = Labelled(subject.labelled[0].prompts, np.zeros(3, int), ("a", "b", "c", "d"))
    with pytest.raises(ValueError, match="expected 200 labels and prompts of dim 24, got 3 and dim 24"):
        evaluate_aligned(Subject(ALIGNER, subject.x, labelled=(few,)))
    none = Labelled(few.prompts, np.full(200, -1), few.names)
    with pytest.raises(ValueError, match="fewer than 2 images have a label"):
        evaluate_aligned(Subject(ALIGNER, subject.x, labelled=(none,)))
    with pytest.raises(ValueError, match="a name for each of 2 classes or more"):
        Labelled(few.prompts, few.labels, ("a", "b"))
    with pytest.raises(
        ValueError, match=r"one of 4 classes for each row, or be -1, got shape \(1,\), at most 4"
    ):
        Labelled(few.prompts, np.array([4]), few.names)
    with pytest.raises(ValueError, match=r"gallery must be a whole number in \[2, 100\], got 101"):
        evaluate_aligned(Subject(ALIGNER, subject.x, subject.y, subject.items, gallery=101))


def test_scenes_have_a_class_where_one_answer_is_right():
    ring, disc = Told("ring", "red", "large"), Told("circle", "red", "small")
    scenes = [Facts((ring, disc)), Facts((ring, ring)), Facts((disc, disc, ring))]
    shapes = ("circle", "square", "triangle", "diamond", "cross", "ring")
    assert world_classes(scenes, "shape").tolist() == [-1, shapes.index("ring"), -1]
    assert world_classes(scenes, "colour").tolist() == [0, 0, 0]
    assert world_classes(scenes, "shape of the large one").tolist() == [5, -1, 5]
    truths = [draw_scene(0, i).facts for i in range(300)]
    for kind, classes in WORLD_CLASSES.items():
        for truth, label in zip(truths, world_classes(truths, kind), strict=True):
            answers = {
                getattr(t, classes.fact) for t in truth.things if t.size == "large" or not classes.of_large
            }
            count = sum(t.size == "large" for t in truth.things) if classes.of_large else len(answers)
            assert (label >= 0) == (count == 1)
            assert label < 0 or classes.names[label] in answers
    with pytest.raises(ValueError, match="kind must be one of shape, colour, shape of the large one"):
        world_classes(truths, "taste")


def test_prompts_are_in_the_worlds_words():
    from isthmus.evaluate.zero_shot import class_prompts
    from isthmus.sources.world import read_caption, vocabulary

    for classes in WORLD_CLASSES.values():
        for i, prompt in enumerate(class_prompts(classes.names, classes.templates)):
            (thing,) = read_caption(prompt).things
            assert getattr(thing, classes.fact) == classes.names[i // len(classes.templates)]
            assert (thing.size == "large") == classes.of_large
            assert set(prompt.replace(",", "").split()) <= set(vocabulary())
