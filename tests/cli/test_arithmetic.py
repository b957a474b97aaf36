"""isthmus arithmetic, on a store that is made by hand."""

import json

import numpy as np
import pytest

import isthmus.encoders
from isthmus.align import MeanCollapse, save_aligner
from isthmus.align.provenance import FittedOn, Provenance, hash_items
from isthmus.checks import unit_rows
from isthmus.encoders import CallableEncoder
from isthmus.store import Store

IDS = ["cat", "cat", "dog-1.jpg", "dog-1.jpg", "sun set"]
CAPTIONS = ["a cat", "one cat", "a dog", "one dog", "the sun"]
RNG = np.random.default_rng(5)
IMAGES = RNG.normal(size=(3, 6))[[0, 0, 1, 1, 2]] + 1
TEXTS = RNG.normal(size=(5, 6)) - 1
SOUNDS = RNG.normal(size=(3, 6))[[0, 0, 1, 1, 2]]
WORDS = {"red": np.arange(6.0) + 1, "blue": np.array([0, 0, 3.0, 1, 0, 0])}


def encoder(revision="1", dim=6):
    return CallableEncoder(
        {"text": lambda texts: [WORDS[text][:dim] for text in texts]}, name="mine", dim=dim, revision=revision
    )


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(isthmus.encoders, "open_encoder", lambda name, device: encoder())
    entry = {"encoder": "mine", "revision": "1"}
    made = Store.create(tmp_path / "store", dict.fromkeys(("image", "text", "audio"), entry))
    made.append({"image": IMAGES, "text": TEXTS, "audio": SOUNDS}, {"id": IDS, "caption": CAPTIONS})
    return made.root


def best(point, rows, *, left_out=()):
    cosines = unit_rows(rows) @ unit_rows(point[None])[0]
    order = [i for i in np.argsort(-cosines, kind="stable") if i not in left_out]
    return order, cosines[order]


def ask(run, store, expression, *options):
    code, out, err = run("arithmetic", store, expression, *options, "--json")
    assert code == 0, err
    found = json.loads(out)
    return found, [(r["id"], r["cosine"]) for r in found["results"]]


def test_nearest_images_without_the_operand(run, store):
    found, results = ask(run, store, "image:cat - text:'red' + text:'blue'")
    point = unit_rows(IMAGES)[0] - unit_rows([WORDS["red"]])[0] + unit_rows([WORDS["blue"]])[0]
    order, cosines = best(point, IMAGES[[0, 2, 4]], left_out=[0])
    names = ["cat", "dog-1.jpg", "sun set"]
    assert results == [(names[i], pytest.approx(c, abs=1e-6)) for i, c in zip(order, cosines, strict=True)]
    assert (found["modality"], found["aligner"], found["expression"]) == (
        *("image", None),
        "image:cat - text:'red' + text:'blue'",
    )
    assert [r["rank"] for r in found["results"]] == [1, 2]
    assert {r["id"]: r["caption"] for r in found["results"]} == {"dog-1.jpg": "a dog", "sun set": "the sun"}


@pytest.mark.parametrize(
    "name, row", [("text:cat", 0), ("text:cat#1", 1), ("text:dog-1.jpg#1", 3), ("text:#4", 4), ("text:#1", 1)]
)
def test_captions_by_id_and_by_number(run, store, name, row):
    _, results = ask(run, store, f"{name} + 0.5 * audio:'sun set'", "--modality", "text")
    point = unit_rows(TEXTS)[row] + 0.5 * unit_rows(SOUNDS)[4]
    order, cosines = best(point, TEXTS, left_out=[row])
    names = ["cat#0", "cat#1", "dog-1.jpg#0", "dog-1.jpg#1", "sun set#0"]
    assert results == [(names[i], pytest.approx(c, abs=1e-6)) for i, c in zip(order, cosines, strict=True)]


def test_an_images_other_rows_are_the_operand_too(run, store):
    _, results = ask(run, store, "image:#1 + text:cat")
    assert {name for name, _ in results} == {"dog-1.jpg", "sun set"}


