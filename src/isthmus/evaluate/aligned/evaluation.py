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
    if not tasks or not set(tasks) <= set(TASKS):
        raise ValueError(f"tasks must be some of {', '.join(TASKS)}, got {', '.join(tasks) or 'none'}")
    width = subject.aligner.n_features_in_
    check_embeddings(subject.x, "x", width)
    for labelled in subject.labelled:
        if len(labelled.labels) != len(subject.x) or labelled.prompts.shape[2] != width:
            raise ValueError(
                f"expected {len(subject.x)} labels and prompts of dim {width}, "
                f"got {len(labelled.labels)} and dim {labelled.prompts.shape[2]}"
            )
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
