"""What the verbs print: results to standard output, progress to standard error."""

import json
import math
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn


def show(result: Any, *, as_json: bool) -> None:
    """Print a result that has ``to_dict()`` and a rich table, as one JSON object or as the table.

    JSON has no NaN and no infinity: they are null there.
    """
    if as_json:
        told = result if isinstance(result, dict) else result.to_dict()
        print(json.dumps(_finite(told), allow_nan=False))
    else:
        console = _Output()
        console.width = max(console.width, 0 if console.is_terminal else 170)
        console.print(result)


class _Output(Console):
    """Standard output, whose being closed by its reader is for `main` to see."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def _finite(told: Any) -> Any:
    if isinstance(told, dict):
        return {key: _finite(value) for key, value in told.items()}
    if isinstance(told, list | tuple):
        return [_finite(value) for value in told]
    return None if isinstance(told, float) and not math.isfinite(told) else told


def say(message: str) -> None:
    """Print a line for a person, to standard error."""
    print(message, file=sys.stderr)


def check_output(path: Path | None, suffix: str) -> None:
    """Raise, before any work is done, if a file cannot be written to `path`.

    Raises
    ------
    ValueError
        It has another suffix, or is something else than a file.
    FileNotFoundError
        Its folder does not exist.
    """
    if path is None:
        return
    if path.suffix != suffix:
        raise ValueError(f"{path} must end in {suffix}")
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} exists and is not a file")
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"no such folder: {path.absolute().parent}")


def short(names: tuple[str, str]) -> tuple[str, str]:
    """Return what to call two modalities: their files without folders and suffixes, where these differ."""
    x, y = (f"{_stem(file)}{colon}{entry}" for file, colon, entry in (n.partition(":") for n in names))
    return (x, y) if x != y else names


def _stem(file: str) -> str:
    """Return a file's name without folders and suffix, and "image" for a store's img_emb."""
    stem = Path(file).stem
    return "image" if stem == "img_emb" else stem.removesuffix("_emb")


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
