"""`isthmus calibrate` as a user calls it."""

import json

import numpy as np
import pytest

from isthmus.align import load_aligner, save_aligner
from isthmus.align.calibration import MatchCalibrator
from isthmus.align.calibration_files import load_calibrator, read_calibrated_on
from isthmus.evaluate.reliability import held_out_reliability
from isthmus.store import Store
from isthmus.theory import Geometry, sample

SMALL = Geometry(dim=24, shared_dimension=6, noise_dimension=8)
CLIP = {"encoder": "clip:b32", "revision": "r1"}


@pytest.fixture(scope="module")
def arrays():
    x, y, groups = sample(60, SMALL, captions=2, seed=1)
    return x.astype(np.float32), y.astype(np.float32), [f"im{g}" for g in groups]


@pytest.fixture
def files(arrays, tmp_path):
    for name, rows in zip("xy", arrays, strict=False):
        np.save(tmp_path / f"{name}.npy", rows)
    return tmp_path


def make_store(root, arrays, names, encoder=CLIP):
    store = Store.create(root, {"image": encoder, "text": encoder})
    store.append({"image": arrays[0], "text": arrays[1]}, {"group": names})
    return root


def test_figures_are_those_of_the_library_and_kept_in_the_file(run, files, arrays):
    words = (
        "calibrate",
        files / "x.npy",
        files / "y.npy",
        "--out",
        files / "c.safetensors",
        "--method",
        "logistic",
    )
    code, out, err = run(*words, "--prior", 0.1, "--seed", 2, "--json")
    assert code == 0, err
    calibrator = MatchCalibrator("logistic", prior=0.1, seed=2)
    found = held_out_reliability(*arrays[:2], calibrator=calibrator).to_dict()
    assert json.loads(out) == {"out": str(files / "c.safetensors")} | json.loads(json.dumps(found))
    told = read_calibrated_on(files / "c.safetensors")
    assert told.held_out == json.loads(json.dumps(found))
    assert told.aligner is None
    loaded, fitted = load_calibrator(files / "c.safetensors"), calibrator.fit(*arrays[:2])
    assert (loaded.predict_proba(*arrays[:2]) == fitted.predict_proba(*arrays[:2])).all()
    before = (files / "c.safetensors").read_bytes()
    code, out, _ = run(*words, "--prior", 0.1, "--seed", 2)
    assert (files / "c.safetensors").read_bytes() == before
    assert f"{found['readings']['raw, calibrated']['figures']['ece']['value']:.3f}" in out


@pytest.mark.parametrize("query", [(), ("--per-query", "y")])
def test_pairs_are_scored(run, files, arrays, query):
    words = (files / "x.npy", files / "y.npy")
    assert run("calibrate", *words, "--out", files / "c.safetensors", *query)[0] == 0
    code, _, err = run("calibrate", "score", files / "c.safetensors", *words, "--out", files / "p.npy")
    assert (code, "120 probabilities" in err) == (0, True)
    p = np.load(files / "p.npy")
    expected = load_calibrator(files / "c.safetensors").predict_proba(*arrays[:2])[:, 1]
    assert p.dtype == np.float32
    assert p == pytest.approx(expected, abs=1e-6)
    again = ("calibrate", "score", files / "c.safetensors", *words, "--out", files / "x.npy")
    code, _, err = run(*again)  # its own input
    assert (code, "x.npy exists: remove it, or write elsewhere" in err) == (2, True)
    assert (np.load(files / "x.npy") == arrays[0]).all()
    code, out, _ = run("calibrate", "score", files / "c.safetensors", *words, "--prior", 0.01)
    odds = expected / (1 - expected) / 99
    assert np.array(out.split(), float) == pytest.approx(odds / (1 + odds), rel=1e-4)


def no_constant(name):
    raise AssertionError(f"{name} is no JSON")