def other_store(tmp_path, metadata, rows=IMAGES):
    entry = {"encoder": "mine", "revision": "1"}
    made = Store.create(tmp_path / "other", dict.fromkeys(("image", "text"), entry))
    made.append({"image": rows, "text": TEXTS}, metadata)
    return made.root


def test_captions_of_the_operands_words_are_left_out(run, store, tmp_path, monkeypatch):
    words = dict(zip(CAPTIONS, TEXTS, strict=True))
    monkeypatch.setattr(
        isthmus.encoders,
        "open_encoder",
        lambda name, device: CallableEncoder(
            {"text": lambda texts: [words[text] for text in texts]}, name="mine", dim=6, revision="1"
        ),
    )
    _, results = ask(run, store, "text:'one cat' + image:cat", "--modality", "text")
    assert {name for name, _ in results} == {"cat#0", "dog-1.jpg#0", "dog-1.jpg#1", "sun set#0"}
    twice = other_store(tmp_path, {"id": IDS, "caption": ["a cat", "one cat", "a cat", "one dog", "the sun"]})
    _, results = ask(run, twice, "text:dog-1.jpg", "--modality", "text")
    assert {name for name, _ in results} == {"cat#1", "dog-1.jpg#1", "sun set#0"}


def test_equal_rows_of_a_store_without_ids_are_one_image(run, tmp_path):
    made = other_store(tmp_path, {"caption": CAPTIONS})
    assert sorted(name for name, _ in ask(run, made, "text:#0 + text:#3")[1]) == ["0", "2", "4"]
    assert {name for name, _ in ask(run, made, "image:3")[1]} == {"0", "4"}
    assert {name for name, _ in ask(run, made, "text:3", "--modality", "text")[1]} == {"0", "1", "2", "4"}


def test_another_item_with_the_operands_very_row_is_left_out(run, tmp_path):
    made = other_store(tmp_path, {"id": ["a", "a", "b", "b", "c"]}, IMAGES[[0, 0, 2, 2, 0]])
    assert [name for name, _ in ask(run, made, "image:c")[1]] == ["b"]
    assert {name for name, _ in ask(run, made, "text:#0 - 0.1 * text:#3")[1]} == {"a", "b", "c"}


def test_an_items_image_is_the_operand_though_its_row_differs(run, tmp_path):
    rows = IMAGES + 0.01 * RNG.normal(size=IMAGES.shape)
    made = other_store(
        tmp_path, {"id": IDS, "group": list("vwxyz")}, rows
    )  # the id names items, not the group
    assert {name for name, _ in ask(run, made, "image:#1")[1]} == {"dog-1.jpg", "sun set"}


def test_groups_name_items_where_there_are_no_ids(run, tmp_path):
    rows = np.concatenate([IMAGES[:3], RNG.normal(size=(1, 6)), IMAGES[4:]])  # two images in a group
    made = other_store(tmp_path, {"group": IDS}, rows)
    _, results = ask(run, made, "image:cat")
    assert sorted(name for name, _ in results) == ["dog-1.jpg", "dog-1.jpg", "sun set"]
    _, results = ask(run, made, "text:cat#1", "--modality", "text")
    assert {name for name, _ in results} == {"cat#0", "dog-1.jpg#0", "dog-1.jpg#1", "sun set#0"}


def test_an_unknown_device_is_refused_though_nothing_is_to_be_embedded(run, store):
    code, out, err = run("arithmetic", store, "image:cat", "--device", "nonsense")
    assert (code, out) == (2, "")
    assert err == "isthmus: device must be auto, cpu, cuda or mps, got 'nonsense'\n"
    assert run("arithmetic", store, "image:cat", "--device", "cpu")[0] == 0


