"""How well lists of documents answer queries, and what kinds of documents they hold."""

import numpy as np


def ndcg(gains: np.ndarray, ideal: np.ndarray) -> np.ndarray:
    """Normalised discounted cumulative gain of each query's list [1]_.

    The gain of a document counts as it is (not ``2**gain - 1``), over the
    logarithm to the base 2 of its rank plus one, as in trec_eval and scikit-learn.

    Parameters
    ----------
    gains : ndarray of shape (n, k)
        Of the documents found, the best first; 0 for one that does not answer.
    ideal : ndarray of shape (n, k)
        The highest gains that any list could hold, descending: those of the
        whole corpus, from :func:`ideal_gains`, or, as GR-CLIP's released code
        has it, the gains that were found, sorted [2]_. The latter asks only
        whether what was found is well ordered, not whether all was found, and
        is never lower.

    Returns
    -------
    ndarray of shape (n,)
        In [0, 1]; 0 where nothing could be gained.

    References
    ----------
    .. [1] Järvelin and Kekäläinen, "Cumulated Gain-Based Evaluation of IR Techniques", 2002.
    .. [2] Li et al., "Closing the Modality Gap for Mixed Modality Search", 2025, ``retrieval_mixbench.py``:
       ``ndcg_score`` of the relevance of the top 10 alone.

    Examples
    --------
    >>> found, all_there_are = np.array([[0.0, 1.0]]), np.array([[1.0, 1.0]])
    >>> ndcg(found, all_there_are).round(3), ndcg(found, np.sort(found)[:, ::-1]).round(3)
    (array([0.387]), array([0.631]))
    """
    discount = 1 / np.log2(np.arange(gains.shape[1]) + 2)
    best = ideal @ discount
    return np.divide(gains @ discount, best, out=np.zeros(len(gains)), where=best > 0)


def ideal_gains(starts: np.ndarray, gains: np.ndarray, *, k: int) -> np.ndarray:
    """Return the k highest gains of each query, descending.

    Parameters
    ----------
    starts : ndarray of int, shape (n + 1,)
        Where each query's gains begin.
    gains : ndarray of shape (judged,)
        Of all documents that answer, query by query.
    k : int
        How many.

    Returns
    -------
    ndarray of shape (n, k)
        0 where there are no more.

    Examples
    --------
    >>> ideal_gains(np.array([0, 2, 3]), np.array([1.0, 2.0, 1.0]), k=2)
    array([[2., 1.],
           [1., 0.]])
    """
    owner = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    order = np.lexsort((-gains, owner))
    rank = np.arange(len(owner)) - starts[owner]
    out = np.zeros((len(starts) - 1, k))
    kept = rank < k
    out[owner[kept], rank[kept]] = gains[order][kept]
    return out


def recall(gains: np.ndarray, relevant: np.ndarray, *, k: int) -> np.ndarray:
    """Share of the documents that answer each query which are among its first k.

    Parameters
    ----------
    gains : ndarray of shape (n, m), m >= k
        Of the documents found, the best first.
    relevant : ndarray of int, shape (n,)
        How many documents of the corpus answer.
    k : int
        Length of the lists looked at.

    Returns
    -------
    ndarray of shape (n,)
        In [0, 1]; at most ``k / relevant``. 0 where nothing answers.

    Examples
    --------
    >>> recall(np.array([[1.0, 0.0, 2.0]]), np.array([4]), k=3)
    array([0.5])
    """
    return (gains[:, :k] > 0).sum(axis=1) / np.maximum(relevant, 1)


def kind_shares(found: np.ndarray, kind: np.ndarray, *, k: int) -> np.ndarray:
    """Share of each kind of document among the first k of each query.

    Parameters
    ----------
    found : ndarray of int, shape (n, m), m >= k
        Documents, -1 for none.
    kind : ndarray of int, shape (documents,)
        0, 1 or 2.
    k : int
        Length of the lists looked at.

    Returns
    -------
    ndarray of shape (n, 3)
        Rows sum to 1; to 0 where nothing was found.

    Examples
    --------
    >>> kind_shares(np.array([[0, 1, -1]]), np.array([0, 1, 1]), k=3)
    array([[0.5, 0.5, 0. ]])
    """
    top = found[:, :k]
    kinds = np.where(top < 0, -1, kind[top])
    counts = np.stack([(kinds == of).sum(axis=1) for of in range(3)], axis=1)
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def log_ratio(share: np.ndarray, expected: float, *, least: float) -> np.ndarray:
    """Logarithm to the base 2 of a share over what it would be if kinds were of no account.

    Parameters
    ----------
    share : ndarray
        Of a kind among what was found.
    expected : float
        Of that kind in the corpus, above 0.
    least : float
        A lower share counts as this, so that nothing found is not minus infinity: half a document.

    Returns
    -------
    ndarray
        0 for an even-handed method, 1 where a kind comes twice as often as in the corpus, -1 half as often.

    Examples
    --------
    >>> log_ratio(np.array([0.5, 0.0]), 0.25, least=1 / 64)
    array([ 1., -4.])
    """
    return np.log2(np.maximum(share, least) / expected)
