"""How a contrastive optimisation goes."""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from isthmus.checks import check_number
from isthmus.theory.initialization import check_shape


@dataclass(frozen=True)
class OptimizationConfig:
    """How a contrastive optimisation goes; the defaults are the paper's.

    The paper leaves open what is optimised. ``reading`` says it:

    - ``"scaled"``: rows start at the length at which they were drawn, about
      ``sqrt(dim)``, and are scaled to unit length in the forward pass, as the
      released notebook has it and as the printed figures need it. A row of
      length ``l`` moves ``l ** 2`` times slower than one of unit length.
    - ``"unit"``: rows start at unit length and are scaled in the forward pass.
    - ``"renormalized"``: rows start at unit length, move along the gradient of
      Lemma 1, and are brought back to unit length after each step.
    - ``"free"``: rows start at unit length and are never scaled again.

    Examples
    --------
    >>> OptimizationConfig().coarser(100).steps
    2000
    >>> OptimizationConfig(reading="raw")
    Traceback (most recent call last):
    ...
    ValueError: reading must be scaled, unit, renormalized or free, got 'raw'
    """

    n: int = 1000  # pairs
    dim: int = 512
    effective: tuple[int, int] = (25, 230)  # dimensions in which each modality varies
    steps: int = 200_000
    learning_rate: float = 0.1
    temperature: float = 0.07  # at the start
    final_temperature: float | None = None  # at the last step; falls or rises by a constant factor a step
    learn_temperature: bool = False  # by the same descent on its logarithm; at least 0.01, as CLIP's
    reading: Literal["scaled", "unit", "renormalized", "free"] = "scaled"
    rotated: bool = True  # run in the effective dimensions and the plane of the constants alone: exact
    records: int = 100  # points of the curves, after the first
    seed: int = 0

    def __post_init__(self):
        for name, least in (("n", 2), ("steps", 1), ("records", 1), ("seed", 0)):
            check_number(getattr(self, name), name, f"[{least}, inf)", integer=True)
        object.__setattr__(self, "effective", tuple(self.effective))  # a list where it comes from JSON
        check_shape(self.dim, self.effective)
        check_number(self.learning_rate, "learning_rate", "(0, inf)")
        check_number(self.temperature, "temperature", "[0.01, inf)")
        if self.final_temperature is not None:
            check_number(self.final_temperature, "final_temperature", "[0.01, inf)")
            if self.learn_temperature:
                raise ValueError("final_temperature and learn_temperature exclude each other")
        if self.reading not in ("scaled", "unit", "renormalized", "free"):
            raise ValueError(f"reading must be scaled, unit, renormalized or free, got {self.reading!r}")

    @property
    def scaled(self) -> bool:
        """Whether rows are scaled to unit length in the forward pass."""
        return self.reading in ("scaled", "unit")

    def coarser(self, factor: int) -> "OptimizationConfig":
        """Return the settings of a run of as many times fewer steps, each as many times longer.

        The steps of the paper are so short that the rows all but follow the
        gradient flow: a hundred times fewer end in the same figures. Not so of
        other readings than ``"scaled"``, whose steps are some ``dim`` times as
        long: there, figures differ in the second digit.
        """
        steps = max(1, round(self.steps / factor))
        return replace(self, steps=steps, learning_rate=self.learning_rate * (self.steps / steps))

    def log_scale_at(self, step: int) -> float:
        """Logarithm of the reciprocal temperature of a step, where temperatures are annealed."""
        last = self.temperature if self.final_temperature is None else self.final_temperature
        done = min(1.0, step / max(1, self.steps - 1))
        return -(1 - done) * math.log(self.temperature) - done * math.log(last)

    def to_dict(self) -> dict[str, Any]:
        """Return all settings, ready for JSON."""
        return asdict(self) | {"effective": list(self.effective)}
