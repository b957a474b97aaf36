"""Dimensional collapse: the deeper a network, the fewer dimensions its features use, before any training."""

from collections.abc import Iterator
from itertools import chain

import numpy as np

from isthmus.checks import check_number, unit_rows
from isthmus.measure import mean_cosine_within
from isthmus.measure.dimension import spectrum_dimension
from isthmus.theory.depth_attention import propagate_transformer
from isthmus.theory.depth_equivalent import Moments, equivalent_layers, sample_spectrum, spectrum
from isthmus.theory.depth_kernel import propagate
from isthmus.theory.simulation import Line, Simulation
from isthmus.theory.stacks import HEADS, STACKS, TOKENS, run_stack

_EVERY = 5  # layers between features that are looked at
_SIDES = ("before", "after")
_SCALED = ("normalized", "postnorm", "transformer")  # the length of an input does not go through
_QUANTITIES = {
    "cosine": "mean cosine",
    "dimension": "effective dimension",
    "unit_dimension": "effective dimension of unit rows",
    "participation": "participation ratio of unit rows",
}
Curves = dict[str, np.ndarray]


def dimensional_collapse(
    *,
    depth: int = 50,
    width: int = 512,
    n: int = 1000,
    stack: str = "mlp",
    seed: int = 0,
    repeats: int = 3,
) -> Simulation:
    r"""Measure the features of random inputs in a random network, every five layers.

    Figure 13 of C3 [1]_: layers ``relu(W x)`` with Xavier-uniform weights and no biases,
    standard Gaussian inputs. There the features are those before the ReLU, as they
    are; here also after it, also of unit rows, and in other stacks.

    Predictions: mean cosines, by the arc-cosine kernel of layers of unlimited
    width; participation ratios, in closed form to leading order in depth / width;
    effective dimensions, for which there is no closed form, by a product of random
    matrices drawn as often as the network. Of the transformer, cosines only.

    Parameters
    ----------
    depth : int, default=50
        Layers; of a transformer, blocks of attention and ReLU.
    width : int, default=512
        Of inputs and layers.
    n : int, default=1000
        Inputs.
    stack : str, default="mlp"
        One of those of :func:`isthmus.theory.stacks.run_stack`, or "all".
    seed : int, default=0
        Of inputs, weights and the random matrices of the prediction.
    repeats : int, default=3
        Networks, each with its own inputs; figures are means over them.

    Returns
    -------
    Simulation
        Lines: the figures at the last layer. Curves: "layers" (k,); for each
        stack and for "before" and "after" the ReLU, of shape (k,),
        "STACK_QUANTITY_SIDE" and "..._spread" and "..._predicted", the quantities
        being cosine, dimension, unit_dimension and participation (of unit rows);
        and "STACK_spectrum" (k, width): singular values of the covariance before the
        ReLU, as shares, of the first network. Cosines in [-1, 1], dimensions in [1, min(n - 1, width)].

    Raises
    ------
    ValueError
        An argument is out of range, there is no such stack, or layers are so
        narrow that rows become zero or all alike.

    References
    ----------
    .. [1] Zhang et al., "Connect, Collapse, Corrupt", ICLR 2024, section I.2 and Figure 13.

    Examples
    --------
    >>> run = dimensional_collapse(depth=10, width=64, n=200)
    >>> run.curves["layers"].tolist()
    [0, 5, 10]
    >>> bool((np.diff(run.curves["mlp_dimension_before"]) < 0).all())
    True
    """
    for value, name, low in ((depth, "depth", 1), (width, "width", 2), (n, "n", 2), (repeats, "repeats", 1)):
        check_number(value, name, f"[{low}, inf)", integer=True)
    check_number(seed, "seed", "[0, inf)", integer=True)
    if stack not in (*STACKS, "all"):
        raise ValueError(f"stack must be one of {', '.join(STACKS)} or all, got {stack!r}")
    if stack in ("transformer", "all") and width % HEADS:
        raise ValueError(f"width must be a multiple of the {HEADS} heads of a transformer, got {width}")
    layers = sorted({*range(0, depth + 1, _EVERY), depth})
    curves: Curves = {"layers": np.array(layers)}
    lines: list[Line] = []
    for name in STACKS if stack == "all" else (stack,):
        found = [_measured(name, layers, width, n, np.random.default_rng([seed, r])) for r in range(repeats)]
        predicted = _predicted(name, layers, width, n, [[seed, r, 1] for r in range(repeats)])
        curves[f"{name}_spectrum"] = found[0].pop("spectrum")
        for key, label in _labels():
            rows = np.array([one[key] for one in found])  # (repeats, k)
            curves[f"{name}_{key}"] = rows.mean(axis=0)
            spread = rows.std(axis=0, ddof=1) if repeats > 1 else None
            if spread is not None:
                curves[f"{name}_{key}_spread"] = spread
            if key in predicted:
                curves[f"{name}_{key}_predicted"] = predicted[key]
            last = float(predicted[key][-1]) if key in predicted else None
            deviation = None if spread is None else float(spread[-1])
            lines.append(Line(f"{name}: {label}", float(rows[:, -1].mean()), last, deviation))
    return Simulation(
        name="dimensional_collapse",
        title=f"Features of random networks after {depth} layers of width {width}",
        settings={"depth": depth, "width": width, "n": n, "stack": stack, "seed": seed, "repeats": repeats},
        lines=tuple(lines),
        curves=curves,
        notes=(
            "Mean cosines are predicted for layers of unlimited width, participation ratios in closed form "
            "to leading order in depth / width. The share of a spectrum has no closed form: effective "
            "dimensions are predicted by a product of random matrices that is drawn; of the transformer not.",
            "The paper looks at features before the ReLU, as they are. Deep in the stacks without "
            "normalisation these vary most in length, along their mean: unit rows leave that out.",
        ),
    )


