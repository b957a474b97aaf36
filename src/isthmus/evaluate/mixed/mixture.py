"""A mixed corpus made from pairs: one document an item, and queries of what its document does not hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.checks import check_number, check_pairs
from isthmus.evaluate.mixed.documents import KINDS, Documents, make_documents
from isthmus.evaluate.mixed.relevance import Queries, by_item
from isthmus.measure.items import find_items


@dataclass(frozen=True)
class Mixture:
    """How a mixed corpus is made of items."""

    ratio: tuple[float, float, float] = (1, 1, 1)  # of documents that are images, texts, and both
    queries: tuple[str, ...] = ("text",)  # kinds of query to make, of KINDS
    per_item: int = 1  # queries of each kind and item, at most
    seed: int = 0  # of which item becomes what

    def __post_init__(self):
        if len(self.ratio) != 3 or min(self.ratio) < 0 or not sum(self.ratio) > 0:
            raise ValueError(
                f"ratio must be 3 numbers, for image, text and both, none below 0, got {self.ratio}"
            )
        if not self.queries or set(self.queries) - set(KINDS):
            raise ValueError(f"queries must name kinds among {', '.join(KINDS)}, got {self.queries}")
        check_number(self.per_item, "per_item", "[1, inf)", integer=True)
        check_number(self.seed, "seed", "[0, inf)", integer=True)


@dataclass(frozen=True, eq=False)
class Mixed:
    """A corpus and its queries.

    Examples
    --------
    >>> made = mix(np.eye(6), np.eye(6), mixture=Mixture(queries=("text", "image")))
    >>> made.corpus.counts, len(made.queries)
    ({'image': 2, 'text': 2, 'both': 2}, 4)
    """

    corpus: Documents
    queries: Queries
    items: np.ndarray  # (n,) the item of each document


def mix(x: Any, y: Any, *, items: Any = None, mixture: Mixture | None = None) -> Mixed:
    """Make one document of each item, an image, a text or both, and queries that search for them.

    An item's document holds its first image, its first text, or these two. A
    query is made of an item's parts that its document does not hold: an image
    searches for an item that is a text, its second text for any item. Items
    with one text are searched for by that text where they are an image, by
    the image where they are a text, and otherwise not at all.

    Parameters
    ----------
    x, y : array-like of shape (n, dim)
        Paired embeddings of images and texts, as for `isthmus.measure`: an image stands once per text.
    items : array-like of shape (n,), optional
        The item of each pair; by default pairs that share a row are one.
    mixture : Mixture, optional
        Ratio of the kinds, and which queries to make.

    Returns
    -------
    Mixed
        As many documents as there are items; each query has one answer.

    Raises
    ------
    ValueError
        Pairs are bad, or no query of the wanted kinds can be made.

    Examples
    --------
    >>> image, text = np.repeat(np.eye(3), 2, axis=0), np.arange(1.0, 19).reshape(6, 3)
    >>> mix(image, text, items=[0, 0, 1, 1, 2, 2]).queries.documents.text_row  # item 1 is an image
    array([1, 2, 5])
    """
    mixture = mixture or Mixture()
    x, y = check_pairs(x, y)
    known = find_items(x, y, items)
    first_image = _first(known.group, known.x_rows, known.count)
    first_text = _first(known.group, known.y_rows, known.count)
    kind = _kinds(known.count, mixture)
    image_row = np.where(kind == 1, -1, first_image)
    text_row = np.where(kind == 0, -1, first_text)
    corpus = make_documents(x, y, image_row=image_row, text_row=text_row)
    owner, parts = _queries(known.group, known.y_rows, text_row, mixture)
    images = first_image[owner]
    made = []
    for name in mixture.queries:
        # an image that the document holds would find itself
        fits = kind[owner] == 1 if name != "text" else np.ones(len(owner), dtype=bool)
        if name == "image":
            text_only = np.flatnonzero(kind == 1)
            made.append((text_only, first_image[text_only], np.full(len(text_only), -1)))
        else:
            seen = images[fits] if name == "both" else np.full(int(fits.sum()), -1)
            made.append((owner[fits], seen, parts[fits]))
    owners, seen, told = (np.concatenate([part[i] for part in made]) for i in range(3))
    if not len(owners):
        raise ValueError(f"no item has a {' or '.join(mixture.queries)} that its document does not hold")
    documents = Documents(x, y, seen, told)
    return Mixed(corpus, by_item(documents, owners, np.arange(known.count)), np.arange(known.count))


def every_row(x: Any, y: Any, *, items: Any = None) -> Mixed:
    """Make a document of every image and of every text, and a query of every text.

    A text does not find itself; its image and the other texts of its item answer it.

    Parameters
    ----------
    x, y : array-like of shape (n, dim)
        Paired embeddings of images and texts, as for :func:`mix`.
    items : array-like of shape (n,), optional
        The item of each pair; by default pairs that share a row are one.

    Returns
    -------
    Mixed
        Images first, then texts.

    Raises
    ------
    ValueError
        Pairs are bad.

    Examples
    --------
    >>> image, text = np.repeat(np.eye(3), 2, axis=0), np.arange(1.0, 19).reshape(6, 3)
    >>> made = every_row(image, text, items=[0, 0, 1, 1, 2, 2])
    >>> made.corpus.counts, made.queries.relevant.count
    ({'image': 3, 'text': 6, 'both': 0}, array([2, 2, 2, 2, 2, 2]))
    """
    x, y = check_pairs(x, y)
    known = find_items(x, y, items)
    images, texts = known.x_rows, known.y_rows
    none = np.full(len(images), -1), np.full(len(texts), -1)
    corpus = make_documents(
        x, y, image_row=np.concatenate([images, none[1]]), text_row=np.concatenate([none[0], texts])
    )
    owners = known.group[np.concatenate([images, texts])]
    queries = Documents(x, y, none[1], texts)
    own = len(images) + np.arange(len(texts))
    return Mixed(corpus, by_item(queries, known.group[texts], owners, excluded=own), owners)


def quotas(count: int, ratio: Sequence[float]) -> np.ndarray:
    """Cut `count` into whole numbers in a ratio, by largest remainders.

    Examples
    --------
    >>> quotas(10, (1, 1, 1))
    array([4, 3, 3])
    """
    exact = count * np.asarray(ratio, dtype=np.float64) / sum(ratio)
    whole = np.floor(exact + 1e-9).astype(np.int64)
    order = np.argsort(whole - exact, kind="stable")
    whole[order[: count - int(whole.sum())]] += 1
    return whole


def _kinds(count: int, mixture: Mixture) -> np.ndarray:
    kind = np.repeat(np.arange(3), quotas(count, mixture.ratio))
    return np.random.default_rng(mixture.seed).permutation(kind)


def _first(group: np.ndarray, rows: np.ndarray, count: int) -> np.ndarray:
    """First of `rows` of each item: (count,)."""
    out = np.full(count, -1)
    out[group[rows[::-1]]] = rows[::-1]
    return out


def _queries(
    group: np.ndarray, rows: np.ndarray, held: np.ndarray, mixture: Mixture
) -> tuple[np.ndarray, np.ndarray]:
    """Texts that their item's document does not hold, the first `per_item` of each, and their items."""
    free = rows[held[group[rows]] != rows]
    order = np.argsort(group[free], kind="stable")
    free, owner = free[order], group[free][order]
    start = np.searchsorted(owner, owner)
    kept = np.arange(len(owner)) - start < mixture.per_item
    return owner[kept], free[kept]
