"""Encoders of the world: towers that we train ourselves, and whose weights come with the package.

Training them is in `isthmus.encoders.world.training`, which needs torch.
"""

from isthmus.encoders.world.encoder import WorldEncoder, world

__all__ = ["WorldEncoder", "world"]
