"""MSR-VTT's JSON and the 1k-A list."""

import pytest

from isthmus.sources import open_source


def test_msrvtt_real(realdata):
    place = realdata / "captions/msrvtt"
    lines = (place / "MSRVTT_JSFUSION_test.csv").read_text(encoding="utf-8").splitlines()[1:]
    for split in (None, "1k-A"):
        source = open_source(f"msrvtt:{place}", split=split)
        assert source.modalities == ("text",)
        found = [[item.id, *item.captions] for item in source]
        assert found == [[line.split(";")[2], line.split(";")[3].strip()] for line in lines]
        assert len(found) == 1000
    with pytest.raises(
        FileNotFoundError, match=r"expected MSRVTT_data\.json or train_val_videodatainfo\.json or"
    ):
        open_source(f"msrvtt:{place}", split="test")


def described(splits, said):
    return {
        "info": {},
        "videos": [{"video_id": f"video{k}", "id": k, "split": split} for k, split in enumerate(splits)],
        "sentences": [
            {"sen_id": k, "video_id": f"video{v}", "caption": text} for k, (v, text) in enumerate(said)
        ],
    }


@pytest.fixture
def whole(write):
    content = described(["train", "validate", "test"], [(2, "c"), (0, "a"), (1, "b"), (0, "d ")])
    return write("MSRVTT_data.json", content)


def test_splits_of_the_json(tmp_path, write, whole):
    clips = [write(f"videos/all/video{k}.{suffix}", b"") for k, suffix in enumerate(["mp4", "webm", "mp4"])]
    everything = {"video0": ("a", "d"), "video1": ("b",), "video2": ("c",)}
    for split, wanted in {None: "012", "train": "0", "val": "1", "test": "2"}.items():
        source = open_source(f"msrvtt:{tmp_path}", split=split)
        assert source.modalities == ("video", "text")
        expected = [(f"video{k}", everything[f"video{k}"], clips[int(k)]) for k in wanted]
        assert [(item.id, item.captions, item.video) for item in source] == expected


def test_the_two_files_of_the_challenge(tmp_path, write):
    write("train_val_videodatainfo.json", described(["train"], [(0, "a")]))
    other = described(["test"], [(0, "b")])
    other["videos"][0]["video_id"] = other["sentences"][0]["video_id"] = "video7"
    clips = [write("TrainValVideo/video0.mp4", b""), write("TestVideo/video7.mp4", b"")]
    write("test_videodatainfo.json", other)
    found = [(item.id, item.video) for item in open_source(f"msrvtt:{tmp_path}")]
    assert found == list(zip(("video0", "video7"), clips, strict=True))
    assert [item.id for item in open_source(f"msrvtt:{tmp_path}", split="test")] == ["video7"]


def test_the_list_with_commas_by_path_and_clips_by_option(tmp_path, write):
    path = write("mine.csv", "key,vid_key,video_id,sentence\nret0,msr1,video1,a dog\nret1,msr2,video2,\n")
    write("clips/video1.avi", b"")
    source = open_source(f"msrvtt:{path}?videos=clips", on_error="skip")
    assert [(item.id, item.captions, item.video) for item in source] == [
        ("video1", ("a dog",), tmp_path / "clips/video1.avi")
    ]
    assert source.skipped == [f"{path}, row 3: expected a caption, found an empty one"]
    with pytest.raises(ValueError, match=r"mine\.csv: expected a \.json for test, found the suffix '\.csv'"):
        open_source(f"msrvtt:{path}", split="test")


def test_bad_entries(tmp_path, write):
    content = described(["train", "train"], [(0, "a"), (9, "b")])
    content["videos"] += ["x", content["videos"][0]]
    content["sentences"] += [{"video_id": "video0"}]
    path = write("MSRVTT_data.json", content)
    source = open_source(f"msrvtt:{path}", on_error="skip")
    assert list(source) == []
    assert source.skipped == [
        f"{path}, sentences[2]: expected a caption, found None",
        f"{path}, videos[1]: expected captions of video1, found none",
        f'{path}, videos[2]: expected an object, found "x"',
        f"{path}, videos[3]: expected captions of video0, found none",
        f"{path}, sentences[1]: expected video9 in the list of videos, found none",
    ]


def test_a_missing_clip(tmp_path, write, whole):
    write("videos/video1.mp4", b"")
    source = open_source(f"msrvtt:{tmp_path}", on_error="skip")
    assert [item.id for item in source] == ["video1"]
    assert (
        source.skipped[0]
        == f"{whole}, videos[0]: expected the video {tmp_path}/videos/video0.mp4, found no such file"
    )
    with pytest.raises(ValueError, match=r"expected the video .*video0\.mp4, found no such file"):
        list(open_source(f"msrvtt:{tmp_path}"))


def test_an_unknown_split(tmp_path):
    with pytest.raises(ValueError, match="unknown split 'dev', expected one of train, val, test, 1k-A"):
        open_source(f"msrvtt:{tmp_path}", split="dev")
    with pytest.raises(FileNotFoundError, match=r"expected MSRVTT_JSFUSION_test\.csv, found nothing"):
        open_source(f"msrvtt:{tmp_path}", split="1k-A")
