"""Zero-shot classification, against loops, real labels and known limits."""

import json

import numpy as np
import pytest

from isthmus.align import MeanCollapse
from isthmus.checks import unit_rows
from isthmus.evaluate.zero_shot import (
    TEMPLATES,
    class_prompts,
    ensemble,
    replicate_zero_shot,
    zero_shot,
)
from isthmus.measure.bootstrap import Bootstrap

CLASSES = (
    *("airplane", "car_(automobile)", "bird", "cat", "deer", "dog", "frog", "horse", "passenger_ship"),
    "truck",
)


@pytest.fixture
def task():
    """300 images of 7 classes, the last one without images."""
    rng = np.random.default_rng(0)
    prototypes = rng.normal(size=(7, 10))
    labels = rng.integers(6, size=300)
    return prototypes[labels] + 2 * rng.normal(size=(300, 10)), prototypes, labels


def by_loops(images, prototypes, labels, temperature):
    right, top_5, confidence = [], [], []
    for image, label in zip(images, labels, strict=True):
        cosines = [image @ p / np.linalg.norm(image) / np.linalg.norm(p) for p in prototypes]
        order = sorted(range(len(cosines)), key=lambda k: -cosines[k])
        right.append(order[0] == label)
        top_5.append(label in order[:5])
        weights = [np.exp(c / temperature) for c in cosines]
        confidence.append(max(weights) / sum(weights))
    ece = 0.0
    for b in range(15):
        inside = [i for i, c in enumerate(confidence) if b / 15 < c <= (b + 1) / 15]
        if inside:
            gap = np.mean([right[i] for i in inside]) - np.mean([confidence[i] for i in inside])
            ece += len(inside) / len(images) * abs(gap)
    classes = {
        k: np.mean([r for r, label in zip(right, labels, strict=True) if label == k]) for k in set(labels)
    }
    overall = {"top_1": np.mean(right), "top_5": np.mean(top_5), "macro": np.mean(list(classes.values()))}
    return overall | {"ece": ece}, classes


def values(figures):
    return {name: figure.value for name, figure in figures.items()}


@pytest.mark.parametrize("temperature", [0.05, 0.4])
def test_loops_find_the_same(task, temperature):
    overall, classes = by_loops(*task, temperature)
    images, prototypes, labels = task
    found = zero_shot(images, prototypes, labels=labels, names=list("abcdefg"), temperature=temperature)
    assert values(found.figures) == pytest.approx(overall, abs=1e-5)
    assert values(found.per_class) == pytest.approx({"abcdefg"[k]: v for k, v in classes.items()})
    assert 0.3 < overall["top_1"] < 0.9
    assert all(f.low <= f.value <= f.high for f in found.figures.values())


def test_macro_is_not_moved_by_a_frequent_class():
    images = np.vstack([np.tile([1.0, 0], (98, 1)), [[1.0, 0.1], [0.1, 1]]])
    found = zero_shot(images, np.eye(2), labels=[0] * 98 + [1, 1])
    assert values(found.figures)["top_1"] == pytest.approx(0.99)
    assert values(found.figures)["macro"] == pytest.approx(0.75)
    assert "top_5" not in found.figures


def test_who_says_what_is_so_is_calibrated():
    """Labels are drawn from the softmax itself: what is left is noise; sharpened fourfold, it is not."""
    rng = np.random.default_rng(0)
    images, prototypes = rng.normal(size=(6000, 4)), np.eye(4)
    logits = unit_rows(images) / 0.3
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (p.cumsum(axis=1) < rng.random((6000, 1))).sum(axis=1)
    assert zero_shot(images, prototypes, labels=labels, temperature=0.3).figures["ece"].value < 0.03
    assert zero_shot(images, prototypes, labels=labels, temperature=0.075).figures["ece"].value > 0.15


def spread(confidence):
    """Images of two classes whose softmax over `np.eye(2)` at temperature 0.1 has this confidence in 0."""
    apart = 0.1 * np.log(confidence / (1 - confidence))  # first cosine - second
    angle = np.pi / 4 - np.arcsin(apart / np.sqrt(2))
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


