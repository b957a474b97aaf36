"""Items to embeddings: one file per family of encoders; weights are loaded only when asked for."""

from isthmus.encoders.callable import CallableEncoder
from isthmus.encoders.encoder import Encoder
from isthmus.encoders.opening import open_encoder

__all__ = ["CallableEncoder", "Encoder", "open_encoder"]
