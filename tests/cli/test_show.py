"""What the verbs print."""

import json

import pytest

from isthmus.cli.show import show


def test_what_is_printed_is_json(capsys):
    """NaN and Infinity are words of Python: other readers of JSON refuse them."""
    show({"a": [1.5, None]}, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"a": [1.5, None]}
    show({"a": {"b": [float("nan"), (float("inf"), 2)]}, "c": -float("inf")}, as_json=True)
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {
        "a": {"b": [None, [None, 2]]},
        "c": None,
    }
