"""isthmus theory"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from isthmus.cli.show import progress_bar, say
from isthmus.cli.theory_output import Given, Output

theory = App(
    name="theory",
    help="Simulate why the gap exists, each figure beside its closed-form prediction and the paper's.",
)


@theory.command
def initialization(
    *,
    n: int = 1000,
    dim: int = 512,
    effective: Annotated[tuple[int, int], Parameter(negative="")] = (25, 230),
    seeds: int = 20,
    seed: int = 0,
    output: Given = Output(),  # noqa: B008
) -> None:
    """Show the gap before any training: dimensions that do not vary hold the modalities apart.

    C3, section 3.1 and the left half of Figure 4.

    Parameters
    ----------
    n : int
        Rows of each modality.
    dim : int
        Width of the space.
    effective : tuple of int
        Dimensions in which the first and in which the second modality varies.
    seeds : int
        Draws that the spread is over.
    seed : int
        Of the first draw.
    """
    from isthmus.theory.initialization import initialization as simulate

    output.check("initialization")
    output.give(simulate(n=n, dim=dim, effective=effective, seeds=seeds, seed=seed))


@dataclass
class Descent:
    """How `isthmus theory optimization` goes; the defaults are the paper's.

    Parameters
    ----------
    n : int
        Pairs. The released notebook has 500, and prints the gap after 80,000 steps.
    steps : int
        Of gradient descent.
    learning_rate : float
        Of each step.
    temperature : float
        Of the loss, at the start.
    final_temperature : float
        At the last step; the temperature falls or rises by a constant factor a step.
    learn_temperature : bool
        Learn it, by the same descent on its logarithm.
    reading : {"scaled", "unit", "renormalized", "free"}
        What is optimised: rows as drawn or of unit length, scaled in the forward pass; brought back to unit
        length after each step; or left to themselves.
    quick : bool
        A hundred times fewer steps, each a hundred times longer: the same figures, in a minute. With other
        readings than scaled, the same to the first digit.
    seed : int
        Of the draw.
    """

    n: int = 1000
    steps: int = 200_000
    learning_rate: float = 0.1
    temperature: float = 0.07
    final_temperature: float | None = None
    learn_temperature: Annotated[bool, Parameter(negative="")] = False
    reading: Literal["scaled", "unit", "renormalized", "free"] = "scaled"
    quick: Annotated[bool, Parameter(negative="")] = False
    seed: int = 0

    def config(self) -> Any:
        """Return the simulation's own settings."""
        from isthmus.theory.optimization_config import OptimizationConfig

        given = {name: value for name, value in vars(self).items() if name != "quick"}
        config = OptimizationConfig(**given)
        return config.coarser(100) if self.quick else config


@theory.command
def optimization(
    *,
    settings: Annotated[Descent, Parameter("*")] = Descent(),  # noqa: B008
    output: Given = Output(),  # noqa: B008
) -> None:
    """Show what contrastive training does to the gap: it aligns what varies, and leaves most of the rest.

    C3, Lemma 1 and Figure 4: 200,000 steps. With --out, a run that was stopped goes on where it was, with the
    same result.
    """
    from isthmus.theory.optimization import optimization as simulate

    output.check("optimization", "optimization.npz.partial")
    config = settings.config()
    state = None
    if output.out is not None:
        state = output.out / "optimization.npz.partial"
    with progress_bar("optimizing") as advance:
        try:
            simulation = simulate(config, checkpoint=state, progress=advance)
        except FloatingPointError as error:
            raise ValueError(f"--learning-rate: {error}") from error
        except KeyboardInterrupt:
            if state is not None and state.is_file():
                say(f"{state} keeps the last step: the same command goes on from there")
            raise
    output.give(simulation)
    if state is not None:
        state.unlink(missing_ok=True)


@theory.command
def gradients(
    *,
    n: int = 300,
    dim: int = 512,
    effective: Annotated[tuple[int, int], Parameter(negative="")] = (25, 230),
    temperature: float = 0.07,
    seed: int = 0,
    output: Given = Output(),  # noqa: B008
) -> None:
    """Check Lemma 1: the gradient in closed form, and that it stays in the span of the other modality.

    Parameters
    ----------
    n : int
        Pairs.
    dim : int
        Width of the space.
    effective : tuple of int
        Dimensions in which the first and in which the second modality varies.
    temperature : float
        Of the loss.
    seed : int
        Of the draw.
    """
    from isthmus.theory.contrastive import gradients as simulate

    output.check("gradients")
    output.give(simulate(n=n, dim=dim, effective=effective, temperature=temperature, seed=seed))


@theory.command(name="stable-region")
def stable_region(
    *,
    n: int = 256,
    delta: float = 0.01,
    dim: int = 512,
    temperatures: Annotated[list[float] | None, Parameter(negative="", consume_multiple=True)] = None,
    seed: int = 0,
    output: Given = Output(),  # noqa: B008
) -> None:
    """Show how far a row may lie from its own while its loss stays small: where alignment noise comes from.

    C3, Lemma 2 and Figure 5.

    Parameters
    ----------
    n : int
        Rows of a batch.
    delta : float
        Loss at which a row counts as done, below log 2.
    dim : int
        Width of the space.
    temperatures : list of float
        At which it is shown. By default 0.01, 0.02, 0.05, 0.07, 0.1, 0.2, 0.5 and 1.
    seed : int
        Of the draws.
    """
    from isthmus.theory.stable_region import stable_region as simulate

    output.check("stable_region")
    given: dict[str, Any] = {} if temperatures is None else {"temperatures": temperatures}
    output.give(simulate(n=n, delta=delta, dim=dim, seed=seed, **given))


