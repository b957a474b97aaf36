"""COCO's own annotation files and Karpathy's."""

import json

import numpy as np
import pytest
from PIL import Image

from isthmus.sources import open_source


@pytest.mark.parametrize("split, count", [("train", 80), ("val", 79)])
def test_coco_real(realdata, split, count):
    root = realdata / "coco-mini"
    content = json.loads((root / f"annotations/captions_{split}2017.json").read_text(encoding="utf-8"))
    source = open_source(f"coco:{root}", split=split)
    assert source.modalities == ("image", "text")
    items = list(source)
    assert len(items) == count
    for item, image in zip(items, content["images"], strict=True):
        said = [
            entry["caption"].strip() for entry in content["annotations"] if entry["image_id"] == image["id"]
        ]
        assert (item.id, item.group, list(item.captions)) == (str(image["id"]), str(image["id"]), said)
        assert item.image == root / f"{split}2017" / image["file_name"]
    first = items[0]
    with Image.open(first.image) as image:
        np.testing.assert_array_equal(first.load("image"), np.asarray(image.convert("RGB")))
    assert [item.id for item in source] == [item.id for item in items]


def test_both_splits_follow_each_other(realdata):
    ids = {split: [item.id for item in open_source(f"coco:{realdata}/coco-mini", split=split)]
           for split in (None, "train", "val")}  # fmt: skip
    assert ids[None] == ids["train"] + ids["val"]


def annotations(images, captions):
    return {
        "images": [{"id": number, "file_name": name} for number, name in images],
        "annotations": [{"image_id": number, "caption": text} for number, text in captions],
    }


@pytest.fixture
def two_years(write, picture):
    for year in (2014, 2017):
        for split in ("train", "val"):
            name = f"{split}{year}.png"
            write(f"{split}{year}/{name}", picture())
            number = year * 10 + (split == "val")
            write(
                f"annotations/captions_{split}{year}.json",
                annotations([(number, name)], [(number, f"a {name}")]),
            )


def test_the_year_is_chosen_where_there_are_two(tmp_path, two_years):
    with pytest.raises(ValueError, match="has captions of 2014 and 2017: choose one, as in year=2017"):
        open_source(f"coco:{tmp_path}")
    source = open_source(f"coco:{tmp_path}?year=2014", split="val")
    assert [item.captions for item in source] == [("a val2014.png",)]
    with pytest.raises(
        FileNotFoundError, match=r"expected captions_val2015\.json or the like, found captions_train"
    ):
        open_source(f"coco:{tmp_path}?year=2015", split="val")


def test_one_file(tmp_path, two_years, write):
    path = f"{tmp_path}/annotations/captions_val2017.json"
    (item,) = open_source(f"coco:{path}", split="val")
    assert item.image == tmp_path / "val2017/val2017.png"
    with pytest.raises(ValueError, match=r"expected captions of train, found a file named otherwise"):
        open_source(f"coco:{path}", split="train")
    write("mine.json", annotations([(1, "val2017.png")], [(1, "one")]))
    (item,) = open_source(f"coco:{tmp_path}/mine.json?images=val2017")
    assert item.image == tmp_path / "val2017/val2017.png"


def test_without_images_there_is_text(tmp_path, write):
    write("captions_val2017.json", annotations([(1, "a.png")], [(1, "one")]))
    source = open_source(f"coco:{tmp_path}")
    assert source.modalities == ("text",)
    assert [item.modalities for item in source] == [("text",)]
    with pytest.raises(FileNotFoundError, match="no such file or folder: gone"):
        open_source(f"coco:{tmp_path}?images=gone")


def test_bad_entries(tmp_path, write, picture):
    write("val2017/ok.png", picture())
    content = annotations(
        [(1, "gone.png"), (2, "ok.png"), (3, "ok.png"), (4, "ok.png"), (5, None), (6, "ok.png")],
        [(1, "one"), (2, " "), (3, None), (5, "five"), (6, "six"), (9, "nine")],
    )
    content["images"] += [7]
    path = write("annotations/captions_val2017.json", content)
    source = open_source(f"coco:{tmp_path}", on_error="skip")
    assert [item.id for item in source] == ["6"]
    assert source.skipped == [
        f"{path}, images[0]: expected the image {tmp_path}/val2017/gone.png, found no such file",
        f"{path}, annotations[1]: expected a caption, found an empty one",
        f"{path}, annotations[2]: expected a caption, found None",
        f"{path}, images[3]: expected captions of ok.png, found none",
        f"{path}, images[4]: expected the name of an image file, found None",
        f"{path}, images[6]: expected an object, found 7",
        f"{path}, annotations[5]: expected an image 9 in the list, found none",
    ]
    with pytest.raises(ValueError, match=r"images\[0\]: expected the image"):
        list(open_source(f"coco:{tmp_path}"))


