"""Comparisons that the tests of the report share."""

import pytest

from isthmus.evaluate import Comparison, Protocol, compare
from isthmus.theory import sample


@pytest.fixture(scope="session")
def comparison() -> Comparison:
    """100 items of 2 captions each; "collapse" keeps its recall and "procrustes" collapses."""
    x, y, groups = sample(100, captions=2)
    protocol = Protocol(folds=2, keep_recall=0.9)
    return compare(x, y, groups=groups, aligners=["collapse", "procrustes"], protocol=protocol)
