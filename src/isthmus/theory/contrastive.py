"""The symmetric contrastive loss and its gradients in closed form."""

from typing import Any

import numpy as np
from scipy.special import logsumexp, softmax

from isthmus.checks import check_number, check_pairs, row_norms, unit_rows
from isthmus.theory.initialization import collapsed
from isthmus.theory.simulation import Line, Simulation


def loss(x: Any, y: Any, *, temperature: float = 0.07) -> float:
    r"""Symmetric contrastive loss of pairs.

    .. math:: L = -\frac{1}{2n} \sum_i \left(
              \log \frac{e^{x_i \cdot y_i / \tau}}{\sum_j e^{x_i \cdot y_j / \tau}}
              + \log \frac{e^{x_i \cdot y_i / \tau}}{\sum_j e^{x_j \cdot y_i / \tau}} \right)

    Parameters
    ----------
    x, y : array-like of shape (n, dim)
        Pairs. Taken as they are: scale rows to unit length first where the logits are to be cosines.
    temperature : float, default=0.07
        What products are divided by, above 0.

    Returns
    -------
    float
        In [0, inf); ``log(n)`` where all logits are alike.

    Raises
    ------
    ValueError
        Shapes differ, n < 2, a row is zero or not finite, or `temperature` is out of range.

    References
    ----------
    .. [1] Zhang et al., "Connect, Collapse, Corrupt", ICLR 2024, section 2.3; after CLIP.

    Examples
    --------
    >>> pairs, alike = np.eye(2), np.ones((2, 3))
    >>> print(f"{loss(pairs, pairs, temperature=1.0):.4f} {loss(alike, alike):.4f}")
    0.3133 0.6931
    """
    logits = _logits(x, y, temperature)[2]
    both = logsumexp(logits, axis=0) + logsumexp(logits, axis=1)
    return float(np.mean(both / 2 - np.diagonal(logits)))


