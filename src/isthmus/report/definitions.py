"""What each figure on the page means, which way is better, and where it comes from."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Definition:
    """A figure of :class:`isthmus.measure.GapSummary` as the page shows it."""

    keys: tuple[str, ...]  # names in GapSummary: one, or one per direction or modality
    label: str  # may hold {which}
    group: Literal["gap", "cost"]
    better: Literal["lower", "higher"]
    meaning: str
    source: str
    form: Literal["number", "percent", "rank"] = "number"


_WAYS = ("x_to_y", "y_to_x")
_VU = "Vu et al., “Closing the Gap of Latent Spaces for Image-Text Arithmetic”"


def _recall(k: int) -> Definition:
    best = "the nearest row is" if k == 1 else f"one of the {k} nearest rows is"
    return Definition(
        tuple(f"recall_at_{k}_{way}" for way in _WAYS),
        f"R@{k} {{which}}",
        "cost",
        "higher",
        f"Share of the queries for which {best} a right answer, among all held-out rows.",
        "standard; ties count against the query",
    )


DEFINITIONS = (
    Definition(
        ("rmg",),
        "Relative modality gap (RMG)",
        "gap",
        "lower",
        "Mean distance of true pairs, as a share of it plus the mean distance within each modality; "
        "0.5 is as far apart as two random items.",
        f"{_VU}, equation 3",
    ),
    Definition(
        ("rmg_cosine",),
        "RMG on cosine distance",
        "gap",
        "lower",
        "The same ratio with (1 − cosine) / 2 as the distance: another figure of the same name.",
        "Schrodi et al., “Two Effects, One Trigger”, ICLR 2025, section 3",
    ),
    Definition(
        ("alignment",),
        "Alignment",
        "gap",
        "higher",
        "Mean cosine of true pairs; it also rises when everything is mapped to one point.",
        f"{_VU}, equation 1, after Goel et al., “CyCLIP”, NeurIPS 2022",
    ),
    Definition(
        ("l2m",),
        "L2M, length of the gap",
        "gap",
        "lower",
        "Distance between the means of the two modalities.",
        f"Liang et al., “Mind the Gap”, NeurIPS 2022, section 2; {_VU}, equation 2",
    ),
    Definition(
        ("probe_accuracy",),
        "Probe accuracy",
        "gap",
        "lower",
        "How often a linear probe tells the modality of an unseen row; 0.5 is chance.",
        "Shi et al., “Towards Understanding the Modality Gap in CLIP”, ICLR 2023 workshop",
    ),
    Definition(
        ("kept_recall",),
        "Kept recall",
        "cost",
        "higher",
        "Mean R@1 of both directions, as a share of the raw one; an aligner that keeps too little collapsed.",
        "the protocol of this report",
        "percent",
    ),
    _recall(1),
    _recall(5),
    _recall(10),
    Definition(
        tuple(f"median_rank_{way}" for way in _WAYS),
        "Median rank {which}",
        "cost",
        "lower",
        "Median over the queries of the rank of the best right answer; 1 is first.",
        "standard",
        "rank",
    ),
    Definition(
        tuple(f"mrr_{way}" for way in _WAYS),
        "MRR {which}",
        "cost",
        "higher",
        "Mean reciprocal rank: mean of 1 / rank of the best right answer.",
        "standard",
    ),
    Definition(
        tuple(f"hubness_{way}" for way in _WAYS),
        "Hubness {which}",
        "cost",
        "lower",
        "Skewness of how often each row is among the 10 nearest of a query; large where few rows always are.",
        "Radovanović et al., “Hubs in Space”, JMLR 2010, section 2",
    ),
    Definition(
        ("cone_x", "cone_y"),
        "Cone of {which}",
        "cost",
        "lower",
        "Mean cosine of two different rows of one modality; 1 is a single direction.",
        "Liang et al., “Mind the Gap”, NeurIPS 2022, section 3",
    ),
    Definition(
        ("uniformity_x", "uniformity_y"),
        "Uniformity of {which}",
        "cost",
        "lower",
        "Logarithm of the mean Gaussian potential of two different rows; lower is spread more evenly.",
        "Wang and Isola, “Understanding Contrastive Representation Learning”, ICML 2020, section 4",
    ),
)


def label_of(definition: Definition, key: str, names: tuple[str, str]) -> str:
    """Return the label of one of a definition's figures, the modalities called by `names`.

    Examples
    --------
    >>> label_of(_recall(5), "recall_at_5_y_to_x", ("image", "text"))
    'R@5 text → image'
    """
    x, y = names
    which = {"x_to_y": f"{x} → {y}", "y_to_x": f"{y} → {x}"}.get(key[-6:], x if key.endswith("_x") else y)
    return definition.label.format(which=which)
