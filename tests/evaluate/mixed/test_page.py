"""docs/mixed-search.md: its code runs."""

import re
from pathlib import Path

import numpy as np
import pytest

from isthmus.align import load_aligner

PAGE = Path(__file__).parents[3] / "docs" / "mixed-search.md"


@pytest.fixture
def subset(tmp_path):
    """A folder as MixBench has them."""
    (tmp_path / "queries.jsonl").write_text(
        '{"query_id": "a", "text": "a dog"}\n{"query_id": "b", "text": "a cat"}\n'
    )
    (tmp_path / "corpus.jsonl").write_text(
        '{"corpus_id": "d", "image": "d.jpg"}\n{"corpus_id": "e", "text": "cats", "image": "e.jpg"}\n'
    )
    (tmp_path / "qrels.tsv").write_text("a\td\t1\nb\te\t1\n")
    return tmp_path


def test_the_code_of_the_page_runs(subset, monkeypatch):
    monkeypatch.chdir(subset)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    rng = np.random.default_rng(0)
    embed = lambda things: rng.normal(size=(len(things), 8))  # noqa: E731
    names = {
        "images": rng.normal(size=(2, 8)),
        "texts": rng.normal(size=(2, 8)),
        "asked": rng.normal(size=(2, 8)),
        "query_items": ["cat", "dog"],
        "document_items": ["cat", "dog", "dog"],
        "other_images": rng.normal(size=(30, 8)),
        "other_texts": rng.normal(size=(30, 8)),
        "folder": subset,
        "embed_images": embed,
        "embed_texts": embed,
    }
    exec(blocks[0], names)
    assert set(names["found"].answers) == {"raw", "gr-clip", "shared-mixed"}
    exec(blocks[1], names)
    opened = load_aligner("mixed.safetensors")
    np.testing.assert_array_equal(
        opened.transform(names["images"]), names["aligner"].transform(names["images"])
    )
    exec(blocks[2], names)
    assert names["found"].counts == {"image": 1, "text": 0, "both": 1}
