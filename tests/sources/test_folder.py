"""Folders of media, with captions in every way that people keep them."""

import csv
import json

import numpy as np
import pytest

from isthmus.sources import open_source


def told(source):
    return {item.id: item.captions for item in source}


def test_images_alone_are_sorted_with_those_of_subfolders(tmp_path, write, picture):
    for level, name in enumerate(["b.png", "a/z.JPG", "c.gif", ".hidden.png", "._b.png", "notes.md"]):
        write(name, picture(level))
    source = open_source(f"folder:{tmp_path}")
    assert source.modalities == ("image",)
    assert len(source) == 3
    assert [item.id for item in source] == [item.id for item in source] == ["a/z.JPG", "b.png", "c.gif"]
    assert [item.load("image")[0, 0, 0] for item in source] == [1, 0, 2]
    assert {item.captions for item in source} == {()}


def test_sounds_and_videos_go_by_their_suffix(tmp_path, write, wav):
    write("a.wav", wav([5]))
    write("b.mp4", b"")
    source = open_source(f"folder:{tmp_path}")
    assert source.modalities == ("audio", "video")
    first, second = source
    assert first.load("audio").samples[0, 0] * 32768 == 5
    assert second.video == tmp_path / "b.mp4"


@pytest.mark.parametrize("mark", [",", "\t"])
def test_kaggles_captions_txt(tmp_path, write, picture, mark):
    write("Images/a.jpg", picture(1, "JPEG"))
    write("Images/b.jpg", picture(2, "JPEG"))
    rows = [("image", "caption"), ("b.jpg", 'a "big" dog, two'), ("a.jpg", " a cat ."), ("b.jpg", "a dog .")]
    with (tmp_path / "captions.txt").open("w", newline="") as file:
        csv.writer(file, delimiter=mark).writerows(rows)
    source = open_source(f"folder:{tmp_path}")
    assert source.modalities == ("image", "text")
    assert told(source) == {"b.jpg": ('a "big" dog, two', "a dog ."), "a.jpg": ("a cat .",)}
    assert list(told(source)) == ["b.jpg", "a.jpg"]
    assert next(iter(source)).image == tmp_path / "Images/b.jpg"


def test_a_table_by_option_with_columns_by_option(tmp_path, write, picture):
    write("x/a.png", picture())
    write("y/a.png", picture())
    write("mine.csv", "text,pic,said\nno,x/a.png,one\nno,y/a.png,two\n")
    options = "captions=mine.csv&image_column=pic&caption_column=said"
    source = open_source(f"folder:{tmp_path}?{options}")
    assert told(source) == {"x/a.png": ("one",), "y/a.png": ("two",)}
    assert [item.image for item in source] == [tmp_path / "x/a.png", tmp_path / "y/a.png"]
    assert options in source.name


def test_jsonl_with_lists_of_captions(tmp_path, write, wav):
    write("a.wav", wav())
    write("captions.jsonl", '{"file": "a.wav", "captions": ["one", "two"]}\n{"file": "a.wav"}\n')
    source = open_source(f"folder:{tmp_path}", on_error="skip")
    assert told(source) == {"a.wav": ("one", "two")}
    assert "captions.jsonl, row 2: expected a column of captions" in source.skipped[0]
    assert source.modalities == ("audio", "text")


def test_a_text_beside_each_image(tmp_path, write, picture):
    for name in ("00000/000000000", "00000/000000001", "00001/000010000"):
        write(f"{name}.jpg", picture(1, "JPEG"))
    write("00000/000000000.txt", "a dog\n\n two dogs \n")
    write("00000/000000001.txt", " \n")
    source = open_source(f"folder:{tmp_path}", on_error="skip")
    assert told(source) == {"00000/000000000.jpg": ("a dog", "two dogs")}
    assert len(source) == 3
    assert source.modalities == ("image", "text")
    empty, missing = source.skipped
    assert (
        empty == f"{tmp_path}/00000/000000001.jpg: expected a caption in 000000001.txt, found an empty file"
    )
    assert missing.endswith("000010000.jpg: expected a caption in 000010000.txt, found no such file")
    write("00000/000000001.txt", b"caf\xe9")
    with pytest.raises(ValueError, match=r"000000001\.txt, row 1: expected UTF-8, found byte 0xe9"):
        list(open_source(f"folder:{tmp_path}"))


