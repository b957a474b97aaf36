"""MixBench's layout is read, and bad rows are named."""

import json

import numpy as np
import pytest

from isthmus.evaluate.mixed import MixedOptions, mixed_search, read_mixbench


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def folder(tmp_path):
    """Three documents, one of each kind, and three queries; the third is answered by nothing."""
    (tmp_path / "queries.jsonl").write_text(
        lines(
            {"query_id": "q1", "text": "a dog", "image": ""},
            {"query_id": "q2", "text": "a cat", "image": "images/q2.jpg"},
            {"query_id": "q3", "text": "a cow"},
        )
    )
    (tmp_path / "mixed_corpus.jsonl").write_text(
        lines(
            {"corpus_id": "d1", "text": "dogs", "image": None},
            {"corpus_id": "d2", "text": "", "image": "images/d2.jpg"},
            {"corpus_id": "d3", "text": "cats", "image": "images/d3.jpg"},
        )
    )
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "qrels.tsv").write_text(
        "query_id\tcorpus_id\tscore\nq1\td1\t1\nq1\td2\t2\nq2\td3\t1\nq3\td3\t0\n"
    )
    return tmp_path


def test_entries_and_judgements(folder):
    bench = read_mixbench(folder)
    assert [entry.kind for entry in bench.corpus] == ["text", "image", "both"]
    assert [entry.kind for entry in bench.queries] == ["text", "both", "text"]
    assert bench.corpus[1].image == folder / "images" / "d2.jpg"
    assert bench.relevant == {("q1", "d1"): 1, ("q1", "d2"): 2, ("q2", "d3"): 1}


def test_embedded_parts_find_their_documents(folder):
    rows = np.eye(4)
    corpus, queries = read_mixbench(folder).embedded(
        corpus_text=rows[:2],  # dogs, cats
        corpus_image=rows[[0, 1]],  # d2 is a dog, d3 a cat
        query_text=rows[:3],
        query_image=rows[[1]],
    )
    assert corpus.counts == {"image": 1, "text": 1, "both": 1}
    assert len(queries) == 2  # q3 has no answer
    found = mixed_search(corpus, queries, options=MixedOptions(recall_at=(1, 2))).answers["raw"]
    assert found.figures["recall_at_1"].tolist() == [0.5, 1]  # q1 has two answers, as near as each other
    assert found.figures["recall_at_2"].tolist() == [1, 1]
    np.testing.assert_allclose(queries.relevant.gains, [1, 2, 1])
    with pytest.raises(ValueError, match="corpus_text must have a row for each text: expected 2, got 3"):
        read_mixbench(folder).embedded(corpus_text=np.eye(3), corpus_image=rows[:2])


@pytest.mark.parametrize(
    "text",
    [
        "q1\td1\t1\n",
        "query-id\tcorpus-id\tscore\nq1\td1\t1.0\n",
        "q1\t0\td1\t1\n",
        "qid\t0\td\ts\nq1\tQ0\td1\t1\n",
    ],
)
def test_other_ways_to_write_it(folder, text):
    (folder / "qrels" / "qrels.tsv").unlink()
    (folder / "qrels.tsv").write_text(text)
    (folder / "mixed_corpus.jsonl").rename(folder / "corpus.jsonl")
    (folder / "queries.jsonl").write_text(lines({"_id": "q1", "text": "a dog"}))
    assert read_mixbench(folder).relevant == {("q1", "d1"): 1}


def test_bad_rows_are_named(folder):
    corpus = folder / "mixed_corpus.jsonl"
    good = corpus.read_text()
    bad = good + "{\n" + lines(
        {"corpus_id": "d1", "text": "again"},
        {"corpus_id": "d5"},
        {"text": "no id"},
        ["d6"],
        {"corpus_id": "d7", "text": 7},
        {"corpus_id": "d8"},
    )  # fmt: skip
    corpus.write_text(bad)
    with pytest.raises(ValueError) as caught:
        read_mixbench(folder)
    message = str(caught.value)
    for part in (
        "line 4: ",
        "line 5: 'd1' comes twice",
        "line 6: 'd5' has neither an image nor a text",
        "line 7: expected corpus_id, found text",
        "line 8: expected an object, found list",
        "and 2 more",
    ):
        assert part in message
    corpus.write_text(good)
    qrels = folder / "qrels" / "qrels.tsv"
    qrels.write_text("q1\td1\t1\nq1\td1\t1\nq9\td1\t1\nq1\td9\t1\nq1\td1\nq1\td1\tx\n")
    with pytest.raises(ValueError) as caught:
        read_mixbench(folder)
    for part in (
        "line 2: 'q1' and 'd1' come twice",
        "line 3: there is no query 'q9'",
        "line 4: there is no document 'd9'",
        "line 5: expected query, document and score, found ['q1', 'd1']",
        "line 6: expected query, document and score",
    ):
        assert part in str(caught.value)
    qrels.write_text("q1\td1\t0\n")
    with pytest.raises(ValueError, match="expected at least one score above 0, found none"):
        read_mixbench(folder)


