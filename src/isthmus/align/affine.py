"""What every closed-form aligner shares: an affine map per modality between two scalings to unit length."""

from abc import abstractmethod
from typing import Any, Self
from weakref import WeakKeyDictionary

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from isthmus.align.blockwise import map_blocks
from isthmus.checks import check_matrix, check_pairs, check_rows
from isthmus.measure.statistics import GapStatistics

_FLOATS = (np.float64, np.float32)
_DAMPING = 1e-3  # of the largest square of a singular value: measured on five sets of embeddings
_CASTS: WeakKeyDictionary[Any, dict[Any, Any]] = (
    WeakKeyDictionary()
)  # not in the estimator: it must not change


class PairedAligner(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Learns from paired embeddings how to map each modality into one space.

    ``fit(X, Y)``, then ``transform(X)``, ``transform(X, Y)`` or
    ``transform_y(Y)``, as in :mod:`sklearn.cross_decomposition`. Rows go in at
    any length and come out at unit length. float32 stays float32.
    """

    n_features_in_: int

    @property
    @abstractmethod
    def _n_features_out(self) -> int:
        """Width of what ``transform`` returns."""

    @abstractmethod
    def fit(self, X: Any, Y: Any, *, groups: Any = None) -> Self:
        """Learn from paired embeddings.

        Parameters
        ----------
        X, Y : array-like of shape (n, dim)
            Row ``i`` of both embeds the same item. Arrays on disk are read block by block.
        groups : array-like of shape (n,), optional
            The item of each pair, for aligners that hold out items while they learn.

        Returns
        -------
        Self
            The fitted aligner.

        Raises
        ------
        ValueError
            Shapes differ, n < 2, or a row is zero or not finite.
        """

    def transform(self, X: Any, Y: Any = None) -> Any:
        """Map embeddings of the first modality, and of the second if given.

        Parameters
        ----------
        X : array-like of shape (n, dim)
            Embeddings of the first modality.
        Y : array-like of shape (m, dim), optional
            Embeddings of the second; they need not pair up with `X`.

        Returns
        -------
        ndarray of shape (n, dim_out), or a tuple of two
            Unit rows. A row that the map sends to the origin has no direction and stays zero.

        Raises
        ------
        NotFittedError
            ``fit`` has not been called.
        ValueError
            The width is not that of ``fit``, or a row is zero or not finite.
        """
        mapped = self._transform(X, "x")
        return mapped if Y is None else (mapped, self._transform(Y, "y"))

    def transform_y(self, Y: Any) -> np.ndarray:
        """Map embeddings of the second modality alone, of shape (m, dim), as ``transform`` would."""
        return self._transform(Y, "y")

    @abstractmethod
    def _map(self, unit: np.ndarray, modality: str) -> np.ndarray:
        """Map unit rows (n, dim) of one modality; the caller scales the result."""

    def _check_fit(self, X: Any, Y: Any) -> tuple[Any, Any]:
        return check_pairs(self._check(X, reset=True), check_second(Y), ("X", "Y"))

    def _check(self, X: Any, reset: bool) -> Any:
        if not _is_lazy(X):
            least = 2 if reset else 1
            return validate_data(
                self, X, reset=reset, dtype=_FLOATS, ensure_min_samples=least, ensure_min_features=least
            )
        return validate_data(self, X, reset=reset, skip_check_array=True)

    def _check_known(self, rows: Any, modality: str) -> Any:
        if modality == "x":
            return self._check(rows, reset=False)
        return check_second(rows, self.n_features_in_)

    def _map_into(self, out: np.ndarray, rows: np.ndarray, scale: np.ndarray, modality: str) -> None:
        """Write into `out` (n, dim_out) the map of ``rows * scale``, which are of unit length."""
        out[:] = self._map(rows * scale, modality)

    def _transform(self, rows: Any, modality: str) -> np.ndarray:
        if not self._is_plain(rows):
            check_is_fitted(self)
            rows = check_matrix(self._check_known(rows, modality), modality.upper())
        out = np.empty(
            (len(rows), self._n_features_out), np.float64 if rows.dtype == np.float64 else np.float32
        )

        def mapped(part: np.ndarray, scale: np.ndarray, to: np.ndarray) -> None:
            self._map_into(to, part, scale, modality)

        def refuse() -> None:
            self._check_known(rows, modality)
            check_rows(rows, modality.upper())

        map_blocks(rows, out, mapped, refuse=refuse)
        return out

    def _is_plain(self, rows: Any) -> bool:
        """Whether rows are what scikit-learn's checks, which take ten times as long as one row, would pass.

        Zero and not finite rows are found while they are mapped.
        """
        return (
            type(rows) is np.ndarray
            and rows.ndim == 2
            and rows.dtype in _FLOATS
            and len(rows) > 0
            and rows.shape[1] == getattr(self, "n_features_in_", None)
            and not hasattr(self, "feature_names_in_")  # it warns of arrays without names
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.target_tags.required = True
        return tags


class AffineAligner(PairedAligner):
    """A paired aligner whose two maps are ``row @ matrix + offset`` on unit rows.

    Attributes
    ----------
    x_matrix_, y_matrix_ : ndarray of shape (dim, dim_out)
        Absent maps are the identity, stored as None.
    x_offset_, y_offset_ : ndarray of shape (dim_out,)
        Added after the matrix.
    """

    x_offset_: np.ndarray

    def _set(self, modality: str, matrix: np.ndarray | None, offset: np.ndarray) -> None:
        setattr(self, f"{modality}_matrix_", matrix)
        setattr(self, f"{modality}_offset_", offset)

    def _map(self, unit: np.ndarray, modality: str) -> np.ndarray:
        matrix, offset = getattr(self, f"{modality}_matrix_"), getattr(self, f"{modality}_offset_")
        mapped = unit if matrix is None else unit @ matrix.astype(unit.dtype)
        return mapped + offset.astype(unit.dtype)

    def _map_into(self, out: np.ndarray, rows: np.ndarray, scale: np.ndarray, modality: str) -> None:
        """``(rows * scale - centre) @ matrix + offset``, or ``(rows @ matrix) * scale + offset``."""
        matrix, centre, offset = self._cast(modality, out.dtype)
        if matrix is None:
            np.multiply(rows, scale, out=out)
        elif centre is not None:
            np.matmul(rows * scale - centre, matrix, out=out)
        else:
            np.matmul(rows, matrix, out=out)
            out *= scale
        out += offset

    def _cast(
        self, modality: str, dtype: np.dtype
    ) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray]:
        """Return matrix, centre and offset in `dtype`, cast once: that takes longer than to map a row."""
        learned = getattr(self, f"{modality}_matrix_"), getattr(self, f"{modality}_offset_")
        kept = _CASTS.setdefault(self, {})
        held = kept.get((modality, dtype))
        if held is None or held[0][0] is not learned[0] or held[0][1] is not learned[1]:
            matrix, offset = learned
            centre = None
            if matrix is not None and dtype != np.float64:
                centre, offset = centred(matrix, offset)
            matrix, centre = (part if part is None else part.astype(dtype) for part in (matrix, centre))
            held = kept[modality, dtype] = learned, (matrix, centre, offset.astype(dtype))
        return held[1]

    @property
    def _n_features_out(self) -> int:
        return len(self.x_offset_)


class MomentAligner(AffineAligner):
    """An affine aligner that follows from means and covariances: one pass over the pairs is enough."""

    _needs_covariance = True

    def fit(self, X: Any, Y: Any, *, groups: Any = None) -> Self:
        """Learn from paired embeddings X and Y, of shape (n, dim) each; `groups` does not matter here."""
        X, Y = self._check_fit(X, Y)
        self._solve(self._moments(X, Y))
        return self

    def _moments(self, X: Any, Y: Any) -> GapStatistics:
        return GapStatistics(covariance=self._needs_covariance).update(X, Y)

    @abstractmethod
    def _solve(self, statistics: GapStatistics) -> None:
        """Set matrices and offsets from the means and covariances of unit rows."""


def check_second(rows: Any, dim: int | None = None) -> Any:
    """Return rows of the second modality checked as scikit-learn does X, but called Y in an error.

    Parameters
    ----------
    rows : array-like of shape (n, dim)
        What is on disk or in half precision stays as it is.
    dim : int, optional
        The width that it must have.

    Returns
    -------
    array of shape (n, dim)
        float32 or float64, unless it stayed as it was.

    Raises
    ------
    ValueError
        It is no such array, holds NaN or infinity, or is of another width.

    Examples
    --------
    >>> check_second([[1.0, 2.0]], 3)
    Traceback (most recent call last):
    ...
    ValueError: Y must have dim 3, got dim 2
    """
    if not _is_lazy(rows):
        rows = check_array(rows, dtype=_FLOATS, input_name="Y")
    if dim is not None and rows.shape[1] != dim:
        raise ValueError(f"Y must have dim {dim}, got dim {rows.shape[1]}")
    return rows


def centred(matrix: np.ndarray, offset: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """Return a row to subtract before ``@ matrix``, so that little is left of `offset`, and what is left.

    In a narrow cone ``unit @ matrix`` and `offset` are large and nearly cancel, and float32 keeps few
    digits of what is left; ``(unit - centre) @ matrix`` is small from the start. An aligner that subtracts
    the mean of its rows has that mean as the centre: least squares find it again, damped where the matrix
    gives little weight.

    Parameters
    ----------
    matrix : ndarray of shape (dim, dim_out)
        Of an affine map.
    offset : ndarray of shape (dim_out,)
        Added after it.

    Returns
    -------
    centre : ndarray of float32, shape (dim,), or None
        None where it would be longer than unit rows are, so that nothing cancels, or the matrix is 0.
    offset : ndarray of float64, shape (dim_out,)
        What is to be added after ``(unit - centre) @ matrix``; `offset` itself without a centre.

    Examples
    --------
    >>> mean = np.array([0.6, 0.7])
    >>> centre, left = centred(np.eye(2), -mean)
    >>> centre.round(2), np.abs(left).max() < 0.002
    (array([0.6, 0.7], dtype=float32), np.True_)
    >>> centred(np.eye(2), np.array([3.0, 0.0]))
    (None, array([3., 0.]))
    """
    matrix, offset = matrix.astype(np.float64), offset.astype(np.float64)
    gram = matrix @ matrix.T  # (dim, dim)
    largest = np.linalg.eigvalsh(gram)[-1]
    if largest <= 0:  # nothing is left of any row
        return None, offset
    centre = -np.linalg.solve(gram + _DAMPING * largest * np.eye(len(gram)), matrix @ offset)
    if not 0 < np.linalg.norm(centre) < 1:
        return None, offset
    centre = centre.astype(np.float32)
    return centre, offset + centre.astype(np.float64) @ matrix


def _is_lazy(rows: Any) -> bool:
    """Whether rows stay on disk or in half precision until they are read, block by block."""
    if isinstance(rows, np.ndarray):
        return rows.ndim == 2 and rows.dtype.kind == "f" and len(rows) > 1 and (
            isinstance(rows, np.memmap) or rows.dtype == np.float16
        )  # fmt: skip
    return type(rows).__module__.startswith("isthmus.")


def power(matrix: np.ndarray, exponent: float, floor: float = 1e-12) -> np.ndarray:
    """Return a power of a symmetric positive matrix (dim, dim), eigenvalues below `floor` x largest raised.

    Examples
    --------
    >>> power(np.diag([4.0, 9.0]), -0.5).round(3)
    array([[0.5  , 0.   ],
           [0.   , 0.333]])
    """
    value, vector = np.linalg.eigh(matrix)
    value = np.maximum(value, max(value[-1] * floor, np.finfo(float).tiny))
    return (vector * value**exponent) @ vector.T
