"""Tables read row by row: where each row stands, and what is wrong with it."""

import pytest

from isthmus.sources.source import BadItem
from isthmus.sources.tables import column, read_json, read_rows


def rows(path):
    return [row.message if isinstance(row, BadItem) else (row.where, row.cells) for row in read_rows(path)]


@pytest.mark.parametrize("mark", [",", "\t", ";", "|"])
def test_cells_stand_apart_by_the_mark_of_the_header(write, mark):
    path = write("a.csv", f"file{mark} caption\r\na.jpg{mark}a dog\r\n")
    assert rows(path) == [(f"{path}, row 2", {"file": "a.jpg", "caption": "a dog"})]


def test_rows_are_counted_as_lines(write):
    path = write("a.csv", '\ufefffile,caption\n\na,"two\nlines"\nb,"a ""big"" dog, two"\n')
    assert rows(path) == [
        (f"{path}, row 3", {"file": "a", "caption": "two\nlines"}),
        (f"{path}, row 5", {"file": "b", "caption": 'a "big" dog, two'}),
    ]


def test_bad_rows_are_told_and_the_next_is_read(write):
    path = write("a.csv", 'file,caption\na,b,c\nd,"e"f\ng,h\ni,"j')
    first, second, third, fourth = rows(path)
    assert first == f"{path}, row 2: expected 2 cells, as in the header, found 3"
    assert second.startswith(f"{path}, row 3: expected cells between ',', found a stray quote")
    assert third == (f"{path}, row 4", {"file": "g", "caption": "h"})
    assert fourth.startswith(f"{path}, row 5: expected cells between ','")


def test_headers_must_be_there_and_differ(write):
    with pytest.raises(ValueError, match=r"a\.csv is an empty file: expected a header and rows"):
        rows(write("a.csv", ""))
    with pytest.raises(ValueError, match=r"row 1: expected columns of different names, found a, a"):
        rows(write("a.csv", "a,a\n1,2\n"))


def test_what_is_not_utf8_is_told_by_row_and_byte(write):
    path = write("a.csv", b"file,caption\na,caf\xe9\n")
    with pytest.raises(ValueError, match=r"a\.csv, row 2: expected UTF-8, found byte 0xe9 at its position 5"):
        rows(path)


def test_jsonl_rows(write):
    path = write("a.jsonl", '{"file": "a"}\n\n[1]\n{"file"\n')
    first, second, third = rows(path)
    assert first == (f"{path}, row 1", {"file": "a"})
    assert second == f"{path}, row 3: expected a JSON object, found '[1]'"
    assert third.startswith(f"{path}, row 4: expected a JSON object, found '{{\"file\"'")


def test_columns_are_asked_for_by_name(write):
    row = next(iter(read_rows(write("a.csv", "img,caption\na,b\n"))))
    assert column(row, ("text", "caption"), "captions") == "caption"
    with pytest.raises(
        ValueError, match=r"expected a column of files named image or file, found img, caption"
    ):
        column(row, ("image", "file"), "files")


@pytest.mark.parametrize("text", ['{"a": [1, 2', "[" * 100_000])
def test_damaged_json_is_told(write, text):
    with pytest.raises(ValueError, match=r"a\.json: expected JSON, found that it breaks off"):
        read_json(write("a.json", text))
