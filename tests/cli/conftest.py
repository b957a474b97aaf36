"""The command line as a user calls it."""

import sys

import pytest

from isthmus.cli import main


@pytest.fixture
def run(monkeypatch, capsys):
    """Call the command line in this process; returns exit code, standard output and standard error."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["isthmus", *(str(word) for word in words)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
        out = capsys.readouterr()
        return code, out.out, out.err

    return call
