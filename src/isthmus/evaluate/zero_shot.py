"""Classification by names: an image is of the class whose prompts are nearest."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from isthmus.checks import blocks, check_embeddings, check_number, unit_rows
from isthmus.measure.bootstrap import Bootstrap, Figure
from isthmus.measure.discrimination import retrieval_ranks

TEMPLATES = {
    "photo": ("a photo of a {}.",),  # of CLIP's README
    "openai": (  # the seven that OpenAI's search of 80 chose for ImageNet
        "itap of a {}.",
        "a bad photo of the {}.",
        "a origami {}.",
        "a photo of the large {}.",
        "a {} in a video game.",
        "art of the {}.",
        "a photo of the small {}.",
    ),
}
FIGURES = {"top_1": "top-1", "top_5": "top-5", "macro": "macro top-1", "ece": "ECE"}
TEMPERATURE = 0.01  # CLIP's
_BINS = 15
_TOP = 5


@dataclass(frozen=True)
class ZeroShot:
    """How many images find their class.

    Examples
    --------
    >>> ZeroShot(9, 0.01, {}, {"cat": Figure(0.9, 0.8, 1.0)}).to_dict()["per_class"]["cat"]["value"]
    0.9
    """

    images: int
    temperature: float
    figures: dict[str, Figure]  # of FIGURES; top_5 where there are more classes than that
    per_class: dict[str, Figure]  # top-1 among the images of each class that has any

    def to_dict(self) -> dict[str, Any]:
        """Return counts, and each figure as ``{"value", "low", "high"}``, ready for JSON."""
        figures, classes = (
            {name: figure._asdict() for name, figure in some.items()}
            for some in (self.figures, self.per_class)
        )
        return {"images": self.images, "temperature": self.temperature, **figures, "per_class": classes}

    def __rich__(self):
        from rich.table import Table

        table = Table("", "value [95% interval]", title=f"{self.images} images")
        for name, figure in self.figures.items():
            table.add_row(FIGURES[name], str(figure))
        for name, figure in self.per_class.items():
            table.add_row(f"[dim]{name}[/dim]", str(figure))
        return table


def class_prompts(names: Sequence[str], templates: Sequence[str] = TEMPLATES["photo"]) -> list[str]:
    """Put class names into templates.

    Parameters
    ----------
    names : sequence of str
        Of the classes, each once.
    templates : sequence of str
        Each with one ``{}``, where the name goes. By default "a photo of a {}.".

    Returns
    -------
    list of str, length classes x templates
        All prompts of the first class, then those of the next.

    Raises
    ------
    ValueError
        A name comes twice or is empty, there are fewer than two, or a template has not one ``{}``.

    Examples
    --------
    >>> class_prompts(["cat", "dog"])
    ['a photo of a cat.', 'a photo of a dog.']
    """
    if len(names) < 2:
        raise ValueError(f"names: expected at least 2 classes, got {len(names)}")
    seen: set[str] = set()
    for name in names:
        if not name.strip():
            raise ValueError(f"names: expected a name for each class, found {name!r}")
        if name in seen:
            raise ValueError(f"names: expected each class once, found {name!r} twice")
        seen.add(name)
    if not templates:
        raise ValueError("templates: expected at least one, got none")
    for template in templates:
        if template.count("{}") != 1:
            raise ValueError(f"templates: expected one {{}} in each, where the name goes, got {template!r}")
    return [template.replace("{}", name) for name in names for template in templates]


def ensemble(prompts: Any) -> np.ndarray:
    """Return one prototype per class: the mean of its prompts' unit rows, scaled to unit length.

    Parameters
    ----------
    prompts : array-like of shape (classes, templates, dim)
        Embeddings of every class in every template.

    Returns
    -------
    ndarray of float64, shape (classes, dim)
        Unit rows. Prompts that cancel one another leave a zero row.

    Raises
    ------
    ValueError
        It has another number of dimensions, or a row is zero or not finite.

    References
    ----------
    .. [1] Radford et al., "Learning Transferable Visual Models From Natural Language Supervision",
       ICML 2021, section 3.1.4: prompts are averaged as embeddings, not as probabilities.

    Examples
    --------
    >>> ensemble([[[2.0, 0.0], [0.0, 9.0]], [[0.0, 1.0], [0.0, 1.0]]]).round(3)
    array([[0.707, 0.707],
           [0.   , 1.   ]])
    """
    prompts = np.asarray(prompts)
    if prompts.ndim != 3:
        raise ValueError(f"prompts must have shape (classes, templates, dim), got {prompts.shape}")
    classes, templates, dim = prompts.shape
    flat = check_embeddings(prompts.reshape(-1, dim), "prompts")
    return unit_rows(unit_rows(flat).reshape(classes, templates, dim).mean(axis=1))


def zero_shot(
    images: Any,
    prototypes: Any,
    *,
    labels: Any,
    names: Sequence[str] | None = None,
    temperature: float = TEMPERATURE,
    seed: int = 0,
) -> ZeroShot:
    """Let every image choose the class whose prototype is nearest, by cosine.

    Parameters
    ----------
    images : array-like of shape (n, dim)
        Embeddings, each of another image.
    prototypes : array-like of shape (classes, dim)
        An embedding for each class, of any length; :func:`ensemble` makes one of many prompts.
    labels : array-like of int, shape (n,)
        The class of each image, a row of `prototypes`.
    names : sequence of str, optional
        What classes are called in the result; by default their numbers.
    temperature : float, default=0.01
        Cosines are divided by it before the softmax, whose largest entry is the confidence.
    seed : int, default=0
        Of the resamples.

    Returns
    -------
    ZeroShot
        Top-1, top-5, the mean over classes of their top-1, and the expected calibration error over 15 bins of
        equal width [1]_, each in [0, 1], with 95% bootstrap intervals over images. A tie counts as an error,
        so that a map that sends everything to one point is never right. Chance makes the error of few images
        larger than that of all: its interval is wide enough to hold the latter, and 0 where there is none.

    Raises
    ------
    ValueError
        Embeddings are bad, there are fewer than two classes or images, or labels name none of the classes.

    References
    ----------
    .. [1] Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, equation 3.

    Examples
    --------
    >>> found = zero_shot([[3.0, 1.0], [1.0, 2.0], [2.0, 1.0]], np.eye(2), labels=[0, 1, 1])
    >>> round(found.figures["top_1"].value, 3), found.per_class["1"].value
    (0.667, 0.5)
    """
    images = check_embeddings(images, "images")
    prototypes = check_embeddings(prototypes, "prototypes", images.shape[1])
    labels = check_labels(labels, len(images), len(prototypes))
    check_number(temperature, "temperature", "(0, inf)")
    known = _names(names, len(prototypes))
    boot = Bootstrap(np.arange(len(images)), seed)
    found = replicate_zero_shot(images, prototypes, labels=labels, boot=boot, temperature=temperature)
    figures = {name: found.figure(name) for name in FIGURES if name in found}
    per_class = {known[at]: found.of_one(at) for at in found.of_class}
    return ZeroShot(len(images), temperature, figures, per_class)


def _names(names: Sequence[str] | None, classes: int) -> Sequence[str]:
    """Return what classes are called, by default their numbers."""
    if names is None:
        return [str(i) for i in range(classes)]
    if len(names) != classes:
        raise ValueError(f"names has {len(names)} classes, prototypes has {classes}")
    return names


def check_labels(labels: Any, n: int, classes: int) -> np.ndarray:
    """Return labels as whole numbers (n,), each naming one of so many classes."""
    labels = np.asarray(labels)
    if labels.shape != (n,) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"labels must hold a whole number for each of {n} images, got {labels.dtype} {labels.shape}"
        )
    if min(n, classes) < 2:
        raise ValueError(f"expected at least 2 images and 2 classes, got {n} and {classes}")
    if labels.min() < 0 or labels.max() >= classes:
        worst = int(labels.min() if labels.min() < 0 else labels.max())
        raise ValueError(f"labels must name one of {classes} classes, 0 to {classes - 1}, got {worst}")
    return labels.astype(np.int64)


@dataclass(frozen=True, eq=False)
class Replicated:
    """What :func:`zero_shot` found, replicated, so that two readings of the same images can be compared.

    Examples
    --------
    >>> images = np.tile(np.eye(2), (20, 1))
    >>> boot = Bootstrap(np.arange(40), seed=0)
    >>> found = replicate_zero_shot(images, np.eye(2), labels=np.tile([0, 1], 20), boot=boot, temperature=1)
    >>> print(found.figure("top_1"))
    1.000 [0.912, 1.000]
    """

    shares: dict[str, np.ndarray]  # FIGURES but the ECE, (1 + draws,) each
    of_class: dict[int, np.ndarray]  # top-1 by class that has images, (1 + draws,) each
    count: dict[int, int]  # images by class
    apart: np.ndarray  # (bins, 1 + draws) right less confidence in each bin, summed over its images, over n

    def __contains__(self, name: str) -> bool:
        return name in self.shares or name == "ece"

    def share_of(self, name: str) -> int:
        """Return of how many images a figure is the share; for macro, as its smallest class allows."""
        counts = self.count.values()
        return min(counts) * len(counts) if name == "macro" else sum(counts)

    def figure(self, name: str) -> Figure:
        """Return one of FIGURES with its interval."""
        if name != "ece":
            return Bootstrap.figure(self.shares[name], share_of=self.share_of(name))
        value = float(np.abs(self.apart[:, 0]).sum())
        unseen = 1 - 0.025 ** (1 / self.share_of("ece"))  # mistakes that there may be where all were right
        bound = max(_most(np.abs(self._moves).sum(axis=0)), unseen)
        return Figure(value, max(value - bound, 0.0), min(value + bound, 1.0))

    def of_one(self, label: int) -> Figure:
        """Return the top-1 of a class with its interval."""
        return Bootstrap.figure(self.of_class[label], share_of=self.count[label])

    def ece_above(self, other: Self) -> Figure:
        """Return by how much the ECE is above that of another reading of the same images.

        Per bin it is off by no more than both moves, nor, where the two readings are much the same, by more
        than twice the distance of the two and the difference of their moves.
        """
        value = float(np.abs(self.apart[:, 0]).sum() - np.abs(other.apart[:, 0]).sum())
        near = 2 * np.abs(self.apart[:, :1] - other.apart[:, :1]) + np.abs(self._moves - other._moves)
        far = np.abs(self._moves) + np.abs(other._moves)
        bound = _most(np.minimum(near, far).sum(axis=0))
        return Figure(value, max(value - bound, -1.0), min(value + bound, 1.0))

    @property
    def _moves(self) -> np.ndarray:
        return self.apart[:, 1:] - self.apart[:, :1]


def _most(bounds: np.ndarray) -> float:
    """Return what 95% of the resamples stay within.

    Chance adds to a sum of absolute values, and to that of every resample: their quantiles lie above the
    truth where bins are right. By the triangle inequality the sum is off by no more than its parts in all.
    """
    return float(np.quantile(bounds, 0.95))


def replicate_zero_shot(
    images: Any, prototypes: np.ndarray, *, labels: np.ndarray, boot: Bootstrap, temperature: float
) -> Replicated:
    """Return the figures of :func:`zero_shot` and each class's top-1, replicated by `boot`."""
    classes = len(prototypes)
    ranks = retrieval_ranks(images, prototypes, query_items=labels, gallery_items=np.arange(classes))
    right = (ranks == 1) * 1.0  # (n,)
    shares = {"top_1": boot.mean(right)}
    if classes > _TOP:
        shares[f"top_{_TOP}"] = boot.mean((ranks <= _TOP) * 1.0)
    of_class, count, total, present = {}, {}, 0.0, 0.0
    for label in np.unique(labels).tolist():
        rows = np.flatnonzero(labels == label)
        of_class[label], count[label] = boot.mean(right[rows], rows), len(rows)
        drawn = boot.weights @ np.bincount(boot.bin[rows], minlength=boot.bins) > 0
        total, present = total + of_class[label] * drawn, present + drawn
    shares["macro"] = total / np.maximum(present, 1)
    confidence = _confidence(images, prototypes, temperature)
    at = np.clip(np.ceil(confidence * _BINS) - 1, 0, _BINS - 1)  # bins hold their upper bound
    apart = np.array([boot.mean((right - confidence) * (at == b)) for b in range(_BINS)])
    return Replicated(shares, of_class, count, apart)


def _confidence(images: Any, prototypes: np.ndarray, temperature: float) -> np.ndarray:
    """Return the largest entry of each image's softmax over the classes, shape (n,)."""
    unit, out = unit_rows(prototypes), np.empty(len(images))
    for rows in blocks(len(images), max(images.shape[1], len(prototypes))):
        cosine = unit_rows(images[rows]) @ unit.T  # (block, classes)
        out[rows] = 1 / np.exp((cosine - cosine.max(axis=1, keepdims=True)) / temperature).sum(axis=1)
    return out
