"""The simulations, each beside its closed-form prediction."""

from isthmus.theory.geometry import Geometry, sample
from isthmus.theory.simulation import Line, Simulation

__all__ = ["Geometry", "Line", "Simulation", "sample"]
