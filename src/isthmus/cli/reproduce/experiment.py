"""How large a reproduction is: every number that its figures depend on."""

import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from isthmus.checks import check_number
from isthmus.whole import write_whole

_WHOLE = ("items", "captions", "test", "few", "media", "epochs", "tuning_rows", "batch_size", "prefix")
_WHOLE += ("warmup", "width", "layers", "heads", "length", "candidates")
_FILE = "experiment.json"


@dataclass(frozen=True)
class Experiment:
    """Sizes of a reproduction, its seeds aside.

    Examples
    --------
    >>> Experiment(items=0)
    Traceback (most recent call last):
    ...
    ValueError: items must be a whole number in [1, inf), got 0
    """

    items: int = 7000  # scenes whose captions, or pairs, are learned from
    captions: int = 5  # of each scene
    test: int = 1000  # scenes that captions are written for
    few: int = 100  # of these, for methods that are steered at every token
    media: int = 1000  # scenes that the means of sounds and of videos are taken over
    world: int = 1  # seed of the scenes: the encoder that is shipped has learned from world 0
    epochs: int = 1  # passes over the captions
    tuning_rows: int = 12_000  # captions seen at least, with repeats, when a captioner learns from pairs
    batch_size: int = 32
    learning_rate: float = 1e-3
    warmup: int = 30  # steps
    prefix: int = 10
    width: int = 128
    layers: int = 3
    heads: int = 4
    length: int = 30  # tokens of a caption at most
    candidates: int = 32  # next tokens that ZeroCap and MAGIC compare

    def __post_init__(self) -> None:
        """Raise ValueError if a value makes no sense."""
        for name in _WHOLE:
            check_number(getattr(self, name), name, "[1, inf)", integer=True)
        check_number(self.world, "world", "[0, inf)", integer=True)
        check_number(self.learning_rate, "learning_rate", "(0, inf)")

    def training(
        self, method: str, seed: int, *, share: float | None = None, std: float | None = None
    ) -> Any:
        """Return how a captioner is trained.

        Parameters
        ----------
        method : str
            One of METHODS.
        seed : int
            Of weights, order and noise.
        share : float, optional
            Of the pairs that there are, if it is one that learns from few: it then sees at least
            `tuning_rows` captions in whole passes, unless those held out say that it has learned enough.
        std : float, optional
            Of the noise, where it is not the one found from the captions.

        Returns
        -------
        CaptionTraining
            Of `isthmus.decode.settings`.
        """
        from isthmus.decode.methods import METHODS
        from isthmus.decode.settings import CaptionTraining

        found = "auto" if METHODS[method].noise in ("gaussian", "span") else None
        settings = CaptionTraining(
            method=method,
            std=found if std is None else std,
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            warmup=self.warmup,
            prefix=self.prefix,
            width=self.width,
            layers=self.layers,
            heads=self.heads,
            seed=seed,
        )
        if share is None:
            return settings
        epochs = math.ceil(self.tuning_rows / (share * self.items * self.captions))
        return replace(settings, pairs=share, std=None, epochs=epochs, patience=max(3, epochs // 5))

    def to_dict(self) -> dict[str, Any]:
        """Return every size, ready for JSON."""
        return asdict(self)


FULL = Experiment()
QUICK = Experiment(items=1600, test=300, few=16, media=300, epochs=2, tuning_rows=4000)


def claim(folder: Path, experiment: Experiment, *, encoder: str) -> None:
    """Keep the sizes in a folder, or find that they are those that it was begun with.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    experiment : Experiment
        The sizes.
    encoder : str
        Name and revision of the encoder.

    Raises
    ------
    ValueError
        The folder was begun with others, naming them, or holds something else.
    """
    path, asked = folder / _FILE, experiment.to_dict() | {"encoder": encoder}
    if not path.is_file():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ValueError(f"{folder}: expected a new or empty folder, or one of isthmus reproduce")
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, (json.dumps(asked, indent=1) + "\n").encode())
        return
    there = json.loads(path.read_bytes())
    unlike = [name for name in sorted({*there, *asked}) if there.get(name) != asked.get(name)]
    if unlike:
        sides = "; ".join(f"{name} is {there.get(name)} there and {asked.get(name)} here" for name in unlike)
        raise ValueError(f"{folder} was begun with other settings: {sides}. Name another folder by --out")
