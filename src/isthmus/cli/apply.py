"""isthmus apply"""

import hashlib
from pathlib import Path
from typing import Literal

from isthmus.align import load_aligner
from isthmus.checks import check_rows
from isthmus.cli.show import progress_bar, say
from isthmus.store import open_embeddings, write_mapped


def apply(aligner: Path, x: str, /, *, out: Path, modality: Literal["x", "y"] = "x") -> None:
    """Map embeddings with a saved aligner.

    Rows are read and written block by block, in the format that they come in. A run that was stopped
    goes on where it was when it is started again.

    Parameters
    ----------
    aligner : Path
        File that `isthmus align` saved.
    x : str
        Embeddings, as for `isthmus measure`.
    out : Path
        File or folder to write, of the same kind as X; must not exist.
    modality : {"x", "y"}
        Which modality they are of: the first or the second that the aligner was fitted on.
    """
    fitted = load_aligner(aligner)
    rows = open_embeddings(x)
    if rows.shape[1] != fitted.n_features_in_:
        raise ValueError(f"{x} has dim {rows.shape[1]}, {aligner} was fitted on dim {fitted.n_features_in_}")
    check_rows(rows, x)
    mapping = fitted.transform if modality == "x" else fitted.transform_y
    digest = hashlib.sha256(aligner.read_bytes()).hexdigest()
    with progress_bar("applying") as advance:
        write_mapped(x, out, mapping, identity=f"{digest} {modality}", progress=advance)
    say(f"{len(rows)} rows: {out}")
