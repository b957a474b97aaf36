"""isthmus world"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from isthmus.cli.show import progress_bar, say, show
from isthmus.whole import write_whole

world = App(name="world", help="The world that comes with isthmus: train its encoders, and measure them.")


@dataclass
class Training:
    """Options of `isthmus world train`.

    Parameters
    ----------
    scenes : int
        Scenes whose pictures and texts are learned from.
    paired : int
        Scenes whose videos and sounds are learned from.
    detail : float
        The share of a scene's facts that a caption tells, in [0, 1].
    epochs : int
        Passes over pictures with texts.
    paired_epochs : int
        Passes over videos, and over sounds, with pictures; 0 trains neither.
    batch_size : int
        Scenes at a time.
    learning_rate : float
        Of AdamW.
    seed : int
        Of the world, the weights and the batches.
    precision : str
        Of the networks' arithmetic: bfloat16 or float32.
    """

    scenes: int = 120_000
    paired: int = 30_000
    detail: float = 0.25
    epochs: int = 18
    paired_epochs: int = 12
    batch_size: int = 256
    learning_rate: float = 1e-3
    seed: int = 0
    precision: str = "bfloat16"


@world.command
def train(*, out: Path, settings: Annotated[Training, Parameter("*")] = Training()) -> None:  # noqa: B008
    """Train the encoders of the world, and write their model card.

    A run that was stopped goes on from its last checkpoint when it is started again, with the same result.

    Parameters
    ----------
    out : Path
        Folder to write to. `--encoder world:FOLDER` uses what is there.
    """
    from isthmus.encoders.world.contrastive import Scenes
    from isthmus.encoders.world.training import WorldTraining, train_world

    s = settings
    config = WorldTraining(
        Scenes(s.scenes, s.paired, detail=s.detail, seed=s.seed),
        epochs=s.epochs,
        paired_epochs=s.paired_epochs,
        batch_size=s.batch_size,
        learning_rate=s.learning_rate,
        seed=s.seed,
        precision=s.precision,
    )
    with progress_bar("training") as advance:
        train_world(
            out, config, progress=lambda stage, done, total, text: advance(done, total, f"{stage} {text}")
        )
    evaluate(weights=out, card=True)


@world.command
def evaluate(
    *,
    weights: Path | None = None,
    scenes: int = 2000,
    card: bool = False,
    as_json: Annotated[bool, Parameter("--json", negative="")] = False,
) -> None:
    """Measure the encoders of the world on scenes that they have not seen.

    Parameters
    ----------
    weights : Path
        Folder that `isthmus world train` wrote. By default the one that comes with isthmus.
    scenes : int
        How many.
    card : bool
        Also write figures.json and MODEL_CARD.md beside the weights.
    as_json : bool
        Print one JSON object.
    """
    from isthmus.checks import check_number
    from isthmus.encoders.world import world as open_world
    from isthmus.report import render_card

    check_number(scenes, "scenes", "[2, inf)", integer=True)
    if card and weights is None:
        raise ValueError("--card writes beside weights of your own: name them by --weights")
    encoder = open_world("" if weights is None else str(weights))
    with progress_bar("embedding") as advance:
        figures = held_out_figures(encoder, scenes, advance)
    show(figures, as_json=as_json)
    if card:
        folder = encoder.folder
        write_whole(folder / "figures.json", (json.dumps(figures.to_dict(), indent=1) + "\n").encode())
        write_whole(folder / "MODEL_CARD.md", render_card(encoder.story, figures.to_dict()).encode())
        say(f"model card: {folder / 'MODEL_CARD.md'}")


def held_out_figures(encoder: Any, count: int, advance: Any = lambda *_: None) -> Any:
    """Measure an encoder of the world on scenes of the kind it learned from, but of the split "test"."""
    from isthmus.evaluate import measure_world
    from isthmus.sources.world import SPLITS, draw_scene, world_item

    learned = encoder.story["settings"]["scenes"]
    seed, indices = learned["seed"], range(SPLITS["test"], SPLITS["test"] + count)
    items = [world_item(seed, i, detail=learned["detail"], count=learned["captions"]) for i in indices]
    texts = [text for item in items for text in item.captions]
    embeddings = {}
    for done, modality in enumerate(encoder.modalities):
        advance(done, len(encoder.modalities), modality)
        values = texts if modality == "text" else [item.load(modality) for item in items]
        embeddings[modality] = encoder.encode(values, modality, batch_size=250)
    owner = [i for i, item in enumerate(items) for _ in item.captions]
    return measure_world(embeddings, texts, [draw_scene(seed, i).facts for i in indices], owner)
