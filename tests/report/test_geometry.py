import json
import re

import numpy as np
import pytest

from isthmus.measure import geometry
from isthmus.report.geometry import render_geometry, write_geometry_report
from isthmus.report.geometry_figures import draw_geometry, draw_spectra
from isthmus.theory import sample


@pytest.fixture(scope="module")
def found():
    return geometry(*sample(600)[:2], groups_of=50)


def test_the_page_tells_every_verdict_and_counts(found):
    html = render_geometry(found.to_dict(), names=("picture", "caption"))
    for verdict in found.verdicts:
        assert f">{verdict.verdict}<" in html
    assert "600 pairs of 600 items in 512 dimensions; 12 random\ngroups of 50" in html
    assert "orthogonal to the span of picture" in html
    assert "span of x" not in html


def test_the_page_is_the_same_after_a_way_through_json(found):
    assert render_geometry(json.loads(json.dumps(found.to_dict()))) == render_geometry(found.to_dict())


def test_the_page_holds_the_values_of_the_summary(found):
    html = render_geometry(found.to_dict())
    assert f"<td>{found.gap_length.mean:.4f}</td><td>{found.gap_length.std:.4f}</td>" in html
    assert f"<td>{found.gap_length_unbiased.low:.4f} to {found.gap_length_unbiased.high:.4f}</td>" in html
    assert "0.83 ± 0.01" in html


def test_nothing_is_less_than_nothing_and_shown_as_nothing(found):
    told = found.to_dict()
    told["constant_share"] |= {"low": -1e-9, "value": -0.0}
    html = render_geometry(told)
    assert f"<td>0.0000 to {found.constant_share.high:.4f}</td>" in html
    assert not re.search("[-−]0.0000", html)


def test_nothing_is_fetched_and_names_are_escaped(found):
    html = render_geometry(found.to_dict(), names=("<b>", "text"))
    assert "<b>" not in html
    assert "://" not in html.replace("http://www.w3.org", "")


def test_pictures_turn_light_where_the_page_is_dark(found):
    html = render_geometry(found.to_dict())
    dark = html[html.index("prefers-color-scheme: dark") : html.index("</style>")]
    for ink in set(re.findall(r'style="[^"]*stroke: (#[0-9a-f]{6})', html)) | {"#22272e"}:
        assert f'[style*="stroke: {ink}"] {{ stroke: ' in dark, ink


def test_histograms_are_densities(found):
    """The area under each outline is 1."""
    for axes in draw_geometry(found.to_dict()).axes:
        for patch in (p for p in axes.patches if not p.get_fill()):
            data = patch.get_data()
            assert np.sum(data.values * np.diff(data.edges)) == pytest.approx(1)


def test_marks_of_spectra_stand_at_the_effective_dimension(found):
    (axes,) = draw_spectra(found.to_dict()).axes
    marks = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"]
    spectra = (found.spectrum_x, found.spectrum_y, found.spectrum_noise)
    assert marks == [spectrum.effective_dimension for spectrum in spectra]


def test_a_page_is_whole_or_not_there(found, tmp_path):
    with pytest.raises(FileNotFoundError):
        write_geometry_report(found, tmp_path / "no" / "page.html")
    write_geometry_report(found, tmp_path / "page.html")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
