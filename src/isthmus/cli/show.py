"""What the verbs print: results to standard output, progress to standard error."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn


def show(result: Any, *, as_json: bool) -> None:
    """Print a result that has ``to_dict()`` and a rich table, as one JSON object or as the table."""
    if as_json:
        print(json.dumps(result if isinstance(result, dict) else result.to_dict()))
    else:
        console = Console()
        console.width = max(console.width, 0 if console.is_terminal else 170)
        console.print(result)


def say(message: str, *, markup: bool = False) -> None:
    """Print a line for a person, to standard error; file names may hold what looks like markup."""
    Console(stderr=True, highlight=False).print(message, soft_wrap=True, markup=markup)


def short(names: tuple[str, str]) -> tuple[str, str]:
    """Return what to call two modalities: their files without folders and suffixes, where these differ."""
    x, y = (f"{Path(file).stem}{colon}{entry}" for file, colon, entry in (n.partition(":") for n in names))
    return (x, y) if x != y else names


@contextmanager
def progress_bar(title: str) -> Generator[Any]:
    """Show a bar on a terminal while the block runs; yields ``advance(done, total, text="")``."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(title, total=None)

        def advance(done: float, total: float, text: str = "") -> None:
            bar.update(task, completed=done, total=total, description=f"{title} {text}".rstrip())

        yield advance
