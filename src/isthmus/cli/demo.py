"""isthmus demo"""

from pathlib import Path

import numpy as np

from isthmus.cli.align import align
from isthmus.cli.apply import apply
from isthmus.cli.compare import Settings, compare
from isthmus.cli.measure import measure
from isthmus.cli.show import say
from isthmus.theory import sample

_ITEMS = 1000


def demo(*, out: Path = Path("isthmus-demo"), seed: int = 0) -> None:
    """Measure, compare, align and apply on simulated embeddings, with a report.

    The embeddings are drawn from the geometry that C3 found in CLIP's space, with CLIP's constants.

    Parameters
    ----------
    out : Path
        Folder to write to.
    seed : int
        Of the embeddings.
    """
    out.mkdir(parents=True, exist_ok=True)
    image, text = out / "image.npy", out / "text.npy"
    for path, rows in zip((image, text), sample(_ITEMS, seed=seed)[:2], strict=True):
        np.save(path, rows)
    report, aligner, mapped = out / "report.html", out / "aligner.safetensors", out / "image-aligned.npy"
    mapped.unlink(missing_ok=True)
    x, y = str(image), str(text)
    _step("1. How large is the gap?", "measure", x, y)
    measure(x, y)
    _step("2. Which aligner closes it, at what cost?", "compare", x, y, "--folds", 3, "--keep-recall", 0.95)
    compare(x, y, settings=Settings(folds=3, keep_recall=0.95))
    _step("3. Fit one, verify it, save it.", "align", x, y, "--out", aligner, "--report", report)
    align(x, y, out=aligner, report=report)
    _step("4. Use it.", "apply", aligner, x, "--modality", "x", "--out", mapped)
    apply(aligner, x, out=mapped, modality="x")
    say(f"\nThe report: {report.absolute()}")


def _step(title: str, *command: object) -> None:
    say(f"\n{title}\n$ isthmus {' '.join(map(str, command))}")
