"""Our table beside the paper's: for a terminal, as Markdown, as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MEASURES = {  # what is measured, and what a table calls it; all are shown in percent
    "facts_f1": "facts F1",
    "facts_precision": "facts P",
    "facts_recall": "facts R",
    "bleu_1": "BLEU-1",
    "bleu_4": "BLEU-4",
    "meteor": "METEOR",
    "rouge_l": "ROUGE-L",
    "cider": "CIDEr-D",
    "clip_score": "CLIPScore",
}
_PAPERS = {  # what the paper's columns are called
    "bleu_1": "B-1",
    "bleu_4": "B-4",
    "meteor": "M",
    "rouge_1": "R-1",
    "rouge_l": "R-L",
    "cider": "C",
    "spice": "S",
}
_BRIEF = ("facts_precision", "facts_recall")  # whose spread and interval a terminal has no room for
_MARKS = {"holds": "[green]holds[/green]", "not shown": "not shown", "reversed": "[red]reversed[/red]"}
ABSENT = "-"


@dataclass(frozen=True)
class Reproduction:
    """A table of the paper as the world has it, and the paper's own figures."""

    report: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
        return self.report

    def __rich__(self):
        from rich.box import SIMPLE_HEAD
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        report, title = self.report, f"{_title(self.report)}\n[dim]{_conditions(self.report)}[/dim]"
        table = Table(title=title, caption=_caption(report), box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        table.add_column("")
        shown, metrics = measured(report), report["paper"]["metrics"]
        for key in shown:
            table.add_column(MEASURES[key].replace(" ", "\n"), justify="right")
        for metric in metrics:
            table.add_column(f"[italic]paper\n{_PAPERS[metric]}[/italic]", justify="right")
        for row in report["rows"]:
            ours = [_cell(key, row["figures"].get(key)) for key in shown]
            papers = [_printed(row["paper"].get(m)).replace(" ", "\n", 1) for m in metrics]
            papers = [f"[italic dim]{cell}[/]" for cell in papers]
            table.add_row(_label(row).replace(" (", "\n("), *ours, *papers)
        return Group(table, _order_table(report), *(Text(line, style="dim") for line in told(report)))


def markdown(report: Mapping[str, Any]) -> str:
    """Return the table, the orders and the notes as Markdown."""
    shown, metrics = measured(report), report["paper"]["metrics"]
    heads = ["", *(MEASURES[key] for key in shown), *(f"*paper {_PAPERS[m]}*" for m in metrics)]
    lines = [f"# {_title(report)}", "", _conditions(report), "", _line(heads)]
    lines.append("|---" + "|---:" * (len(heads) - 1) + "|")
    for row in report["rows"]:
        ours = [_words(row["figures"].get(key)) for key in shown]
        lines.append(_line([_label(row), *ours, *(f"*{_printed(row['paper'].get(m))}*" for m in metrics)]))
    lines += ["", _caption(report), ""]
    if report["orders"]:
        heads = ["expected order", "measure", "by how much", "seed by seed", "it"]
        lines += [_line(heads), "|---|---|---|---|---|"]
        lines += [_line([*_order_cells(order), order["verdict"]]) for order in report["orders"]]
        lines.append("")
    return "\n".join([*lines, *(f"- {line}" for line in told(report))]) + "\n"


def measured(report: Mapping[str, Any]) -> list[str]:
    """Return the measures that the report has."""
    return [key for key in MEASURES if any(key in row["figures"] for row in report["rows"])]


def told(report: Mapping[str, Any]) -> list[str]:
    """Return what is to be said below the table."""
    left_out = [f"{name} is left out: {why}" for name, why in report["skipped"].items()]
    short = [
        "Quick: captioners trained this briefly do not tell which method is better; run without --quick."
    ]
    return [*(short if report["quick"] else []), *report["notes"], *left_out]


def _title(report: Mapping[str, Any]) -> str:
    return f"{report['paper']['name']} of C3, on the world: {report['title']}"


def _conditions(report: Mapping[str, Any]) -> str:
    seeds, setting = len(report["seeds"]), report["experiment"]
    quick = "quick: " if report["quick"] else ""
    spread = f"{seeds} seeds" if seeds > 1 else "1 seed, which says nothing of the spread"
    epochs = f"{setting['epochs']} epoch{'s' * (setting['epochs'] > 1)}"
    return (
        f"{quick}{setting['items']} scenes to learn from, {setting['captions']} captions each, "
        f"{epochs} of captions alone, {setting['test']} scenes held out, {spread}"
    )


def _caption(report: Mapping[str, Any]) -> str:
    return (
        "ours, on the world, in percent: mean ± standard deviation over seeds, and the 95% interval over "
        f"scenes; paper: as printed there, on {report['paper']['data']}: other data, other scale"
    )


def _label(row: Mapping[str, Any]) -> str:
    return f"{row['name']} ({row['items']} scenes)" if row["fewer"] else row["name"]


def _cell(key: str, figure: Mapping[str, Any] | None) -> str:
    """Return mean and spread, and in a second line the interval."""
    if figure is None or key in _BRIEF:
        return ABSENT if figure is None else f"{100 * figure['mean']:.1f}"
    return f"{_mean(figure)}\n[dim]{_interval(figure)}[/dim]"


def _words(figure: Mapping[str, Any] | None) -> str:
    return ABSENT if figure is None else f"{_mean(figure)} ({_interval(figure)})"


def _mean(figure: Mapping[str, Any]) -> str:
    spread = f" ± {100 * figure['spread']:.1f}" if figure["spread"] is not None else ""
    return f"{100 * figure['mean']:.1f}{spread}"


def _interval(figure: Mapping[str, Any]) -> str:
    return f"{100 * figure['low']:.1f}..{100 * figure['high']:.1f}"


def _printed(figure: Mapping[str, Any] | None) -> str:
    if figure is None:
        return ABSENT
    return f"{figure['value']:.1f}" + (f" ± {figure['spread']:.1f}" if figure["spread"] is not None else "")


def _order_table(report: Mapping[str, Any]):
    from rich.table import Table

    table = Table(title="Expected orders, by paired comparison", box=None)
    for name in ("order", "measure", "by how much", "seed by seed", "it"):
        table.add_column(name)
    for order in report["orders"]:
        table.add_row(*_order_cells(order), _MARKS[order["verdict"]])
    return table


def _order_cells(order: Mapping[str, Any]) -> list[str]:
    by_seed = " ".join(f"{100 * value:.1f}" for value in order["by_seed"])
    difference = f"{100 * order['difference']:.1f} ({100 * order['low']:.1f} to {100 * order['high']:.1f})"
    return [order["order"], MEASURES[order["measure"]], difference, by_seed]


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