@theory.command(name="dimensional-collapse")
def dimensional_collapse(
    *,
    depth: int = 50,
    width: int = 512,
    n: int = 1000,
    stack: str = "all",
    seed: int = 0,
    output: Given = Output(),  # noqa: B008
) -> None:
    """Show how random networks use fewer dimensions the deeper they are. C3, Figure 13.

    Parameters
    ----------
    depth : int
        Layers.
    width : int
        Of inputs and layers.
    n : int
        Inputs.
    stack : str
        mlp, residual, normalized, postnorm, transformer, linear, or all.
    seed : int
        Of inputs and weights.
    """
    from isthmus.theory.depth import dimensional_collapse as simulate

    output.check("dimensional_collapse")
    with progress_bar("running networks"):
        simulation = simulate(depth=depth, width=width, n=n, stack=stack, seed=seed)
    output.give(simulation)


@theory.command(name="random-clip")
def random_clip(
    source: str,
    /,
    *,
    n: int | None = None,
    patch: Literal[16, 32] = 16,
    initialization: Literal["openai", "transformers"] = "openai",
    vocabulary: Literal["captions", "clip"] = "captions",
    seed: int = 0,
    output: Given = Output(),  # noqa: B008
) -> None:
    """Embed images and captions by a CLIP that was never trained: how few dimensions it uses. C3, Figure 3.

    Needs no weights, but the extra [clip].

    Parameters
    ----------
    source : str
        Images with captions, such as coco:data/coco.
    n : int
        Items, the first ones. By default all.
    patch : {16, 32}
        ViT-B/16, or ViT-B/32, which takes a quarter of the time.
    initialization : {"openai", "transformers"}
        Whose code's random weights.
    vocabulary : {"captions", "clip"}
        A token for each word of the captions, or CLIP's own, which open_clip brings along.
    seed : int
        Of the weights.
    """
    from isthmus.sources import open_source
    from isthmus.theory.depth_clip import random_clip as simulate

    output.check("random_clip")
    options: dict[str, Any] = {"patch": patch, "initialization": initialization, "vocabulary": vocabulary}
    with progress_bar("embedding"):
        simulation = simulate(open_source(source), n=n, seed=seed, **options)
    output.give(simulation)


@theory.command
def cone(
    *,
    dim: int = 512,
    constants: Annotated[list[float] | None, Parameter(negative="", consume_multiple=True)] = None,
    n: int = 1000,
    seed: int = 0,
    output: Given = Output(),  # noqa: B008
) -> None:
    """Show how dimensions that do not vary squeeze rows into a cone. C3, Figure 14.

    Parameters
    ----------
    dim : int
        Width of the space.
    constants : list of float
        What the dimensions hold that do not vary, in standard deviations of the others. By default 0.5, 1
        and 2.
    n : int
        Rows.
    seed : int
        Of the draws.
    """
    from isthmus.theory.cone import cone as simulate

    output.check("cone")
    given: dict[str, Any] = {} if constants is None else {"constants": constants}
    output.give(simulate(dim=dim, n=n, seed=seed, **given))


@dataclass
class Moved:
    """Options of `isthmus theory gap-shift`.

    Parameters
    ----------
    groups : str
        The item of each row, of which one pair is used: as for `isthmus measure`.
    modalities : list of str
        Which two of a store.
    temperatures : list of float
        Of the loss, from 0.005 on. By default 0.01, 0.02, 0.05, 0.07, 0.2 and 1.
    rows : int
        Pairs used, at most.
    seed : int
        Of the draw.
    """

    groups: str | None = None
    modalities: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)] = None
    temperatures: Annotated[list[float] | None, Parameter(negative="", consume_multiple=True)] = None
    rows: int = 500
    seed: int = 0


@theory.command(name="gap-shift")
def gap_shift(
    x: str | None = None,
    y: str | None = None,
    /,
    *,
    settings: Annotated[Moved, Parameter("*")] = Moved(),  # noqa: B008
    output: Given = Output(),  # noqa: B008
) -> None:
    """Move both modalities along the gap: what the contrastive loss gains from it, and what recall does.

    Liang et al., "Mind the Gap", Figure 3.

    Parameters
    ----------
    x : str
        Embeddings of the first modality, or a store, as for `isthmus measure`: one pair of each item is used.
        By default, simulated ones.
    y : str
        Embeddings of the second modality.
    """
    import numpy as np

    from isthmus.measure import find_items
    from isthmus.store import open_pairs
    from isthmus.theory.gap_shift import gap_shift as simulate

    output.check("gap_shift")
    given: dict[str, Any] = {} if settings.temperatures is None else {"temperatures": settings.temperatures}
    for option in ("modalities", "groups"):
        if x is None and (y is not None or getattr(settings, option) is not None):
            raise ValueError(f"--{option}: expected embeddings of them first, got none")
    if x is not None:
        pairs = open_pairs(x, y, groups=settings.groups, modalities=settings.modalities)
        items = find_items(pairs.x, pairs.y, pairs.groups)
        one = items.one_pair_of_each(np.random.default_rng(settings.seed))  # other captions are not wrong
        given |= {"x": pairs.x[one], "y": pairs.y[one]}
    output.give(simulate(rows=settings.rows, seed=settings.seed, **given))
