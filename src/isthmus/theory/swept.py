"""The numbers that a simulation is run over, such as its temperatures."""

from collections.abc import Iterable

import numpy as np

from isthmus.checks import check_number


def check_swept(values: Iterable[float], name: str, allowed: str, *, integer: bool = False) -> np.ndarray:
    """Check that there are numbers, that each is allowed, and that no two are the same.

    Parameters
    ----------
    values : iterable of float
        The numbers.
    name : str
        What errors call them.
    allowed : str
        An interval, as for :func:`isthmus.checks.check_number`.
    integer : bool, default=False
        Whether they must be whole.

    Returns
    -------
    ndarray of shape (k,)
        The numbers, in the order given.

    Raises
    ------
    ValueError
        There is none, one is not allowed, or one is there twice.

    Examples
    --------
    >>> check_swept((0.1, 0.2, 0.1), "temperatures", "(0, inf)")
    Traceback (most recent call last):
    ...
    ValueError: temperatures must be different numbers, got 0.1 more than once
    """
    given = list(values)
    if not given:
        raise ValueError(f"{name} must hold at least one number in {allowed}, got none")
    for value in given:
        check_number(value, name, allowed, integer=integer)
        if given.count(value) > 1:
            raise ValueError(f"{name} must be different numbers, got {written(value)} more than once")
    return np.array(given, dtype=np.int64 if integer else np.float64)


def written(value: float) -> str:
    """Write a number as short as it can be read back from.

    Parameters
    ----------
    value : float
        Any finite number.

    Returns
    -------
    str
        Different numbers have different texts.

    Examples
    --------
    >>> [written(t) for t in (1.0, 0.01, 0.0100001)]
    ['1', '0.01', '0.0100001']
    """
    short = f"{value:g}"
    return short if float(short) == value else repr(float(value))