def test_where_every_cosine_is_accepted_the_threshold_is_the_lowest(run, files):
    """JSON has no -Infinity; and where nothing is accepted, there is no threshold."""
    words = ("calibrate", files / "x.npy", files / "y.npy", "--out", files / "c.safetensors")
    for prior, lowest in ((0.99, -1), (0.0001, None)):
        code, out, err = run(*words, "--per-query", "x", "--prior", prior, "--json")
        assert code == 0, err
        printed = json.loads(out, parse_constant=no_constant)
        readings = printed["readings"]
        assert readings["raw, calibrated"]["threshold"] == lowest
        assert readings["raw, calibrated per query"]["threshold"] is None
        assert readings["raw, calibrated per query"]["figures"]["recall"]["value"] == (prior > 0.5)
        assert read_calibrated_on(files / "c.safetensors").held_out["readings"] == readings


def test_one_pair_is_scored(run, files, arrays):
    assert run("calibrate", files / "x.npy", files / "y.npy", "--out", files / "c.safetensors")[0] == 0
    expected = load_calibrator(files / "c.safetensors").predict_proba(*arrays[:2])[:, 1]
    one = files / "one_x.npy", files / "one_y.npy"
    for path, rows in zip(one, arrays, strict=False):
        np.save(path, rows[5:6])
    code, out, err = run("calibrate", "score", files / "c.safetensors", *one)
    assert (code, err) == (0, "")
    assert float(out) == pytest.approx(expected[5], rel=1e-4)
    code, _, err = run("calibrate", "score", files / "c.safetensors", one[0], files / "y.npy")
    assert (code, "one_x.npy has 1 rows, " in err) == (2, True)
    np.save(one[0], np.zeros_like(arrays[0][:1]))
    code, _, err = run("calibrate", "score", files / "c.safetensors", *one)
    assert (code, "one_x.npy has 1 zero row" in err) == (2, True)


def test_cosines_of_an_aligner(run, files, arrays, tmp_path):
    store = make_store(tmp_path / "store", arrays, arrays[2])
    aligner, out = files / "a.safetensors", files / "c.safetensors"
    assert run("align", store, "--groups", "group", "--aligner", "collapse", "--out", aligner)[0] == 0
    words = ("--groups", "group", "--aligner", aligner, "--out", out, "--report", files / "r.svg")
    code, text, err = run("calibrate", store, *words)
    assert code == 0, err
    assert "was fitted on 60 of these 60 items" in err
    assert "collapse, calibrated" in text
    assert "collapse, expected calibration error" in (files / "r.svg").read_text()
    told = read_calibrated_on(out)
    assert (told.x.modality, told.y.encoder, len(told.aligner)) == ("image", "clip:b32", 64)
    code, _, err = run("calibrate", "score", out, store, "--aligner", aligner, "--out", files / "p.npy")
    assert code == 0, err
    mapped = load_aligner(aligner).transform(*arrays[:2])
    expected = load_calibrator(out).predict_proba(*mapped)[:, 1]
    assert np.load(files / "p.npy") == pytest.approx(expected, abs=1e-4)

    code, _, err = run("calibrate", "score", out, store)
    assert (code, "expected --aligner with its file" in err, "got none" in err) == (2, True, True)
    other = files / "b.safetensors"
    assert run("align", store, "--groups", "group", "--aligner", "shift", "--out", other)[0] == 0
    code, _, err = run("calibrate", "score", out, store, "--aligner", other)
    assert (code, "b.safetensors, of " in err) == (2, True)


