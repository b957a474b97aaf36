"""The simulations, each beside its closed-form prediction."""

from isthmus.theory.cone import cone
from isthmus.theory.contrastive import gradients
from isthmus.theory.depth import dimensional_collapse
from isthmus.theory.depth_clip import random_clip
from isthmus.theory.gap_shift import gap_shift
from isthmus.theory.geometry import Geometry, Population, population, sample
from isthmus.theory.initialization import initialization
from isthmus.theory.optimization import optimization
from isthmus.theory.optimization_config import OptimizationConfig
from isthmus.theory.simulation import Line, Simulation
from isthmus.theory.stable_region import stable_region

__all__ = [
    "Geometry",
    "Line",
    "OptimizationConfig",
    "Population",
    "Simulation",
    "cone",
    "dimensional_collapse",
    "gap_shift",
    "gradients",
    "initialization",
    "optimization",
    "population",
    "random_clip",
    "sample",
    "stable_region",
]
