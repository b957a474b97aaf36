"""What an aligner is worth on pairs that it has not seen."""

from isthmus.evaluate.comparison import Comparison, HeldOut, Protocol, Verdict
from isthmus.evaluate.cross_validation import CLOSED_FORM, compare, configured, cross_validate, hold_out

__all__ = [
    "CLOSED_FORM",
    "Comparison",
    "HeldOut",
    "Protocol",
    "Verdict",
    "compare",
    "configured",
    "cross_validate",
    "hold_out",
]
