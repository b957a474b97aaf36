"""isthmus evaluate: held-out items, the right encoder, and every task that there is data for."""

import json
from dataclasses import replace

import numpy as np
import pytest

import isthmus.encoders
from isthmus.align import LinearMap, load_aligner, save_aligner
from isthmus.align.files import read_provenance
from isthmus.align.provenance import FittedOn, Provenance, hash_items
from isthmus.encoders import CallableEncoder
from isthmus.evaluate import group_retrieval, zero_shot
from isthmus.evaluate.zero_shot import TEMPLATES, ensemble
from isthmus.store import Store
from isthmus.store.manifest import Origin
from isthmus.theory import Geometry, sample

ORIGIN = Origin("mine", None, "raw", "float32", "float32", 64, 1000)
SMALL = Geometry(dim=24, shared_dimension=6, noise_dimension=8)
MINE = {"encoder": "mine", "revision": "1"}
X, Y, ITEM = sample(160, SMALL, captions=2, seed=1)
X, Y = X.astype(np.float32), Y.astype(np.float32)
NAMES = [f"im{i}" for i in ITEM]
FIT, HELD = slice(0, 160), slice(160, 320)
KINDS = ("cat", "dog", "cow")
LABELS = [KINDS[i % 3] for i in ITEM[HELD]]


def word_rows(texts):
    return [np.random.default_rng([len(t), *t.encode()]).normal(size=24) + Y.mean(axis=0) for t in texts]


def encoder(revision="1"):
    return CallableEncoder({"text": word_rows}, name="mine", dim=24, revision=revision)


def make_store(root, part=HELD, *, image=MINE, names=NAMES, modalities=("text", "image"), origin=None):
    store = Store.create(root, {m: image if m == "image" else MINE for m in modalities}, origin=origin)
    rows = {"image": X[part], "text": Y[part]}
    metadata = {"group": names[part], "kind": [KINDS[i % 3] for i in ITEM[part]]}
    metadata["caption"] = [f"caption {row}" for row in range(320)[part]]
    store.append({m: rows[m] for m in modalities}, metadata)
    return root


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path / "held")


@pytest.fixture
def aligner(tmp_path):
    told = Provenance(
        FittedOn("image", *MINE.values()), FittedOn("text", *MINE.values()), 160, hash_items(NAMES[FIT])
    )
    path = tmp_path / "a.safetensors"
    save_aligner(LinearMap().fit(X[FIT], Y[FIT]), path, provenance=told)
    return path


@pytest.fixture
def classes(tmp_path):
    (tmp_path / "classes.txt").write_text("\n".join(KINDS) + "\n")
    return tmp_path / "classes.txt"


@pytest.fixture
def files(tmp_path):
    """Rows of the held-out items alone, their labels as numbers, and prototypes."""
    for name, rows in {"x": X[HELD], "y": Y[HELD], "prototypes": np.array(word_rows(KINDS))}.items():
        np.save(tmp_path / f"{name}.npy", rows)
    np.save(tmp_path / "labels.npy", ITEM[HELD] % 3)
    return tmp_path


def figures(run, *words):
    code, out, err = run("evaluate", *words, "--json")
    assert code == 0, err
    found = json.loads(out)
    return {(row["task"], row["figure"], row["of"]): row for row in found["rows"]}, found


def refused(run, *words):
    code, out, err = run("evaluate", *words)
    assert (code, out) == (2, ""), err
    return err


def test_a_store_is_evaluated_as_the_library_would(run, store, aligner):
    rows, found = figures(run, store, "--groups", "group", "--aligner", aligner, "--gallery", 20)
    fitted = load_aligner(aligner)
    mapped = fitted.transform(X[HELD]), fitted.transform_y(Y[HELD])
    for name, pair in (("raw", (X[HELD], Y[HELD])), ("aligned", mapped)):
        for task, gallery in (("retrieval", None), ("retrieval, galleries of 20", 20)):
            alone = group_retrieval(*pair, groups=ITEM[HELD], gallery=gallery)
            for figure, value in alone.figures.items():
                assert rows[task, figure, ""][name]["value"] == pytest.approx(value.value)
    assert found["skipped"] == {
        "zero-shot": "it takes --labels and --classes",
        "arithmetic": "it takes scenes of the world, and an encoder that embeds them",
    }
    assert ("mixed", "ndcg", "") in rows
    assert found["notes"] == []


