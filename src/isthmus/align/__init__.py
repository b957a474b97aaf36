"""scikit-learn estimators that close the gap; what each needs to learn from is its file's name."""

from isthmus.align.affine import AffineAligner, PairedAligner
from isthmus.align.calibration import MatchCalibrator
from isthmus.align.calibration_files import load_calibrator, save_calibrator
from isthmus.align.files import load_aligner, read_provenance, read_verification, save_aligner
from isthmus.align.latent import Dials
from isthmus.align.noise import AdaptiveNoise, CalibratedNoise, GaussianNoise, SpanNoise
from isthmus.align.nonlinear import NonLinearAligner
from isthmus.align.paired import LinearMap, MeanShift, Procrustes, RegularizedCCA
from isthmus.align.provenance import FittedOn, Provenance
from isthmus.align.registry import ALIGNERS, make_aligner
from isthmus.align.shared import SharedSpace
from isthmus.align.unpaired import MeanCollapse

__all__ = [
    "ALIGNERS",
    "AdaptiveNoise",
    "AffineAligner",
    "CalibratedNoise",
    "Dials",
    "FittedOn",
    "GaussianNoise",
    "LinearMap",
    "MatchCalibrator",
    "MeanCollapse",
    "MeanShift",
    "NonLinearAligner",
    "PairedAligner",
    "Procrustes",
    "Provenance",
    "RegularizedCCA",
    "SharedSpace",
    "SpanNoise",
    "load_aligner",
    "load_calibrator",
    "make_aligner",
    "read_provenance",
    "read_verification",
    "save_aligner",
    "save_calibrator",
]
