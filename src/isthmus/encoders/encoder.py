"""What every encoder is: items of one modality in, embeddings out."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from isthmus.checks import check_number, unit_rows


class Encoder(ABC):
    """Embeds items of several modalities into one space.

    A subclass sets the attributes below and implements `forward`. The work
    is in two parts, so that the first can be done in other processes:
    `preparation` turns one item into an array, `forward` embeds a batch.

    Attributes
    ----------
    name : str
        As given to `open_encoder`.
    revision : str
        Tells these weights from others of the same name.
    modalities : tuple of str
        Among image, text, audio and video.
    dim : int
        Of the embeddings.
    preparation : callable
        ``preparation(value, modality)`` returns what `forward` takes. It can
        be pickled and holds no weights. `value` is a str, an image (uint8 of
        shape (height, width, 3)), a video (uint8 of shape (frames, height,
        width, 3)) or an `Audio`. A text keeps all its tokens here.
    reads : {"content", "id"}
        What a value is: the thing itself, or, for embeddings computed
        elsewhere, its id ("12", and "12#0", "12#1", ... for its captions).
    small : bool
        Whether the network is so small that it spends more time waiting for
        torch's threads than computing. Where many batches are embedded, several
        then are side by side, a thread each, so that `forward` must bear being
        called from several threads.

    Examples
    --------
    See `CallableEncoder`.
    """

    name: str
    revision: str
    modalities: tuple[str, ...]
    dim: int
    preparation: Callable[[Any, str], Any]
    reads: Literal["content", "id"] = "content"
    small: bool = False

    @abstractmethod
    def forward(self, prepared: Sequence[Any], modality: str) -> np.ndarray:
        """Embed one batch.

        Parameters
        ----------
        prepared : sequence of length n
            What `preparation` returned for each item; texts that are too long are cut here.
        modality : str
            One of `modalities`.

        Returns
        -------
        ndarray of float32, shape (n, dim)
            Not normalised.
        """

    def is_truncated(self, prepared: Any, modality: str) -> bool:
        """Return whether `forward` leaves out a part of a prepared item: a text beyond the limit."""
        return False

    def encode(
        self, items: Sequence[Any], modality: str, *, batch_size: int = 64, normalize: bool = True
    ) -> np.ndarray:
        """Embed items of one modality.

        Parameters
        ----------
        items : sequence of length n
            Texts (str), images (uint8 of shape (height, width, 3)), videos
            (uint8 of shape (frames, height, width, 3)) or sounds (`Audio`).
        modality : str
            One of `modalities`.
        batch_size : int, default=64
            Items at a time.
        normalize : bool, default=True
            Unit rows; otherwise as the network gives them.

        Returns
        -------
        ndarray of float32, shape (n, dim)
            Row ``i`` embeds item ``i``.

        Raises
        ------
        ValueError
            The encoder does not know the modality.
        """
        self.check_modality(modality)
        check_number(batch_size, "batch_size", "[1, inf)", integer=True)
        rows = [np.empty((0, self.dim), np.float32)]
        for start in range(0, len(items), batch_size):
            batch = [self.preparation(item, modality) for item in items[start : start + batch_size]]
            rows.append(self.forward(batch, modality))
        embeddings = np.concatenate(rows)
        return unit_rows(embeddings, np.float32) if normalize else embeddings

    def check_modality(self, modality: str) -> None:
        """Raise ValueError unless `modality` is one that the encoder embeds."""
        if modality not in self.modalities:
            raise ValueError(f"{self.name} embeds {', '.join(self.modalities)}, not {modality}")