def test_items_that_were_fitted_on_are_refused(run, tmp_path, aligner):
    store = make_store(tmp_path / "both", slice(100, 320))
    words = (store, "--groups", "group", "--aligner", aligner)
    err = refused(run, *words)
    assert "found 30 of 110 that it was: im50, im51, im52 (--allow-train evaluates all the same)" in err
    code, out, err = run("evaluate", *words, "--allow-train", "--tasks", "retrieval")
    assert code == 0, err
    assert "30 of 110 items are of those that the aligner was fitted on" in out


def test_what_cannot_be_known_is_refused(run, store, tmp_path, aligner, files):
    save_aligner(load_aligner(aligner), tmp_path / "old.safetensors")
    words = (store, "--groups", "group", "--aligner", tmp_path / "old.safetensors", "--tasks", "retrieval")
    err = refused(run, *words)
    assert "does not tell what it was fitted on: whether these items were among it cannot be known" in err
    _, found = figures(run, *words, "--allow-train")
    assert "whether these items were among it is not known" in found["notes"][0]
    err = refused(run, files / "x.npy", files / "y.npy", "--aligner", aligner)
    assert "these rows have none (see --groups): whether they were among it cannot be known" in err
    (tmp_path / "g.txt").write_text("\n".join(NAMES[HELD]))
    figures(run, files / "x.npy", files / "y.npy", "--aligner", aligner, "--groups", tmp_path / "g.txt")


def test_rows_are_known_by_their_bytes(run, store, files, tmp_path):
    """An aligner fitted on plain files knows its rows again, in files and in stores."""
    told = (
        "align",
        files / "x.npy",
        files / "y.npy",
        "--aligner",
        "collapse",
        "--out",
        tmp_path / "r.safetensors",
    )
    assert run(*told)[0] == 0
    held = (files / "x.npy", files / "y.npy", "--aligner", tmp_path / "r.safetensors")
    assert "found 160 of 160 that it was: row 0, row 1, row 2" in refused(run, *held)
    words = (store, "--groups", "group", "--aligner", tmp_path / "r.safetensors")
    assert "found 160 of 160" in refused(run, *words)
    other = make_store(tmp_path / "other", FIT)
    figures(run, other, "--groups", "group", "--aligner", tmp_path / "r.safetensors", "--tasks", "retrieval")


def test_other_names_do_not_hide_what_was_fitted_on(run, tmp_path, aligner):
    """A store that names its items itself is known by those names too, whatever --groups says."""
    store = make_store(tmp_path / "fit", slice(100, 320), origin=ORIGIN)
    (tmp_path / "g.txt").write_text("\n".join(f"new{i}" for i in range(220)))
    for groups in ("caption", tmp_path / "g.txt"):
        words = (store, "--groups", groups, "--aligner", aligner, "--tasks", "retrieval")
        err = refused(run, *words)
        assert "by the store's own groups: expected items that the aligner was not fitted on" in err
        assert "found 30 of 110 that it was: im50, im51, im52" in err
        _, found = figures(run, *words, "--allow-train")
        assert found["notes"] == ["30 of 110 items are of those that the aligner was fitted on"]
    held = make_store(tmp_path / "others", HELD, origin=ORIGIN)
    figures(run, held, "--groups", "caption", "--aligner", aligner, "--tasks", "retrieval")


def test_rows_are_known_where_the_sides_are_swapped(run, files, tmp_path):
    pair = (files / "x.npy", files / "y.npy")
    assert run("align", *pair, "--aligner", "collapse", "--out", tmp_path / "r.safetensors")[0] == 0
    words = (*pair[::-1], "--aligner", tmp_path / "r.safetensors", "--tasks", "retrieval")
    assert "x.npy: expected items that the aligner was not fitted on, found 160 of 160" in refused(
        run, *words
    )
    _, found = figures(run, *words, "--allow-train")
    assert found["notes"] == ["160 of 160 rows are of those that the aligner was fitted on"]


