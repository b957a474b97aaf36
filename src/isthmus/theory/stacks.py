"""Deep networks with random weights, layer by layer, as they are before any training."""

from collections.abc import Iterator

import numpy as np

STACKS = ("mlp", "residual", "normalized", "postnorm", "transformer", "linear")
TOKENS = 8  # of each input of a transformer
HEADS = 8
_ROWS = 256  # inputs of a transformer that go through it together


def run_stack(
    stack: str, x: np.ndarray, *, depth: int, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Push inputs through layers with Xavier-uniform weights and no biases.

    ========== ======================================================
    linear     ``W x``
    mlp        ``relu(W x)``
    residual   ``x + relu(W x)``
    normalized ``relu(norm(W x))``, norm being layer normalisation
    postnorm   ``norm(relu(W x))``
    ========== ======================================================

    and "transformer": pre-norm blocks ``x + O attention(norm(x))``, then
    ``x + V relu(W norm(x))``, without mask and positions, all matrices square.

    Parameters
    ----------
    stack : {"mlp", "residual", "normalized", "postnorm", "transformer", "linear"}
        What a layer does.
    x : ndarray of shape (n, width), or (n, tokens, width) for a transformer
        Inputs.
    depth : int
        Layers.
    rng : Generator
        Of the weights.

    Yields
    ------
    before, after : ndarray of shape (n, width)
        What the ReLU of a layer is given, and what the layer returns; of a
        transformer, at the first token.

    Raises
    ------
    ValueError
        There is no such stack, or `x` has another shape or a width that the heads do not divide.

    References
    ----------
    .. [1] Zhang et al., "Connect, Collapse, Corrupt", ICLR 2024, section I.2: "mlp" of 512 units.
    .. [2] Xiong et al., "On Layer Normalization in the Transformer Architecture", ICML 2020: pre-norm.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> layers = list(run_stack("mlp", rng.normal(size=(4, 16)), depth=3, rng=rng))
    >>> len(layers), layers[-1][0].shape, bool((layers[-1][1] >= 0).all())
    (3, (4, 16), True)
    """
    if stack not in STACKS:
        raise ValueError(f"stack must be one of {', '.join(STACKS)}, got {stack!r}")
    axes = 3 if stack == "transformer" else 2
    if x.ndim != axes:
        shape = "(n, tokens, width)" if axes == 3 else "(n, width)"
        raise ValueError(f"x must have shape {shape} for {stack}, got {x.shape}")
    if stack == "transformer" and x.shape[2] % HEADS:
        raise ValueError(f"width must be a multiple of the {HEADS} heads, got {x.shape[2]}")
    for _ in range(depth):
        if stack == "transformer":
            before, x = _block(x, rng)
            yield before, x[:, 0]
        else:
            before, x = _layer(stack, x, xavier(x.shape[1], rng))
            yield before, x


def xavier(width: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a square matrix, Xavier uniform: variance 1 / width.

    Parameters
    ----------
    width : int
        Rows and columns.
    rng : Generator
        Of the entries.

    Returns
    -------
    ndarray of shape (width, width)
        Entries in [-sqrt(3 / width), sqrt(3 / width)].

    References
    ----------
    .. [1] Glorot and Bengio, "Understanding the Difficulty of Training Deep
       Feedforward Neural Networks", AISTATS 2010, equation 16.

    Examples
    --------
    >>> weights = xavier(300, np.random.default_rng(0))
    >>> print(f"{300 * weights.var():.2f}")
    1.00
    """
    bound = np.sqrt(3 / width)
    return rng.uniform(-bound, bound, size=(width, width))


def normalize(x: np.ndarray) -> np.ndarray:
    """Return rows of mean 0 and mean square 1, as layer normalisation without gain and bias does.

    Parameters
    ----------
    x : ndarray of shape (..., width)
        Rows, none of them constant.

    Returns
    -------
    ndarray of shape (..., width)
        A new array.

    Examples
    --------
    >>> normalize(np.array([[1.0, 3.0]]))
    array([[-1.,  1.]])
    """
    x = x - x.mean(axis=-1, keepdims=True)
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True))


def _layer(stack: str, x: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    before = x @ weights.T  # (n, width)
    if stack == "linear":
        return before, before
    if stack == "normalized":
        before = normalize(before)
    after = np.maximum(before, 0)
    if stack == "residual":
        after += x
    return before, normalize(after) if stack == "postnorm" else after


def _block(x: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return what the ReLU is given at the first token, (n, width), and the new x, (n, tokens, width)."""
    query, key, value, out, first, second = (xavier(x.shape[2], rng).astype(x.dtype) for _ in range(6))
    before, after = np.empty_like(x[:, 0]), np.empty_like(x)
    for start in range(0, len(x), _ROWS):
        rows = slice(start, start + _ROWS)
        part = normalize(x[rows])
        middle = x[rows] + _attention(part @ query.T, part @ key.T, part @ value.T) @ out.T
        hidden = normalize(middle) @ first.T
        before[rows] = hidden[:, 0]
        after[rows] = middle + np.maximum(hidden, 0) @ second.T
    return before, after


def _attention(query: np.ndarray, key: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Return what the heads gather, side by side: (n, tokens, width)."""
    n, tokens, width = query.shape
    query, key, value = (
        z.reshape(n, tokens, HEADS, width // HEADS).transpose(0, 2, 1, 3) for z in (query, key, value)
    )  # (n, heads, tokens, size)
    scores = query @ key.transpose(0, 1, 3, 2) / np.sqrt(width // HEADS).astype(query.dtype)
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    gathered = scores / scores.sum(axis=-1, keepdims=True) @ value  # (n, heads, tokens, size)
    return gathered.transpose(0, 2, 1, 3).reshape(n, tokens, width)
