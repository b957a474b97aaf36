"""What an aligner does to the tasks that embeddings are for: figures raw, aligned, and how they differ."""

from isthmus.evaluate.aligned.evaluation import evaluate_aligned
from isthmus.evaluate.aligned.result import AlignedResult, Row
from isthmus.evaluate.aligned.subject import Labelled, Subject
from isthmus.evaluate.aligned.tasks import TASKS
from isthmus.evaluate.aligned.world import WORLD_CLASSES, WorldClasses, world_classes

__all__ = [
    "TASKS",
    "WORLD_CLASSES",
    "AlignedResult",
    "Labelled",
    "Row",
    "Subject",
    "WorldClasses",
    "evaluate_aligned",
    "world_classes",
]
