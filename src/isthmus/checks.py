"""The boundary: arrays in, clear errors out. Code behind it trusts what these return."""

from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any

import numpy as np

_NOT_FINITE = "NaN or infinite"
BLOCK_BYTES = 16 * 2**20  # rows are read and checked in blocks of about this size


def check_pairs(x: Any, y: Any, names: tuple[str, str] = ("x", "y")) -> tuple[Any, Any]:
    """Return `x` and `y` as arrays of shape (n, dim) whose rows pair up.

    Parameters
    ----------
    x, y : array-like of shape (n, dim)
        Embeddings of two modalities; row ``i`` of both embeds the same item.
        Arrays on disk (memory-mapped, sharded) are kept as they are.
    names : tuple of str, default=("x", "y")
        What to call the two in an error: argument names or file names.

    Returns
    -------
    x, y : array of shape (n, dim)
        Floating point, every row finite and not zero, n >= 2.

    Raises
    ------
    ValueError
        Naming the argument, what was expected and what was given.

    Examples
    --------
    >>> check_pairs([[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0]])
    Traceback (most recent call last):
    ...
    ValueError: x and y must pair row by row: x has 2 rows, y has 1
    """
    x, y = check_matrix(x, names[0]), check_matrix(y, names[1])
    if len(x) != len(y):
        raise ValueError(
            f"{names[0]} and {names[1]} must pair row by row: "
            f"{names[0]} has {len(x)} rows, {names[1]} has {len(y)}"
        )
    if x.shape[1] != y.shape[1]:
        raise ValueError(
            f"{names[0]} and {names[1]} must share one embedding space: "
            f"{names[0]} has dim {x.shape[1]}, {names[1]} has dim {y.shape[1]}"
        )
    if len(x) < 2:
        raise ValueError(f"expected at least 2 pairs, got {len(x)} in {names[0]} and {names[1]}")
    check_rows(x, names[0])
    check_rows(y, names[1])
    return x, y


def check_embeddings(x: Any, name: str = "x", dim: int | None = None) -> Any:
    """Return `x` as a floating-point array of shape (n, dim) without zero or non-finite rows.

    Parameters
    ----------
    x : array-like of shape (n, dim)
        Embeddings. Arrays on disk are kept as they are.
    name : str, default="x"
        What to call it in an error.
    dim : int, optional
        The width that it must have.

    Returns
    -------
    array of shape (n, dim)
        float16, float32 or float64; integers become float64.

    Raises
    ------
    ValueError
        Naming `name`, what was expected and what was given.

    Examples
    --------
    >>> check_embeddings([[1, 0], [0, 0], [0, 0]])
    Traceback (most recent call last):
    ...
    ValueError: x has 2 zero rows, the first is row 1
    """
    x = check_matrix(x, name)
    if dim is not None and x.shape[1] != dim:
        raise ValueError(f"{name} must have dim {dim}, got dim {x.shape[1]}")
    check_rows(x, name)
    return x


def check_matrix(x: Any, name: str) -> Any:
    """Return `x` as a non-empty floating-point array of shape (n, dim), its rows not yet looked at.

    Parameters
    ----------
    x : array-like of shape (n, dim)
        Embeddings.
    name : str
        What to call it in an error.

    Returns
    -------
    array of shape (n, dim)
        float16, float32 or float64; integers become float64.

    Raises
    ------
    ValueError
        It has another number of dimensions, holds objects, or is empty.

    Examples
    --------
    >>> check_matrix([1.0, 2.0], "x")
    Traceback (most recent call last):
    ...
    ValueError: x must have shape (n, dim), got (2,)
    """
    if hasattr(x, "detach"):  # a torch tensor
        x = x.detach().cpu().numpy()
    if not (hasattr(x, "shape") and hasattr(x, "dtype") and hasattr(x, "__getitem__")):
        try:
            x = np.asarray(x)
        except ValueError as error:
            raise ValueError(f"{name} must be a rectangular array of shape (n, dim): {error}") from error
    if x.dtype.kind not in "fiu" or (x.dtype.kind == "f" and x.dtype.itemsize > 8):
        raise ValueError(f"{name} must hold float16, float32 or float64, got dtype {x.dtype}")
    if len(x.shape) != 2:
        raise ValueError(f"{name} must have shape (n, dim), got {tuple(x.shape)}")
    if 0 in x.shape:
        raise ValueError(f"{name} is empty: its shape is {tuple(x.shape)}")
    return x if x.dtype.kind == "f" else np.asarray(x, dtype=np.float64)


def check_rows(x: Any, name: str) -> None:
    """Raise if any row of `x` is zero or not finite.

    Parameters
    ----------
    x : array of shape (n, dim)
        Embeddings, read block by block.
    name : str
        What to call it in an error.

    Raises
    ------
    ValueError
        Saying how many rows are at fault, which kind, and which is the first.

    Examples
    --------
    >>> check_rows(np.array([[1.0, np.nan]]), "x")
    Traceback (most recent call last):
    ...
    ValueError: x has 1 NaN or infinite row, the first is row 0
    """
    bad = {_NOT_FINITE: 0, "zero": 0}
    first: dict[str, int] = {}
    for rows in blocks(len(x), x.shape[1]):
        norm = row_norms(np.asarray(x[rows], dtype=np.float64))
        for kind, mask in ((_NOT_FINITE, ~np.isfinite(norm)), ("zero", norm == 0)):
            if mask.any():
                first.setdefault(kind, rows.start + int(mask.argmax()))
                bad[kind] += int(mask.sum())
    for kind, count in bad.items():
        if count:
            rows_word = "row" if count == 1 else "rows"
            raise ValueError(f"{name} has {count} {kind} {rows_word}, the first is row {first[kind]}")


