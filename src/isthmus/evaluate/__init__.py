"""What an aligner is worth on pairs that it has not seen."""

from isthmus.evaluate.comparison import (
    CLOSED_FORM,
    Comparison,
    HeldOut,
    Protocol,
    Verdict,
    compare,
    configured,
    cross_validate,
    hold_out,
)

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
