"""How a captioner is trained: every choice, with what it is by default, kept with the run as JSON."""

import difflib
import json
from collections.abc import Mapping
from dataclasses import Field, asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self

from isthmus.checks import check_number

SHAPE = (  # what the network is made of
    *("mapper", "prefix", "language_model", "frozen", "vocabulary", "width", "layers", "heads", "positions"),
    "dropout",
)
_STD_RULES = ("auto", "capdec")  # of `isthmus.align.noise`
_SELECT = ("auto", "text", "cross-modal")
_TEXTS = ("method", "modality", "select", "mapper", "language_model", "precision", "device")
_COUNTS = ("epochs", "batch_size", "prefix", "vocabulary", "width", "layers", "heads", "positions")
_RATES, _FINE = {"small": 1e-3}, 2e-5  # the latter as C3 fine-tunes GPT-2, appendix E.1
NOT_OF_THE_RESULT = ("device", "checkpoint_seconds")  # what may change when a run is taken up again


@dataclass(frozen=True)
class CaptionTraining:
    """How a captioner is trained.

    Examples
    --------
    >>> CaptionTraining(method="C3", epochs=0)
    Traceback (most recent call last):
    ...
    ValueError: epochs must be a whole number in [1, inf), got 0
    """

    method: str = "C3"  # a key of METHODS
    std: float | Literal["auto", "capdec"] | None = None  # of the noise; None: the method's own
    modality: str = "image"  # of the pairs, for methods and for select that have any
    pairs: float = 1.0  # share of the pairs that are known, those held out included
    noise_pairs: int = 0  # pairs that calibrated noise is measured on; 0: on the captions alone
    select: str = "auto"  # held-out loss that stops and selects: of texts, or of pairs; auto: as it learns
    held_out: float = 0.05  # share of the items that this loss is measured on; 0: nothing is selected
    mapper: str = "mlp"  # from embedding to prefix: mlp or transformer
    prefix: int = 10  # tokens that the embedding becomes
    language_model: str = "small"  # or the name or folder of one that transformers reads, such as gpt2
    frozen: bool = False  # whether the language model stays as it is
    vocabulary: int = 1000  # the following five: of the small language model
    width: int = 128
    layers: int = 3
    heads: int = 4
    positions: int = 80
    dropout: float = 0.1
    epochs: int = 6  # passes over the captions, at most
    batch_size: int = 128
    learning_rate: float | None = None  # None: 1e-3 for the small language model, 2e-5 for others
    weight_decay: float = 0.01
    warmup: int = 100  # steps, at most a tenth of all
    patience: int = 3  # epochs without a lower held-out loss before training stops; 0: never
    seed: int = 0  # of the split, the weights, the order, dropout and noise
    precision: str = "float32"
    device: str = "auto"
    checkpoint_seconds: float = 60.0

    def __post_init__(self) -> None:
        """Raise ValueError if a value makes no sense."""
        from isthmus.decode.methods import METHODS

        for name in _TEXTS:
            if not isinstance(value := getattr(self, name), str):
                raise ValueError(f"{name} must be a text, got {value!r}")
        if self.method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}, got {self.method!r}")
        if isinstance(self.std, str):
            if self.std not in _STD_RULES:
                raise ValueError(f"std must be a number in [0, inf), auto or capdec, got {self.std!r}")
        elif self.std is not None:
            check_number(self.std, "std", "[0, inf)")
        if self.select not in _SELECT:
            raise ValueError(f"select must be one of {', '.join(_SELECT)}, got {self.select!r}")
        if self.mapper not in ("mlp", "transformer"):
            raise ValueError(f"mapper must be mlp or transformer, got {self.mapper!r}")
        if not isinstance(self.frozen, bool):
            raise ValueError(f"frozen must be true or false, got {self.frozen!r}")
        if self.modality == "text" or not self.modality:
            raise ValueError(f"modality must be one that has captions, such as image, got {self.modality!r}")
        for name in _COUNTS:
            check_number(getattr(self, name), name, "[1, inf)", integer=True)
        check_number(self.noise_pairs, "noise_pairs", "[0, inf)", integer=True)
        check_number(self.pairs, "pairs", "(0, 1]")
        check_number(self.held_out, "held_out", "[0, 1)")
        check_number(self.dropout, "dropout", "[0, 1)")
        if self.select == "cross-modal" and not self.held_out:
            raise ValueError("select is cross-modal, but held_out is 0: nothing would be selected")
        self.loop()

    def loop(self) -> Any:
        """Return the settings of the training loop.

        Returns
        -------
        TrainingConfig
            Of `isthmus.training`.

        Examples
        --------
        >>> CaptionTraining(epochs=2).loop().epochs
        2
        """
        from isthmus.training import TrainingConfig

        shared = {field.name for field in fields(TrainingConfig)} & {field.name for field in fields(self)}
        values = {name: getattr(self, name) for name in shared}
        if values["learning_rate"] is None:
            values["learning_rate"] = _RATES.get(self.language_model, _FINE)
        return TrainingConfig(**values)

    def captioner(self, dim: int) -> Any:
        """Return the configuration of the network.

        Parameters
        ----------
        dim : int
            Of the embeddings.

        Returns
        -------
        CaptionerConfig
            Of `isthmus.decode.captioner`.

        Examples
        --------
        >>> CaptionTraining(prefix=4).captioner(512).prefix
        4
        """
        from isthmus.decode.captioner import CaptionerConfig

        shared = {field.name for field in fields(CaptionerConfig)} & {field.name for field in fields(self)}
        return CaptionerConfig(dim=dim, **{name: getattr(self, name) for name in shared})

    def to_dict(self) -> dict[str, Any]:
        """Return every setting, ready for JSON.

        Returns
        -------
        dict
            As `from_dict` takes it.

        Examples
        --------
        >>> CaptionTraining.from_dict(CaptionTraining(epochs=2).to_dict()).epochs
        2
        """
        return asdict(self)

    def identity(self) -> dict[str, Any]:
        """Return the settings that the result depends on.

        Returns
        -------
        dict
            Without the device and how often the state is kept.

        Examples
        --------
        >>> "device" in CaptionTraining().identity()
        False
        """
        return {name: value for name, value in asdict(self).items() if name not in NOT_OF_THE_RESULT}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, name: str = "settings") -> Self:
        """Return the settings that a mapping gives, others being as by default.

        Parameters
        ----------
        values : mapping of str to value
            Settings by name; a dash stands for an underscore.
        name : str, default="settings"
            What to call it in an error, such as the file it was read from.

        Returns
        -------
        CaptionTraining
            Checked.

        Raises
        ------
        ValueError
            A key is unknown, or a value makes no sense.

        Examples
        --------
        >>> CaptionTraining.from_dict({"epoch": 3}, name="c3.yaml")
        Traceback (most recent call last):
        ...
        ValueError: c3.yaml: unknown setting 'epoch', did you mean 'epochs'?
        """
        known = {field.name: field for field in fields(cls)}
        found: dict[str, Any] = {}
        for key, value in values.items():
            plain = str(key).replace("-", "_")
            if plain not in known:
                near = difflib.get_close_matches(plain, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"expected some of {', '.join(known)}"
                raise ValueError(f"{name}: unknown setting {str(key)!r}, {hint}")
            found[plain] = _as_declared(value, known[plain])
        try:
            return cls(**found)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error


def read_settings(path: str | Path) -> dict[str, Any]:
    """Return the settings in a YAML or JSON file, unchecked, as `CaptionTraining.from_dict` takes them.

    Parameters
    ----------
    path : str or Path
        A mapping of settings to values.

    Returns
    -------
    dict
        What the file gives, and nothing else.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It cannot be read, or holds no mapping.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "c3.yaml"
    >>> _ = path.write_text("method: C3\\nlearning_rate: 1e-3\\n")
    >>> CaptionTraining.from_dict(read_settings(path), name=str(path)).learning_rate
    0.001
    """
    import yaml

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    try:
        text = path.read_text(encoding="utf-8-sig")
        found = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} is not readable YAML or JSON: {reason}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path}: expected settings as NAME: VALUE, found {type(found).__name__}")
    return found


def _as_declared(value: Any, setting: Field) -> Any:
    """Return a number for a setting that is one: YAML takes 1e-3 for a text."""
    if not isinstance(setting.default, float) and setting.name not in ("std", "learning_rate"):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value