def check_groups(groups: Any, n: int, name: str = "groups") -> np.ndarray:
    """Return the item that each of `n` rows belongs to, as numbers 0, 1, ... in order of appearance.

    Parameters
    ----------
    groups : array-like of shape (n,)
        Names or numbers of items; rows of one item share one.
    n : int
        How many rows there are.
    name : str, default="groups"
        What to call it in an error.

    Returns
    -------
    ndarray of int64, shape (n,)
        Item numbers.

    Raises
    ------
    ValueError
        It is not one-dimensional, or its length is not `n`, or an entry is missing.

    Examples
    --------
    >>> check_groups(["dog.jpg", "dog.jpg", "cat.jpg"], 3)
    array([0, 0, 1])
    """
    groups = np.asarray(groups)
    if groups.ndim != 1:
        raise ValueError(f"{name} must name one item per row, shape (n,), got shape {groups.shape}")
    if len(groups) != n:
        raise ValueError(f"{name} has {len(groups)} entries, the embeddings have {n} rows")
    missing = (groups != groups) | (groups == None)  # noqa: E711  elementwise: nan and None
    if np.any(missing):
        raise ValueError(f"{name} has no entry for row {int(np.argmax(missing))}")
    _, first, code = np.unique(groups.astype(str) if groups.dtype == object else groups,
                               return_index=True, return_inverse=True)  # fmt: skip
    order = np.empty(len(first), dtype=np.int64)
    order[np.argsort(first)] = np.arange(len(first))
    return order[code]


def check_number(value: Any, name: str, interval: str, *, integer: bool = False) -> None:
    """Raise unless `value` is a number in an interval.

    Parameters
    ----------
    value : object
        What was given.
    name : str
        What to call it in an error.
    interval : str
        Such as ``"[0, 1)"``: round brackets leave the bound out.
    integer : bool, default=False
        Whether it must be a whole number.

    Raises
    ------
    ValueError
        It is not a number, or lies outside.

    Examples
    --------
    >>> check_number(0.5, "dropout", "[0, 1)")
    >>> check_number(True, "dropout", "[0, 1)")
    Traceback (most recent call last):
    ...
    ValueError: dropout must be a number in [0, 1), got True
    """
    kind = Integral if integer else Real
    low, high = (float(bound) for bound in interval[1:-1].split(","))
    if isinstance(value, kind) and not isinstance(value, bool):
        above = value > low if interval[0] == "(" else value >= low
        below = value < high if interval[-1] == ")" else value <= high
        if above and below:
            return
    raise ValueError(f"{name} must be a {'whole ' * integer}number in {interval}, got {value!r}")


def blocks(n: int, dim: int, size: int | None = None) -> Iterator[slice]:
    """Yield slices that cover `n` rows of width `dim`.

    Parameters
    ----------
    n, dim : int
        Rows and their width.
    size : int, optional
        Rows of a slice; by default, about `BLOCK_BYTES` of them in float32.

    Yields
    ------
    slice
        Consecutive rows.

    Examples
    --------
    >>> list(blocks(5, 2, size=2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    size = size or max(1, BLOCK_BYTES // (4 * dim))
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def unit_rows(x: Any, dtype: Any = np.float64) -> np.ndarray:
    """Return rows scaled to unit length.

    Parameters
    ----------
    x : array-like of shape (n, dim)
        Embeddings.
    dtype : dtype, default=float64
        Of the result, and of the arithmetic.

    Returns
    -------
    ndarray of shape (n, dim)
        A new array. A zero row has no direction and stays zero.

    Examples
    --------
    >>> unit_rows([[3.0, 4.0], [0.0, 0.0]])
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    x = np.asarray(x)
    x = np.array(x, dtype=np.result_type(dtype, x.dtype))  # a long float64 row does not fit in float32
    norm = row_norms(x)[:, None]
    return np.divide(x, norm, out=x, where=norm > 0).astype(dtype, copy=False)


def row_norms(x: np.ndarray) -> np.ndarray:
    """Return the Euclidean norm of each row, also where squares over- or underflow.

    Parameters
    ----------
    x : ndarray of shape (n, dim)
        float32 or float64.

    Returns
    -------
    ndarray of shape (n,)
        Norms, NaN or infinite where the row is.

    Examples
    --------
    >>> row_norms(np.array([[3e200, 4e200], [0.0, 0.0]]))
    array([5.e+200, 0.e+000])
    """
    with np.errstate(over="ignore", invalid="ignore"):
        square = np.einsum("nd,nd->n", x, x)
    limits = np.finfo(x.dtype)
    odd = ~((square > limits.tiny / limits.eps) & (square < np.inf))
    norm = np.sqrt(square)
    if odd.any():
        scale = np.abs(x[odd]).max(axis=1, keepdims=True)  # nan and inf survive the maximum
        with np.errstate(invalid="ignore"):
            scaled = np.divide(x[odd], scale, out=np.zeros_like(x[odd]), where=scale != 0)
            norm[odd] = scale[:, 0] * np.sqrt(np.einsum("nd,nd->n", scaled, scaled))
    return norm