def flickr(write, picture):
    write("Flicker8k_Dataset/a.jpg", picture(1, "JPEG"))
    write("Flicker8k_Dataset/b.jpg", picture(2, "JPEG"))
    write("Flickr8k_text/Flickr8k.token.txt", "a.jpg#0\ta dog .\na.jpg#1\tdogs .\nb.jpg#0\ta cat .\n")
    write("Flickr8k_text/Flickr8k.lemma.token.txt", "a.jpg#0\ta dog .\n")
    write("Flickr8k_text/Flickr_8k.trainImages.txt", "b.jpg\n")
    write("Flickr8k_text/Flickr_8k.devImages.txt", "a.jpg\nc.jpg\n")


def test_flickr8k_as_it_is_unpacked(tmp_path, write, picture):
    flickr(write, picture)
    assert told(open_source(f"folder:{tmp_path}")) == {"a.jpg": ("a dog .", "dogs ."), "b.jpg": ("a cat .",)}
    assert told(open_source(f"folder:{tmp_path}", split="train")) == {"b.jpg": ("a cat .",)}
    validation = open_source(f"folder:{tmp_path}", split="val", on_error="skip")
    assert list(told(validation)) == list(
        told(open_source(f"folder:{tmp_path}", split="dev", on_error="skip"))
    )
    assert list(told(validation)) == ["a.jpg"]
    assert "devImages.txt, row 2: expected captions of c.jpg, found none" in validation.skipped[0]
    write("train/Flickr8k.token.txt", "a.jpg#0\ta dog .\n")
    with pytest.raises(
        ValueError, match=r"expected a folder new, Flickr_8k\.newImages\.txt or a table with splits"
    ):
        open_source(f"folder:{tmp_path}/train", split="new")
    with pytest.raises(ValueError, match=r"expected a folder test, Flickr_8k\.testImages\.txt or a table"):
        open_source(f"folder:{tmp_path}", split="test")


def test_bad_token_rows(tmp_path, write):
    write("Flickr8k.token.txt", "a.jpg a dog\n\nb.jpg#0\t \nc.jpg#0\ta cat\n")
    source = open_source(f"folder:{tmp_path}", on_error="skip")
    assert list(told(source)) == ["c.jpg"]
    assert "row 1: expected NAME.jpg#NUMBER, a TAB and a caption, found 'a.jpg a dog'" in source.skipped[0]
    assert "row 3: expected a caption, found an empty one" in source.skipped[1]


def test_splits_by_a_column_by_names_and_by_subfolders(tmp_path, write, picture):
    for name in ("train/a.png", "val/b.png"):
        write(name, picture())
    assert list(told(open_source(f"folder:{tmp_path}", split="val"))) == ["b.png"]
    write("captions.csv", "file,caption\ntrain/a.png,one\nval/b.png,two\n")
    assert told(open_source(f"folder:{tmp_path}", split="val")) == {"val/b.png": ("two",)}
    write("captions.csv", "file,caption,split\na.png,one,test\nb.png,two,val\n")
    assert told(open_source(f"folder:{tmp_path}", split="test")) == {"a.png": ("one",)}
    with pytest.raises(
        ValueError, match=r"captions\.csv: expected rows of the split 'train', found test, val"
    ):
        list(open_source(f"folder:{tmp_path}", split="train"))


def test_a_split_that_is_not_there(tmp_path, write, picture):
    write("a.png", picture())
    with pytest.raises(ValueError, match=r"expected a folder test, .* or a table with splits, found a\.png"):
        open_source(f"folder:{tmp_path}", split="test")


