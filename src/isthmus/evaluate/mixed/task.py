"""The task "mixed" of an evaluation: pairs made into a mixed corpus, searched raw and aligned."""

from typing import Any

from isthmus.align import PairedAligner
from isthmus.evaluate.mixed.methods import raw
from isthmus.evaluate.mixed.mixture import Mixture, mix
from isthmus.evaluate.mixed.result import MixedOptions, MixedResult
from isthmus.evaluate.mixed.search import mixed_search


def mixed_task(
    x: Any,
    y: Any,
    *,
    items: Any = None,
    aligner: PairedAligner | None = None,
    mixture: Mixture | None = None,
    options: MixedOptions | None = None,
) -> MixedResult:
    """Search a corpus made of pairs, with the embeddings as they are and as an aligner maps them.

    Each item becomes one document: an image, a text, or both, a third of
    each; what it leaves out searches for it. See :func:`mix`.

    Parameters
    ----------
    x, y : array-like of shape (n, dim)
        Images and texts as they were embedded; the aligner must not have been fitted on their items.
    items : array-like of shape (n,), optional
        The item of each pair; by default pairs that share a row are one.
    aligner : PairedAligner, optional
        Fitted, images as its x. Without, the embeddings as they are.
    mixture : Mixture, optional
        By default a third of each kind, and queries of text and of images.
    options : MixedOptions, optional
        Length of the lists, at most how many queries, seed.

    Returns
    -------
    MixedResult
        Of "raw" and, with an aligner, "aligned": ``to_dict()`` has every
        figure with its interval, and ``ndcg_against`` raw, paired by query.
        Figures are in [0, 1], log-ratios to the base 2.

    Raises
    ------
    ValueError
        Pairs are bad, or there are too few to make queries of.

    Examples
    --------
    >>> from isthmus.align import MeanCollapse
    >>> from isthmus.theory import sample
    >>> image, text, _ = sample(400)
    >>> aligner = MeanCollapse().fit(image[:200], text[:200])
    >>> found = mixed_task(image[200:], text[200:], aligner=aligner)
    >>> found.difference("aligned", "raw").low > 0
    True
    """
    made = mix(x, y, items=items, mixture=mixture or Mixture(queries=("text", "image")))
    methods = {"raw": raw} if aligner is None else {"raw": raw, "aligned": aligner}
    return mixed_search(made.corpus, made.queries, methods=methods, options=options or MixedOptions())