def loss_gradients(
    x: Any, y: Any, *, temperature: float = 0.07, scaled: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    r"""Gradients of the symmetric contrastive loss by each row.

    .. math:: \nabla_{x_i} L = \frac{1}{2 n \tau} \Big( \sum_j \alpha_{ij} y_j - 2 y_i \Big), \quad
              \alpha_{ij} = p(y_j | x_i) + p(x_i | y_j)

    with the softmaxes over the rows and the columns of the logits, and
    likewise for `y`. Descent goes against it: towards the pair, away from the
    others. :func:`lemma_gradients` is what the paper prints. Where rows are
    scaled to unit length before they enter the loss, with :math:`u = x / |x|`,

    .. math:: \nabla_x = (I - u u^T) \nabla_u / |x|

    Parameters
    ----------
    x, y : array-like of shape (n, dim)
        Pairs.
    temperature : float, default=0.07
        What products are divided by, above 0.
    scaled : bool, default=False
        Whether the loss is of the rows scaled to unit length. Else of rows as they are.

    Returns
    -------
    ndarray of float64, shape (n, dim)
        Gradients by the rows of `x`.
    ndarray of float64, shape (n, dim)
        Gradients by the rows of `y`.

    Raises
    ------
    ValueError
        Shapes differ, n < 2, a row is zero or not finite, or `temperature` is out of range.

    References
    ----------
    .. [1] Zhang et al., "Connect, Collapse, Corrupt", ICLR 2024, Lemma 1.

    Examples
    --------
    >>> x, y = np.eye(2), np.eye(2)[::-1]
    >>> loss_gradients(x, y, temperature=1.0)[0].round(2)  # descent brings x to its pair
    array([[ 0.37, -0.37],
           [-0.37,  0.37]])
    """
    if scaled:
        x, y = check_pairs(x, y)
        units = [unit_rows(z) for z in (x, y)]
        gradients = loss_gradients(*units, temperature=temperature)
        x, y = (
            (g - np.einsum("nd,nd->n", g, u)[:, None] * u)
            / row_norms(np.asarray(z, dtype=np.float64))[:, None]
            for z, u, g in zip((x, y), units, gradients, strict=True)
        )
        return x, y
    x, y, logits = _logits(x, y, temperature)
    weights = softmax(logits, axis=1) + softmax(logits, axis=0)  # (n, n)
    weights[np.diag_indices(len(x))] -= 2
    factor = 1 / (2 * len(x) * temperature)
    return factor * (weights @ y), factor * (weights.T @ x)


def lemma_gradients(x: Any, y: Any, *, temperature: float = 0.07) -> tuple[np.ndarray, np.ndarray]:
    r"""Gradients as Lemma 1 prints them: combinations of differences of the other modality's rows.

    .. math:: \nabla_{x_i} L = \frac{1}{2 n \tau} \sum_j \alpha_{ij} (y_j - y_i)

    Sign, factor and probabilities are right, but the sum of the weights is
    taken to be 2. It is :math:`1 + q_i`, with :math:`q_i = \sum_j p(x_i | y_j)`
    the share of the texts' attention that image `i` gets: 1 on average over
    `i`, and for each only where the softmaxes are doubly stochastic (the
    proof's "Bayes' theorem" with uniform marginals assumes that). The gradient
    of :func:`loss_gradients` is this plus :math:`(q_i - 1) y_i / 2 n \tau`,
    which has a part along the constant of the other modality: single rows do
    move in the gap's direction, their mean does not.

    Parameters
    ----------
    x, y : array-like of shape (n, dim)
        Pairs, taken as they are.
    temperature : float, default=0.07
        What products are divided by, above 0.

    Returns
    -------
    ndarray of float64, shape (n, dim)
        For the rows of `x`.
    ndarray of float64, shape (n, dim)
        For the rows of `y`.

    Raises
    ------
    ValueError
        Shapes differ, n < 2, a row is zero or not finite, or `temperature` is out of range.

    References
    ----------
    .. [1] Zhang et al., "Connect, Collapse, Corrupt", ICLR 2024, Lemma 1 and appendix B.1.

    Examples
    --------
    >>> x, y = np.eye(2), np.eye(2)[::-1]
    >>> bool(np.allclose(lemma_gradients(x, y), loss_gradients(x, y)))  # by symmetry, each q is 1
    True
    """
    x, y, logits = _logits(x, y, temperature)
    given = softmax(logits, axis=1) + softmax(logits, axis=0)
    factor = 1 / (2 * len(x) * temperature)
    to_x = given @ y - given.sum(axis=1)[:, None] * y
    to_y = given.T @ x - given.sum(axis=0)[:, None] * x
    return factor * to_x, factor * to_y


def gradients(
    *,
    n: int = 300,
    dim: int = 512,
    effective: tuple[int, int] = (25, 230),
    temperature: float = 0.07,
    seed: int = 0,
) -> Simulation:
    r"""Check the closed gradients against automatic ones, and see what is left of them along the gap.

    On embeddings as those of :func:`isthmus.theory.initialization.collapsed`,
    but of unit length with constants that are exactly constant: the part in a
    modality's effective dimensions is scaled by itself. (Scaled as a whole,
    rows vary along their constant too, and the gap lies inside both spans.)
    The gap's own direction, outside the spans of both modalities'
    differences, is what Lemma 1 is about.

    Parameters
    ----------
    n : int, default=300
        Pairs, at least 2.
    dim : int, default=512
        Width of the space.
    effective : tuple of int, default=(25, 230)
        Dimensions in which each modality varies.
    temperature : float, default=0.07
        Of the loss.
    seed : int, default=0
        Of the draw.

    Returns
    -------
    Simulation
        Lines: largest differences to automatic gradients; largest part, by
        row, of gradients outside the span of the other modality's
        differences; slopes along the gap's own direction. Curves: "attention"
        (n,), what each image gets of the texts' (the ``q`` of
        :func:`lemma_gradients`), "outside_unit", "outside_lemma" (n,), lengths
        outside the span, all of the rows of `x`.

    Raises
    ------
    ValueError
        A number is out of range.
    ImportError
        torch is not installed.

    References
    ----------
    .. [1] Zhang et al., "Connect, Collapse, Corrupt", ICLR 2024, Lemma 1.

    Examples
    --------
    >>> run = gradients(n=20, dim=16, effective=(3, 5))
    >>> run["unit rows: difference to automatic gradients"].measured < 1e-12
    True
    """
    check_number(seed, "seed", "[0, inf)", integer=True)
    x, y = _constants(*collapsed(n, dim=dim, effective=effective, seed=seed), effective)
    unit, lemma = (f(x, y, temperature=temperature) for f in (loss_gradients, lemma_gradients))
    scaled = loss_gradients(x, y, temperature=temperature, scaled=True)
    span = np.linalg.svd(y[1:] - y[0], full_matrices=False)
    basis = span.Vh[1e-9 * span.S[0] < span.S]  # (rank, dim), of the differences of y
    outside = {
        name: np.linalg.norm(_beside(g[0], basis), axis=1) for name, g in (("unit", unit), ("lemma", lemma))
    }
    attention = softmax(x @ y.T / temperature, axis=0).sum(axis=1)
    factor = 1 / (2 * n * temperature)
    common = np.linalg.norm(_beside(y[:1], basis))  # of all rows of y
    width = sum(effective)
    gap = np.where(np.arange(dim) < width, 0, x.mean(axis=0) - y.mean(axis=0))
    gap /= np.linalg.norm(gap)
    along = [np.einsum("nd,nd->n", g, z).mean() * (z[0] @ gap) for g, z in zip(unit, (x, y), strict=True)]
    apart = np.abs((attention - 1)[:, None] * y).max() * factor
    lines = [
        Line(
            f"{name} rows: difference to automatic gradients",
            _difference(x, y, temperature, scaled=flag, closed=g),
            0.0,
        )
        for name, g, flag in (("unit", unit, False), ("scaled", scaled, True))
    ] + [
        Line("Lemma 1 as printed: difference", float(np.abs(unit[0] - lemma[0]).max()), float(apart)),
        Line("Lemma 1 as printed: outside the span", float(outside["lemma"].max()), 0.0),
        Line(
            "unit rows: outside the span",
            float(outside["unit"].max()),
            float(factor * np.abs(attention - 1).max() * common),
        ),
        Line("unit rows: slope along the gap", float((unit[0] - unit[1]).mean(axis=0) @ gap), 0.0),
        Line(
            "scaled rows: slope along the gap",
            float((scaled[0] - scaled[1]).mean(axis=0) @ gap),
            float(along[1] - along[0]),
        ),
    ]
    return Simulation(
        name="gradients",
        title="The contrastive gradient leaves the gap alone, but for what scaling to unit length does",
        settings={"n": n, "dim": dim, "effective": list(effective), "temperature": temperature, "seed": seed},
        lines=tuple(lines),
        curves={"attention": attention, "outside_unit": outside["unit"], "outside_lemma": outside["lemma"]},
        notes=(
            "Lemma 1's sign, factor and probabilities are right; it leaves out (q - 1) y / (2 n tau), with "
            "q the attention that a row gets, 1 on average: rows move along the gap, their mean does not.",
            "Scaling rows to unit length moves the gap, by its slope: at first it opens a little (negative), "
            "and closes (positive) once rows are nearer to their pair than to what they attend to.",
        ),
    )


def _constants(x: np.ndarray, y: np.ndarray, effective: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows whose ineffective dimensions are the same in all rows."""
    first, second = effective
    for z, own in ((x, slice(first)), (y, slice(first, first + second))):
        inside = np.zeros(z.shape[1], dtype=bool)
        inside[own] = True
        share = inside.mean()
        z[:, inside] = unit_rows(z[:, inside]) * np.sqrt(share)
        z[:, ~inside] = unit_rows(z[:, ~inside]) * np.sqrt(1 - share)
    return x, y


def _beside(rows: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Return what of rows lies outside the span of an orthonormal basis."""
    return rows - rows @ basis.T @ basis


def _difference(
    x: np.ndarray, y: np.ndarray, temperature: float, *, scaled: bool, closed: tuple[np.ndarray, np.ndarray]
) -> float:
    """Largest difference of closed gradients and torch's."""
    try:
        import torch
        from torch.nn.functional import cross_entropy, normalize
    except ImportError as error:
        raise ImportError('the gradients are checked by torch: pip install "isthmus[train]"') from error
    rows = [torch.tensor(z, requires_grad=True) for z in (x, y)]
    u, v = (normalize(z, dim=1) if scaled else z for z in rows)
    logits, pair = u @ v.T / temperature, torch.arange(len(x))
    value = (cross_entropy(logits, pair) + cross_entropy(logits.T, pair)) / 2
    found = torch.autograd.grad(value, rows)
    return max(float(np.abs(f.numpy() - c).max()) for f, c in zip(found, closed, strict=True))


def _logits(x: Any, y: Any, temperature: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, y = check_pairs(x, y)
    check_number(temperature, "temperature", "(0, inf)")
    x, y = (np.asarray(z, dtype=np.float64) for z in (x, y))
    return x, y, x @ y.T / temperature
