"""What an exported file tells of the aligner that it came from."""

import json
from pathlib import Path

import isthmus
from isthmus.align.export.layers import Modality
from isthmus.align.files import aligner_name, load_aligner, read_provenance, read_verification


def about(path: str | Path, modality: Modality = "x") -> dict[str, str]:
    """Return what a saved aligner tells of itself, as texts for the metadata of another format.

    Parameters
    ----------
    path : str or Path
        File that :func:`isthmus.align.save_aligner` wrote.
    modality : {"x", "y"}, default="x"
        Which of its maps is exported.

    Returns
    -------
    dict of str to str
        "isthmus" (version), "aligner" (name), "modality" ("x" or "y"); and, where they are known,
        "modality_name", "encoder", "revision", "pairs", "items", "keep_recall", and "verified": figures on
        held-out pairs before ("raw") and after, as JSON.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is not a file of an aligner.

    Examples
    --------
    >>> import tempfile
    >>> from isthmus.align import MeanShift, save_aligner
    >>> path = Path(tempfile.mkdtemp()) / "shift.safetensors"
    >>> save_aligner(MeanShift().fit([[1.0, 0], [0, 1]], [[0.0, 1], [1, 1]]), path)
    >>> about(path, "y")["aligner"], about(path, "y")["modality"]
    ('shift', 'y')
    """
    told: dict[str, object] = {
        "isthmus": isthmus.__version__,
        "aligner": aligner_name(load_aligner(path)),
        "modality": modality,
    }
    fitted, verified = read_provenance(path), read_verification(path)
    if fitted is not None:
        mine = fitted.x if modality == "x" else fitted.y
        told |= {"modality_name": mine.modality, "encoder": mine.encoder, "revision": mine.revision}
        told |= {"pairs": fitted.pairs, "items": len(fitted.items), "keep_recall": fitted.keep_recall}
    if verified is not None:
        told["verified"] = json.dumps(verified, sort_keys=True)
    return {key: str(value) for key, value in told.items() if value is not None}
