"""AudioCaps' tables, where the captions of one video stand far apart."""

import csv

import pytest

from isthmus.sources import open_source

HEADER = "audiocap_id,youtube_id,start_time,caption\n"


@pytest.mark.parametrize("split, rows, each", [("train", 49838, 1), ("val", 2475, 5), ("test", 4875, 5)])
def test_audiocaps_real(realdata, split, rows, each):
    place = realdata / "captions/audiocaps"
    with (place / f"{split}.csv").open(encoding="utf-8", newline="") as file:
        expected = {}
        for row in csv.DictReader(file):
            expected.setdefault(row["youtube_id"], []).append(row["caption"].strip())
    source = open_source(f"audiocaps:{place}", split=split)
    assert source.modalities == ("text",)
    found = {item.id: list(item.captions) for item in source}
    assert list(found.items()) == list(expected.items())
    assert {len(captions) for captions in found.values()} == {each}
    assert sum(map(len, found.values())) == rows


@pytest.mark.parametrize("folder", ["", "test/", "audio/", "audio/test/", "mine/"])
@pytest.mark.parametrize("name", ["vid.wav", "vid_30.wav", "Yvid.wav", "17.wav", "vid.flac", "vid_30.mp3"])
def test_sounds_are_found_by_each_of_their_names(tmp_path, write, folder, name):
    path = write(folder + name, b"")
    write("test.csv", HEADER + "17,vid,30,one\n18,other,0,two\n19,vid,30,three\n")
    source = open_source(f"audiocaps:{tmp_path}" + "?audio=mine" * (folder == "mine/"), on_error="skip")
    assert source.modalities == ("audio", "text")
    (item,) = source
    assert (item.id, item.captions, item.audio) == ("vid", ("one", "three"), path)
    (missing,) = source.skipped
    assert missing.startswith(f"{tmp_path}/test.csv, row 3: expected the audio ")
    assert missing.endswith("other.wav, found no such file")


def test_bad_rows(tmp_path, write):
    path = write("val.csv", HEADER + "1,a,0,one\n2,a,10,two\n3,b,0,\n4,c\n5,a,0,three\n")
    source = open_source(f"audiocaps:{tmp_path}", on_error="skip")
    assert [(item.id, item.captions) for item in source] == [("a", ("one", "three"))]
    assert sorted(source.skipped) == [
        f"{path}, row 3: expected a from second 0, found it from 10",
        f"{path}, row 4: expected a caption, found an empty one",
        f"{path}, row 5: expected 4 cells, as in the header, found 2",
    ]
    with pytest.raises(ValueError, match="row 3: expected a from second 0, found it from 10"):
        list(open_source(f"audiocaps:{tmp_path}"))


def test_errors_of_the_whole(tmp_path, write):
    with pytest.raises(
        FileNotFoundError, match=r"expected train\.csv or val\.csv or test\.csv, found nothing"
    ):
        open_source(f"audiocaps:{tmp_path}")
    with pytest.raises(ValueError, match="unknown split 'dev', expected one of train, val, test"):
        open_source(f"audiocaps:{tmp_path}", split="dev")
    write("train.csv", "youtube_id,caption\na,b\n")
    with pytest.raises(
        ValueError, match="expected a column of AudioCaps named start_time, found youtube_id, capt"
    ):
        list(open_source(f"audiocaps:{tmp_path}"))