def test_hints_only_where_they_fit(run, store):
    for expression, hint in {
        "image:cat - text:red": "; words stand in quotes, as in text:'red'\n",
        "image:-1": "#4 are the rows\n",
        "image:sun-x": "#4 are the rows\n",
        "image:#2-1": "; a minus behind an id needs a space before it\n",
        "text:cat#1-1": "; a minus behind an id needs a space before it\n",
    }.items():
        code, _, err = run("arithmetic", store, expression)
        assert code == 2
        assert hint in err, (expression, err)


def test_modality_is_that_of_the_first_operand_that_is_no_text(run, store):
    for expression, modality in {
        "text:cat + audio:cat + image:cat": "audio",
        "text:'red' + text:'blue'": "image",
        "text:cat - image:cat": "image",
    }.items():
        assert ask(run, store, expression)[0]["modality"] == modality


def test_top(run, store):
    assert len(ask(run, store, "text:'red'", "--top", 2)[1]) == 2
    assert len(ask(run, store, "text:'red'", "--top", 99)[1]) == 3
    code, _, err = run("arithmetic", store, "image:cat", "--top", 0)
    assert (code, err) == (2, "isthmus: --top must be a whole number in [1, inf), got 0\n")


@pytest.mark.parametrize("fitted_on", [(), ("--fitted-on", "text", "audio")])
def test_operands_and_items_go_through_the_aligner(run, store, tmp_path, fitted_on):
    path = tmp_path / "collapse.safetensors"
    x, y = (TEXTS, SOUNDS) if fitted_on else (IMAGES, TEXTS)
    aligner = MeanCollapse().fit(x, y)
    save_aligner(aligner, path)
    a, b = ("text", "audio") if fitted_on else ("image", "text")
    found, results = ask(
        run, store, f"{a}:cat + {b}:dog-1.jpg", "--modality", b, "--aligner", path, *fitted_on
    )
    point = aligner.transform(x)[0] + aligner.transform_y(y)[2]
    rows, names = (y[[0, 2, 4]], ["cat", "dog-1.jpg", "sun set"]) if b == "audio" else (y, IDS)
    order, cosines = best(point, aligner.transform_y(rows), left_out=[1 if b == "audio" else 2])
    assert [c for _, c in results] == pytest.approx(cosines, abs=1e-6)
    assert [n.partition("#")[0] for n, _ in results] == [names[i] for i in order]
    assert found["aligner"] == str(path)


@pytest.mark.parametrize(
    "expression, options, message",
    [
        ("image:cat + audio:cat", (), "was fitted on image and text, not on audio (see --fitted-on)\n"),
        (
            "image:cat",
            ("--modality", "audio"),
            "was fitted on image and text, not on audio (see --fitted-on)\n",
        ),
        (
            "image:cat",
            ("--fitted-on", "image"),
            "--fitted-on must be two of image, text, audio, video, got image\n",
        ),
        ("image:cat", ("--captioner", "run"), "does not go with --aligner\n"),
    ],
)
def test_what_an_aligner_does_not_know(run, store, tmp_path, expression, options, message):
    path = tmp_path / "collapse.safetensors"
    save_aligner(MeanCollapse().fit(IMAGES, TEXTS), path)
    code, out, err = run("arithmetic", store, expression, "--aligner", path, *options)
    assert (code, out) == (2, "")
    assert message in err


def provenance(x, y):
    return Provenance(FittedOn(*x), FittedOn(*y), pairs=5, items=hash_items(IDS))


def test_the_aligners_file_says_what_it_was_fitted_on(run, store, tmp_path):
    path = tmp_path / "collapse.safetensors"
    aligner = MeanCollapse().fit(SOUNDS, IMAGES)
    save_aligner(aligner, path, provenance=provenance(("audio", "mine", "1"), ("image",)))
    _, results = ask(run, store, "audio:cat + image:cat", "--aligner", path, "--modality", "audio")
    point = aligner.transform(SOUNDS)[0] + aligner.transform_y(IMAGES)[0]
    _, cosines = best(point, aligner.transform(SOUNDS)[[0, 2, 4]], left_out=[0])
    assert [c for _, c in results] == pytest.approx(cosines, abs=1e-6)
    code, _, err = run("arithmetic", store, "audio:cat + text:cat", "--aligner", path)
    assert code == 2
    assert "was fitted on audio and image, not on text" in err
    code, _, err = run("arithmetic", store, "image:cat", "--aligner", path, "--fitted-on", "image", "text")
    assert code == 2
    assert "was fitted on audio by mine, revision 1, not on image by mine, revision 1" in err


