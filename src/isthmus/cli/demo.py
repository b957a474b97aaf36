"""isthmus demo"""

from pathlib import Path

import numpy as np

from isthmus.cli.align import align
from isthmus.cli.apply import apply
from isthmus.cli.compare import compare
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
    aligner, mapped = out / "aligner.safetensors", out / "image-aligned.npy"
    mapped.unlink(missing_ok=True)
    say(f"\n[bold]1. How large is the gap?[/bold]  isthmus measure {image} {text}")
    measure(str(image), str(text))
    say(f"\n[bold]2. Which aligner closes it, at what cost?[/bold]  isthmus compare {image} {text}")
    compare(str(image), str(text), folds=3, keep_recall=0.95)
    say(f"\n[bold]3. Fit and verify it.[/bold]  isthmus align {image} {text} --out {aligner} --report ...")
    report = out / "report.html"
    align(str(image), str(text), out=aligner, report=report)
    say(f"\n[bold]4. Use it.[/bold]  isthmus apply {aligner} {image} --modality x --out {mapped}")
    apply(aligner, str(image), out=mapped, modality="x")
    say(f"\n[bold]The report:[/bold] {report.absolute()}")