@pytest.mark.parametrize(
    "image", [MINE | {"encoder": "clip:l14"}, MINE | {"revision": "2"}], ids=["name", "revision"]
)
def test_another_encoder_is_refused(run, tmp_path, aligner, image):
    store = make_store(tmp_path / "other", image=image)
    err = refused(run, store, "--groups", "group", "--aligner", aligner, "--allow-train")
    assert f"img_emb is image by {image['encoder']}, revision {image['revision']}: expected embeddings" in err


def test_zero_shot_by_the_stores_own_encoder(run, store, aligner, classes, tmp_path, monkeypatch):
    monkeypatch.setattr(isthmus.encoders, "open_encoder", lambda name, device: encoder())
    words = (store, "--groups", "group", "--aligner", aligner, "--labels", "kind", "--classes", classes)
    fitted, labels = load_aligner(aligner), ITEM[HELD] % 3
    (tmp_path / "templates.txt").write_text("one {}\n\ntwo {}s\n")
    for given, templates in (
        ((), TEMPLATES["photo"]),
        (("--templates", "openai"), TEMPLATES["openai"]),
        (("--templates", tmp_path / "templates.txt"), ("one {}", "two {}s")),
    ):
        rows, found = figures(run, *words, *given, "--tasks", "zero-shot", "--temperature", 0.1)
        prompts = np.array([word_rows([t.format(kind) for t in templates]) for kind in KINDS])
        mapped = fitted.transform_y(prompts.reshape(-1, 24)).reshape(prompts.shape)
        for name, images, texts in (
            ("raw", X[HELD], prompts),
            ("aligned", fitted.transform(X[HELD]), mapped),
        ):
            alone = zero_shot(images[::2], ensemble(texts), labels=labels[::2], temperature=0.1)
            for figure, value in alone.figures.items():
                assert rows["zero-shot", figure, ""][name]["value"] == pytest.approx(value.value, abs=1e-5)
        assert found["sizes"]["zero-shot"].startswith(f"80 images, 3 classes, {len(templates)} prompt")
        assert rows["zero-shot", "top_1", "cow"]
    monkeypatch.setattr(isthmus.encoders, "open_encoder", lambda name, device: encoder("2"))
    assert "embedded by mine of revision 1, it is 2 here" in refused(run, *words)


def test_zero_shot_of_files(run, files, aligner, classes, tmp_path):
    """Prototypes of one row each, or of several per class; labels by number, by name, or none."""
    words = ("--aligner", aligner, "--allow-train", "--classes", classes, "--prototypes")
    one = (files / "x.npy", *words, files / "prototypes.npy", "--labels", files / "labels.npy")
    rows, found = figures(run, *one)
    alone = zero_shot(X[HELD][::2], np.array(word_rows(KINDS)), labels=(ITEM[HELD] % 3)[::2])
    assert rows["zero-shot", "top_1", ""]["raw"]["value"] == alone.figures["top_1"].value
    assert set(found["skipped"]) == {"retrieval", "mixed", "arithmetic"}
    np.save(tmp_path / "three.npy", np.repeat(np.load(files / "prototypes.npy"), 3, axis=0))
    (tmp_path / "labels.txt").write_text("\n".join(LABELS))
    more = (files / "x.npy", *words, tmp_path / "three.npy", "--labels", tmp_path / "labels.txt")
    again, found = figures(run, *more)
    assert found["sizes"]["zero-shot"] == "80 images, 3 classes, 3 prompts each"
    assert again["zero-shot", "ece", ""]["raw"]["value"] == pytest.approx(
        alone.figures["ece"].value, abs=1e-5
    )
    (tmp_path / "labels.txt").write_text("\n".join(["-", "-", *LABELS[2:]]))
    assert figures(run, *more)[1]["sizes"]["zero-shot"].startswith("79 images")
    for strange, told in (
        (["cat", "cats"], "cats in row 1"),
        (["None", "cat"], "None in row 0"),
        (["yak", "ant", "yak", "bee"], "yak in row 0, ant in row 1, bee in row 3"),
        (["yak", "ant", "bee", "emu"], "yak in row 0, ant in row 1, bee in row 2 and others"),
    ):
        (tmp_path / "labels.txt").write_text("\n".join([*strange, *LABELS[len(strange) :]]))
        expected = f"expected names of the 3 classes, or numbers from 0 to 2, found {told}\n"
        assert expected in refused(run, *more)
    np.save(tmp_path / "strange.npy", np.where(np.arange(160) == 3, -1, ITEM[HELD] % 3))
    numbers = (*one[:-1], tmp_path / "strange.npy")
    assert "or numbers from 0 to 2, found -1 in row 3\n" in refused(run, *numbers)
    (tmp_path / "labels.txt").write_text("\n".join(LABELS))
    np.save(tmp_path / "three.npy", np.ones((4, 24)))
    assert "three.npy has 4 rows: expected 3, one for each class" in refused(run, *more)
    bare = (files / "x.npy", *words[:-1], "--labels", files / "labels.npy")
    assert "--classes takes a store, whose encoder embeds them, or --prototypes" in refused(run, *bare)