def test_an_aligner_of_another_encoder(run, store, tmp_path):
    path = tmp_path / "collapse.safetensors"
    save_aligner(
        MeanCollapse().fit(IMAGES, TEXTS), path, provenance=provenance(("image", "mine", "2"), ("text",))
    )
    code, _, err = run("arithmetic", store, "image:cat", "--aligner", path)
    assert code == 2
    assert "was fitted on image by mine, revision 2, not on image by mine, revision 1" in err


def test_an_aligner_of_another_width(run, store, tmp_path):
    save_aligner(MeanCollapse().fit(IMAGES[:, :4], TEXTS[:, :4]), path := tmp_path / "a.safetensors")
    code, _, err = run("arithmetic", store, "image:cat", "--aligner", path)
    assert code == 2
    assert f"has dim 6, {path} was fitted on dim 4" in err


@pytest.mark.parametrize(
    "expression, at, message",
    [
        ("image:cat + image:cow", 12, "there is no item 'cow': ids are such as cat, dog-1.jpg, sun set, and"),
        ("image:cat-text", 0, "#0 to #4 are the rows; a minus behind an id needs a space before it"),
        ("video:cat", 0, "has no video, it has image, text, audio"),
        ("2 * text:cat#2", 4, "item cat has 2 captions, from cat#0 to cat#1"),
        ("image:#5", 0, "there is no item '#5'"),
        ("image:cat#1", 0, "there is no item 'cat#1'"),
        ("image:cat + 2", 10, "a number and an embedding do not add up"),
    ],
)
def test_errors_point_into_the_expression(run, store, expression, at, message):
    code, out, err = run("arithmetic", store, expression)
    assert (code, out) == (2, "")
    assert message in err
    assert err.endswith(f"\n  {expression}\n  {' ' * at}^\n")


@pytest.mark.parametrize(
    "expression, at, message",
    [
        ("0*image:cow + image:cat", 2, "there is no item 'cow'"),
        ("image:cat + video:cat - video:cat", 12, "has no video, it has image, text, audio"),
        ("image:cat + text:cat#2 - text:cat#2", 12, "item cat has 2 captions"),
        ("image:cat - 0 * text:'green'", 16, "these words cannot be embedded: "),
    ],
)
def test_operands_that_drop_out_are_looked_up(run, store, monkeypatch, expression, at, message):
    def encode(texts):
        raise ValueError(f"no such words: {texts}")

    unable = CallableEncoder({"text": encode}, name="mine", dim=6, revision="1")
    monkeypatch.setattr(isthmus.encoders, "open_encoder", lambda name, device: unable)
    code, out, err = run("arithmetic", store, expression)
    assert (code, out) == (2, "")
    assert message in err
    assert err.endswith(f"\n  {expression}\n  {' ' * at}^\n")


def test_operands_that_drop_out_change_nothing(run, store):
    _, results = ask(run, store, "image:cat")
    for dropped in ("0 * audio:'sun set' + image:cat", "image:cat + image:dog-1.jpg - image:dog-1.jpg"):
        assert ask(run, store, dropped)[1] == results


def test_an_aligner_is_asked_for_operands_that_drop_out(run, store, tmp_path):
    save_aligner(MeanCollapse().fit(IMAGES, TEXTS), path := tmp_path / "collapse.safetensors")
    code, _, err = run("arithmetic", store, "image:cat + 0 * audio:cat", "--aligner", path)
    assert (code, "was fitted on image and text, not on audio" in err) == (2, True)