@pytest.mark.parametrize("above", [0.0, 0.03, 0.1])
def test_the_interval_of_the_ece_holds_the_truth(above):
    """Of classifiers that are surer than right by so much; and so does that of two readings' difference."""
    rng, hits, surer = np.random.default_rng(0), [], 0.25
    fine = np.linspace(0.55, 0.95, 100_001)
    true, other = (expected_error(fine, c, above) for c in (fine, sharpened(fine, surer)))
    for seed in range(60):
        confidence = rng.uniform(0.55, 0.95, 300)
        labels = (rng.random(300) > confidence - above) * 1
        images, boot = spread(confidence), Bootstrap(np.arange(300), seed)
        found, second = (
            replicate_zero_shot(images, np.eye(2), labels=labels, boot=boot, temperature=0.1 / power)
            for power in (1, 1 + surer)
        )
        figures = found.figure("ece"), second.ece_above(found)
        hits.append([f.low <= t <= f.high for f, t in zip(figures, (true, other - true), strict=True)])
        assert figures[0].high - figures[0].low < 0.3
        assert found.ece_above(found) == (0, 0, 0)
    assert (np.mean(hits, axis=0) >= 0.9).all()


def test_the_interval_of_the_ece_holds_mistakes_that_were_not_seen():
    """Of 60 images each is right in 97 of 100 cases and sure by 0.999: all 60 are, in one sample of six."""
    rng, hits = np.random.default_rng(0), []
    images = spread(np.full(60, 0.999))
    for seed in range(60):
        labels = (rng.random(60) > 0.97) * 1
        low, high = zero_shot(images, np.eye(2), labels=labels, temperature=0.1, seed=seed).figures["ece"][1:]
        hits.append(low <= 0.029 <= high)
    assert np.mean(hits) >= 0.9


def sharpened(confidence, by):
    odds = (confidence / (1 - confidence)) ** (1 + by)
    return odds / (1 + odds)


def expected_error(drawn, confidence, above):
    at = np.ceil(confidence * 15)
    return sum(abs((drawn - above - confidence)[at == b].sum()) for b in np.unique(at)) / len(drawn)


def test_bins_hold_their_upper_bound(monkeypatch):
    """A confidence of 9/15 is in the ninth bin of 15, with what is below it, and apart from what is above."""
    confidence = np.array([8.2, 9.0, 9.5, 10.2]) / 15
    monkeypatch.setitem(zero_shot.__globals__, "_confidence", lambda *_: confidence)
    images = np.tile([1.0, 0.1], (4, 1))  # wrong, right, right, wrong
    found = zero_shot(images, np.eye(2), labels=[1, 0, 0, 1]).figures["ece"]
    expected = (abs(1 - 17.2 / 15) + 5.5 / 15 + 10.2 / 15) / 4  # 10 bins hold others together, and so do 20
    assert found.value == pytest.approx(expected)


def test_one_point_is_never_right(task):
    images, _, labels = task
    found = zero_shot(images, np.ones((7, 10)), labels=labels)
    assert values(found.figures)["top_1"] == values(found.figures)["macro"] == 0
    found = zero_shot(unit_rows(np.eye(7))[labels], np.eye(7), labels=labels)
    assert values(found.figures)["top_1"] == values(found.figures)["macro"] == 1


def test_neither_length_nor_rotation_nor_names_order_matters(task):
    images, prototypes, labels = task
    rng = np.random.default_rng(1)
    turn, order = np.linalg.qr(rng.normal(size=(10, 10)))[0], rng.permutation(7)
    expected = zero_shot(images, prototypes, labels=labels)
    long = images * rng.uniform(0.1, 9, size=(300, 1))
    again = zero_shot(long @ turn, (prototypes @ turn)[order], labels=np.argsort(order)[labels])
    assert values(again.figures) == pytest.approx(values(expected.figures), abs=1e-6)


def test_intervals_are_as_wide_as_shares_vary(task):
    images, prototypes, labels = task
    figure = zero_shot(images, prototypes, labels=labels).figures["top_1"]
    expected = 2 * 1.96 * np.sqrt(figure.value * (1 - figure.value) / 300)
    assert figure.high - figure.low == pytest.approx(expected, rel=0.15)


def test_prompts_are_averaged_at_unit_length():
    rng = np.random.default_rng(2)
    prompts = rng.normal(size=(3, 4, 5))
    expected = [np.mean([p / np.linalg.norm(p) for p in of_class], axis=0) for of_class in prompts]
    expected = [e / np.linalg.norm(e) for e in expected]
    assert ensemble(prompts) == pytest.approx(np.array(expected))
    assert ensemble(prompts * rng.uniform(0.1, 9, size=(3, 4, 1))) == pytest.approx(np.array(expected))
    assert ensemble(prompts[:, :1]) == pytest.approx(unit_rows(prompts[:, 0]))


def test_templates_are_filled_class_by_class():
    made = class_prompts(["cat", "dog"], TEMPLATES["openai"])
    assert (len(made), made[0], made[7]) == (14, "itap of a cat.", "itap of a dog.")
    assert class_prompts(["{", "}"], ["a {}"]) == ["a {", "a }"]


