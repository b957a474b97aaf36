"""The model card of an aligner."""

from importlib.resources import files
from pathlib import Path

from isthmus.align.files import aligner_name, load_aligner, read_provenance, read_verification

_FIGURES = {
    "rmg": "relative modality gap (RMG)",
    "l2m": "distance of the means (L2M)",
    "alignment": "mean cosine of pairs",
    "recall_at_1_x_to_y": "R@1, x finds y",
    "recall_at_1_y_to_x": "R@1, y finds x",
}


def render_aligner_card(path: str | Path) -> str:
    """Write what a saved aligner was fitted on, what it was verified to do, and how to use it.

    Parameters
    ----------
    path : str or Path
        File that :func:`isthmus.align.save_aligner` wrote; what it does not tell is left out.

    Returns
    -------
    str
        Markdown.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is not a file of an aligner.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from isthmus.align import MeanShift, save_aligner
    >>> path = Path(tempfile.mkdtemp()) / "shift.safetensors"
    >>> save_aligner(MeanShift().fit(np.eye(3), np.ones((3, 3))), path)
    >>> print(render_aligner_card(path).partition(":")[0])
    # shift.safetensors
    <BLANKLINE>
    An aligner of isthmus (`shift`)
    """
    from jinja2 import Environment, StrictUndefined

    path = Path(path)
    aligner, verified = load_aligner(path), read_verification(path)
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["figure"] = lambda f: f"{f['value']:.3f} ({f['low']:.3f} to {f['high']:.3f})"
    template = files("isthmus.report").joinpath("aligner_card.md.j2").read_text(encoding="utf-8")
    known = verified.get("raw", {}) if verified else {}
    return environment.from_string(template).render(
        title=path.name,
        file=path.name,
        name=aligner_name(aligner),
        dim=aligner.n_features_in_,
        params=aligner.get_params(deep=False),
        fitted=read_provenance(path),
        verified=verified if known else None,
        figures={key: label for key, label in _FIGURES.items() if key in known},
    )