def test_a_calibrator_lies_beside_its_aligner(run, files, arrays):
    """The aligner's file then stands for both."""
    pairs, aligner = (files / "x.npy", files / "y.npy"), files / "a.safetensors"
    assert run("align", *pairs, "--aligner", "shift", "--out", aligner)[0] == 0
    before = aligner.read_bytes()
    code, _, err = run("calibrate", "score", aligner, *pairs)
    assert (code, f"{aligner} is an aligner: expected its calibrator in" in err) == (2, True)
    beside = files / "a.calibrator.safetensors"
    assert str(beside) in err
    code, out, err = run("calibrate", *pairs, "--aligner", aligner, "--json")
    assert (code, json.loads(out)["out"], f"calibrator: {beside}" in err) == (0, str(beside), True)
    assert aligner.read_bytes() == before
    mapped = load_aligner(aligner).transform(*arrays[:2])
    expected = load_calibrator(beside).predict_proba(*mapped)[:, 1]
    for words in ((aligner, *pairs), (aligner, *pairs, "--aligner", aligner)):
        code, out, err = run("calibrate", "score", *words)
        assert code == 0, err
        assert np.array(out.split(), float) == pytest.approx(expected, rel=1e-4)

    other = files / "b.safetensors"
    assert run("align", *pairs, "--aligner", "collapse", "--out", other)[0] == 0
    code, _, err = run("calibrate", "score", aligner, *pairs, "--aligner", other)
    assert (code, "a.safetensors is an aligner: expected no other --aligner, got" in err) == (2, True)
    aligner.write_bytes(other.read_bytes())  # fitted anew, not calibrated anew
    code, _, err = run("calibrate", "score", aligner, *pairs)
    assert (code, "a.calibrator.safetensors was fitted on cosines after an aligner" in err) == (2, True)
    assert f"got {aligner}, of " in err


def test_a_report_is_drawn_again(run, files):
    """As the reports of the other commands are written again."""
    words = (files / "x.npy", files / "y.npy", "--out", files / "c.safetensors", "--report", files / "r.svg")
    (files / "r.svg").write_text("old")
    assert run("calibrate", *words)[0] == 0
    assert (files / "r.svg").read_text().startswith("<svg")


def test_an_aligner_of_other_items_is_taken_as_it_is(run, arrays, tmp_path):
    half = [rows[:60] for rows in arrays], [rows[60:] for rows in arrays]
    first, second = (make_store(tmp_path / f"s{k}", rows, rows[2]) for k, rows in enumerate(half))
    aligner = tmp_path / "a.safetensors"
    assert run("align", first, "--groups", "group", "--aligner", "collapse", "--out", aligner)[0] == 0
    words = ("--groups", "group", "--aligner", aligner, "--out", tmp_path / "c.safetensors")
    code, _, err = run("calibrate", second, *words)
    assert (code, "was fitted on 0 of these 30 items" in err) == (0, True)
    mapped = load_aligner(aligner).transform(*half[1][:2])
    direct = MatchCalibrator().fit(*mapped, groups=half[1][2])
    found = load_calibrator(tmp_path / "c.safetensors")
    at = np.linspace(-1, 1, 20)
    assert found.weigh(at) == pytest.approx(direct.weigh(at), abs=1e-2)


def test_another_encoders_embeddings_are_refused(run, arrays, tmp_path):
    store = make_store(tmp_path / "store", arrays, arrays[2])
    foreign = make_store(tmp_path / "other", arrays, arrays[2], encoder=CLIP | {"encoder": "clip:l14"})
    assert run("calibrate", store, "--out", tmp_path / "c.safetensors")[0] == 0
    code, _, err = run("calibrate", "score", tmp_path / "c.safetensors", foreign)
    assert (code, "img_emb is image by clip:l14, revision r1: expected image by clip:b32" in err) == (2, True)
    assert run("align", store, "--aligner", "collapse", "--out", tmp_path / "a.safetensors")[0] == 0
    words = ("--aligner", tmp_path / "a.safetensors", "--out", tmp_path / "d.safetensors")
    code, _, err = run("calibrate", foreign, *words)
    assert (code, "img_emb is image by clip:l14" in err) == (2, True)
    assert not (tmp_path / "d.safetensors").exists()