def test_a_store_without_the_second_modality(run, tmp_path, aligner, classes, monkeypatch):
    monkeypatch.setattr(isthmus.encoders, "open_encoder", lambda name, device: encoder())
    store = make_store(tmp_path / "images", modalities=("image",))
    words = (store, "--groups", "group", "--labels", "kind", "--classes", classes)
    rows, found = figures(run, *words, "--aligner", aligner)
    assert ("zero-shot", "macro", "") in rows
    assert found["skipped"]["retrieval"] == "it takes pairs, and there is one modality only"
    err = refused(run, store, "--groups", "group", "--aligner", aligner)
    assert "there is nothing to evaluate: retrieval: it takes pairs" in err
    err = refused(run, *words, "--aligner", aligner, "--gallery", 5)
    assert "--gallery does not apply: retrieval takes pairs, and there is one modality only" in err
    save_aligner(load_aligner(aligner), tmp_path / "old.safetensors")  # which does not name its modalities
    again, _ = figures(run, *words, "--aligner", tmp_path / "old.safetensors", "--allow-train")
    assert again["zero-shot", "macro", ""] == rows["zero-shot", "macro", ""]


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "classes.txt: expected at least 2 classes, one per line, found 0"),
        ("cat\n\n", "classes.txt: expected at least 2 classes, one per line, found 1"),
        (
            "cat\n\ndog\ncat \n",
            "classes.txt, line 4: expected each class once, found 'cat' again, as in line 1",
        ),
        ("\ufeffcat\ncat\n", "classes.txt, line 2: expected each class once, found 'cat' again"),  # a mark
    ],
)
def test_files_of_classes_are_told_of_by_line(run, store, aligner, classes, text, message):
    classes.write_text(text, encoding="utf-8")
    words = ("--aligner", aligner, "--groups", "group", "--labels", "kind", "--classes", classes)
    assert message in refused(run, store, *words)


def test_prompts_of_another_encoder_are_refused(run, tmp_path, aligner, classes):
    """Prototypes, by the store that they lie in, and prompts that the store's encoder would embed."""
    images = make_store(tmp_path / "held")
    words = ("--aligner", aligner, "--groups", "group", "--labels", "kind", "--classes", classes)
    other = Store.create(tmp_path / "other", {"text": MINE | {"revision": "2"}})
    other.append({"text": np.array(word_rows(KINDS), dtype=np.float32)}, {"group": list(KINDS)})
    err = refused(run, images, *words, "--prototypes", tmp_path / "other" / "text_emb")
    assert "text_emb is text by mine, revision 2: expected embeddings" in err
    told = read_provenance(aligner)
    told = replace(told, y=replace(told.y, revision="2"))
    save_aligner(load_aligner(aligner), tmp_path / "towers.safetensors", provenance=told)
    make_store(tmp_path / "images", modalities=("image",))
    err = refused(run, tmp_path / "images", "--aligner", tmp_path / "towers.safetensors", *words[2:])
    assert "the prompts is text by mine, revision 1: expected embeddings" in err


