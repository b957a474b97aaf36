"""Captions of points: every operand loses the mean of its own modality."""

from types import SimpleNamespace

import numpy as np
import pytest

from isthmus.checks import unit_rows
from isthmus.decode.connection import Connection
from isthmus.decode.methods import METHODS
from isthmus.evaluate.arithmetic.expression import parse_expression
from isthmus.evaluate.arithmetic.telling import place, tell

RNG = np.random.default_rng(0)
MEANS = dict(zip(("text", "image"), 0.5 * unit_rows(RNG.normal(size=(2, 8))), strict=True))


class Writer:
    """Keeps what it is asked to caption, as the decoder would see it."""

    def __init__(self, method):
        self.connection = Connection(METHODS[method], MEANS)
        self.run = SimpleNamespace(folder="run")

    def write(self, rows, modality):
        self.row, self.modality = rows[0], modality
        self.seen = self.connection.infer(rows, modality)[0]
        return ["caption"]


def test_means_are_taken_from_every_operand():
    rows = RNG.normal(size=(3, 8))
    expression = parse_expression("image:1 - text:2 + 2 * text:3")
    writer = Writer("C2-collapse")
    assert tell(writer, expression, rows) == "caption"
    a, b, c = (
        unit_rows([unit_rows([r])[0] - MEANS[m]])[0]
        for r, m in zip(rows, ("image", "text", "text"), strict=True)
    )
    expected = a - b + 2 * c
    np.testing.assert_allclose(writer.seen, expected / np.linalg.norm(expected), atol=1e-12)
    assert np.linalg.norm(writer.row) == pytest.approx(1)


def test_one_operand_is_told_as_it_is():
    row = RNG.normal(size=(1, 8))
    tell(writer := Writer("C3"), parse_expression("image:1"), row)
    np.testing.assert_allclose(writer.row, unit_rows(row)[0], atol=1e-12)


def test_without_means_rows_are_added_as_they_are():
    rows = RNG.normal(size=(2, 8))
    tell(writer := Writer("C1"), parse_expression("audio:1 - text:2"), rows)
    expected = unit_rows(rows)[0] - unit_rows(rows)[1]
    np.testing.assert_allclose(writer.seen, expected / np.linalg.norm(expected), atol=1e-12)


def test_a_modality_that_it_does_not_know():
    with pytest.raises(
        ValueError, match="run has not learned where audio lies: it knows text, image"
    ) as found:
        tell(Writer("C3"), parse_expression("image:1 + audio:2"), np.eye(8)[:2])
    assert str(found.value).endswith("\n            ^")


@pytest.mark.parametrize("length", [0.0, 0.3, 0.999])
def test_place_inverts_collapse(length):
    for direction, mean in zip(
        RNG.normal(size=(20, 8)), length * unit_rows(RNG.normal(size=(20, 8))), strict=True
    ):
        row = place(direction, mean)
        assert np.linalg.norm(row) == pytest.approx(1)
        np.testing.assert_allclose(unit_rows([row - mean]), unit_rows([direction]), atol=1e-9)
