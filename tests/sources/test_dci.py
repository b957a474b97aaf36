"""Densely Captioned Images, in the layout that its own code reads."""

import json

import pytest

from isthmus.sources import open_source


def entry(name, **changes):
    mask = {"mask_quality": 0, "label": "Pump", "caption": "A red pump.", "outer_mask": "iVBO", "idx": 0}
    return {
        "image": f"{name}.jpg",
        "short_caption": f"Short {name}.",
        "extra_caption": "Extra.",
        "mask_data": {
            "0": mask,
            "1": {**mask, "mask_quality": 1, "label": "Sky"},
            "2": {**mask, "mask_quality": 2},
        },
        "mask_keys": ["0", "1", "2"],
        "summaries": {"base": [f"One {name}.", "Two. "], "0": ["A pump."]},
    } | changes


@pytest.fixture
def root(tmp_path, write, picture):
    base = "densely_captioned_images"
    for level, name in enumerate(["sa_2", "sa_1", "sa_3"]):
        write(f"{base}/complete/{name}.json", entry(name))
        write(f"{base}/photos/{name}.jpg", picture(level, "PNG"))
    write(
        f"{base}/splits.json", {"train": ["sa_2.json", "sa_1.json"], "valid": ["sa_3"], "test": ["gone.json"]}
    )
    return tmp_path


def test_summaries_of_the_whole_image(root):
    source = open_source(f"dci:{root}")
    assert source.modalities == ("image", "text")
    assert len(source) == 3
    found = [(item.id, item.captions, int(item.load("image")[0, 0, 0])) for item in source]
    assert found == [(f"sa_{k}", (f"One sa_{k}.", "Two."), level) for k, level in ((1, 1), (2, 0), (3, 2))]


def test_splits_keep_their_order(root):
    assert [item.id for item in open_source(f"dci:{root}", split="train")] == ["sa_2", "sa_1"]
    assert [item.id for item in open_source(f"dci:{root}/densely_captioned_images", split="valid")] == [
        "sa_3"
    ]
    source = open_source(f"dci:{root}", split="test", on_error="skip")
    assert (len(source), list(source)) == (1, [])
    assert (
        "gone.json: expected this description, as splits.json has it, found no such file" in source.skipped[0]
    )
    with pytest.raises(ValueError, match="unknown split 'val', expected one of train, valid, test"):
        open_source(f"dci:{root}", split="val")


def test_short_and_full_captions(root):
    short = next(iter(open_source(f"dci:{root}?captions=short")))
    assert short.captions == ("Short sa_1.",)
    full = next(iter(open_source(f"dci:{root}?captions=full")))
    lines = [
        "Short sa_1.",
        "Extra.",
        "The following can also be seen in the image:",
        "Pump: A red pump.",
        "Sky",
    ]
    assert full.captions == ("\n".join(lines),)
    with pytest.raises(
        ValueError, match="unknown captions 'long' of DCI, expected one of summaries, short, full"
    ):
        open_source(f"dci:{root}?captions=long")


def test_full_captions_of_what_is_broken(root):
    path = root / "densely_captioned_images/complete/sa_1.json"
    path.write_text(json.dumps(entry("sa_1", mask_data={})))
    assert next(iter(open_source(f"dci:{root}?captions=full"))).captions == ("Short sa_1.\nExtra.",)
    for broken in ({"mask_data": [1]}, {"extra_caption": 1}, {"short_caption": None}):
        path.write_text(json.dumps(entry("sa_1", **broken)))
        with pytest.raises(ValueError, match=r"sa_1\.json, full\[0\]: expected a caption, found None"):
            list(open_source(f"dci:{root}?captions=full"))


def test_annotations_without_photos(tmp_path, write):
    write("annotations/sa_1.json", entry("sa_1", summaries={"base": "Only one."}))
    source = open_source(f"dci:{tmp_path}")
    assert source.modalities == ("text",)
    assert [item.captions for item in source] == [("Only one.",)]


def test_bad_descriptions(tmp_path, write, picture):
    (tmp_path / "photos").mkdir()
    write("photos/e.jpg", picture())
    for name, content in {
        "a": entry("a", summaries=None),
        "b": {"image": 3},
        "c": '{"image": ',
        "d": entry("d"),
        "e": entry("e", summaries={"base": ["x", ""]}),
    }.items():
        write(f"complete/{name}.json", content)
    source = open_source(f"dci:{tmp_path}", on_error="skip")
    assert list(source) == []
    place = f"{tmp_path}/complete"
    expected = [
        f"{place}/a.json: expected summaries of the whole image ('base'), found none; see captions=short",
        f"{place}/b.json: expected an object with the name of an 'image', found none",
        f"{place}/c.json: expected JSON, found that it breaks off or is damaged",
        f"{place}/d.json: expected the image {tmp_path}/photos/d.jpg, found no such file",
        f"{place}/e.json, summaries[1]: expected a caption, found an empty one",
    ]
    assert len(source.skipped) == 5
    assert all(found.startswith(start) for found, start in zip(source.skipped, expected, strict=True))
    with pytest.raises(ValueError, match=r"a\.json: expected summaries of the whole image"):
        list(open_source(f"dci:{tmp_path}"))


def test_errors_of_the_whole(tmp_path, write):
    with pytest.raises(FileNotFoundError, match="expected a folder complete or annotations, found nothing"):
        open_source(f"dci:{tmp_path}")
    (tmp_path / "complete").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no such file or folder: .*splits\.json"):
        open_source(f"dci:{tmp_path}", split="train")
    write("splits.json", {"valid": []})
    with pytest.raises(ValueError, match=r"splits\.json: expected a list of files named 'train', found none"):
        open_source(f"dci:{tmp_path}", split="train")
