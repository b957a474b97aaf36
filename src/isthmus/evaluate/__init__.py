"""What an aligner is worth on pairs that it has not seen."""

from isthmus.evaluate.ceiling import Attained, recall_and_ceiling
from isthmus.evaluate.comparison import Comparison, HeldOut, Protocol, Verdict
from isthmus.evaluate.cross_validation import CLOSED_FORM, compare, configured, cross_validate, hold_out
from isthmus.evaluate.world import WorldFigures, WorldPair, measure_world

__all__ = [
    "CLOSED_FORM",
    "Attained",
    "Comparison",
    "HeldOut",
    "Protocol",
    "Verdict",
    "WorldFigures",
    "WorldPair",
    "compare",
    "configured",
    "cross_validate",
    "hold_out",
    "measure_world",
    "recall_and_ceiling",
]
