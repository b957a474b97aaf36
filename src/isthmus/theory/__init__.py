"""The simulations, each beside its closed-form prediction."""

from isthmus.theory.geometry import Geometry, sample

__all__ = ["Geometry", "sample"]
