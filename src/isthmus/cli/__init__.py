"""The command line: one thin file per verb."""

from isthmus.cli.app import main

__all__ = ["main"]
