"""An encoder made of functions: for networks that no family of this room opens."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from isthmus.encoders.encoder import Encoder


class CallableEncoder(Encoder):
    """An encoder made of one function per modality.

    Parameters
    ----------
    functions : mapping of str to callable
        For each modality, among image, text, audio and video, a function from
        a list of n items to an array or tensor of shape (n, dim).
    name : str
        What to call the encoder.
    dim : int
        Width of the embeddings.
    revision : str
        Tells these weights from others of the same name: change it with them.

    Raises
    ------
    ValueError
        A modality is unknown, or a function returns another shape.

    Examples
    --------
    A network that is at hand, here two functions, embeds as any other does:

    >>> brightness = lambda images: [[image.mean(), 1.0] for image in images]
    >>> words = lambda texts: [[len(text), 1.0] for text in texts]
    >>> encoder = CallableEncoder({"image": brightness, "text": words}, name="mine", dim=2, revision="1")
    >>> encoder.encode(["a dog", "a black cat"], "text", normalize=False)
    array([[ 5.,  1.],
           [11.,  1.]], dtype=float32)
    """

    def __init__(
        self,
        functions: Mapping[str, Callable[[list[Any]], Any]],
        *,
        name: str,
        dim: int,
        revision: str,
    ) -> None:
        known = ("image", "text", "audio", "video")
        if not functions or (unknown := [m for m in functions if m not in known]):
            given = ", ".join(unknown) if functions else "none"
            raise ValueError(f"functions must be named after {', '.join(known)}, got {given}")
        self.name, self.revision, self.dim = name, revision, dim
        self.modalities = tuple(functions)
        self.preparation = _unchanged
        self._functions = dict(functions)

    def forward(self, prepared: Sequence[Any], modality: str) -> np.ndarray:
        """Embed one batch, shape (n, dim)."""
        self.check_modality(modality)
        rows = self._functions[modality](list(prepared))
        if hasattr(rows, "detach"):  # a torch tensor
            rows = rows.detach().float().cpu().numpy()
        rows = np.asarray(rows, dtype=np.float32)
        if rows.shape != (len(prepared), self.dim):
            wanted = (len(prepared), self.dim)
            raise ValueError(
                f"{self.name}: the function of {modality} must return {wanted}, got {rows.shape}"
            )
        return rows


def _unchanged(value: Any, modality: str) -> Any:
    return value
