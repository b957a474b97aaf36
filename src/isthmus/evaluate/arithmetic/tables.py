"""The tables of the benchmark: which way of closing the gap makes arithmetic work."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from isthmus.evaluate.arithmetic.queries import KINDS, PROMPTS
from isthmus.evaluate.arithmetic.result import ALL, CHOSEN, ArithmeticResult, Row
from isthmus.evaluate.arithmetic.weighing import is_weight, weight_of
from isthmus.measure.bootstrap import Figure

SHOWN = (
    "phrase"  # the wording that all kinds of query have, and that tables are of where they do not compare it
)
_OPERAND = "R@1, operand among the candidates"


@dataclass(frozen=True)
class Sheet:
    """A table.

    Examples
    --------
    >>> print(Sheet("Sums", ("a", "b"), (("1", "2"),)).markdown())
    **Sums**
    <BLANKLINE>
    | a | b |
    |---|---:|
    | 1 | 2 |
    <BLANKLINE>
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Return it as Markdown."""
        lines = [f"**{self.title}**", "", _line(self.heads), "|---" + "|---:" * (len(self.heads) - 1) + "|"]
        return "\n".join([*lines, *(_line(row) for row in self.rows)]) + "\n"

    def __rich__(self) -> Any:
        from rich.table import Table
        from rich.text import Text

        table = Table(title=Text(self.title), title_justify="left")
        for number, name in enumerate(self.heads):
            table.add_column(Text(name), justify="right" if number else "left")
        for row in self.rows:
            table.add_row(*(Text(cell) for cell in row))
        return table


def sheets(result: ArithmeticResult) -> list[Sheet]:
    """Return the tables of a result.

    Parameters
    ----------
    result : ArithmeticResult
        Of the benchmark.

    Returns
    -------
    list of Sheet
        What each aligner does, by modality; by kind of query; less what raw does on the same queries; by
        wording; and by the weight of the texts.

    Examples
    --------
    >>> sheets(ArithmeticResult("world", {}, ()))
    []
    """
    found: list[Sheet] = []
    for modality in dict.fromkeys(row.modality for row in result.rows):
        of_it = [row for row in result.rows if row.modality == modality]
        methods = list(dict.fromkeys(row.method for row in of_it))
        look = _Look(of_it)
        kinds = [kind for kind in KINDS if any(row.kind == kind for row in of_it)]
        found.append(_overview(modality, methods, look))
        found.append(
            _recalls(
                f"{modality}: R@1 by kind of query, worded as a {SHOWN}",
                kinds,
                methods,
                lambda method, kind, look=look: look(kind, SHOWN, method),
            )
        )
        if len(methods) > 1:
            found.append(_differences(modality, kinds, methods, look))
        found.append(_wordings(modality, of_it, look))
        answers = [answer for answer in dict.fromkeys(row.answer for row in of_it) if is_weight(answer)]
        if answers:
            found.append(_weights(modality, answers, methods, look))
    return found


class _Look:
    """Finds a row by what tells it from the others of a modality."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = {(row.kind, row.prompt, row.method, row.answer): row for row in rows}

    def __call__(self, kind: str, prompt: str, method: str, answer: str = "arithmetic") -> Row | None:
        return self.rows.get((kind, prompt, method, answer))


def _overview(modality: str, methods: list[str], look: _Look) -> Sheet:
    """Show one line per aligner, and below them the trivial answers."""
    lines: list[tuple[str, ...]] = []
    for method in methods:
        row = look(ALL, SHOWN, method)
        assert row is not None
        lines.append((method, *_figures(row)))
    for answer, name in (("text", "the text alone"), ("image", f"the {modality}'s neighbours")):
        rows = [look(ALL, SHOWN if answer == "text" else "", method, answer) for method in methods]
        best = max((row for row in rows if row), key=lambda row: row.figures["recall_at_1"].value)
        lines.append((f"{name} (best: {best.method})", *_figures(best)))
    heads = ("", "R@1", "R@10", _OPERAND, "changed facts", "kept facts")
    return Sheet(f"{modality}: all queries, worded as a {SHOWN}", heads, tuple(lines))


