"""Expressions such as "image:12 - text:'red' + text:'blue'", read into operands and their weights."""

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from isthmus.checks import check_embeddings, unit_rows

MODALITIES = ("image", "text", "audio", "video")
_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<operand>[A-Za-z_]\w*:(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\s,()+*'":]*))
    |(?P<name>[A-Za-z_]\w*)
    |(?P<symbol>[-+*(),])""",
    re.VERBOSE,
)
_OPERATOR = "an operator (+, - or *)"
_OTHER_SIGNS = {"/": "0.5 * in place of / 2", **dict.fromkeys("−–—", "-"), **dict.fromkeys("×·⋅", "*")}
_DEPTH = 100  # parentheses and signs within one another
_CANCELLED = 1e-6  # length of a sum, as a share of the lengths in it, that is but rounding


@dataclass(frozen=True)
class Operand:
    """What an expression names: an item, a caption, or words.

    Examples
    --------
    >>> Operand("text", text="red") == Operand("text", text="red", at=7)
    True
    """

    modality: str
    id: str | None = None  # of an item, or of a caption
    text: str | None = None  # words, in place of an id
    at: int = field(default=0, compare=False)  # where in the expression it stands

    def __str__(self) -> str:
        return f"{self.modality}:{self.id}" if self.text is None else f"text:{self.text!r}"


@dataclass(frozen=True)
class Expression:
    """A sum of weighted operands.

    Make one with `parse_expression`.

    Examples
    --------
    >>> [(str(operand), weight) for operand, weight in parse_expression("2 * image:7 - text:9").terms]
    [('image:7', 2.0), ('text:9', -1.0)]
    """

    source: str  # as it was written
    terms: tuple[tuple[Operand, float], ...]  # every operand once, none with a weight of 0
    operands: tuple[Operand, ...]  # every operand once, those too whose weights come to 0

    def error(self, at: int, message: str) -> ValueError:
        """Return an error that points at a character of the expression."""
        return _error(self.source, at, message)

    def point(self, rows: Any) -> np.ndarray:
        """Return where the expression leads.

        Parameters
        ----------
        rows : array-like of shape (operands, dim)
            The embedding of each operand, in the order of `terms`; scaled to unit length here.

        Returns
        -------
        ndarray of float64, shape (dim,)
            Of unit length.

        Raises
        ------
        ValueError
            The number of rows is another, a row is bad, or the operands cancel each other out.

        Examples
        --------
        >>> parse_expression("image:1 - text:1").point([[5.0, 0.0], [0.0, 2.0]]).round(3)
        array([ 0.707, -0.707])
        """
        unit = unit_rows(check_embeddings(rows, "rows"))
        if len(unit) != len(self.terms):
            raise ValueError(f"rows must embed the {len(self.terms)} operands, got {len(unit)} rows")
        weights = np.array([weight for _, weight in self.terms])
        weights = weights / np.abs(weights).max()  # only their ratios matter, and large ones overflow
        total = weights @ unit
        if np.linalg.norm(total) <= _CANCELLED * np.abs(weights).sum():
            raise self.error(0, "the operands cancel each other out: nothing is left to look for")
        return total / np.linalg.norm(total)


def parse_expression(source: str) -> Expression:
    """Read an expression.

    Operands are ``image:ID``, ``text:ID``, ``audio:ID``, ``video:ID`` and
    ``text:'words'``; they are added, subtracted, multiplied by numbers, and
    put into ``mean(a, b, ...)``. An id runs up to a space, a comma, a
    parenthesis, + or *, so that a minus behind an id needs a space before it.
    An image's, sound's or video's id may be quoted; of a text, quotes are
    words. Within quotes a backslash keeps the next character as it is.

    Parameters
    ----------
    source : str
        The expression.

    Returns
    -------
    Expression
        Its operands, with their weights.

    Raises
    ------
    ValueError
        It is no expression of a point: with a caret below the character at fault.

    Examples
    --------
    >>> found = parse_expression("image:12 - text:'red' + 0.5 * mean(text:'blue', text:'cyan')")
    >>> [(str(operand), weight) for operand, weight in found.terms]
    [('image:12', 1.0), ("text:'red'", -1.0), ("text:'blue'", 0.25), ("text:'cyan'", 0.25)]
    >>> parse_expression("image:12 + + 3")
    Traceback (most recent call last):
    ...
    ValueError: a number and an embedding do not add up
      image:12 + + 3
               ^
    """
    parser = _Parser(source)
    value = parser.sum()
    if parser.kind != "end":
        raise parser.error(parser.at, f"expected {_OPERATOR}, found {parser.word!r}{parser.quote_hint()}")
    if not isinstance(value, dict):
        raise parser.error(0, "the result is a number, not a point: name an operand, such as image:12")
    terms = tuple((operand, weight) for operand, weight in value.items() if weight)
    if not terms:
        raise parser.error(0, "the operands cancel each other out: nothing is left to look for")
    return Expression(source, terms, tuple(value))


_Value = float | dict[Operand, float]  # a number, or weights of operands


class _Parser:
    """Recursive descent: sum > product > factor, each of which returns a value."""

    def __init__(self, source: str) -> None:
        self.source, self.end, self.depth = source, 0, 0
        self.advance()

    def advance(self) -> None:
        """Go on to the next token: its kind, its word, and where it begins."""
        self.kind, self.word, self.at = "space", "", self.end
        while self.kind == "space":
            self.at = self.end
            if self.at == len(self.source):
                self.kind, self.word = "end", ""
                return
            found = _TOKEN.match(self.source, self.at)
            if found is None:
                raise self.error(self.at, self._unreadable())
            self.kind, self.word, self.end = str(found.lastgroup), found[0], found.end()

    def error(self, at: int, message: str) -> ValueError:
        return _error(self.source, at, message)

    def sum(self) -> _Value:
        value = self.product()
        while self.word in ("+", "-"):
            sign, at = (1.0 if self.word == "+" else -1.0), self.at
            self.advance()
            value = self._add(value, self._times(sign, self.product(), at), at)
        return value

    def product(self) -> _Value:
        value = self.factor()
        while self.word == "*":
            at = self.at
            self.advance()
            value = self._times(value, self.factor(), at)
        return value

    def factor(self) -> _Value:
        kind, word, at = self.kind, self.word, self.at
        self.depth += 1
        if self.depth > _DEPTH:
            raise self.error(at, f"expected at most {_DEPTH} parentheses and signs within one another")
        self.advance()
        if kind == "number":
            value: _Value = self._finite(float(word), at)
        elif kind == "operand":
            value = {self._operand(word, at): 1.0}
        elif word in ("-", "+"):
            value = self._times(1.0 if word == "+" else -1.0, self.factor(), at)
        elif word == "(":
            value = self.sum()
            self._expect(")", f"{_OPERATOR} or ')'")
        elif word == "mean":
            value = self._mean(at)
        else:
            found = repr(word) if word else "the end"
            expected = "an operand such as image:12 or text:'red', a number, '(' or 'mean('"
            raise self.error(at, f"expected {expected}, found {found}")
        self.depth -= 1
        return value

    def _mean(self, at: int) -> _Value:
        self._expect("(", "'(' behind mean")
        value, count = self.sum(), 1
        while self.word == ",":
            self.advance()
            part = self.at
            value, count = self._add(value, self.sum(), part), count + 1
        self._expect(")", f"{_OPERATOR}, ',' or ')'")
        return self._times(1 / count, value, at)

    def _expect(self, symbol: str, told: str) -> None:
        if self.word != symbol:
            found = repr(self.word) if self.word else "the end"
            raise self.error(self.at, f"expected {told}, found {found}{self.quote_hint()}")
        self.advance()

    def quote_hint(self) -> str:
        """Return what to do about quotes that end before the words do."""
        touching = self.kind in ("name", "number") and self.source[self.at - 1] in "'\""
        return ": a quote within quotes needs a backslash before it" if touching else ""

    def _operand(self, word: str, at: int) -> Operand:
        modality, _, name = word.partition(":")
        if modality not in MODALITIES:
            raise self.error(
                at, f"expected one of {', '.join(MODALITIES)} before the colon, found {modality!r}"
            )
        quoted = name[:1] in ("'", '"') and len(name) > 1
        if quoted:
            name = re.sub(r"\\(.)", r"\1", name[1:-1])
        if not name.strip():
            what = "words" if quoted and modality == "text" else "an id"
            raise self.error(at + len(modality) + 1, f"expected {what} behind {modality}:")
        return (
            Operand(modality, text=name, at=at)
            if quoted and modality == "text"
            else Operand(modality, name, at=at)
        )

    def _add(self, a: _Value, b: _Value, at: int) -> _Value:
        if isinstance(a, dict) and isinstance(b, dict):
            total = dict(a)
            for operand, weight in b.items():
                total[operand] = self._finite(total.get(operand, 0.0) + weight, at)
            return total
        if isinstance(a, dict) or isinstance(b, dict):
            raise self.error(at, "a number and an embedding do not add up")
        return self._finite(a + b, at)

    def _times(self, a: _Value, b: _Value, at: int) -> _Value:
        if isinstance(a, dict):
            a, b = b, a
        if isinstance(a, dict):
            raise self.error(at, "an embedding is multiplied by numbers only")
        if isinstance(b, dict):
            return {operand: self._finite(a * weight, at) for operand, weight in b.items()}
        return self._finite(a * b, at)

    def _finite(self, number: float, at: int) -> float:
        if not np.isfinite(number):
            raise self.error(at, "the number is too large")
        return number

    def _unreadable(self) -> str:
        character, before = self.source[self.at], self.source[: self.at]
        if character in "'\"" and before.endswith(":"):
            return "this quote is never closed"
        if character in "'\"" and not before[-1:].isalnum():
            return "quotes stand behind a modality, as in text:'red'"
        if character == ":" and before[-1:].isspace():
            return "expected no space before the colon"
        if character in "'\":" and before:
            return (
                "an id ends before this: a minus behind an id needs a space before it, and an id with "
                f"{character} in it needs quotes"
            )
        instead = f": write {_OTHER_SIGNS[character]}" if character in _OTHER_SIGNS else ""
        return f"expected operands, numbers, and + - * ( ) between them, found {character!r}{instead}"


def _error(source: str, at: int, message: str) -> ValueError:
    from rich.cells import cell_len  # a character may be two columns wide, or none

    shown = "".join(c if c.isprintable() else " " for c in source)  # a line break would move the caret
    return ValueError(f"{message}\n  {shown}\n  {' ' * cell_len(shown[:at])}^")