def test_files_of_another_kind(tmp_path, write):
    path = write("captions_val2017.json", {"info": 1})
    with pytest.raises(ValueError, match=r"expected a list 'annotations', found the names info"):
        list(open_source(f"coco:{path}"))
    write("captions_val2017.json", '{"images": [')
    with pytest.raises(ValueError, match=r"captions_val2017\.json: expected JSON"):
        list(open_source(f"coco:{path}"))


def karpathy():
    def image(number, split, folder):
        name = f"COCO_{folder}_{number:012}.jpg"
        said = [{"raw": f"{split} {k}", "tokens": [], "imgid": number, "sentid": k} for k in (0, 1)]
        return {
            "filepath": folder,
            "filename": name,
            "imgid": 0,
            "cocoid": number,
            "split": split,
            "sentences": said,
        }

    splits = {"train": "train2014", "restval": "val2014", "val": "val2014", "test": "val2014"}
    return {"dataset": "coco", "images": [image(k, split, splits[split]) for k, split in enumerate(splits)]}


def test_karpathys_splits(tmp_path, write, picture):
    write("dataset_coco.json", karpathy())
    for entry in karpathy()["images"]:
        write(f"{entry['filepath']}/{entry['filename']}", picture(entry["cocoid"], "PNG"))
    expected = {None: "0123", "train": "0", "restval": "1", "val": "2", "test": "3", "train+restval": "01"}
    for split, ids in expected.items():
        source = open_source(f"coco:{tmp_path}", split=split)
        assert "".join(item.id for item in source) == ids
    assert item_of(source).captions == ("train 0", "train 1")
    assert item_of(open_source(f"coco:{tmp_path}", split="test")).load("image")[0, 0, 0] == 3
    with pytest.raises(
        ValueError, match=r"unknown split 'dev' of .*dataset_coco\.json, expected one of train, restval"
    ):
        open_source(f"coco:{tmp_path}", split="dev")


def test_karpathys_file_of_flickr(tmp_path, write, picture):
    images = [
        {"filename": f"{k}.jpg", "imgid": k, "split": "test", "sentences": [{"raw": "a"}]} for k in (0, 1)
    ]
    images += [{**images[0], "sentences": 3}, {**images[0], "filename": "x" * 300, "imgid": 2}]
    path = write("dataset_flickr8k.json", {"images": images, "dataset": "flickr8k"})
    write("Images/0.jpg", picture())
    source = open_source(f"coco:{path}?images=Images", split="test", on_error="skip")
    assert [(item.id, item.captions) for item in source] == [("0", ("a",))]
    assert [message.partition(": ")[2] for message in source.skipped] == [
        f"expected the image {tmp_path}/Images/1.jpg, found no such file",
        "expected captions of 0.jpg, found none",
        f"expected the image {tmp_path}/Images/{'x' * 300}, found no such file",
    ]


def item_of(source):
    return next(iter(source))


def test_karpathys_file_gives_way_to_a_year_and_may_be_elsewhere(tmp_path, two_years, write, picture):
    write("elsewhere/dataset_coco.json", karpathy())
    source = open_source(
        f"coco:{tmp_path}?karpathy=elsewhere/dataset_coco.json", split="test", on_error="skip"
    )
    assert list(source) == []
    assert "expected the image" in source.skipped[0]
    write("dataset_coco.json", karpathy())
    assert item_of(open_source(f"coco:{tmp_path}?year=2017", split="val")).captions == ("a val2017.png",)
    with pytest.raises(
        ValueError, match=r"unknown split 'test', expected train or val; others are of Karpathy's"
    ):
        open_source(f"coco:{tmp_path}?year=2017", split="test")


def test_the_file_is_read_once(tmp_path, write):
    path = write("captions_val2017.json", annotations([(1, "a.png")], [(1, "one")]))
    source = open_source(f"coco:{tmp_path}")
    assert len(list(source)) == 1
    path.unlink()
    assert len(list(source)) == 1
