"""Tasks run on one subject, and their figures in one table."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from isthmus.checks import check_embeddings
from isthmus.evaluate.aligned.result import AlignedResult
from isthmus.evaluate.aligned.subject import LacksError, Subject
from isthmus.evaluate.aligned.tasks import TASKS, Outcome


def evaluate_aligned(
    subject: Subject,
    *,
    tasks: Sequence[str] = tuple(TASKS),
    notes: Sequence[str] = (),
    progress: Callable[[int, int, str], None] | None = None,
) -> AlignedResult:
    """Run tasks on embeddings as they are and as an aligner maps them.

    Parameters
    ----------
    subject : Subject
        The aligner, and embeddings of items that it was not fitted on: nothing here can know that.
    tasks : sequence of str
        Among `TASKS`; by default all.
    notes : sequence of str
        Shown below the table.
    progress : callable, optional
        Called with tasks done, tasks in all, and the task.

    Returns
    -------
    AlignedResult
        A row for every figure: raw, aligned, and their difference with its paired 95% bootstrap interval over
        items; and why tasks were skipped.

    Raises
    ------
    ValueError
        A task is unknown, none can be run, or embeddings do not fit the aligner.

    Examples
    --------
    >>> from isthmus.align import MeanCollapse
    >>> from isthmus.measure import find_items
    >>> from isthmus.theory import sample
    >>> x, y, _ = sample(400)
    >>> aligner = MeanCollapse().fit(x[:200], y[:200])
    >>> subject = Subject(aligner, x[200:], y[200:], find_items(x[200:], y[200:]))
    >>> found = evaluate_aligned(subject, tasks=["retrieval", "zero-shot"])
    >>> found.skipped
    {'zero-shot': 'there are no labels and classes'}
    >>> row = found.row("retrieval", "recall_at_1_x_to_y")
    >>> row.difference.value == row.aligned.value - row.raw.value
    True
    """
    if isinstance(tasks, str):
        raise ValueError(f"tasks must be a list of some of {', '.join(TASKS)}, got the text {tasks!r}")
    if not tasks or not set(tasks) <= set(TASKS):
        raise ValueError(f"tasks must be some of {', '.join(TASKS)}, got {', '.join(tasks) or 'none'}")
    _check(subject)
    skipped: dict[str, str] = {}
    whole = Outcome([], {})
    for done, name in enumerate(dict.fromkeys(tasks)):
        if progress is not None:
            progress(done, len(tasks), name)
        try:
            found = TASKS[name](subject)
        except LacksError as lack:
            skipped[name] = str(lack)
            continue
        whole = replace(
            whole,
            rows=whole.rows + found.rows,
            sizes=whole.sizes | found.sizes,
            details=whole.details | found.details,
        )
    if not whole.rows:
        told = "; ".join(f"{task}: {why}" for task, why in skipped.items())
        raise ValueError(f"there is nothing to evaluate: {told}")
    return AlignedResult(tuple(whole.rows), skipped, whole.sizes, whole.details, tuple(notes))


def _check(subject: Subject) -> None:
    """Raise ValueError unless all parts of a subject are of the same rows, as wide as the aligner takes."""
    n, width = len(subject.x), subject.aligner.n_features_in_
    check_embeddings(subject.x, "x", width)
    if subject.y is not None:
        check_embeddings(subject.y, "y", width)
        if len(subject.y) != n:
            raise ValueError(f"y must have a row for each of the {n} of x, got {len(subject.y)}")
    if subject.items is not None and len(subject.items.group) != n:
        raise ValueError(f"items must be of the {n} rows of x, got those of {len(subject.items.group)}")
    for labelled in subject.labelled:
        if len(labelled.labels) != n or labelled.prompts.shape[2] != width:
            raise ValueError(
                f"expected {n} labels and prompts of dim {width}, "
                f"got {len(labelled.labels)} and dim {labelled.prompts.shape[2]}"
            )
