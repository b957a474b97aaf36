"""Expressions are read as arithmetic has it, and their errors point at the character at fault."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.checks import unit_rows
from isthmus.evaluate.arithmetic.expression import Operand, parse_expression

ROWS = {
    "image:1": np.array([1.0, 2.0, 0.5]),
    "text:2": np.array([0.3, -1.0, 4.0]),
    "audio:x": np.array([-2.0, 1, 1]),
}


def weights(source):
    return {str(operand): weight for operand, weight in parse_expression(source).terms}


trees = st.recursive(
    st.sampled_from(sorted(ROWS)),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["({} + {})", "({} - {})", "{} + {}", "mean({}, {})"]), inner, inner).map(
            lambda t: t[0].format(t[1], t[2])
        ),
        st.tuples(
            st.sampled_from(["-({})", "2 * ({})", "({}) * .5", "(1 - 3e0) * ({})", "mean({})"]), inner
        ).map(lambda t: t[0].format(t[1])),
    ),
    max_leaves=8,
)


@given(trees)
@settings(max_examples=200, deadline=None)
def test_python_reads_the_same(source):
    code = source
    names = {f"v{i}": np.eye(3)[i] for i in range(3)}
    for i, name in enumerate(sorted(ROWS)):
        code = code.replace(name, f"v{i}")
    expected = eval(code, {"mean": lambda *v: sum(v) / len(v)}, names)  # noqa: S307
    if not np.any(expected):
        with pytest.raises(ValueError, match="cancel"):
            parse_expression(source)
        return
    found = weights(source)
    np.testing.assert_allclose([found.get(name, 0) for name in sorted(ROWS)], expected, atol=1e-12)


@pytest.mark.parametrize(
    "source, expected",
    [
        ("image:12 - text:'red' + text:\"it's\"", {"image:12": 1, "text:'red'": -1, 'text:"it\'s"': 1}),
        ("image:dog-1.jpg -text:7#3", {"image:dog-1.jpg": 1, "text:7#3": -1}),
        ("image:'a b+c.jpg'*3", {"image:a b+c.jpg": 3}),
        ("image:1+image:1", {"image:1": 2}),
        ("image:1 + text:2 - text:2", {"image:1": 1}),
        ("- - -video:1", {"video:1": -1}),
        ("2 - 1 + 3 * 2 - 6 * image:1", None),
        ("1 - 2 * 3 * (image:1 - image:2)", None),
        ("(1 - 2) * 3 * (image:1 - image:2)", {"image:1": -3, "image:2": 3}),
        ("mean(1, 3) * audio:#4", {"audio:#4": 2}),
        (r"text:'a \'b\' \\'", {repr("a 'b' \\").join(["text:", ""]): 1}),
    ],
)
def test_what_is_read(source, expected):
    if expected is None:
        with pytest.raises(ValueError, match="do not add up"):
            parse_expression(source)
    else:
        assert weights(source) == expected


@pytest.mark.parametrize(
    "source, at, message",
    [
        (
            "",
            0,
            "expected an operand such as image:12 or text:'red', a number, '\\(' or 'mean\\(', found the end",
        ),
        ("image:12 +", 10, "found the end"),
        ("image:12 + * 3", 11, "found '\\*'"),
        ("max(image:12)", 0, "or 'mean\\(', found 'max'"),
        ("image:12 image:13", 9, "expected an operator \\(\\+, - or \\*\\), found 'image:13'"),
        ("(image:12", 9, "or \\*\\) or '\\)', found the end"),
        ("mean(image:12; image:13)", 15, "or \\*\\), ',' or '\\)', found 'image:13'"),
        ("mean image:12", 5, "expected '\\(' behind mean, found 'image:12'"),
        ("red", 0, "found 'red'"),
        ("smell:12", 0, "expected one of image, text, audio, video before the colon, found 'smell'"),
        ("text:' '", 5, "expected words behind text:"),
        ("1 + image:", 10, "expected an id behind image:"),
        ("image:1 + 2", 8, "a number and an embedding do not add up"),
        ("image:1 + mean(1, image:2)", 18, "a number and an embedding do not add up"),
        ("image:1 * text:2", 8, "an embedding is multiplied by numbers only"),
        ("2 * 3", 0, "the result is a number, not a point"),
        ("image:1 - image:1", 0, "the operands cancel each other out"),
        ("image:12-text:'red'", 13, "a minus behind an id needs a space before it"),
        ("image:12 + 'red'", 11, "quotes stand behind a modality, as in text:'red'"),
        ("image:12 + 'red", 11, "quotes stand behind a modality, as in text:'red'"),
        ("text:'red", 5, "this quote is never closed"),
        (r"text:'red\'", 5, "this quote is never closed"),
        ("image:1 + text:'it's red'", 19, "found 's': a quote within quotes needs a backslash before it"),
        ("(text:'7'7')", 9, "found '7': a quote within quotes needs a backslash before it"),
        ("text:'7')", 8, "found '\\)'$"),
        ("text:it's", 7, "an id with ' in it needs quotes"),
        ("image:1:3", 7, "an id with : in it needs quotes"),
        ("image :1", 6, "expected no space before the colon"),
        ("image:1 & 2", 8, "expected operands, numbers, and \\+ - \\* \\( \\) between them, found '&'$"),
        ("image:1 / 2", 8, "found '/': write 0.5 \\* in place of / 2"),
        ("image:1 − image:2", 8, "found '−': write -$"),
        ("2 × image:1", 2, "found '×': write \\*$"),
        ("1e999 * image:1", 0, "the number is too large"),
        ("1e300 * 1e300 * image:1", 6, "the number is too large"),
        ("(" * 200, 100, "at most 100 parentheses and signs"),
    ],
)
def test_errors_point_at_the_character(source, at, message):
    with pytest.raises(ValueError) as found:
        parse_expression(source)
    told, shown, caret = str(found.value).split("\n")
    assert re.search(message, told)
    assert (shown, caret) == (f"  {source}", f"  {' ' * at}^")


def test_a_caret_stands_below_its_character_where_others_are_wide():
    """An ideograph or an emoji takes two columns, a combining accent none."""
    for before, columns in (("text:'犬'", 9), ("text:'😀'", 9), ("text:'e\u0301'", 8)):
        with pytest.raises(ValueError) as found:
            parse_expression(f"{before} & 2")
        assert str(found.value).split("\n")[2] == " " * (2 + columns + 1) + "^"


def test_rows_that_nearly_cancel_lead_somewhere():
    point = parse_expression("image:2 - image:1").point([[1.0, 0.0], [1.0, 1e-4]][::-1])
    np.testing.assert_allclose(point, [0, 1], atol=1e-4)


def test_many_operands_beside_one_another_are_no_depth():
    assert len(weights(" + ".join(f"-(image:{i})" for i in range(150)))) == 150


def test_a_line_break_does_not_move_the_caret():
    with pytest.raises(ValueError) as found:
        parse_expression("image:1\n& 2")
    assert str(found.value).split("\n")[1:] == ["  image:1 & 2", "          ^"]


def test_points_are_sums_of_unit_rows():
    expression = parse_expression("2 * image:1 - text:2 + audio:x")
    rows = np.array(list(ROWS.values()))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    expected = 2 * unit[0] - unit[1] + unit[2]
    np.testing.assert_allclose(expression.point(rows), expected / np.linalg.norm(expected))
    np.testing.assert_allclose(expression.point(rows * [[7], [0.1], [3]]), expression.point(rows))


def test_scale_of_the_weights_does_not_matter():
    rows = np.array(list(ROWS.values()))
    a, b = (parse_expression(f"{k} * (image:1 - text:2 + audio:x)").point(rows) for k in ("1", "1e-200"))
    np.testing.assert_allclose(a, b)


def test_rows_that_cancel_are_refused():
    expression = parse_expression("image:1 - text:1")
    with pytest.raises(ValueError, match="the operands cancel each other out"):
        expression.point([[1.0, 2.0], [2.0, 4.0]])
    rows = np.random.default_rng(0).normal(size=(20, 5))
    assert (unit_rows(rows) != unit_rows(0.7 * rows)).any()  # what rounding leaves leads nowhere
    for row in rows:
        with pytest.raises(ValueError, match="the operands cancel each other out"):
            expression.point([row, 0.7 * row])
    with pytest.raises(ValueError, match="rows must embed the 2 operands, got 1 rows"):
        expression.point([[1.0, 2.0]])
    with pytest.raises(ValueError, match="rows has 1 zero row"):
        expression.point([[1.0, 2.0], [0.0, 0.0]])


def test_where_an_operand_stands_is_known_but_does_not_count():
    (operand, _), *_ = parse_expression("  image:7").terms
    assert (operand, operand.at) == (Operand("image", "7"), 2)


def test_operands_that_drop_out_are_named_still():
    found = parse_expression("0 * audio:x + image:1 + text:2 - text:2")
    assert [str(operand) for operand in found.operands] == ["audio:x", "image:1", "text:2"]
    assert [operand.at for operand in found.operands] == [4, 14, 24]
    assert [str(operand) for operand, _ in found.terms] == ["image:1"]
