"""The examples of docs/encoders.md run."""

import re
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "encoders.md"


def test_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert len(examples) == 3
    for example in examples[1:]:  # the first needs weights
        exec(example, {})


def test_every_family_is_in_the_table():
    from isthmus.encoders import opening

    table = DOCUMENT.read_text(encoding="utf-8")
    assert [family for family in opening._FAMILIES if f"| `{family}" not in table] == []