def test_why_arithmetic_is_not_asked_is_told(run, tmp_path, monkeypatch):
    def refuse(name, device):
        raise ValueError(f"device must be cpu or cuda, got {device!r}")

    monkeypatch.setattr(isthmus.encoders, "open_encoder", refuse)
    origin = replace(ORIGIN, source="world:60?captions=1&seed=3")
    store = make_store(tmp_path / "held", origin=origin)
    save_aligner(LinearMap().fit(X[FIT], Y[FIT]), tmp_path / "a.safetensors")
    words = (store, "--aligner", tmp_path / "a.safetensors", "--allow-train", "--device", "nonsense")
    err = refused(run, *words, "--tasks", "arithmetic")
    assert "arithmetic: " in err
    assert "mine, which cannot be opened: device must be cpu or cuda, got 'nonsense'" in err
    monkeypatch.setattr(isthmus.encoders, "open_encoder", lambda name, device: encoder())
    assert "arithmetic: mine does not embed new scenes of image and texts" in refused(
        run, *words, "--tasks", "arithmetic"
    )


@pytest.mark.parametrize(
    "words, message",
    [
        (("--tasks", "sing"), "--tasks must be some of retrieval, zero-shot, mixed, arithmetic, got sing"),
        (("--tasks", "mixed", "--gallery", 5), "--gallery does not apply: it is of retrieval"),
        (("--tasks", "mixed", "--temperature", 5), "--temperature does not apply: it is of zero-shot"),
        (("--tasks", "mixed", "--classes", "c.txt"), "--classes does not apply: it is of zero-shot"),
        (
            ("--tasks", "retrieval", "mixed", "--device", "cpu"),
            "--device does not apply: it is of zero-shot and arithmetic, which are not among --tasks",
        ),
        (("--labels", "kind"), "--labels takes --classes too"),
        (("--classes", "c.txt"), "--classes takes --labels too"),
        (("--templates", "openai"), "--templates takes --classes and --labels too"),
        (
            ("--labels", "kind", "--classes", "c", "--prototypes", "p", "--templates", "photo"),
            "--templates does not apply: --prototypes are embedded already",
        ),
        (("--labels", "kind", "--classes", "nowhere.txt"), "no such file: nowhere.txt"),
        (("--temperature", 5), "does not apply: zero-shot is skipped: it takes --labels and --classes"),
        (("--gallery", 500), "--gallery must be a whole number in [2, 80], got 500"),
        (("--temperature", 0), "--temperature must be a number in (0, inf), got 0"),
    ],
)
def test_options_given_in_vain_are_refused(run, store, aligner, words, message):
    assert message in refused(run, store, "--groups", "group", "--aligner", aligner, *words)


def test_another_width_is_refused(run, files, aligner, tmp_path):
    np.save(tmp_path / "wide.npy", np.ones((160, 5)))
    err = refused(run, tmp_path / "wide.npy", tmp_path / "wide.npy", "--aligner", aligner)
    assert "wide.npy must have dim 24, got dim 5" in err


def test_scenes_of_the_world_bring_their_classes(run, tmp_path):
    """From the source of a store to a table, with the encoder that comes along."""
    pytest.importorskip("torch")
    words = ("embed", "world:60?captions=1&seed=3", "--encoder", "world", "--modality", "image", "text")
    assert run(*words, "--out", tmp_path / "store")[0] == 0
    store = Store.open(tmp_path / "store")
    save_aligner(
        LinearMap().fit(*(np.asarray(store[m]) for m in ("image", "text"))), tmp_path / "a.safetensors"
    )
    words = (store.root, "--aligner", tmp_path / "a.safetensors", "--allow-train", "--tasks", "zero-shot")
    rows, found = figures(run, *words, "--temperature", 1000)
    assert rows["zero-shot colour of the large one", "top_1", ""]["raw"]["value"] > 0.7
    right = rows["zero-shot shape of the large one", "top_1", ""]["raw"]["value"]
    assert right > 0.7
    unsure = rows["zero-shot shape of the large one", "ece", ""]["raw"]["value"]
    assert unsure == pytest.approx(right - 1 / 6, abs=1e-3)  # at such a temperature all six are as likely
    assert found["sizes"]["zero-shot shape of the large one"].endswith(" images, 6 classes, 3 prompts each")
