import numpy as np
import pytest

from isthmus.report.simulation_figures import draw_simulation, simulation_svg
from isthmus.theory import Simulation
from isthmus.theory.cone import cone
from isthmus.theory.depth import dimensional_collapse
from isthmus.theory.gap_shift import gap_shift
from isthmus.theory.initialization import initialization
from isthmus.theory.optimization import optimization
from isthmus.theory.optimization_config import OptimizationConfig
from isthmus.theory.stable_region import stable_region

RUNS = {
    "cone": lambda: cone(dim=16, n=50, draws=1),
    "dimensional_collapse": lambda: dimensional_collapse(depth=5, width=64, n=40, repeats=1),
    "gap_shift": lambda: gap_shift(rows=60, temperatures=(0.1, 0.2), shifts=(0.0, 0.25, 0.5, 0.75)),
    "initialization": lambda: initialization(n=40, dim=16, effective=(2, 4), seeds=3),
    "optimization": lambda: optimization(
        OptimizationConfig(n=20, dim=16, effective=(2, 4), steps=20, records=2)
    ),
    "stable_region": lambda: stable_region(n=8, dim=16, temperatures=(0.02, 0.1), draws=1),
}


@pytest.fixture(scope="module")
def runs():
    return {name: run() for name, run in RUNS.items()}


@pytest.mark.parametrize("name", RUNS)
def test_every_curve_that_is_measured_is_drawn(runs, name):
    """Some line or mark of the picture has exactly the values of the curve."""
    shown = {
        "cone": ("measured", "predicted"),
        "dimensional_collapse": ("mlp_dimension_before", "mlp_cosine_before", "mlp_cosine_before_predicted"),
        "gap_shift": ("recall",),
        "initialization": ("gap", "ineffective_gap"),
        "optimization": ("gap", "ineffective_gap", "pair_cosine"),
        "stable_region": ("found", "lemma", "angle", "widest"),
    }[name]
    figure, found = draw_simulation(runs[name]), runs[name].curves
    drawn = [np.sort(line.get_ydata()) for axes in figure.axes for line in axes.lines]
    for curve in shown:
        for values in np.atleast_2d(found[curve]):
            assert any(len(y) == len(values) and np.allclose(y, np.sort(values)) for y in drawn), curve


@pytest.mark.parametrize("name", RUNS)
def test_every_axis_says_what_it_shows(runs, name):
    for axes in draw_simulation(runs[name]).axes:
        assert axes.get_xlabel()


def test_the_file_is_the_same_for_the_same_numbers_and_follows_a_dark_page(runs):
    first, second = (simulation_svg(runs["cone"]) for _ in range(2))
    assert first == second
    assert first.startswith("<svg xmlns=")
    assert "prefers-color-scheme: dark" in first


def test_an_unknown_simulation_is_refused():
    with pytest.raises(
        ValueError, match="no picture of 'flight': expected one of cone, dimensional_collapse"
    ):
        draw_simulation(Simulation("flight", "", {}, ()))