def test_what_tells_its_items_otherwise_may_have_learned_from_these_pairs(run, files, arrays):
    """Of items named by their rows, seen or not, and of an aligner that tells none."""
    words, out = (files / "x.npy", files / "y.npy"), files / "c.safetensors"
    aligner = files / "a.safetensors"
    assert run("align", *words, "--aligner", "collapse", "--out", aligner)[0] == 0
    code, _, err = run("calibrate", *words, "--aligner", aligner, "--out", out)
    assert (code, "was fitted on 60 of these 60 items" in err) == (0, True)
    refitted = load_calibrator(out)
    fitted = load_aligner(aligner)
    expected = MatchCalibrator().fit(*arrays[:2], aligner=fitted)
    at = np.linspace(-1, 1, 50)
    assert refitted.weigh(at) == pytest.approx(expected.weigh(at), abs=1e-6)
    assert not np.allclose(
        refitted.weigh(at), MatchCalibrator().fit(*fitted.transform(*arrays[:2])).weigh(at)
    )
    save_aligner(fitted, files / "silent.safetensors")
    code, _, err = run("calibrate", *words, "--aligner", files / "silent.safetensors", "--out", out)
    assert (code, "does not tell what it was fitted on" in err) == (0, True)
    assert load_calibrator(out).weigh(at) == pytest.approx(refitted.weigh(at), abs=1e-6)


@pytest.mark.parametrize(
    "words, message",
    [
        (("x.npy", "y.npy", "--out", "c.txt"), "c.txt must end in .safetensors"),
        (("x.npy", "y.npy", "--out", "c.safetensors", "--report", "r.html"), "r.html must end in .svg"),
        (("x.npy", "y.npy", "--out", "c.safetensors", "--prior", "1"), "prior must be a number in (0, 1)"),
        (("none.npy", "--out", "c.safetensors", "--prior", "0"), "isthmus: prior must be a number in (0, 1)"),
        (("none.npy", "--out", "c.safetensors", "--seed", "-1"), "seed must be a whole number in [0, inf), "),
        (("x.npy", "y.npy", "--out", "c.safetensors", "--aligner", "no.safetensors"), "no such file: no.saf"),
        (("x.npy", "y.npy", "--out", "a.safetensors"), "a.safetensors holds no calibrator"),
        (
            ("x.npy", "y.npy"),
            "expected --out with a file to save the calibrator in, or --aligner, got neither",
        ),
        (
            ("xy.npz:x", "--out", "c.safetensors"),
            "xy.npz:x is one modality: expected the second too, such as",
        ),
        (
            ("score", "k.safetensors", "xy.npz:x"),
            "xy.npz:x is one modality: expected the second too, such as",
        ),
        (("no.npy:0", "--out", "c.safetensors"), "no such file or folder: no.npy:0"),
        (("x.npy", "--out", "c.safetensors"), "x.npy is one file: give the second modality too"),
        (("score", "x.npy", "x.npy", "y.npy"), "x.npy is not a readable safetensors file"),
        (("score", "a.safetensors", "x.npy", "y.npy"), "expected its calibrator in a.calibrator.safetensors"),
        (("score", "k.safetensors", "x.npy", "y.npy", "--aligner", "a.safetensors"), "leave out --aligner"),
        (("score", "k.safetensors", "x.npy", "y.npy", "--prior", "0"), "prior must be a number in (0, 1)"),
        (("score", "k.safetensors", "n.npy", "n.npy"), "n.npy has dim 3, k.safetensors was fitted on dim 24"),
        (
            ("n.npy", "n.npy", "--out", "c.safetensors", "--aligner", "a.safetensors"),
            "n.npy has dim 3, a.saf",
        ),
    ],
)
def test_bad_input_exits_2_with_a_message(run, files, monkeypatch, words, message):
    monkeypatch.chdir(files)
    assert run("align", "x.npy", "y.npy", "--aligner", "collapse", "--out", "a.safetensors")[0] == 0
    assert run("calibrate", "x.npy", "y.npy", "--out", "k.safetensors")[0] == 0
    np.save("n.npy", np.eye(3))
    np.savez("xy.npz", x=np.load("x.npy"), y=np.load("y.npy"))
    code, out, err = run("calibrate", *words)
    assert (code, out) == (2, "")
    assert message in " ".join(err.split())