@pytest.mark.parametrize(
    "names, templates, message",
    [
        (["cat"], ["a {}"], "names: expected at least 2 classes, got 1"),
        (["cat", "cat"], ["a {}"], "names: expected each class once, found 'cat' twice"),
        (["cat", " "], ["a {}"], "names: expected a name for each class, found ' '"),
        (["cat", "dog"], ["a {}", "a photo"], "one {} in each, where the name goes, got 'a photo'"),
        (["cat", "dog"], ["{} {}"], "got '{} {}'"),
        (["cat", "dog"], [], "templates: expected at least one"),
    ],
)
def test_bad_prompts_are_refused(names, templates, message):
    with pytest.raises(ValueError) as error:
        class_prompts(names, templates)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"labels": [0] * 299},
            r"labels must hold a whole number for each of 300 images, got int64 \(299,\)",
        ),
        ({"labels": [0.5] * 300}, "got float64"),
        ({"labels": [7] + [0] * 299}, "labels must name one of 7 classes, 0 to 6, got 7"),
        ({"labels": [-1] + [0] * 299}, "0 to 6, got -1"),
        ({"names": ["a"]}, "names has 1 classes, prototypes has 7"),
        ({"temperature": 0}, r"temperature must be a number in \(0, inf\)"),
        ({"prototypes": np.eye(3)}, "prototypes must have dim 10, got dim 3"),
        (
            {"prototypes": np.ones((1, 10)), "labels": [0] * 300},
            "at least 2 images and 2 classes, got 300 and 1",
        ),
    ],
)
def test_errors_name_what_is_wrong(task, change, message):
    given = dict(zip(("images", "prototypes", "labels"), task, strict=True)) | change
    with pytest.raises(ValueError, match=message):
        zero_shot(given.pop("images"), given.pop("prototypes"), **given)
    with pytest.raises(
        ValueError, match=r"prompts must have shape \(classes, templates, dim\), got \(3, 3\)"
    ):
        ensemble(np.eye(3))


@pytest.fixture
def cifar10(realdata):
    folder = realdata / "cifar10-clip"
    named = [entry["name"] for entry in json.loads((folder / "lvis_categories.json").read_text())]
    rows = np.load(folder / "lvis_text_prototypes.npy").astype(np.float32)
    return (
        np.load(folder / "image_embeddings.npy"),
        dict(zip(named, rows, strict=True)),
        np.load(folder / "image_labels.npy"),
    )


def accuracy(images, prototypes, labels):
    return zero_shot(images, np.stack(prototypes), labels=labels, names=CLASSES).figures["top_1"].value


def test_cifar10_by_names_of_lvis(cifar10):
    """The figures of shared/realdata/README.md, and what a map of the same model's pairs does to them."""
    images, named, labels = cifar10
    assert accuracy(images, [named[name] for name in CLASSES], labels) == pytest.approx(0.850)
    boat = [named["boat" if name == "passenger_ship" else name] for name in CLASSES]
    assert accuracy(images, boat, labels) == pytest.approx(0.902)
    found = zero_shot(images, np.stack([named[name] for name in CLASSES]), labels=labels)
    assert found.figures["ece"].value == pytest.approx(0.0667, abs=1e-4)
    assert found.figures["top_5"].value == pytest.approx(0.992)
    both = ensemble([[named[name], other] for name, other in zip(CLASSES, boat, strict=True)])
    assert accuracy(images, list(both), labels) == pytest.approx(0.872)


def test_a_gap_closed_on_flickr8k_keeps_cifar10(cifar10, realdata):
    images, named, labels = cifar10
    x, y = (np.load(realdata / "flickr8k-clip" / f"{name}_embeddings.npy") for name in ("image", "text"))
    aligner, texts = MeanCollapse().fit(x, y), np.stack([named[name] for name in CLASSES])
    assert accuracy(aligner.transform(images), aligner.transform_y(texts), labels) == pytest.approx(
        0.85, abs=0.03
    )


def test_pairs_of_another_space_do_not(cifar10, realdata, clip_pairs):
    """Liang et al.'s ViT-B/32 is not these files': their images' means are at right angles."""
    images, named, labels = cifar10
    flickr = np.load(realdata / "flickr8k-clip" / "image_embeddings.npy")
    here, there, same = (
        unit_rows(unit_rows(r).mean(axis=0)[None])[0] for r in (images, clip_pairs[0], flickr)
    )
    assert here @ same > 0.7
    assert abs(here @ there) < 0.1
    aligner, texts = MeanCollapse().fit(*clip_pairs), np.stack([named[name] for name in CLASSES])
    assert accuracy(aligner.transform(images), aligner.transform_y(texts), labels) < 0.8
