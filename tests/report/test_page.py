import json
from html.parser import HTMLParser

import numpy as np
import pytest

from isthmus.evaluate import Protocol, compare
from isthmus.report import render, summarize, write_report
from isthmus.theory import sample

VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """Tags with their attributes, text, and whether every tag is closed in turn."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.open, self.text = [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.text.append(data)


@pytest.fixture(scope="module")
def html(comparison):
    return render(summarize(comparison, names=("image", "text")))


def test_it_needs_nothing_beside_itself(html):
    page = Page(html)
    assert page.open == []
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "iframe", "object", "embed", "base")
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href", "xlink:href", "action", "data"):
                assert value.startswith("#")
            if name == "style":
                assert "url(" not in value.replace("url(#", "")
    assert "@import" not in html
    assert "url(" not in html.replace("url(#", "")
    assert "http" not in "".join(page.text)


def test_ids_are_unique_and_references_resolve(html):
    ids = [attributes["id"] for _, attributes in Page(html).tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    wanted = {a["xlink:href"][1:] for _, a in Page(html).tags if "xlink:href" in a}
    assert wanted
    assert wanted <= set(ids)


def test_every_picture_says_what_it_shows(html):
    pictures = [attributes for tag, attributes in Page(html).tags if tag == "svg"]
    assert len(pictures) == 7
    assert all(attributes["role"] == "img" and len(attributes["aria-label"]) > 30 for attributes in pictures)


def test_what_users_write_is_escaped(comparison):
    evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    summary = summarize(
        comparison, names=(evil, "a & b $x$"), labels=[evil] * comparison.pairs, aligner_path=evil
    )
    html = render(summary)
    page = Page(html)
    assert not {"script", "img"} & {tag for tag, _ in page.tags}
    assert evil in "".join(page.text)
    assert "a & b $x$" in "".join(page.text)


def test_names_of_aligners_are_escaped_in_pictures_and_may_be_in_any_script(pairs):
    from isthmus.align import MeanCollapse

    aligners = {"<script>$x^$": MeanCollapse(), "整列": MeanCollapse()}
    comparison = compare(*pairs, aligners=aligners, protocol=Protocol(folds=2, keep_recall=1e-9))
    html = render(summarize(comparison, names=("画像", "текст")))
    assert "<script" not in html
    assert any("整列" in text for text in Page(html).text)


def test_same_summary_same_bytes(comparison, html):
    import matplotlib

    summary = summarize(comparison, names=("image", "text"))
    with matplotlib.rc_context({"font.size": 30, "svg.fonttype": "path", "axes.grid": True}):
        assert render(json.loads(json.dumps(summary))) == html
        assert matplotlib.rcParams["font.size"] == 30


def test_collapsed_aligners_are_marked_in_words(html):
    rows = html.split("<tr data-aligner=")[1:]
    marked = {row.split('"')[1] for row in rows if ">collapsed</span>" in row.split("</tr>")[0]}
    assert marked == {"procrustes"}


def test_a_collapsed_subject_is_told_loudly(comparison):
    html = render(summarize(comparison, aligner="procrustes"))
    text = " ".join(Page(html).text)
    assert "Do not use “procrustes”" in text
    assert '<section class="verdict collapsed"' in html
    assert "load_aligner" not in text


def test_the_table_shows_intervals_of_both_and_retrieval_beside_every_gap_figure(comparison, html):
    row = html.split('data-figure="rmg"')[1].split("</tr>")[0]
    for name in ("raw", "collapse"):
        figure = comparison.verdicts[name].figures["rmg"]
        assert f"{figure.value:.3f}" in row
        assert f"{figure.low:.3f} to {figure.high:.3f}" in row
    for caption in html.split("<figcaption>")[1:5]:
        assert "RMG" in caption.split("</figcaption>")[0]
        assert "R@1" in caption.split("</figcaption>")[0]
    for row in html.split("<tr data-aligner=")[1:]:
        recall = comparison.verdicts[row.split('"')[1]].figures["recall_at_1_x_to_y"].value
        assert f"{recall:.3f}" in row.split("</tr>")[0]


def test_raw_alone_renders(comparison):
    html = render(summarize(comparison, aligner="raw"))
    assert "There is nothing to apply" in html
    assert html.count("<svg") == 5


def test_an_aligner_to_another_dim_and_one_that_sends_all_to_a_point_render(pairs):
    from isthmus.align import RegularizedCCA

    comparison = compare(
        *pairs,
        aligners={"narrow": RegularizedCCA(components=1)},
        protocol=Protocol(folds=2, keep_recall=1e-9),
    )
    html = render(summarize(comparison, aligner="narrow"))
    assert "maps to another number of dimensions" in html


def test_the_file_is_written_whole_or_not_at_all(comparison, tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    write_report(comparison, path, names=("image", "text"))
    first = path.read_bytes()
    assert first == render(summarize(comparison, names=("image", "text"))).encode()
    monkeypatch.setattr("os.replace", _fails)
    with pytest.raises(OSError, match="no room"):
        write_report(comparison, path, aligner="raw")
    assert path.read_bytes() == first
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def _fails(*_):
    raise OSError("no room")


def test_many_pairs_stay_under_two_megabytes():
    rng = np.random.default_rng(0)
    shared, noise = rng.normal(size=(2, 8000, 8)).astype(np.float32)
    comparison = compare(shared + 1, shared + 0.3 * noise, aligners=["collapse"], protocol=Protocol(folds=2))
    assert len(render(summarize(comparison, aligner="collapse")).encode()) < 2_000_000


def test_the_report_on_clip(clip_pairs):
    comparison = compare(*clip_pairs, aligners=["shared", "linear"], protocol=Protocol(keep_recall=0.85))
    summary = summarize(comparison, names=("image", "text"))
    assert summary["aligner"] == "shared"
    assert "lowers the relative modality gap from 0.548 to 0.35" in summary["verdict"]["sentences"][0]
    assert 'viewBox="0 0 460 380"' in render(summary)


def test_retrieval_at_chance_is_said():
    x, y, _ = sample(80)
    found = compare(x, y[::-1], aligners=["collapse"], protocol=Protocol(folds=2))
    assert "find no more than chance" in render(summarize(found))
    assert "find no more than chance" not in render(
        summarize(compare(x, y, aligners=["collapse"], protocol=Protocol(folds=2)))
    )
