"""Does what one data set says of a cosine hold for another? Thresholds and probabilities, carried over.

    python recipes/calibration.py COCO.npy:0 COCO.npy:1 FLICKR_IMAGES.npy FLICKR_TEXTS.npy

Fits a calibrator on either pair of files and judges it on the other: on cosines as they are, and per query of
either modality, also where the other modality searches than in what it was fitted on. Both must be embedded by
encoders of one kind; their coordinates may differ, since backgrounds are taken anew.
"""

import sys
from typing import Any

from isthmus.align.calibration import MatchCalibrator
from isthmus.evaluate.reliability import Reading, reliability
from isthmus.store import open_pairs

OTHER = {"x": "y", "y": "x"}


def main() -> None:
    """Print a table in Markdown."""
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    sets = {
        name: open_pairs(*files) for name, files in zip("AB", (sys.argv[1:3], sys.argv[3:5]), strict=True)
    }
    print(
        "| fitted on | judged on | reading | log loss | ECE | precision | recall |\n|---|---|---|---|---|---|---|"
    )
    for source, target in ("AB", "BA"):
        x, y = (rows[:] for rows in (sets[target].x, sets[target].y))
        for method in ("isotonic", "logistic"):
            for fitted, judged in ((False, None), ("x", "x"), ("y", "y"), ("x", "y"), ("y", "x")):
                calibrator = MatchCalibrator(method, fitted)
                calibrator.fit(sets[source].x[:], sets[source].y[:], groups=sets[source].groups)
                found = reliability(x, y, calibrator=calibrator, groups=sets[target].groups, direction=judged)
                if not fitted and method == "isotonic":
                    folk = found.readings["cosine >= 0.25"]
                    print(f"| | {target} | cosine >= 0.25 | | | {cells(folk, 'precision', 'recall')} |")
                name = method if not fitted else f"{method}, per query of {fitted}, judged on {judged}"
                told = cells(found.readings["calibrated"], "log_loss", "ece", "precision", "recall")
                print(f"| {source} | {target} | {name} | {told} |", flush=True)


def cells(reading: Reading, *names: str) -> str:
    """Return figures with their intervals as cells of a table."""
    figures: list[Any] = [reading.figures.get(name, "") for name in names]
    return " | ".join(map(str, figures))


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError, ImportError) as error:
        sys.exit(str(error))
