"""Clotho's tables of five captions."""

import csv

import pytest

from isthmus.sources import open_source

HEADER = "file_name,caption_1,caption_2,caption_3,caption_4,caption_5\n"


@pytest.mark.parametrize("split, count", [("development", 2893), ("evaluation", 1045)])
def test_clotho_real(realdata, split, count):
    place = realdata / "captions/clotho"
    with (place / f"clotho_captions_{split}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[1:]
    source = open_source(f"clotho:{place}", split=split)
    assert source.modalities == ("text",)
    items = list(source)
    assert len(items) == count
    assert [[item.id, *item.captions] for item in items] == [[cell.strip() for cell in row] for row in rows]


def test_splits_follow_each_other(realdata):
    ids = [item.id for item in open_source(f"clotho:{realdata}/captions/clotho")]
    assert len(ids) == 2893 + 1045 == len(set(ids))


@pytest.mark.parametrize("folder", ["evaluation", "clotho_audio_files/evaluation", "mine"])
def test_sounds_lie_in_the_folder_of_the_split(tmp_path, write, wav, folder):
    write(f"{folder}/a b.wav", wav([9]))
    write("clotho_captions_evaluation.csv", HEADER + "a b.wav,1,2,3,4,5\n")
    source = open_source(f"clotho:{tmp_path}" + "?audio=mine" * (folder == "mine"))
    assert source.modalities == ("audio", "text")
    (item,) = source
    assert (item.id, item.captions) == ("a b.wav", tuple("12345"))
    assert item.load("audio").samples[0, 0] * 32768 == 9


def test_bad_rows(tmp_path, write, wav):
    write("development/a.wav", wav())
    rows = [
        "a.wav,1,2,3,4,5",
        "a.wav,1,2,3,4,5",
        "b.wav,1,2,3,4,5",
        "c.wav,1,2, ,4,5",
        "d.wav,1,2",
        " ,1,2,3,4,5",
    ]
    path = write("clotho_captions_development.csv", HEADER + "\n".join(rows))
    source = open_source(f"clotho:{tmp_path}", on_error="skip")
    assert [item.id for item in source] == ["a.wav"]
    assert source.skipped == [
        f"{path}, row 3: expected every item once, found a.wav again",
        f"{path}, row 4: expected the audio {tmp_path}/development/b.wav, found no such file",
        f"{path}, row 5, caption_3: expected a caption, found an empty one",
        f"{path}, row 6: expected 6 cells, as in the header, found 3",
        f"{path}, row 7: expected the name of an item, found ' '",
    ]
    with pytest.raises(ValueError, match=r"row 3: expected every item once"):
        list(open_source(f"clotho:{tmp_path}"))


def test_errors_of_the_whole(tmp_path, write):
    with pytest.raises(FileNotFoundError, match=r"expected clotho_captions_validation\.csv, found nothing"):
        open_source(f"clotho:{tmp_path}", split="validation")
    with pytest.raises(
        ValueError, match="unknown split 'test', expected one of development, validation, eval"
    ):
        open_source(f"clotho:{tmp_path}", split="test")
    write("clotho_captions_validation.csv", "file_name,caption\na.wav,b\n")
    with pytest.raises(
        ValueError, match="expected a column of captions named caption_1, found file_name, capt"
    ):
        list(open_source(f"clotho:{tmp_path}"))
