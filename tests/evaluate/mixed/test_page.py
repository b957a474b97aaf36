"""docs/mixed-search.md: its code runs."""

import re
from pathlib import Path

import numpy as np

PAGE = Path(__file__).parents[3] / "docs" / "mixed-search.md"


def test_the_code_of_the_page_runs():
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    rng = np.random.default_rng(0)
    names = {
        "images": rng.normal(size=(2, 8)),
        "texts": rng.normal(size=(2, 8)),
        "asked": rng.normal(size=(2, 8)),
        "query_items": ["cat", "dog"],
        "document_items": ["cat", "dog", "dog"],
        "other_images": rng.normal(size=(30, 8)),
        "other_texts": rng.normal(size=(30, 8)),
    }
    exec(code[1], names)
    assert set(names["found"].answers) == {"raw", "gr-clip", "shared-mixed"}
