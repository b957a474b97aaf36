"""Captions read back into facts."""

import re
from dataclasses import replace

from isthmus.sources.world.facts import Facts, Told
from isthmus.sources.world.words import ARTICLES, FILLERS, NOUNS, PHRASES

_MEANING = {phrase: fact for fact, phrases in PHRASES.items() for phrase in phrases}
_KNOWN = sorted((*_MEANING, *NOUNS, *ARTICLES, *FILLERS), key=len, reverse=True)  # the longest first
_PIECE = re.compile(r"\b(?:" + "|".join(map(re.escape, _KNOWN)) + r")\b|[^\s,.]+")
_BACKGROUND = ("texture", "light")


def read_caption(text: str, *, strict: bool = False) -> Facts:
    """Read what a caption tells, the inverse of :func:`write_caption`.

    Parameters
    ----------
    text : str
        A caption; upper and lower case, commas and full stops do not matter.
    strict : bool, default=False
        Refuse words that are not in the grammar. Otherwise they tell nothing,
        as those of a language model may.

    Returns
    -------
    Facts
        Things in the order of the text. An article, "something", or a second
        word for one kind of fact begins another thing.

    Raises
    ------
    ValueError
        A word is unknown, and `strict`.

    Examples
    --------
    >>> read_caption("A tiny red disc at the top left, and something blue at dusk.").things[0]
    Told(shape='circle', colour='red', size='small', place='top left', motion=None)
    """
    things: list[Told] = []
    background: dict[str, str] = {}
    begun = False  # whether the last thing can still be told of
    named = False  # whether it has its noun, after which "something" is another
    for piece in _PIECE.findall(" ".join(text.lower().split())):
        if piece in ARTICLES:
            begun = False
        elif piece in NOUNS:
            if not begun or (named and piece == "something"):  # which has no article before it
                things.append(Told())
            begun = named = True
        elif piece in _MEANING:
            kind, value = _MEANING[piece]
            if kind in _BACKGROUND:
                background[kind] = value
                continue
            if not begun or getattr(things[-1], kind) is not None:
                things.append(Told())
                named = False
            things[-1] = replace(things[-1], **{kind: value})
            begun, named = True, named or kind == "shape"
        elif strict and piece not in FILLERS:
            raise ValueError(f"{piece!r} is not a word of the world's captions: {text!r}")
    return Facts(tuple(things), background.get("texture"), background.get("light"))