def test_bad_rows_one_by_one(tmp_path, write, picture):
    for name in ("a.png", "x/twice.png", "y/twice.png", "ok.png"):
        write(name, picture())
    rows = ["file,caption", "a.png,", "gone.png,one", "twice.png,two", "a.tiff,three", ",four", "ok.png,five"]
    path = write("captions.csv", "\n".join(rows))
    source = open_source(f"folder:{tmp_path}", on_error="skip")
    assert list(told(source)) == ["ok.png"]
    expected = [
        f"{path}, row 2: expected a caption, found an empty one",
        f"{path}, row 3: expected a file gone.png in the folder, found none",
        f"{path}, row 4: expected one file twice.png, found {tmp_path}/x/twice.png and ",
        f"{path}, row 5: expected a file a.tiff in the folder, found none",
        f"{path}, row 6: expected ",
    ]
    assert len(source.skipped) == len(expected)
    assert all(found.startswith(start) for found, start in zip(source.skipped, expected, strict=True))
    with pytest.raises(ValueError, match=r"captions\.csv, row 2: expected a caption, found an empty one"):
        list(open_source(f"folder:{tmp_path}"))


def test_captions_without_media_are_items_of_text(tmp_path, write):
    write("captions.csv", "file,caption\na.png,one\na.png,two\n")
    source = open_source(f"folder:{tmp_path}")
    assert source.modalities == ("text",)
    assert [item.modalities for item in source] == [("text",)]


def test_names_do_not_leave_the_folder(tmp_path, write, picture):
    write("secret.png", picture())
    write("in/a.png", picture())
    write("in/captions.csv", f"file,caption\n../secret.png,one\n{tmp_path}/secret.png,two\n")
    source = open_source(f"folder:{tmp_path}/in", on_error="skip")
    assert [item.image for item in source] == []


def test_errors_of_the_whole_folder(tmp_path, write, picture):
    with pytest.raises(FileNotFoundError, match=r"no such file or folder: .*gone"):
        open_source(f"folder:{tmp_path}/gone")
    with pytest.raises(ValueError, match=r"expected a file or folder after the kind of source"):
        open_source("folder:")
    with pytest.raises(
        ValueError, match=r"expected images, sounds, videos or a table of captions, found nothing"
    ):
        open_source(f"folder:{tmp_path}")
    write("notes.md", "")
    with pytest.raises(ValueError, match=r"notes\.md: expected a folder, found a file"):
        open_source(f"folder:{tmp_path}/notes.md")
    write("captions.csv", "pic,said\na,b\n")
    with pytest.raises(
        ValueError, match=r"row 2: expected a column of files named image or .*, found pic, said"
    ):
        list(open_source(f"folder:{tmp_path}", on_error="skip"))
    write("captions.jsonl", "")
    with pytest.raises(ValueError, match=r"has captions in captions\.csv and captions\.jsonl: choose"):
        open_source(f"folder:{tmp_path}")
    with pytest.raises(
        ValueError, match="unknown option colour, folder has caption_column, captions, image_column"
    ):
        open_source(f"folder:{tmp_path}?colour=1")


def test_flickr8k_real(realdata):
    place = realdata / "captions/flickr8k"
    lines = (place / "Flickr8k.token.txt").read_text(encoding="utf-8").splitlines()
    names = [line.split("#")[0].removesuffix(".1") for line in lines]
    source = open_source(f"folder:{place}")
    assert source.modalities == ("text",)
    items = list(source)
    assert [item.id for item in items] == list(dict.fromkeys(names))
    assert len(items) == 8092
    captions = [caption for item in items for caption in item.captions]
    assert captions == [line.split("\t")[1].strip() for line in lines]
    assert np.unique([len(item.captions) for item in items]).tolist() == [5]
    splits = {
        split: {item.id for item in open_source(f"folder:{place}", split=split)}
        for split in ("train", "val", "test")
    }
    assert {split: len(ids) for split, ids in splits.items()} == {"train": 6000, "val": 1000, "test": 1000}
    assert not splits["train"] & splits["test"]


def test_real_images_without_captions(realdata):
    source = open_source(f"folder:{realdata / 'coco-mini' / 'val2017'}")
    names = {
        image["file_name"]
        for image in json.loads((realdata / "coco-mini/annotations/captions_val2017.json").read_text())[
            "images"
        ]
    }
    assert {item.id for item in source} == names
    assert len(source) == 79
