"""The model card of the world's encoders."""

from importlib.resources import files
from typing import Any


def render_card(story: dict[str, Any], figures: dict[str, Any]) -> str:
    """Write what trained encoders are, how they came about and what they can do.

    Parameters
    ----------
    story : dict
        What ``training.json`` holds, as `isthmus.encoders.world.train_world` returns it.
    figures : dict
        Of `isthmus.evaluate.WorldFigures.to_dict`.

    Returns
    -------
    str
        Markdown.

    Examples
    --------
    >>> scenes = {"count": 9, "paired": 9, "detail": 0.2, "captions": 5, "seed": 0, "held_out": 10}
    >>> settings = {"scenes": scenes, "batch_size": 8, "learning_rate": 0.001, "weight_decay": 0.05}
    >>> settings |= {"epochs": 1, "paired_epochs": 1, "seed": 0, "precision": "float32"}
    >>> story = {"settings": settings, "isthmus": "0.1.0", "torch": "2.13.0", "code": None, "stages": {}}
    >>> card = render_card(story, {"scenes": 2000, "captions": 10000, "pairs": {}})
    >>> card.splitlines()[0]
    '# The encoders of the world'
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["figure"] = lambda f: f"{f['value']:.3f} ({f['low']:.3f} to {f['high']:.3f})"
    template = files("isthmus.report").joinpath("card.md.j2").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        story=story, settings=story["settings"], figures=figures, options=_options(story["settings"])
    )


def _options(settings: dict[str, Any]) -> str:
    """Write the options of the command that trains the same again."""
    scenes = settings["scenes"]
    named = {"scenes": scenes["count"], "paired": scenes["paired"], "detail": scenes["detail"]}
    named |= {name: settings[name] for name in ("epochs", "paired_epochs", "batch_size", "learning_rate")}
    named |= {"seed": settings["seed"], "precision": settings["precision"]}
    return "".join(f" --{name.replace('_', '-')} {value}" for name, value in named.items())
