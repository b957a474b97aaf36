"""What the verbs print."""

import json

import pytest

from isthmus.cli.show import show


def test_what_is_printed_is_json(capsys):
    """NaN and Infinity are words of Python: other readers of JSON refuse them."""
    show({"a": [1.5, None]}, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"a": [1.5, None]}
    for number in (float("nan"), float("inf"), -float("inf")):
        with pytest.raises(ValueError, match="not JSON compliant"):
            show({"a": {"b": [number]}}, as_json=True)
        assert capsys.readouterr().out == ""
