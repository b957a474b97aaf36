"""The words of the world's captions: the phrases for every fact, of which none means two things."""

PHRASES: dict[tuple[str, str], tuple[str, ...]] = {
    ("shape", "circle"): ("circle", "disc"),
    ("shape", "square"): ("square", "box"),
    ("shape", "triangle"): ("triangle", "wedge"),
    ("shape", "diamond"): ("diamond", "rhombus"),
    ("shape", "cross"): ("cross", "plus"),
    ("shape", "ring"): ("ring", "hoop"),
    ("colour", "red"): ("red", "crimson"),
    ("colour", "orange"): ("orange",),
    ("colour", "yellow"): ("yellow",),
    ("colour", "green"): ("green",),
    ("colour", "cyan"): ("cyan", "turquoise"),
    ("colour", "blue"): ("blue",),
    ("colour", "purple"): ("purple", "violet"),
    ("colour", "pink"): ("pink",),
    ("size", "small"): ("small", "little", "tiny"),
    ("size", "large"): ("large", "big", "huge"),
    ("place", "top left"): ("at the top left", "in the upper left corner"),
    ("place", "top"): ("at the top", "in the upper middle"),
    ("place", "top right"): ("at the top right", "in the upper right corner"),
    ("place", "left"): ("on the left", "at the left edge"),
    ("place", "centre"): ("in the centre", "in the middle"),
    ("place", "right"): ("on the right", "at the right edge"),
    ("place", "bottom left"): ("at the bottom left", "in the lower left corner"),
    ("place", "bottom"): ("at the bottom", "in the lower middle"),
    ("place", "bottom right"): ("at the bottom right", "in the lower right corner"),
    ("motion", "still"): ("standing still", "at rest"),
    ("motion", "left"): ("moving left", "drifting to the left"),
    ("motion", "right"): ("moving right", "drifting to the right"),
    ("motion", "up"): ("moving up", "rising"),
    ("motion", "down"): ("moving down", "falling"),
    ("motion", "growing"): ("growing", "getting bigger"),
    ("texture", "plain"): ("on a plain background", "before a bare wall"),
    ("texture", "striped"): ("on a striped background", "before stripes"),
    ("texture", "dotted"): ("on a dotted background", "before dots"),
    ("texture", "checkered"): ("on a checkered background", "before a chessboard"),
    ("light", "bright"): ("in bright light", "by day"),
    ("light", "dim"): ("in dim light", "at dusk"),
}
NOUNS = ("thing", "object", "something")  # of a thing whose shape is not told
ARTICLES = ("a", "an", "one")  # each begins another thing
OPENERS = ("", "", "there is ", "here is ", "we have ", "look, ")
EMPTY = ("a scene", "a view")  # where no thing is told
FILLERS = ("there", "is", "here", "we", "have", "look", "and", "with", "scene", "view")  # which tell nothing


def vocabulary() -> list[str]:
    """Return every word that a caption of the world can have, sorted.

    Returns
    -------
    list of str
        Lower case, each once.

    Examples
    --------
    >>> vocabulary()[:4]
    ['a', 'an', 'and', 'at']
    """
    phrases = [p for variants in PHRASES.values() for p in variants]
    return sorted({word for phrase in (*phrases, *NOUNS, *ARTICLES, *FILLERS) for word in phrase.split()})
