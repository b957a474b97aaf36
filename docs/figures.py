"""Draw what the pages show: ``python docs/figures.py`` writes docs/figures/."""

from pathlib import Path

from isthmus.evaluate import Protocol, compare
from isthmus.report import summarize
from isthmus.report.drawing import svg_file
from isthmus.report.front import front
from isthmus.report.pictures import clouds, histograms
from isthmus.theory import sample

OUT = Path(__file__).parent / "figures"


def main() -> None:
    """Write the pictures."""
    OUT.mkdir(exist_ok=True)
    x, y, _ = sample(1000)
    comparison = compare(x, y, protocol=Protocol(folds=3, keep_recall=0.95))
    summary = summarize(comparison, aligner="shared", names=("image", "text"))
    drawn = {f"clouds-{space}": svg for space, svg in clouds(summary).items()}
    drawn |= {f"cosines-{space}": svg for space, svg in histograms(summary).items()}
    drawn["front"] = front(summary, width=760)
    for name, svg in drawn.items():
        (OUT / f"{name}.svg").write_text(svg_file(svg), encoding="utf-8")


if __name__ == "__main__":
    main()
