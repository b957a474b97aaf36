"""`isthmus apply` knows where embeddings come from, and maps whole folders."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus.align import load_aligner, make_aligner, save_aligner
from isthmus.align.files import read_provenance
from isthmus.align.provenance import FittedOn, hash_items
from isthmus.cli.origin import embedded_by
from isthmus.store import Store, open_embeddings, open_pairs
from isthmus.theory import Geometry, sample

SMALL = Geometry(dim=24, shared_dimension=6, noise_dimension=8)
CLIP = {"encoder": "clip:b32", "revision": "r1"}


@pytest.fixture(scope="module")
def arrays():
    x, y, groups = sample(100, SMALL, captions=2, seed=1)
    return x.astype(np.float32), y.astype(np.float32), [f"im{g}" for g in groups]


def make_store(root, arrays, *, image=CLIP, text=CLIP):
    x, y, names = arrays
    store = Store.create(root, {"text": text, "image": image})
    for part in (slice(0, 150), slice(150, None)):
        store.append({"image": x[part], "text": y[part]}, {"group": names[part]})
    return root


@pytest.fixture
def store(arrays, tmp_path):
    return make_store(tmp_path / "store", arrays)


@pytest.fixture
def aligner(run, store, tmp_path):
    words = ("--groups", "group", "--aligner", "linear", "--keep-recall", 0.5)
    code, _, err = run("align", store, "--out", tmp_path / "a.safetensors", *words)
    assert code == 0, err
    return tmp_path / "a.safetensors"


def test_align_tells_what_it_was_fitted_on(aligner, arrays):
    told = read_provenance(aligner)
    assert (told.x, told.y) == (FittedOn("image", **CLIP), FittedOn("text", **CLIP))
    assert (told.pairs, told.keep_recall, told.named_by) == (200, 0.5, "group")
    assert (told.items == hash_items(set(arrays[2]))).all()
    with pytest.raises(ValueError, match="found 1 of 2 that it was: im7"):
        told.refuse_seen(["new", "im7"])


def test_same_run_gives_the_same_bytes(run, store, aligner, tmp_path):
    words = ("--groups", "group", "--aligner", "linear", "--keep-recall", 0.5)
    assert run("align", store, "--out", tmp_path / "b.safetensors", *words)[0] == 0
    assert (tmp_path / "b.safetensors").read_bytes() == aligner.read_bytes()


def test_rows_of_files_are_known_by_their_bytes(run, arrays, tmp_path):
    for name, rows in zip("xy", arrays, strict=False):
        np.save(tmp_path / f"{name}.npy", rows)
    words = (tmp_path / "x.npy", tmp_path / "y.npy", "--aligner", "collapse")
    assert run("align", *words, "--out", tmp_path / "a.safetensors")[0] == 0
    told = read_provenance(tmp_path / "a.safetensors")
    assert (told.x, told.y, told.named_by) == (FittedOn(), FittedOn(), "row")
    assert len(told.items) == 100  # each image stands twice
    assert told.saw([arrays[0][3].tobytes(), arrays[1][3].tobytes()]).tolist() == [True, False]


def test_groups_of_a_file_are_named(run, arrays, store, tmp_path):
    (tmp_path / "g.csv").write_text("image\n" + "".join(f"{name}.jpg\n" for name in arrays[2]))
    words = ("--groups", f"{tmp_path}/g.csv:image", "--aligner", "collapse")
    assert run("align", store, "--out", tmp_path / "a.safetensors", *words)[0] == 0
    assert read_provenance(tmp_path / "a.safetensors").saw(["im7.jpg", "im7"]).tolist() == [True, False]


def test_manifest_is_found_above_a_folder_and_a_shard(store, arrays, tmp_path, monkeypatch):
    expected = FittedOn("image", **CLIP)
    assert embedded_by(str(store / "img_emb")) == expected
    assert embedded_by(str(store / "img_emb" / "img_emb_1.npy")) == expected
    monkeypatch.chdir(store / "img_emb")
    assert embedded_by(".") == expected
    assert embedded_by("img_emb_0.npy") == expected
    np.save(tmp_path / "x.npy", arrays[0])
    assert embedded_by(str(tmp_path / "x.npy")) == FittedOn()
    np.save(store / "x.npy", arrays[0])
    assert embedded_by(str(store / "x.npy")) == FittedOn()


def test_modality_is_found_from_the_store(run, store, aligner, arrays, tmp_path):
    fitted = load_aligner(aligner)
    expected = {"img_emb": fitted.transform(arrays[0]), "text_emb": fitted.transform_y(arrays[1])}
    for folder, which in (("img_emb", "x"), ("text_emb", "y")):
        code, _, err = run("apply", aligner, store / folder, "--out", tmp_path / folder)
        assert (code, f"200 rows, as {which}: " in err) == (0, True)
        assert np.asarray(open_embeddings(tmp_path / folder)) == pytest.approx(expected[folder], abs=1e-6)


@pytest.mark.parametrize(
    "image, words, message",
    [
        (
            CLIP | {"encoder": "clip:l14"},
            (),
            "img_emb is image by clip:l14, revision r1: expected embeddings",
        ),
        (
            CLIP | {"revision": "r2"},
            (),
            "x: image by clip:b32, revision r1; y: text by clip:b32, revision r1",
        ),
        (CLIP, ("--modality", "y"), "y: text by clip:b32, revision r1, and not as y"),
    ],
)
def test_what_it_was_not_fitted_on_is_refused(run, arrays, aligner, tmp_path, image, words, message):
    other = make_store(tmp_path / "other", arrays, image=image)
    code, _, err = run("apply", aligner, other / "img_emb", *words, "--out", tmp_path / "new")
    assert (code, message in err) == (2, True), err
    if not words:
        code, _, err = run("apply", aligner, other, "--out", tmp_path / "new")
        assert (code, message in err) == (2, True), err
    assert not (tmp_path / "new").exists()


def test_other_modalities_are_refused(run, arrays, aligner, tmp_path):
    sounds = Store.create(tmp_path / "sounds", {"audio": CLIP})
    sounds.append({"audio": arrays[0]})
    code, _, err = run("apply", aligner, tmp_path / "sounds" / "audio_emb", "--out", tmp_path / "new")
    assert (code, "audio_emb is audio by clip:b32" in err) == (2, True)
    code, _, err = run("apply", aligner, tmp_path / "sounds", "--out", tmp_path / "new")
    assert (code, "expected img_emb or text_emb, which" in err) == (2, True)


def test_nothing_known_is_nothing_refused(run, store, aligner, arrays, tmp_path):
    """Of files that tell nothing; of a store, an aligner that tells nothing must be told the modality."""
    np.save(tmp_path / "y.npy", arrays[1])
    fitted = load_aligner(aligner)
    assert run("apply", aligner, tmp_path / "y.npy", "--modality", "y", "--out", tmp_path / "z.npy")[0] == 0
    assert np.load(tmp_path / "z.npy") == pytest.approx(fitted.transform_y(arrays[1]), abs=1e-6)
    assert run("apply", aligner, tmp_path / "y.npy", "--out", tmp_path / "as-x.npy")[0] == 0
    assert np.load(tmp_path / "as-x.npy") == pytest.approx(fitted.transform(arrays[1]), abs=1e-6)
    save_aligner(fitted, tmp_path / "old.safetensors")
    words = ("apply", tmp_path / "old.safetensors", store / "text_emb", "--out", tmp_path / "new")
    code, _, err = run(*words)
    assert (code, "which may be either" in err, "give --modality x or --modality y" in err) == (2, True, True)
    assert run(*words, "--modality", "y")[0] == 0


def test_one_modality_that_is_known_is_found_beside_one_that_is_not(run, store, arrays, tmp_path):
    np.save(tmp_path / "x.npy", arrays[0])
    words = (tmp_path / "x.npy", store / "text_emb", "--aligner", "linear")
    assert run("align", *words, "--out", tmp_path / "a.safetensors")[0] == 0
    told = read_provenance(tmp_path / "a.safetensors")
    assert (told.x, told.y) == (FittedOn(), FittedOn("text", **CLIP))
    for folder, which in (("text_emb", "y"), ("img_emb", "x")):
        words = ("apply", tmp_path / "a.safetensors", store / folder, "--out", tmp_path / folder)
        code, _, err = run(*words)
        assert (code, f"as {which}:" in err) == (0, True), err


def test_a_store_is_mapped_whole(run, store, aligner, arrays, tmp_path):
    code, _, err = run("apply", aligner, store, "--out", tmp_path / "aligned")
    assert (code, "400 rows of image, text: " in err) == (0, True), err
    mapped, fitted = Store.open(tmp_path / "aligned"), load_aligner(aligner)
    assert np.asarray(mapped["image"]) == pytest.approx(fitted.transform(arrays[0]), abs=1e-6)
    assert np.asarray(mapped["text"]) == pytest.approx(fitted.transform_y(arrays[1]), abs=1e-6)
    assert (open_pairs(mapped.root, groups="group").groups == np.repeat(np.arange(100), 2)).all()
    assert mapped.encoders["image"]["encoder"] == "clip:b32 + isthmus:linear"
    assert mapped.encoders["image"]["revision"].startswith("r1 + ")
    assert [len(np.load(path)) for path in sorted((mapped.root / "img_emb").iterdir())] == [150, 50]
    assert {p.name for p in tmp_path.iterdir()} == {"store", "a.safetensors", "aligned"}
    code, _, err = run("apply", aligner, mapped.root, "--out", tmp_path / "twice")
    assert (code, "by clip:b32 + isthmus:linear" in err) == (2, True)
    code, _, err = run("apply", aligner, store, "--out", tmp_path / "aligned")
    assert (code, "aligned exists: remove it" in err) == (2, True)
    code, _, err = run("apply", aligner, store, "--modality", "x", "--out", tmp_path / "new")
    assert (code, "has both modalities" in err) == (2, True)


def clip_retrieval(root, arrays):
    """What clip-retrieval writes: no manifest."""
    for name, rows in zip(("img_emb", "text_emb"), arrays, strict=False):
        (root / name).mkdir(parents=True)
        for shard, part in enumerate((rows[:120], rows[120:])):
            np.save(root / name / f"{name}_{shard}.npy", part.astype(np.float16))
    (root / "metadata").mkdir()
    for shard, names in enumerate((arrays[2][:120], arrays[2][120:])):
        pq.write_table(pa.table({"image_path": names}), root / "metadata" / f"metadata_{shard}.parquet")
    return root


def test_clip_retrievals_layout_is_mapped_whole(run, arrays, aligner, tmp_path):
    folder = clip_retrieval(tmp_path / "index", arrays)
    code, _, err = run("apply", aligner, folder, "--out", tmp_path / "aligned")
    assert code == 0, err
    pairs, fitted = open_pairs(tmp_path / "aligned", groups="image_path"), load_aligner(aligner)
    assert pairs.x.dtype == np.float16
    rows = [rows.astype(np.float16) for rows in arrays[:2]]
    assert np.asarray(pairs.x) == pytest.approx(fitted.transform(rows[0]).astype(np.float16), abs=2e-3)
    assert np.asarray(pairs.y) == pytest.approx(fitted.transform_y(rows[1]).astype(np.float16), abs=2e-3)
    assert (pairs.groups == np.repeat(np.arange(100), 2)).all()
    written = {str(p.relative_to(tmp_path / "aligned")) for p in (tmp_path / "aligned").rglob("*.*")}
    assert written == {str(p.relative_to(folder)) for p in folder.rglob("*.*")}
    code, _, err = run("measure", tmp_path / "aligned", "--groups", "image_path", "--json")
    assert code == 0, err


@pytest.fixture
def swapped(run, arrays, tmp_path):
    """An aligner of texts and images, which its file does not tell."""
    for name, rows in zip("xy", arrays, strict=False):
        np.save(tmp_path / f"{name}.npy", rows)
    words = (tmp_path / "y.npy", tmp_path / "x.npy", "--aligner", "linear")
    assert run("align", *words, "--out", tmp_path / "swapped.safetensors")[0] == 0
    return tmp_path / "swapped.safetensors"


def test_which_modality_is_x_must_be_told_where_nobody_knows(run, arrays, store, swapped, tmp_path):
    folder = clip_retrieval(tmp_path / "index", arrays)
    for place in (folder, store):
        code, _, err = run("apply", swapped, place, "--out", tmp_path / "new")
        assert code == 2
        assert "does not tell which modalities it was fitted on" in err
        assert "has image, text" in err
        assert "expected --fitted-on with the names of x and y" in err
        assert not (tmp_path / "new").exists()
    words = ("--fitted-on", "text", "image", "--out", tmp_path / "aligned")
    code, _, err = run("apply", swapped, folder, *words)
    assert code == 0, err
    fitted = load_aligner(swapped)
    found = open_pairs(tmp_path / "aligned")
    expected = (
        fitted.transform_y(arrays[0].astype(np.float16)),
        fitted.transform(arrays[1].astype(np.float16)),
    )
    for rows, wanted in zip((found.x, found.y), expected, strict=True):
        assert np.asarray(rows, np.float32) == pytest.approx(wanted, abs=2e-3)
    code, _, err = run("apply", swapped, folder / "text_emb", "--out", tmp_path / "one")
    assert (code, "give --modality x or --modality y" in err) == (2, True)
    words = ("--fitted-on", "text", "image", "--out", tmp_path / "one")
    code, _, err = run("apply", swapped, folder / "text_emb", *words)
    assert (code, "as x:" in err) == (0, True)


def test_fitted_on_is_not_other_than_what_the_file_tells(run, store, aligner, tmp_path):
    words = ("apply", aligner, store, "--out", tmp_path / "new", "--fitted-on")
    code, _, err = run(*words, "text", "image")
    assert (code, "--fitted-on is text image, " in err, "was fitted on image by" in err) == (2, True, True)
    code, _, err = run(*words, "text")
    assert (code, "takes two different modalities, x then y, got text" in err) == (2, True)
    assert run(*words, "image", "text")[0] == 0


def test_a_folders_name_tells_its_modality(run, arrays, aligner, tmp_path):
    folder, fitted = clip_retrieval(tmp_path / "index", arrays), load_aligner(aligner)
    code, _, err = run("apply", aligner, folder / "text_emb", "--out", tmp_path / "text")
    assert (code, "200 rows, as y: " in err) == (0, True), err
    rows = np.asarray(open_embeddings(tmp_path / "text"), np.float32)
    assert rows == pytest.approx(fitted.transform_y(arrays[1].astype(np.float16)), abs=2e-3)
    shard = folder / "text_emb" / "text_emb_1.npy"
    code, _, err = run("apply", aligner, shard, "--out", tmp_path / "shard.npy")
    assert (code, "80 rows, as y: " in err) == (0, True), err
    (folder / "text_emb").rename(folder / "audio_emb")
    code, _, err = run("apply", aligner, folder / "audio_emb", "--out", tmp_path / "audio")
    assert (code, "audio_emb is audio: expected embeddings like" in err) == (2, True)


def test_modalities_of_unequal_counts_are_refused(run, arrays, aligner, tmp_path):
    folder = clip_retrieval(tmp_path / "index", arrays)
    (folder / "text_emb" / "text_emb_1.npy").unlink()
    code, _, err = run("apply", aligner, folder, "--out", tmp_path / "new")
    assert (code, "found 200 in img_emb, 120 in text_emb" in err) == (2, True)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("source, out", [("index", "index/new"), ("index/img_emb", "index/img_emb/a/new")])
def test_nothing_is_written_into_what_is_read(run, arrays, aligner, tmp_path, source, out):
    folder = clip_retrieval(tmp_path / "index", arrays)
    (folder / "img_emb" / "a").mkdir()
    code, _, err = run("apply", aligner, tmp_path / source, "--out", tmp_path / out)
    assert (code, "which is read: write elsewhere" in err) == (2, True)
    assert not (tmp_path / f"{out}.partial").exists()


def test_a_folder_of_one_modality(run, arrays, aligner, tmp_path):
    folder = clip_retrieval(tmp_path / "index", arrays)
    (folder / "text_emb").rename(tmp_path / "elsewhere")
    assert run("apply", aligner, folder, "--out", tmp_path / "aligned")[0] == 0
    assert not (tmp_path / "aligned" / "text_emb").exists()
    np.save(folder / "img_emb" / "img_emb_1.npy", np.zeros((80, 24), np.float16))
    code, _, err = run("apply", aligner, folder, "--out", tmp_path / "new")
    assert (code, "img_emb has 80 zero rows, the first is row 120" in err) == (2, True)


@pytest.mark.parametrize("fixed", [True, False])
def test_parquet_keeps_its_other_columns(run, arrays, aligner, tmp_path, fixed):
    kind = pa.list_(pa.float32(), 24 if fixed else -1)
    table = pa.table({"id": arrays[2], "vector": pa.array(list(arrays[0]), kind)})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=70)
    code, _, err = run("apply", aligner, f"{tmp_path}/t.parquet:vector", "--out", tmp_path / "o.parquet")
    assert code == 0, err
    found = pq.read_table(tmp_path / "o.parquet")
    assert found.schema == table.schema
    assert found["id"].equals(table["id"])
    rows = np.array(found["vector"].to_pylist(), dtype=np.float32)
    assert rows == pytest.approx(load_aligner(aligner).transform(arrays[0]), abs=1e-6)


def test_an_aligner_that_changes_the_width(run, store, arrays, tmp_path):
    fitted = make_aligner("cca", components=5).fit(*arrays[:2])
    save_aligner(fitted, tmp_path / "cca.safetensors")
    words = ("apply", tmp_path / "cca.safetensors", store, "--out", tmp_path / "aligned")
    assert run(*words, "--fitted-on", "image", "text")[0] == 0
    assert Store.open(tmp_path / "aligned")["text"].shape == (200, 5)


def test_killed_in_the_middle_of_a_store_it_resumes_to_the_same_bytes(arrays, aligner, tmp_path):
    x, y, _ = arrays
    folder = tmp_path / "large"
    for name, rows in (("img_emb", x), ("text_emb", y)):
        (folder / name).mkdir(parents=True)
        for shard in range(8):
            np.save(folder / name / f"{name}_{shard}.npy", np.tile(rows, (150, 1)))
    command = [sys.executable, "-m", "isthmus", "apply", str(aligner), str(folder), "--out"]
    subprocess.run([*command, tmp_path / "alone"], check=True, capture_output=True)
    process = subprocess.Popen([*command, tmp_path / "resumed"], stderr=subprocess.DEVNULL)
    scratch = tmp_path / "resumed.partial" / "folder" / "img_emb"
    while not (scratch / "img_emb_1.npy").exists() and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "resumed").exists()
    first = (scratch / "img_emb_0.npy").stat().st_mtime_ns
    subprocess.run([*command, tmp_path / "resumed"], check=True, capture_output=True)
    assert (tmp_path / "resumed" / "img_emb" / "img_emb_0.npy").stat().st_mtime_ns == first
    for path in (tmp_path / "alone").rglob("*.npy"):
        assert path.read_bytes() == (tmp_path / "resumed" / path.relative_to(tmp_path / "alone")).read_bytes()
    assert not (tmp_path / "resumed.partial").exists()


def test_another_aligner_starts_afresh(run, arrays, aligner, tmp_path):
    folder = clip_retrieval(tmp_path / "index", arrays)
    scratch = tmp_path / "aligned.partial"
    stale = scratch / "folder" / "img_emb"
    stale.mkdir(parents=True)
    np.save(stale / "img_emb_0.npy", np.zeros((120, 24), np.float16))
    code, _, err = run("apply", aligner, folder, "--out", tmp_path / "aligned")
    assert (code, "is not an unfinished run's" in err) == (2, True)
    (scratch / "lock").touch()
    (scratch / "identity.txt").write_text("another")
    assert run("apply", aligner, folder, "--out", tmp_path / "aligned")[0] == 0
    assert np.load(tmp_path / "aligned" / "img_emb" / "img_emb_0.npy").any()


def test_card_tells_what_the_file_does(run, store, tmp_path):
    words = ("--groups", "group", "--aligner", "shared", "--keep-recall", 0.5, "--json")
    code, out, err = run(
        "align", store, "--out", tmp_path / "a.safetensors", "--card", tmp_path / "a.md", *words
    )
    assert (code, "model card: " in err) == (0, True), err
    card, figures = (tmp_path / "a.md").read_text(), json.loads(out)["aligners"]
    assert "| encoder | clip:b32 | clip:b32 |" in card
    assert "200 pairs of 100 items, of dim 24." in card
    for name in ("rmg", "recall_at_1_y_to_x"):
        before, after = (
            "{value:.3f} ({low:.3f} to {high:.3f})".format(**figures[key][name]) for key in ("raw", "shared")
        )
        assert f"| {before} | {after} |" in card
    assert "asked for: 0.5." in card
    assert "collapsed" not in card
    (tmp_path / "a.safetensors").unlink()
    code, _, err = run("align", store, "--out", tmp_path / "a.safetensors", "--card", tmp_path / "a.md")
    assert (code, "a.md exists: remove it, or write elsewhere" in err) == (2, True)
    assert (tmp_path / "a.md").read_text() == card
    assert not (tmp_path / "a.safetensors").exists()
    code, _, err = run("align", store, "--out", tmp_path / "a.safetensors", "--card", tmp_path / "a.txt")
    assert (code, "a.txt must end in .md" in err) == (2, True)
