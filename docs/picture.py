"""Draw the README's picture from simulated pairs: ``python docs/picture.py > docs/gap.svg``."""

import re

from isthmus.evaluate import CLOSED_FORM, Protocol, compare
from isthmus.report import summarize
from isthmus.report.front import front
from isthmus.report.pictures import clouds
from isthmus.theory import sample


def main() -> None:
    """Print the picture: both modalities before and after, and every aligner's gap and retrieval."""
    x, y, _ = sample(1000)
    comparison = compare(x, y, aligners=CLOSED_FORM, protocol=Protocol(folds=3, keep_recall=0.95))
    summary = summarize(comparison, aligner="shared", names=("image", "text"))
    drawn = clouds(summary)
    panels = {
        "before: two cones": drawn["before"],
        "after SharedSpace": drawn["after"],
        "what each aligner closes, and what it keeps": front(summary, width=760),
    }
    out, left = [], 10
    for title, svg in ((title, str(svg)) for title, svg in panels.items()):
        box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
        assert box is not None
        width, height = (float(size) for size in box.groups())
        scaled = width * 300 / height
        svg = svg.replace("<svg ", f'<svg x="{left}" y="34" width="{scaled:.0f}" height="300" ', 1)
        out += [f'<text x="{left + 14}" y="22" font-size="15" font-weight="bold">{title}</text>', svg]
        left += round(scaled) + 10
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left} 344" font-family="sans-serif">')
    print('<rect width="100%" height="100%" fill="white"/>')
    print(*out, "</svg>", sep="\n")


main()