def test_an_expression_may_begin_with_a_minus(run, store):
    _, behind = ask(run, store, "image:cat - image:dog-1.jpg")
    for expression in ("-image:dog-1.jpg + image:cat", "- image:dog-1.jpg + image:cat"):
        assert ask(run, store, expression)[1] == behind
    code, _, err = run("arithmetic", store, "-image:cow", "--json")
    assert code == 2
    assert err.endswith("\n  -image:cow\n   ^\n")
    code, _, err = run("arithmetic", store, "image:cat", "--jsn")
    assert (code, "Unknown option" in err) == (2, True)


def test_options_that_do_not_apply(run, store):
    code, _, err = run("arithmetic", store, "image:cat", "--fitted-on", "image", "text")
    assert (code, err) == (2, "isthmus: --fitted-on does not apply: it is of --aligner\n")
    code, _, err = run("arithmetic", store, "image:cat", "--modality", "video")
    assert (code, err) == (2, f"isthmus: {store} has no video, it has image, text, audio\n")


@pytest.mark.parametrize(
    "opened, message",
    [
        (
            OSError("no weights here"),
            "it takes the store's encoder, mine, which cannot be opened: no weights here",
        ),
        (encoder("2"), "the store was embedded by mine of revision 1, it is 2 here"),
        (encoder(dim=5), "mine gives dim 5, the store has 6"),
    ],
)
def test_words_need_the_stores_encoder(run, store, monkeypatch, opened, message):
    def open_encoder(name, device):
        if isinstance(opened, Exception):
            raise opened
        return opened

    monkeypatch.setattr(isthmus.encoders, "open_encoder", open_encoder)
    code, _, err = run("arithmetic", store, "image:cat + text:'red'")
    assert code == 2
    assert message in err
    assert run("arithmetic", store, "image:cat + text:cat")[0] == 0  # without words it is not asked for


def test_a_store_without_names_has_rows(run, tmp_path):
    made = Store.create(tmp_path / "bare", {"image": {"encoder": "mine"}})
    made.append({"image": IMAGES[[0, 2, 4]]})
    found, results = ask(run, made.root, "image:0 - 0.5 * image:#2")
    assert [name for name, _ in results] == ["1"]
    assert found["results"][0]["caption"] is None


def test_table(run, store):
    code, out, _ = run("arithmetic", store, "image:cat + text:dog-1.jpg#1")
    assert code == 0
    _, results = ask(run, store, "image:cat + text:dog-1.jpg#1")
    for (name, cosine), line in zip(results, out.splitlines()[4:], strict=False):
        assert name in line
        assert f"{cosine:.3f}" in line
    assert "a dog" in out


def test_captioner_tells_of_the_point(run, store, tmp_path):
    from isthmus.decode.data import CaptionData
    from isthmus.decode.settings import CaptionTraining
    from isthmus.decode.training import train_captioner

    data = CaptionData.from_store(Store.open(store))
    folder = train_captioner(data, CaptionTraining("CLIPRe", held_out=0.0), folder=tmp_path / "run").folder
    found, _ = ask(run, store, "text:cat#1 + 0.1 * image:cat", "--captioner", folder)
    point = unit_rows(TEXTS)[1] + 0.1 * unit_rows(IMAGES)[0]
    order, cosines = best(point, TEXTS)
    assert found["caption"] == {"text": CAPTIONS[order[0]], "score": pytest.approx(cosines[0], abs=1e-4)}
    code, out, _ = run("arithmetic", store, "text:cat#1 + 0.1 * image:cat", "--captioner", folder)
    assert (code, "a caption of the point: one cat" in out) == (0, True)
    other = Store.create(tmp_path / "other", {"text": {"encoder": "mine", "revision": "9"}})
    other.append({"text": TEXTS}, {"id": IDS, "caption": CAPTIONS})
    code, _, err = run("arithmetic", other.root, "text:cat", "--captioner", folder)
    assert code == 2
    assert "text was embedded by mine of revision 9" in err
