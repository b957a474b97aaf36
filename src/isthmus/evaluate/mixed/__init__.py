"""Search of corpora whose documents are images, texts, or both.

``mixed_search(corpus, queries, methods=...)`` is the whole of it; `make_documents` and `by_item` make what
it takes, `mix` makes both of pairs, `read_mixbench` reads them, and `mixed_task` does all for a store's rows.
"""

from isthmus.evaluate.mixed.choosing import choose_dials, shared_for_mixed, shared_for_mixed_search
from isthmus.evaluate.mixed.crossing import cross_search
from isthmus.evaluate.mixed.documents import KINDS, Documents, make_documents
from isthmus.evaluate.mixed.facts import by_facts
from isthmus.evaluate.mixed.methods import METHODS, Calibration
from isthmus.evaluate.mixed.mixbench import MixBench, read_mixbench
from isthmus.evaluate.mixed.mixture import Mixed, Mixture, every_row, mix
from isthmus.evaluate.mixed.questions import (
    Varied,
    calibration_sizes,
    corpus_ratios,
    query_centring,
    query_kinds,
)
from isthmus.evaluate.mixed.relevance import Judgements, Queries, by_item
from isthmus.evaluate.mixed.result import MixedOptions, MixedResult
from isthmus.evaluate.mixed.rules import Ranker
from isthmus.evaluate.mixed.search import mixed_search
from isthmus.evaluate.mixed.task import mixed_task
from isthmus.evaluate.mixed.weight import choose_weights, split_queries

__all__ = [
    "KINDS",
    "METHODS",
    "Calibration",
    "Documents",
    "Judgements",
    "MixBench",
    "Mixed",
    "MixedOptions",
    "MixedResult",
    "Mixture",
    "Queries",
    "Ranker",
    "Varied",
    "by_facts",
    "by_item",
    "calibration_sizes",
    "choose_dials",
    "choose_weights",
    "corpus_ratios",
    "cross_search",
    "every_row",
    "make_documents",
    "mix",
    "mixed_search",
    "mixed_task",
    "query_centring",
    "query_kinds",
    "read_mixbench",
    "shared_for_mixed",
    "shared_for_mixed_search",
    "split_queries",
]
