"""The geometry as a table for people, every figure with its unit."""

from typing import TYPE_CHECKING, Any

from isthmus.measure.geometry_distribution import Distribution, Single

if TYPE_CHECKING:
    from isthmus.measure.geometry import GeometrySummary

LABELS = {
    "gap_length": ("gap length of a group", "distance of unit rows"),
    "direction": ("direction: gaps of two groups", "cosine"),
    "orthogonality_x": ("gap and difference of two rows of x", "cosine"),
    "orthogonality_y": ("gap and difference of two rows of y", "cosine"),
    "residual_mean": ("mean of the residuals, by dimension", "coordinate"),
    "residual_cosine": ("two residuals of a group", "cosine"),
    "residual_std": ("std of the noise, by dimension", "coordinate"),
    "cone_x": ("cone: two rows of x", "cosine"),
    "cone_y": ("cone: two rows of y", "cosine"),
    "gap_length_unbiased": ("gap length without the noise's part", "distance of unit rows"),
    "constant_share": ("share of a pair's squared distance that is the gap", "share"),
    "noise_std": ("sigma of the noise (root mean square)", "coordinate"),
    "gap_variance_x": ("variance of x along the gap", "of its span's own = 1"),
    "gap_variance_y": ("variance of y along the gap", "of its span's own = 1"),
    "gap_share_top_1": ("squared gap in its largest dimension", "share"),
    "gap_share_top_2": ("squared gap in its 2 largest dimensions", "share"),
    "gap_share_top_10": ("squared gap in its 10 largest dimensions", "share"),
    "rejecting": ("dimensions whose noise is not Gaussian", "share rejected at 0.05"),
    "kurtosis": ("excess kurtosis of the noise", "mean over dimensions"),
}


def table(found: "GeometrySummary") -> Any:
    """Return the table of all figures, and the verdict below it."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    of = "" if found.groups == found.groups_in_all else f" of {found.groups_in_all}"
    looked = "" if found.compared == found.groups else f", rows compared in {found.compared} of them"
    out = Table(
        title=f"{found.pairs} pairs of {found.items} items, dim {found.dim}; {found.groups}{of} groups of "
        f"{found.groups_of} pairs{looked}; normality on {found.tested} pairs",
        caption="isotropic: the same figure if noise and spans had the same variance in all directions; "
        "of the variance along the gap, if the gap pointed anywhere",
    )
    columns = ("value or mean", "std", "95% interval", "isotropic", "its std", "paper, CLIP")
    out.add_column("figure")
    out.add_column("unit")
    for name in columns:
        out.add_column(name, justify="right")
    for name, (label, unit) in LABELS.items():
        out.add_row(label, unit, *_cells(getattr(found, name)))
    for name, spectrum in (("x", found.spectrum_x), ("y", found.spectrum_y), ("noise", found.spectrum_noise)):
        effective, expected = spectrum.effective_dimension, spectrum.isotropic_effective_dimension
        out.add_row(f"{name}: hold 0.99 of the variance", "dimensions", str(effective), "", "", str(expected))
        ratio = f"{spectrum.participation_ratio:.1f}"
        out.add_row(f"{name}: participation ratio", "dimensions", ratio, "", "", str(found.dim))
        largest = f"{spectrum.shares[0]:.4f}", "", "", f"{spectrum.isotropic_largest:.4f}"
        out.add_row(f"{name}: variance in the largest direction", "share", *largest)
    return Group(out, *(Text(str(verdict)) for verdict in found.verdicts))


def _cells(value: Distribution | Single | None) -> tuple[str, ...]:
    if value is None:
        return ("not measured",)
    if isinstance(value, Single):
        interval = "" if value.low is None or value.high is None else f"{value.low:z.4f} .. {value.high:z.4f}"
        expected = "" if value.isotropic is None else f"{value.isotropic:.4f}"
        return f"{value.value:z.4f}", "", interval, expected
    paper = "" if value.paper is None else f"{value.paper[0]:.2f} ± {value.paper[1]:.2f}"
    return (*map(_short, (value.mean, value.std)), "", *map(_short, value.isotropic), paper)


def _short(value: float) -> str:
    return f"{value:.4f}" if value == 0 or abs(value) >= 5e-5 else f"{value:.0e}"
