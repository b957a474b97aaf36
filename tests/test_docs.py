"""The pages of docs/: what they show is there."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(DOCS.rglob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(DOCS)))
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    for target in (t.partition("#")[0] for t in targets if "://" not in t and not t.startswith("#")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"


def test_every_picture_is_shown():
    shown = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for picture in sorted((DOCS / "figures").glob("*.svg")):
        assert f"figures/{picture.name}" in shown, f"no page shows {picture.name}: remove it, or show it"
