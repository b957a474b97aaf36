"""Arithmetic across modalities: expressions, what they lead to, and whether that is right."""

from isthmus.evaluate.arithmetic.benchmark import ArithmeticOptions, arithmetic_benchmark
from isthmus.evaluate.arithmetic.expression import Expression, Operand, parse_expression
from isthmus.evaluate.arithmetic.fitting import fit_aligners
from isthmus.evaluate.arithmetic.nearest import nearest
from isthmus.evaluate.arithmetic.pairs import PairArithmetic, pair_arithmetic
from isthmus.evaluate.arithmetic.relations import Relation, RelationScores, read_relations, score_relations
from isthmus.evaluate.arithmetic.result import ArithmeticResult

__all__ = [
    "ArithmeticOptions",
    "ArithmeticResult",
    "Expression",
    "Operand",
    "PairArithmetic",
    "Relation",
    "RelationScores",
    "arithmetic_benchmark",
    "fit_aligners",
    "nearest",
    "pair_arithmetic",
    "parse_expression",
    "read_relations",
    "score_relations",
]