def _labels() -> Iterator[tuple[str, str]]:
    for quantity, label in _QUANTITIES.items():
        for side in _SIDES:
            yield f"{quantity}_{side}", f"{label}, {side} the ReLU"


def _measured(stack: str, layers: list[int], width: int, n: int, rng: np.random.Generator) -> Curves:
    """All quantities of one network, (k,) each, and its spectra before the ReLU, (k, width)."""
    if stack == "transformer":
        x = rng.normal(size=(n, TOKENS, width)).astype(np.float32)
        inputs = x[:, 0]
    else:
        x = inputs = rng.normal(size=(n, width))
    kept: dict[str, list] = {key: [] for key, _ in _labels()} | {"spectrum": []}
    walk = run_stack(stack, x, depth=layers[-1], rng=rng)
    for layer, pair in enumerate(chain([(inputs, inputs)], _quiet(walk))):
        if layer not in layers:
            continue
        for side, features in zip(_SIDES, pair, strict=True):
            _check_features(features, stack, layer, layers[-1])
            values, of_unit = spectrum(features), spectrum(unit_rows(features))
            kept[f"cosine_{side}"].append(mean_cosine_within(features))
            kept[f"dimension_{side}"].append(spectrum_dimension(values))
            kept[f"unit_dimension_{side}"].append(spectrum_dimension(of_unit))
            kept[f"participation_{side}"].append(_participation(of_unit))
            if side == "before":
                kept["spectrum"].append(values)
    return {key: np.array(values) for key, values in kept.items()}


def _quiet(walk: Iterator[tuple[np.ndarray, np.ndarray]]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Layers without NumPy's warnings of rows that are lost there: `_check_features` tells."""
    while True:
        with np.errstate(all="ignore"):
            pair = next(walk, None)
        if pair is None:
            return
        yield pair


def _check_features(features: np.ndarray, stack: str, layer: int, depth: int) -> None:
    """Raise where rows have no direction any more, or all of them have the same."""
    n, width = features.shape
    with np.errstate(all="ignore"):
        squares = np.square(features, dtype=np.float64).sum(axis=1)  # (n,)
    if stack in ("residual", "linear") and not ((squares > 1e-300) & (squares < np.inf)).all():
        raise ValueError(f"depth must be lower for {stack}: at {depth}, rows leave the range of float64")
    if not np.isfinite(squares).all():
        found = "a row is constant, which layer normalisation cannot scale,"
    elif not squares.all():
        found = f"{n - np.count_nonzero(squares)} of {n} rows are zero"
    elif np.ptp(unit_rows(features), axis=0).max() < 1e-12:
        found = f"all {n} rows have one direction"
    else:
        return
    raise ValueError(
        f"width must be larger for {stack} at depth {depth}: with {width}, {found} by layer {layer}"
    )


def _predicted(stack: str, layers: list[int], width: int, n: int, seeds: list[list[int]]) -> Curves:
    """What theory has for the quantities, (k,) each."""
    if stack == "transformer":
        cosines = propagate_transformer(depth=layers[-1], tokens=TOKENS)
        return {f"cosine_{side}": values[layers] for side, values in zip(_SIDES, cosines, strict=True)}
    theory = propagate(stack, depth=layers[-1], width=width)
    found = {"cosine_before": theory.before[layers], "cosine_after": theory.after[layers]}
    for side, ratio in zip(_SIDES, (theory.participation_before, theory.participation_after), strict=True):
        square = 1 / ratio[layers]
        # a sample of n rows adds the squared lengths of rows, of mean square (1 + 2 square) about a sum of 1
        found[f"participation_{side}"] = 1 / (square + (1 + square) / n)
    for key, unit in (("unit_dimension", True), ("dimension", False)):
        if stack in _SCALED and not unit:  # a normalised row has no length of its own
            found |= {f"{key}_{side}": found[f"unit_{key}_{side}"] for side in _SIDES}
            continue
        draws = [_drawn(stack, layers, width, n, unit=unit, seed=seed) for seed in seeds]  # (repeats, k, 2)
        for i, side in enumerate(_SIDES):
            found[f"{key}_{side}"] = np.mean(draws, axis=0)[:, i]
    return found


def _drawn(stack: str, layers: list[int], width: int, n: int, *, unit: bool, seed: list[int]) -> np.ndarray:
    """Effective dimensions of one product of random matrices, before and after the ReLU: (k, 2)."""
    rng = np.random.default_rng([*seed, int(unit)])
    # the length of a Gaussian row varies by 1 / (2 width) of its mean square
    stretch = 0.0 if unit or stack in _SCALED else 1 / (2 * width)
    inputs = Moments(np.zeros(width), np.eye(width))
    walk = equivalent_layers(stack, depth=layers[-1], width=width, rng=rng, unit=unit)
    rows = []
    for layer, pair in enumerate(chain([(inputs, inputs)], walk)):
        if layer in layers:
            spreads = [(m.stretched(stretch) if layer else m).covariance for m in pair]
            rows.append([spectrum_dimension(sample_spectrum(c, n=n, rng=rng)) for c in spreads])
    return np.array(rows)


def _participation(values: np.ndarray) -> float:
    return float(1 / (values @ values))
