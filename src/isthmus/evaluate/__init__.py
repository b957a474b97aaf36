"""What an aligner is worth on pairs that it has not seen, and what captions are worth."""

from isthmus.evaluate.aligned import AlignedResult, Labelled, Subject, evaluate_aligned
from isthmus.evaluate.captions import (
    CaptionComparison,
    CaptionRows,
    CaptionScores,
    ClipScores,
    Difference,
    FactScores,
    clip_scores,
    compare_captions,
    score_captions,
    score_facts,
    tokenize,
)
from isthmus.evaluate.ceiling import Attained, recall_and_ceiling
from isthmus.evaluate.comparison import Comparison, HeldOut, Protocol, Verdict
from isthmus.evaluate.cross_validation import CLOSED_FORM, compare, configured, cross_validate, hold_out
from isthmus.evaluate.retrieval import GroupRetrieval, group_retrieval
from isthmus.evaluate.world import WorldFigures, WorldPair, measure_world, shown
from isthmus.evaluate.zero_shot import ZeroShot, class_prompts, ensemble, zero_shot

__all__ = [
    "CLOSED_FORM",
    "AlignedResult",
    "Attained",
    "CaptionComparison",
    "CaptionRows",
    "CaptionScores",
    "ClipScores",
    "Comparison",
    "Difference",
    "FactScores",
    "GroupRetrieval",
    "HeldOut",
    "Labelled",
    "Protocol",
    "Subject",
    "Verdict",
    "WorldFigures",
    "WorldPair",
    "ZeroShot",
    "class_prompts",
    "clip_scores",
    "compare",
    "compare_captions",
    "configured",
    "cross_validate",
    "ensemble",
    "evaluate_aligned",
    "group_retrieval",
    "hold_out",
    "measure_world",
    "recall_and_ceiling",
    "score_captions",
    "score_facts",
    "shown",
    "tokenize",
    "zero_shot",
]