def test_missing_and_empty_files(folder):
    (folder / "queries.jsonl").write_text("\n")
    with pytest.raises(ValueError, match=r"queries\.jsonl: expected at least one entry, found none"):
        read_mixbench(folder)
    (folder / "queries.jsonl").unlink()
    with pytest.raises(FileNotFoundError, match=r"has none of queries\.jsonl, query\.jsonl"):
        read_mixbench(folder)
    with pytest.raises(FileNotFoundError, match=r"has none of other\.jsonl"):
        read_mixbench(folder, corpus="other.jsonl")


def test_only_a_newline_ends_a_line(folder):
    """Captions and names off the web hold separators at which str.splitlines would cut."""
    said, name = "a dog\u2028and\x85a cat", "q\u20281"
    row = json.dumps({"query_id": name, "text": said}, ensure_ascii=False)
    (folder / "queries.jsonl").write_bytes((row + "\r\n").encode())
    judged = f"query_id\tcorpus_id\tscore\r\n{name}\td1\t1\r\n"
    (folder / "qrels" / "qrels.tsv").write_bytes(judged.encode())
    bench = read_mixbench(folder)
    assert [entry.text for entry in bench.queries] == [said]
    assert bench.relevant == {(name, "d1"): 1}


def test_a_mark_of_byte_order_is_no_text(folder):
    for name in ("queries.jsonl", "mixed_corpus.jsonl", "qrels/qrels.tsv"):
        path = folder / name
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(read_mixbench(folder).relevant) == 3


def test_another_encoding_is_named(folder):
    (folder / "queries.jsonl").write_bytes(b'\n{"query_id": "q1", "text": "caf\xe9"}\n')
    with pytest.raises(ValueError, match=r"queries\.jsonl: expected UTF-8, found byte 0xe9 in line 2"):
        read_mixbench(folder)


def test_scores_are_finite(folder):
    (folder / "qrels" / "qrels.tsv").write_text("q1\td1\tnan\nq1\td2\tinf\nq2\td3\t1\n")
    with pytest.raises(ValueError, match="line 1: score must be a finite number, found nan; line 2: score"):
        read_mixbench(folder)


@pytest.mark.parametrize("value, kind", [(0, "int"), (False, "bool"), ([], "list")])
def test_what_is_no_string_is_no_text(folder, value, kind):
    (folder / "queries.jsonl").write_text(lines({"query_id": "q1", "text": value}))
    with pytest.raises(ValueError, match=f"line 1: text must be a string, found {kind}"):
        read_mixbench(folder)


@pytest.mark.parametrize("where", ["MSCOCO", "MSCOCO/images", "MixBench_img/MSCOCO/images"])
def test_images_are_found_beside_the_files_or_where_the_authors_have_them(folder, tmp_path_factory, where):
    root = tmp_path_factory.mktemp("mixbench")
    subset = root / "MSCOCO"
    folder.rename(subset)
    for name in ("q2", "d2", "d3"):
        path = root / where / "images" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    bench = read_mixbench(subset)
    assert bench.corpus[2].image == root / where / "images" / "d3.jpg"
    assert read_mixbench(subset, images=root / where).queries[1].image.is_file()
    path.unlink()
    with pytest.raises(ValueError) as caught:
        read_mixbench(subset)
    assert str(caught.value).startswith("images images/d3.jpg are in none of ")
    assert str(subset) in str(caught.value)
    assert str(root / "MixBench_img" / "MSCOCO" / "images") in str(caught.value)
    with pytest.raises(ValueError, match="are in none of nowhere"):
        read_mixbench(subset, images="nowhere")
