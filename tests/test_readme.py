"""What the README shows runs as it stands."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.slow
def test_library_example(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (code,) = blocks("python")
    exec(compile(code, "README.md", "exec"), {})
    assert "[" in capsys.readouterr().out
    assert (tmp_path / "aligner.safetensors").exists()


@pytest.mark.slow
def test_command_line_examples(tmp_path):
    pytest.importorskip("torch", reason="the encoders of the world need torch")
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("isthmus ")]
    assert len(lines) == 8
    for line in lines:
        words = [sys.executable, "-m", "isthmus", *shlex.split(line, comments=True)[1:]]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    made = {"compare.html", "report.html", "aligner.safetensors", "image-aligned", "store", "captioner"}
    assert made <= {path.name for path in tmp_path.iterdir()}


def test_links_lead_somewhere():
    root = Path(__file__).resolve().parents[1]
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("https://") or (root / target).exists(), target
