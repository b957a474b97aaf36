"""Every verb as a user calls it: output, files and exit codes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from isthmus.align import load_aligner, read_verification
from isthmus.theory import Geometry, sample

SMALL = Geometry(dim=24, shared_dimension=6, noise_dimension=8)


@pytest.fixture
def files(tmp_path):
    x, y, groups = sample(100, SMALL, captions=2, seed=1)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    (tmp_path / "groups.csv").write_text("image,n\n" + "".join(f"im{g},{g}\n" for g in groups))
    return tmp_path


def test_measure_prints_every_figure(run, files):
    code, out, _ = run("measure", files / "x.npy", files / "y.npy", "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["pairs"], found["items"], found["dim"]) == (200, 100, 24)
    for name in ("alignment", "l2m", "rmg", "rmg_cosine", "recall_at_1_x_to_y", "recall_at_1_y_to_x"):
        assert found[name]["low"] <= found[name]["value"] <= found[name]["high"]
    grouped = run(
        "measure", files / "x.npy", files / "y.npy", "--groups", f"{files}/groups.csv:image", "--json"
    )
    assert json.loads(grouped[1]) == found
    table = run("measure", files / "x.npy", files / "y.npy")[1]
    assert "recall_at_1_x_to_y" in table
    assert f"{found['rmg']['value']:.4f}" in table


def test_compare_prints_all_aligners(run, files):
    words = ("compare", files / "x.npy", files / "y.npy", "--folds", 3, "--keep-recall", 0.9)
    code, out, _ = run(*words, "--aligner", "raw", "--aligner", "shared", "--aligner", "linear", "--json")
    found = json.loads(out)
    assert code == 0
    assert set(found["aligners"]) == {"raw", "shared", "linear"}
    assert found["aligners"]["raw"]["collapsed"] is False
    assert found["keep_recall"] == 0.9
    report = files / "report.html"
    code, out, err = run(*words, "--aligner", "shared", "--report", report)
    assert code == 0
    assert "kept recall" in out
    assert str(report) in err
    assert "<html" in report.read_text()


def test_align_then_apply(run, files):
    aligner = files / "a.safetensors"
    code, out, err = run(
        "align", files / "x.npy", files / "y.npy", "--out", aligner, "--keep-recall", 0.5, "--json"
    )
    assert code == 0, err
    assert json.loads(out)["aligners"]["shared"]["collapsed"] is False
    assert read_verification(aligner)["shared"]["rmg"] == json.loads(out)["aligners"]["shared"]["rmg"]
    for name in "xy":
        mapped = files / f"{name}-mapped.npy"
        code, _, err = run("apply", aligner, files / f"{name}.npy", "--modality", name, "--out", mapped)
        assert code == 0, err
        fitted = load_aligner(aligner)
        rows = np.load(files / f"{name}.npy")
        expected = fitted.transform(rows) if name == "x" else fitted.transform_y(rows)
        assert np.load(mapped) == pytest.approx(expected, abs=1e-6)


def test_align_says_when_it_collapsed(run, files):
    words = ("align", files / "x.npy", files / "y.npy", "--aligner", "linear", "--option", "alpha=10000")
    code, out, err = run(*words, "--out", files / "a.safetensors")
    assert code == 0
    assert "collapsed" in out
    assert "linear collapsed" in err


def test_options_reach_the_aligner(run, files):
    out = files / "a.safetensors"
    words = ("align", files / "x.npy", files / "y.npy", "--out", out)
    assert run(*words, "--aligner", "shift", "--option", "strength=0.25")[0] == 0
    assert load_aligner(out).strength == 0.25
    code, _, err = run(*words, "--aligner", "shift", "--option", "epochs=3")
    assert code == 2
    assert "--option takes NAME=VALUE with a NAME of strength; got 'epochs=3'" in err


@pytest.mark.parametrize(
    "words, message",
    [
        (("measure", "none.npy", "y.npy"), "no such file or folder: none.npy"),
        (("measure", "x.npy", "short.npy"), "x.npy has 200 rows, short.npy has 199"),
        (("measure", "x.npy", "wide.npy"), "x.npy has dim 24, wide.npy has dim 25"),
        (("measure", "x.npy", "nan.npy"), "nan.npy has 2 NaN or infinite rows, the first is row 7"),
        (("measure", "x.npy", "y.npy", "--groups", "groups.csv:name"), "groups.csv"),
        (("compare", "x.npy", "y.npy", "--aligner", "magic"), "unknown aligner 'magic'"),
        (("compare", "x.npy", "y.npy", "--folds", "1"), "folds must be a whole number"),
        (
            ("align", "x.npy", "y.npy", "--out", "a.safetensors", "--held-out", "0.001"),
            "expected at least 2 of each",
        ),
        (("align", "x.npy", "y.npy", "--out", "a.txt"), "a.txt must end in .safetensors"),
        (("align", "x.npy", "y.npy", "--out", "no/a.safetensors"), "no such folder"),
        (("align", "x.npy", "y.npy", "--out", "dir.safetensors"), "exists and is not a file"),
        (("align", "x.npy", "y.npy", "--out", "other.safetensors"), "other.safetensors is not a readable"),
        (("align", "x.npy", "y.npy", "--out", "a.safetensors", "--report", "no/r.html"), "no such folder"),
        (("compare", "x.npy", "y.npy", "--report", "no/r.html"), "no such folder"),
        (("compare", "x.npy", "y.npy", "--keep-recall", "3"), "keep_recall must be a number in (0, 1]"),
        (
            ("align", "x.npy", "y.npy", "--out", "a.safetensors", "--option", "strength=[1]"),
            "strength must be",
        ),
        (("apply", "x.npy", "x.npy", "--out", "new.npy"), "x.npy is not a readable safetensors file"),
        (("measure",), "requires an argument"),
        (("measure", "x.npy", "y.npy", "--jsn"), "--json"),
        (("nonsense",), "nonsense"),
    ],
)
def test_bad_input_exits_2_with_a_message_and_writes_nothing(run, files, monkeypatch, words, message):
    x = np.load(files / "x.npy")
    np.save(files / "short.npy", x[1:])
    np.save(files / "wide.npy", np.pad(x, ((0, 0), (0, 1))))
    x[[7, 9]] = np.nan
    np.save(files / "nan.npy", x)
    monkeypatch.chdir(files)
    (files / "dir.safetensors").mkdir()
    (files / "other.safetensors").write_text("precious")
    before = sorted(files.rglob("*"))
    code, out, err = run(*words)
    assert code == 2
    assert message in " ".join((out + err).split()) if "--jsn" not in words else message in out + err
    assert "Traceback" not in err
    assert sorted(files.rglob("*")) == before


def test_apply_of_other_dims_and_rows_is_refused(run, files):
    aligner = files / "a.safetensors"
    run("align", files / "x.npy", files / "y.npy", "--aligner", "collapse", "--out", aligner)
    np.save(files / "wide.npy", np.ones((3, 25)))
    bad = np.load(files / "x.npy")
    bad[150] = 0
    np.save(files / "bad.npy", bad)
    code, _, err = run("apply", aligner, files / "wide.npy", "--out", files / "new.npy")
    assert (code, f"{files}/wide.npy has dim 25, {aligner} was fitted on dim 24" in err) == (2, True)
    code, _, err = run("apply", aligner, files / "bad.npy", "--out", files / "new.npy")
    assert (code, "bad.npy has 1 zero row, the first is row 150" in err) == (2, True)
    assert not (files / "new.npy").exists()


def test_demo_ends_with_a_report_that_shows_pictures(run, tmp_path, monkeypatch):
    monkeypatch.setattr("isthmus.cli.demo._SCENES", 150)
    for _ in range(2):  # it can be run again
        code, _, err = run("demo", "--out", tmp_path / "demo")
        assert code == 0, err
    page = Path(err.replace("\n", "").rsplit("report:", 1)[1].strip()).read_text()
    assert "What a search finds" in page
    assert "data:image/png;base64," in page
    assert np.load(tmp_path / "demo" / "image-aligned" / "img_emb_0.npy").shape == (150, 256)


def start(*words):
    command = [sys.executable, "-m", "isthmus", *(str(word) for word in words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def stop_once(there, process, how=signal.SIGKILL):
    """Send a signal as soon as `there()` holds; return the exit code and what was said."""
    for _ in range(12000):
        if there() or process.poll() is not None:
            break
        time.sleep(0.005)
    process.send_signal(how)
    said = process.communicate(timeout=60)[1]
    return process.returncode, said


@pytest.mark.slow
def test_killed_align_resumes_to_the_same_bytes(files):
    pytest.importorskip("torch", reason="torch is an extra")
    options = ("--option", "epochs=300", "--option", "patience=0", "--option", "checkpoint_seconds=0")
    words = (
        "align",
        files / "x.npy",
        files / "y.npy",
        "--aligner",
        "nonlinear",
        *options,
        "--option",
        "widths=[32]",
    )
    alone, resumed = files / "alone.safetensors", files / "resumed.safetensors"
    assert start_and_wait(*words, "--out", alone) == 0
    for stage in ("split", "all"):
        checkpoint = files / "resumed.safetensors.partial" / f"{stage}.safetensors"
        assert stop_once(checkpoint.exists, start(*words, "--out", resumed))[0] == -signal.SIGKILL
        assert checkpoint.exists()
        assert not resumed.exists()
    left = files / "resumed.safetensors.partial" / "all.safetensors.partial" / ".tmpA1b2C3"
    left.parent.mkdir(exist_ok=True)
    left.touch()  # as a kill amid a checkpoint does
    assert start_and_wait(*words, "--out", resumed) == 0
    assert resumed.read_bytes() == alone.read_bytes()
    assert not (files / "resumed.safetensors.partial").exists()


def start_and_wait(*words):
    process = start(*words)
    process.communicate()
    return process.returncode


def test_killed_apply_resumes_to_the_same_bytes(files):
    x = np.tile(np.load(files / "x.npy"), (6000, 1))  # 1,200,000 rows
    np.save(files / "large.npy", x)
    aligner = files / "a.safetensors"
    assert start_and_wait("align", files / "x.npy", files / "y.npy", "--out", aligner) == 0
    alone, resumed = files / "alone.npy", files / "resumed.npy"
    assert start_and_wait("apply", aligner, files / "large.npy", "--out", alone) == 0
    scratch = files / "resumed.npy.partial" / "rows.npy"
    process = start("apply", aligner, files / "large.npy", "--out", resumed)
    assert stop_once(scratch.exists, process)[0] == -signal.SIGKILL
    assert not resumed.exists()
    assert start_and_wait("apply", aligner, files / "large.npy", "--out", resumed) == 0
    assert resumed.read_bytes() == alone.read_bytes()


def test_interrupt_exits_130_without_a_traceback(files):
    pytest.importorskip("torch", reason="torch is an extra")
    options = ("--option", "epochs=100000", "--option", "patience=0", "--option", "checkpoint_seconds=0")
    out = files / "a.safetensors"
    process = start(
        "align", files / "x.npy", files / "y.npy", "--aligner", "nonlinear", *options, "--out", out
    )
    checkpoint = files / "a.safetensors.partial" / "split.safetensors"
    code, said = stop_once(checkpoint.exists, process, signal.SIGINT)
    assert code == 130
    assert b"interrupted" in said
    assert b"Traceback" not in said


@pytest.mark.parametrize(
    "aligner, option",
    [
        ("shift", "strength=abc"),
        ("linear", "alpha=-1"),
        ("cca", "components=1.5"),
        ("cca", "alpha=null"),
        ("shared", "shrinkage=true"),
        ("shared", "seed=abc"),
        ("nonlinear", "widths=5"),
        ("nonlinear", "epochs=0"),
        ("nonlinear", "batch_size=0"),
        ("nonlinear", "device=tpu"),
        ("nonlinear", "dropout=x"),
    ],
)
def test_bad_options_exit_2(run, files, aligner, option):
    name = option.partition("=")[0].removesuffix("s")
    words = ("--aligner", aligner, "--option", option, "--out", files / "a.safetensors")
    code, _, err = run("align", files / "x.npy", files / "y.npy", *words)
    assert code == 2
    assert name in err
    assert not (files / "a.safetensors").exists()


def test_a_users_folder_beside_the_output_is_left_alone(run, files):
    (files / "a.safetensors.partial").mkdir()
    (files / "a.safetensors.partial" / "mine.txt").write_text("precious")
    words = ("--aligner", "collapse", "--out", files / "a.safetensors")
    assert run("align", files / "x.npy", files / "y.npy", *words)[0] == 0
    assert (files / "a.safetensors.partial" / "mine.txt").read_text() == "precious"


def test_output_that_nobody_reads_is_no_error(files):
    process = start("measure", files / "x.npy", files / "y.npy")
    process.stdout.close()
    assert process.wait() == 0
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()


def test_several_aligners_may_follow_one_flag(run, files):
    code, out, err = run(
        "compare", files / "x.npy", files / "y.npy", "--aligner", "collapse", "shift", "--json"
    )
    assert code == 0, err
    assert set(json.loads(out)["aligners"]) == {"raw", "collapse", "shift"}


def test_traceback_is_there_for_who_asks(run, monkeypatch):
    monkeypatch.setitem(os.environ, "ISTHMUS_TRACEBACK", "1")
    with pytest.raises(FileNotFoundError):
        run("measure", "none.npy", "none.npy")