def _differences(modality: str, kinds: list[str], methods: list[str], look: _Look) -> Sheet:
    """Show what each aligner finds more than raw does, query by query: over all of them, and R@1 by kind."""
    lines = []
    for method in methods:
        if method == "raw":
            continue
        over_all = _over_raw(look(ALL, SHOWN, method))
        by_kind = (_over_raw(look(kind, SHOWN, method)).get("recall_at_1") for kind in kinds)
        figures = (over_all.get(name) for name in ("recall_at_1", "recall_at_10", "recall_at_1_with_operand"))
        lines.append((method, *(_gain(figure) for figure in (*figures, *by_kind))))
    heads = ("", "R@1", "R@10", _OPERAND, *(f"R@1, {kind}" for kind in kinds))
    return Sheet(f"{modality}: more than raw on the same queries, worded as a {SHOWN}", heads, tuple(lines))


def _over_raw(row: Row | None) -> dict[str, Figure]:
    return {} if row is None else row.over_raw


def _figures(row: Row) -> list[str]:
    names = ("recall_at_1", "recall_at_10", "recall_at_1_with_operand", "changed", "kept")
    return [_interval(row.figures[name]) for name in names]


def _recalls(
    title: str, columns: list[str], methods: list[str], find: Callable[[str, str], Row | None]
) -> Sheet:
    """Show R@1 by aligner and something else."""
    rows = [(m, *(_recall(find(m, column)) for column in columns)) for m in methods]
    return Sheet(title, ("", *columns), tuple(rows))


def _weights(modality: str, answers: list[str], methods: list[str], look: _Look) -> Sheet:
    """Show R@1 by aligner and weight of the texts, and at the one chosen on the other seeds."""
    columns = sorted([*answers, "arithmetic"], key=weight_of)
    chosen = [look(ALL, SHOWN, method, CHOSEN) for method in methods]
    rows = [(m, *(_recall(look(ALL, SHOWN, m, column)) for column in columns)) for m in methods]
    heads = ("", *(f"{weight_of(answer):g}" for answer in columns))
    if any(chosen):
        rows = [
            (*row, _recall(best), _gain(_over_raw(best).get("recall_at_1")))
            for row, best in zip(rows, chosen, strict=True)
        ]
        heads = (*heads, "chosen on the other seeds", "more than raw, both chosen")
    return Sheet(
        f"{modality}: R@1 over all queries, by what the texts are multiplied with", heads, tuple(rows)
    )


def _wordings(modality: str, of_it: list[Row], look: _Look) -> Sheet:
    """Show R@1 by kind of query and wording, raw and with the means removed."""
    methods = [m for m in ("raw", "collapse") if any(row.method == m for row in of_it)]
    prompts = [p for p in PROMPTS if any(row.prompt == p for row in of_it)]
    heads = ("", *(f"{prompt}, {method}" for prompt in prompts for method in methods))
    rows = [
        (kind, *(_recall(look(kind, prompt, method)) for prompt in prompts for method in methods))
        for kind in KINDS
        if any(row.kind == kind for row in of_it)
    ]
    return Sheet(f"{modality}: R@1 by wording", heads, tuple(rows))


def _recall(row: Row | None) -> str:
    return "-" if row is None else _interval(row.figures["recall_at_1"])


def _interval(figure: Figure) -> str:
    value, low, high = (f"{100 * each:.0f}" for each in figure)
    return f"{value} ({low} to {high})"


def _gain(figure: Figure | None) -> str:
    if figure is None:
        return ""
    value, low, high = (f"{round(100 * each):+d}" for each in figure)
    return f"{value} ({low} to {high})"


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"
