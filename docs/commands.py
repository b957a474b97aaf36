"""Print the help of every command as Markdown: ``python docs/commands.py > docs/commands.md``."""

import io
import os

os.environ |= {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}

from rich.console import Console

from isthmus.cli.app import app

_INNER = {
    "theory": (
        *("initialization", "optimization", "gradients", "stable-region", "dimensional-collapse"),
        *("random-clip", "cone", "gap-shift"),
    ),
    "calibrate": ("score",),
    "world": ("train", "evaluate"),
    "caption": ("train", "write", "score"),
}  # commands that have commands


def _names() -> list[str]:
    """Return every command, and after one that has commands of its own, these."""
    names = []
    for name in (n for n in app if not n.startswith("-")):
        names += [name, *(f"{name} {inner}" for inner in _INNER.get(name, ()))]
    return names


def main() -> None:
    """Print the page."""
    print("# Commands\n\nGenerated from the program's own help by `make docs`.")
    for name in ["", *_names()]:
        out = io.StringIO()
        console = Console(file=out, width=100, force_terminal=False, color_system=None)
        app.help_print(name.split(), console=console)
        text = "\n".join(line.rstrip() for line in out.getvalue().strip().splitlines())
        print(f"\n## isthmus {name}".rstrip() + f"\n\n```text\n{text}\n```")


main()
