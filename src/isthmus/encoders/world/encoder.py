"""The encoder of the world, whose weights come with the package."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.encoders.device import check_precision, choose_device, inference
from isthmus.encoders.encoder import Encoder
from isthmus.encoders.world.preparation import is_too_long, prepare, side_by_side
from isthmus.encoders.world.tokens import LIMIT

SHIPPED = Path(__file__).parent / "trained"  # weights in the package
STORY = "training.json"  # beside weights: how they were trained
_MODALITIES = ("image", "text", "video", "audio")


def world(model: str = "", *, device: str = "auto", precision: str = "float32") -> "WorldEncoder":
    """Open the world's encoder: ``world``, or ``world:FOLDER`` for weights of one's own.

    Parameters
    ----------
    model : str
        Folder that ``isthmus world train`` wrote; by default the one that comes with isthmus.
    device : str
        "cpu", "cuda" or "auto".
    precision : {"float32", "bfloat16", "float16"}
        Of the arithmetic.

    Returns
    -------
    WorldEncoder
        Its towers are read when they are first used.

    Raises
    ------
    FileNotFoundError
        The folder does not hold weights that ``isthmus world train`` wrote.
    ImportError
        torch is not installed.

    Examples
    --------
    >>> world().modalities
    ('image', 'text', 'video', 'audio')
    """
    return WorldEncoder(Path(model) if model else SHIPPED, device=device, precision=precision)


class WorldEncoder(Encoder):
    """Towers for pictures, texts, videos and sounds of the world.

    Parameters
    ----------
    folder : Path
        With ``training.json`` and a ``.safetensors`` file per tower.
    device : str
        "cpu", "cuda" or "auto".
    precision : {"float32", "bfloat16", "float16"}
        Of the arithmetic.

    Examples
    --------
    >>> encoder = world()
    >>> encoder.encode(["a small red circle", "something blue"], "text").shape
    (2, 256)
    """

    preparation = staticmethod(prepare)
    limit = LIMIT  # words of a text
    small = True

    def __init__(self, folder: Path, *, device: str = "auto", precision: str = "float32") -> None:
        try:
            import torch  # noqa: F401
        except ImportError as error:
            raise ImportError('the world\'s encoder needs torch: pip install "isthmus[train]"') from error
        from isthmus.encoders.world.towers import DIM, TowerSizes

        check_precision(precision)
        if not (folder / STORY).is_file():
            raise FileNotFoundError(f"{folder} does not hold a trained world: no {folder / STORY}")
        self.folder, self.precision, self.device = folder, precision, choose_device(device)
        try:
            self.story = json.loads((folder / STORY).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{folder / STORY} is not readable: {error}") from error
        self.name = "world" if folder == SHIPPED else f"world:{folder}"
        self.dim = DIM
        self.modalities = tuple(m for m in _MODALITIES if (folder / f"{m}.safetensors").is_file())
        digest = hashlib.sha256()
        for modality in self.modalities:
            digest.update((folder / f"{modality}.safetensors").read_bytes())
        self.revision = digest.hexdigest()[:12]
        self._sizes = TowerSizes(**self.story["settings"]["towers"])
        self._towers: dict[str, Any] = {}

    def forward(self, prepared: Sequence[np.ndarray], modality: str) -> np.ndarray:
        """Embed one batch, shape (n, 256)."""
        import torch

        batch = torch.from_numpy(side_by_side(list(prepared), modality)).to(self.device)
        with inference(self.device, self.precision):
            return self._tower(modality)(batch).float().cpu().numpy()

    def is_truncated(self, prepared: np.ndarray, modality: str) -> bool:
        """Return whether a text has more than 64 words."""
        return is_too_long(prepared, modality)

    def _tower(self, modality: str) -> Any:
        from isthmus.encoders.world.weights import read_tower

        if modality not in self._towers:
            self._towers[modality] = read_tower(self.folder, modality, self._sizes).to(self.device)
        return self._towers[modality]
