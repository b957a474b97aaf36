"""Arrays to numbers: the gap, its geometry, and what retrieval is left.

The room's main function has the room's name: ``isthmus.measure(x, y)`` gives
every figure, ``isthmus.measure.alignment(x, y)`` one of them.
"""

import sys
from types import ModuleType
from typing import Any

from isthmus.measure.bootstrap import Figure
from isthmus.measure.dimension import effective_dimension
from isthmus.measure.direction import gap_direction_cosine
from isthmus.measure.discrimination import (
    hubness,
    k_occurrence,
    mean_reciprocal_rank,
    recall_at,
    retrieval_ranks,
)
from isthmus.measure.distances import distances_within
from isthmus.measure.gap import (
    alignment,
    gap_share,
    l2m,
    mean_cosine_within,
    modality_probe,
    relative_modality_gap,
    uniformity,
)
from isthmus.measure.geometry import GeometrySummary, geometry
from isthmus.measure.items import Items, find_items
from isthmus.measure.statistics import GapStatistics
from isthmus.measure.summary import GapSummary, measure

__all__ = [
    "Figure",
    "GapStatistics",
    "GapSummary",
    "GeometrySummary",
    "Items",
    "alignment",
    "distances_within",
    "effective_dimension",
    "find_items",
    "gap_direction_cosine",
    "gap_share",
    "geometry",
    "hubness",
    "k_occurrence",
    "l2m",
    "mean_cosine_within",
    "mean_reciprocal_rank",
    "measure",
    "modality_probe",
    "recall_at",
    "relative_modality_gap",
    "retrieval_ranks",
    "uniformity",
]


class _Room(ModuleType):
    """Makes the room callable."""

    def __call__(self, *args: Any, **kwargs: Any) -> GapSummary:
        return measure(*args, **kwargs)


sys.modules[__name__].__class__ = _Room
