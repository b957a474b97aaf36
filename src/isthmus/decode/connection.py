"""From the text a captioner learns from to the image it is shown: means, noise, and unit length."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from isthmus.align.files import read_told
from isthmus.align.noise import RELEASED_STD, AdaptiveNoise, CalibratedNoise, GaussianNoise, Noise, SpanNoise
from isthmus.checks import check_embeddings, check_groups, check_matrix, check_pairs, unit_rows
from isthmus.measure.statistics import unit_parts
from isthmus.whole import write_whole

_FORMAT = 1
_ITEMS = 4000  # whose captions the noise is measured on, at most; CapDec's authors took 15
_NOISE: dict[str, type[Noise]] = {
    kind.__name__: kind for kind in (GaussianNoise, AdaptiveNoise, SpanNoise, CalibratedNoise)
}
_LEARNED = ("std_", "slope_", "shrinkage_", "directions_", "covariance_", "root_")
_CHOICES: dict[str, tuple[str | None, ...]] = {
    "noise": (None, "gaussian", "adaptive", "span", "calibrated", "capdec"),
    "learns_from": ("text", "other-text", "pairs"),
    "writes": ("decoder", "nearest", "projection", "zerocap", "magic"),
    "other": ("any", "next"),
}


@dataclass(frozen=True)
class Method:
    """What makes one way to caption differ from the others.

    Raises
    ------
    ValueError
        A field is none of its choices.

    Examples
    --------
    >>> Method("ours", collapse=True, noise="pink")
    Traceback (most recent call last):
    ...
    ValueError: noise must be one of None, gaussian, adaptive, span, calibrated, capdec, got 'pink'
    """

    name: str
    collapse: bool  # whether each modality's mean is subtracted
    noise: str | None  # on embeddings trained on: "capdec" is Gaussian, its std by CapDec's rule
    learns_from: str = "text"  # whose embedding a caption is learned from: its own, a sibling's, its image's
    writes: str = "decoder"  # what turns an embedding into a caption
    source: str = ""  # where it is described
    other: str = "any"  # which sibling, for "other-text": any, or the next one in the item's order

    def __post_init__(self) -> None:
        """Raise ValueError if a field is none of its choices."""
        for name, choices in _CHOICES.items():
            if (value := getattr(self, name)) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(map(str, choices))}, got {value!r}")


class Connection:
    """The means and the noise that let a decoder of texts read another modality.

    Rows trained on go through :meth:`train`, all others through :meth:`infer`, which never adds noise.

    Parameters
    ----------
    method : Method
        Which steps are taken.
    means : mapping of str to ndarray of shape (dim,)
        Mean of the unit rows of "text", and of each other modality by name.
    noise : Noise, optional
        Fitted.

    References
    ----------
    .. [1] Zhang et al., "Connect, Collapse, Corrupt", ICLR 2024, Algorithm 1. Rows are scaled to unit
       length first and last, as in the released code.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> text, image = rng.normal(size=(50, 4)) + 2, rng.normal(size=(50, 4)) - 2
    >>> connection = Connection.fit(Method("C3", True, "gaussian"), text, {"image": image})
    >>> connection.modalities
    ('text', 'image')
    >>> connection.train(text, rng).shape
    (50, 4)
    >>> bool(np.abs(connection.infer(image, "image").mean(axis=0)).max() < 0.1)
    True
    """

    def __init__(self, method: Method, means: Mapping[str, np.ndarray], noise: Noise | None = None) -> None:
        self.method, self.means, self.noise = method, dict(means), noise

    @classmethod
    def fit(  # as many parameters as there are things to learn from
        cls,
        method: Method,
        texts: Any,
        others: Mapping[str, Any],
        *,
        items: Any = None,
        pairs: tuple[Any, Any] | None = None,
        std: float | Literal["auto", "capdec"] | None = None,
        seed: int = 0,
    ) -> Self:
        """Learn means and noise from what is trained on.

        Parameters
        ----------
        method : Method
            Which steps are taken.
        texts : array-like of shape (n, dim)
            Embeddings of the captions.
        others : mapping of str to array-like of shape (m, dim)
            Embeddings of the other modalities, by name, an item once each. They need not pair with texts.
        items : array-like of shape (n,), optional
            The item of each caption, for noise measured on captions of one item.
        pairs : tuple of two array-like of shape (k, dim), optional
            Images and their captions, for calibrated noise to be measured on; other noise needs none.
        std : float, "auto" or "capdec", optional
            Of Gaussian noise, in all directions or in the span; by a rule of :class:`GaussianNoise` or a
            number. By default the method's own: the released one, or "capdec" where it says so.
        seed : int, default=0
            Of the choice of items to measure noise on, where there are more than 4,000.

        Returns
        -------
        Connection
            Fitted.

        Raises
        ------
        ValueError
            Rows are bad, what the noise learns from is absent, or `std` is given and does not apply.

        Examples
        --------
        >>> texts = np.eye(4) + 0.1
        >>> capdec = Method("CapDec", False, "capdec")
        >>> connection = Connection.fit(capdec, texts, {}, items=[0, 0, 1, 1])
        >>> round(connection.to_dict()["noise"]["learned"]["std_"], 3)
        0.898
        """
        texts = check_matrix(texts, "texts")
        if "text" in others:
            raise ValueError("others must hold modalities other than text, got 'text'")
        means = {"text": _mean(texts, "texts", texts.shape[1])}
        means |= {name: _mean(rows, name, texts.shape[1]) for name, rows in others.items()}
        noise = _unfitted(method, std)
        if noise is not None:
            rows, groups = _measured(texts, items, seed)
            if isinstance(noise, SpanNoise):
                _fit_span(noise, means, rows, groups)
            elif isinstance(noise, CalibratedNoise) and pairs is not None:
                x, y = check_pairs(*pairs, names=("pairs[0]", "pairs[1]"))
                noise.fit(unit_rows(check_embeddings(x, "pairs[0]", texts.shape[1])), unit_rows(y))
            else:
                noise.fit(rows, groups=groups)
        return cls(method, means, noise)

    def with_mean_of(self, modality: str, rows: Any) -> Self:
        """Return the connection with one more modality, or with another mean of one.

        A run may be shown a modality that was not there when it was trained: `rows` (n, dim) are its
        embeddings, an item once each. The mean of "text" stays: the decoder was trained with it.
        """
        if modality == "text":
            raise ValueError("modality must be another than text, whose mean the decoder was trained with")
        return type(self)(self.method, self.means | {modality: _mean(rows, modality, self.dim)}, self.noise)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities whose mean is known, "text" first."""
        return tuple(self.means)

    @property
    def dim(self) -> int:
        """Width of an embedding."""
        return len(self.means["text"])

    def train(self, rows: Any, rng: np.random.Generator) -> np.ndarray:
        """Return embeddings of captions as a decoder trains on them.

        Parameters
        ----------
        rows : array-like of shape (n, dim)
            Embeddings of captions.
        rng : numpy.random.Generator
            Where the noise is drawn from.

        Returns
        -------
        ndarray of shape (n, dim)
            Unit rows, float64 if `rows` is, else float32.

        Raises
        ------
        ValueError
            Rows are bad.
        """
        rows = self._unit(rows)
        if self.method.collapse:
            rows = rows - self.means["text"].astype(rows.dtype)
        if self.noise is not None:
            rows = self.noise.corrupt(rows, rng)
        return unit_rows(rows, rows.dtype)

    def infer(self, rows: Any, modality: str) -> np.ndarray:
        """Return embeddings of any modality as a trained decoder reads them: without noise.

        Parameters
        ----------
        rows : array-like of shape (n, dim)
            Embeddings.
        modality : str
            Whose they are.

        Returns
        -------
        ndarray of shape (n, dim)
            Unit rows, float64 if `rows` is, else float32.

        Raises
        ------
        ValueError
            The method subtracts means, and that of the modality is unknown; or rows are bad.
        """
        rows = self._unit(rows)
        if self.method.collapse:
            if modality not in self.means:
                raise ValueError(f"no mean of {modality!r} is known, only of {', '.join(self.means)}")
            rows = rows - self.means[modality].astype(rows.dtype)
        return unit_rows(rows, rows.dtype)

    def _unit(self, rows: Any) -> np.ndarray:
        rows = check_embeddings(rows, "rows", self.dim)
        return unit_rows(rows, np.float64 if rows.dtype == np.float64 else np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Return what the connection does, without its arrays, as JSON has it."""
        return {
            "method": asdict(self.method),
            "dim": self.dim,
            "modalities": list(self.modalities),
            "noise": None if self.noise is None else _told(self.noise),
        }

    def save(self, path: str | Path) -> None:
        """Write the connection to one safetensors file, under a temporary name first."""
        from safetensors.numpy import save

        tensors = {f"mean.{name}": np.ascontiguousarray(mean) for name, mean in self.means.items()}
        for name, value in _learned(self.noise).items():
            if isinstance(value, np.ndarray):
                tensors[f"noise.{name}"] = np.ascontiguousarray(value)
        story = {"format": _FORMAT, **self.to_dict()}
        write_whole(path, save(tensors, {"connection": json.dumps(story, sort_keys=True)}))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a connection that :meth:`save` wrote; nothing in the file is executed.

        Parameters
        ----------
        path : str or Path
            The file.

        Returns
        -------
        Connection
            Which maps rows to the same bits.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        ValueError
            It holds no connection, is corrupt, or was written by a later version.

        Examples
        --------
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "connection.safetensors"
        >>> Connection.fit(Method("C1", False, None), np.eye(2), {}).save(path)
        >>> Connection.load(path).method.name
        'C1'
        """
        path = Path(path)
        story, tensors = read_told(
            path, "connection", kind="connection", command="isthmus caption train", newest=_FORMAT
        )
        method = Method(**_known(story["method"], {field.name for field in fields(Method)}, path))
        means = {name: tensors.get(f"mean.{name}", np.empty(0)) for name in story["modalities"]}
        for name, mean in means.items():
            if mean.shape != (story["dim"],) or not np.isfinite(mean).all():
                raise ValueError(
                    f"{path} is corrupt: expected a finite mean of {name}, {story['dim']} numbers"
                )
        return cls(method, means, _noise(story, tensors, path))


def _mean(rows: Any, name: str, dim: int) -> np.ndarray:
    """Mean (dim,) of unit rows, not scaled again, as in the released code."""
    rows = check_matrix(rows, name)
    if rows.shape[1] != dim:
        raise ValueError(f"{name} must have dim {dim}, as texts have, got dim {rows.shape[1]}")
    return sum((part.sum(axis=0) for part in unit_parts(rows, name)), np.zeros(dim)) / len(rows)


def _unfitted(method: Method, std: float | str | None) -> Noise | None:
    if method.noise in ("gaussian", "capdec", "span"):
        if std is None:
            std = "capdec" if method.noise == "capdec" else RELEASED_STD
        return SpanNoise(std) if method.noise == "span" else GaussianNoise(std)  # ty: ignore[invalid-argument-type]
    if std is not None:
        has = f"its noise is {method.noise}" if method.noise else "it adds no noise"
        raise ValueError(f"std does not apply to {method.name}: {has}, got {std!r}")
    return {None: None, "adaptive": AdaptiveNoise(), "calibrated": CalibratedNoise()}[method.noise]


def _measured(texts: Any, items: Any, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Unit rows that noise is measured on, and their items where these are known."""
    if items is None:
        return unit_rows(texts[:2]), None
    items = check_groups(items, len(texts), "items")
    count = int(items.max()) + 1
    if count > _ITEMS:
        taken = np.zeros(count, bool)
        taken[np.random.default_rng(seed).choice(count, _ITEMS, replace=False)] = True
        rows = np.flatnonzero(taken[items])
        return unit_rows(texts[rows]), items[rows]
    return unit_rows(texts[:]), items


def _fit_span(noise: SpanNoise, means: Mapping[str, np.ndarray], rows: np.ndarray, groups: Any) -> None:
    """Fit noise that spares the gap between text and every other modality."""
    others = [mean for name, mean in means.items() if name != "text"]
    if not others:
        raise ValueError("noise of the span spares the gap: expected another modality in others, got none")
    noise.fit(np.stack(others), rows, groups=groups)
    gaps = np.stack(others) - means["text"]  # (modalities, dim)
    _, length, direction = np.linalg.svd(gaps, full_matrices=False)
    noise.directions_ = direction[length > 1e-6 * length[0]]


def _learned(noise: Noise | None) -> dict[str, Any]:
    return {} if noise is None else {name: vars(noise)[name] for name in _LEARNED if name in vars(noise)}


def _told(noise: Noise) -> dict[str, Any]:
    plain = {name: value for name, value in _learned(noise).items() if not isinstance(value, np.ndarray)}
    params = {n: v.item() if isinstance(v, np.generic) else v for n, v in noise.get_params().items()}
    return {"kind": type(noise).__name__, "params": params, "learned": plain}


def _noise(story: dict[str, Any], tensors: dict[str, np.ndarray], path: Path) -> Noise | None:
    """Fitted noise, as a file tells of it."""
    told = story["noise"]
    if told is None:
        return None
    if told["kind"] not in _NOISE:
        raise ValueError(f"{path} has unknown noise {told['kind']!r}: expected one of {', '.join(_NOISE)}")
    noise = _NOISE[told["kind"]]().set_params(**told["params"])
    arrays = {name.removeprefix("noise."): a for name, a in tensors.items() if name.startswith("noise.")}
    for name, value in _known(told["learned"] | arrays, set(_LEARNED), path).items():
        setattr(noise, name, value)
    noise.n_features_in_ = story["dim"]
    return noise


def _known(given: dict[str, Any], names: set[str], path: Path) -> dict[str, Any]:
    if unknown := set(given) - names:
        raise ValueError(f"{path} has unknown entries {', '.join(sorted(unknown))}")
    return given
