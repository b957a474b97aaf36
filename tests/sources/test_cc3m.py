"""Google's lists and img2dataset's shards."""

import io
import tarfile

import pytest

from isthmus.sources import open_source


def shard(*members):
    """A tar file in memory of (name, content)."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


def sample(picture, number, caption):
    key = f"{number:09}"
    return [(f"{key}.jpg", picture(number, "PNG")), (f"{key}.json", b"{}"), (f"{key}.txt", caption.encode())]


def test_shards_in_order(tmp_path, write, picture):
    write("00001.tar", shard(*sample(picture, 3, "c")))
    write("00000.tar", shard(*sample(picture, 2, "b "), *sample(picture, 1, "\ufeffa")))
    write("00000.parquet", b"")
    source = open_source(f"cc3m:{tmp_path}")
    assert source.modalities == ("image", "text")
    found = [(item.id, item.captions, int(item.load("image")[0, 0, 0])) for item in source]
    assert found == [("000000002", ("b",), 2), ("000000001", ("a",), 1), ("000000003", ("c",), 3)]
    assert [item.id for item in source] == [name for name, *_ in found]
    assert [item.id for item in open_source(f"cc3m:{tmp_path}/00001.tar")] == ["000000003"]
    for number in (7, 9, 4, 8, 5, 6):
        write(f"{number:05}.tar", shard(*sample(picture, number, "d")))
    assert [int(item.id) for item in open_source(f"cc3m:{tmp_path}")] == [2, 1, 3, 4, 5, 6, 7, 8, 9]
    with pytest.raises(TypeError, match="known only when all are read"):
        len(source)


def test_captions_of_json_and_other_images(tmp_path, write, picture):
    write("a.tar", shard(("x/1.json", b'{"caption": "one"}'), ("x/1.webp", picture(7, "WEBP"))))
    (item,) = open_source(f"cc3m:{tmp_path}/a.tar")
    assert (item.id, item.captions) == ("x/1", ("one",))


def test_bad_samples(tmp_path, write, picture):
    image = picture()
    members = [
        *[("1.txt", b"a"), ("1.json", b"{}"), ("2.jpg", image), ("3.jpg", image), ("3.txt", b"caf\xe9")],
        *[
            ("4.jpg", image),
            ("4.json", b"["),
            ("5.jpg", image),
            ("5.json", b"{}"),
            ("6.jpg", image),
            ("6.txt", b" "),
        ],
        *[
            ("7.jpg", b"no image"),
            ("7.txt", b"ok"),
            ("7.jpg", image),
            ("7.txt", b"again"),
            ("__MACOSX/._7.jpg", b""),
        ],
    ]
    path = write("a.tar", shard(*members))
    source = open_source(f"cc3m:{path}", on_error="skip")
    (item,) = source
    assert item.captions == ("ok",)
    with pytest.raises(ValueError, match=r"a\.tar, 7\.jpg: cannot be decoded as an image"):
        item.load("image")
    expected = [
        "1: expected an image, found .txt, .json",
        "2: expected a caption in .txt or .json, found .jpg",
        "3: expected a caption in UTF-8 or JSON, found that it cannot be read: 'utf-8' codec",
        "4: expected a caption in UTF-8 or JSON, found that it cannot be read: Expecting value",
        "5: expected a caption, found None",
        "6: expected a caption, found an empty one",
        "7: expected every item once, found 7 again",
    ]
    assert len(source.skipped) == len(expected)
    assert all(s.startswith(f"{path}, {e}") for s, e in zip(source.skipped, expected, strict=True))
    with pytest.raises(ValueError, match=r"a\.tar, 1: expected an image"):
        list(open_source(f"cc3m:{path}"))


def test_links_and_folders_are_left_out(tmp_path, write, picture):
    (tmp_path / "secret.txt").write_text("secret")
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for kind, name in ((tarfile.SYMTYPE, "1.txt"), (tarfile.LNKTYPE, "1.json"), (tarfile.DIRTYPE, "d")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, str(tmp_path / "secret.txt")
            tar.addfile(info)
        info = tarfile.TarInfo("../../1.jpg")
        info.size = len(picture())
        tar.addfile(info, io.BytesIO(picture()))
    source = open_source(f"cc3m:{write('a.tar', file.getvalue())}", on_error="skip")
    assert list(source) == []
    assert "../../1: expected a caption in .txt or .json, found .jpg" in source.skipped[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "secret.txt"]


def test_a_shard_cut_anywhere_is_told_and_the_next_is_read(tmp_path, write, picture):
    whole = shard(*sample(picture, 1, "a"), *sample(picture, 2, "b"))
    end = 512 * 2 * 6  # a header and a block for each member; zeros to the end
    write("00001.tar", shard(*sample(picture, 3, "c")))
    for cut in [0, 1, 511, *range(512, end + 1, 256)]:
        write("00000.tar", whole[:cut])
        source = open_source(f"cc3m:{tmp_path}", on_error="skip")
        ids = [item.id for item in source]
        assert ids[-1] == "000000003"
        assert len(source.skipped) == 1, cut
        assert source.skipped[0].startswith(f"{tmp_path}/00000.tar is damaged or cut short after ")
        with pytest.raises(ValueError, match=r"00000\.tar is damaged or cut short"):
            list(open_source(f"cc3m:{tmp_path}"))


def test_a_damaged_header_is_told(tmp_path, write, picture):
    whole = bytearray(shard(*sample(picture, 1, "a"), *sample(picture, 2, "b")))
    whole[512 * 6 + 100 : 512 * 6 + 200] = bytes(100)  # of the fourth member
    path = write("00000.tar", bytes(whole))
    source = open_source(f"cc3m:{path}", on_error="skip")
    list(source)
    assert source.skipped == [
        f"{path} is damaged or cut short after 000000001: expected a header or the end of the archive "
        "at byte 3072, found 512 other bytes"
    ]


def test_a_list_of_files(tmp_path, write, picture):
    write("images/1.jpg", picture(1, "JPEG"))
    lines = ["caption\turl", '"quoted" dog \timages/1.jpg', "b\thttps://x.org/2.jpg", "c", "d\tgone.jpg", ""]
    path = write("Train_GCC-training.tsv", "\r\n".join(lines))
    source = open_source(f"cc3m:{tmp_path}", split="train", on_error="skip")
    assert [(item.id, item.captions) for item in source] == [("images/1.jpg", ('"quoted" dog',))]
    assert next(iter(source)).image == tmp_path / "images/1.jpg"
    list(source)
    assert source.skipped == [
        f"{path}, row 3: expected a file, found https://x.org/2.jpg: fetch the images with img2dataset first",
        f"{path}, row 4: expected a caption, a TAB and a file, found 1 cells",
        f"{path}, row 5: expected the image {tmp_path}/gone.jpg, found no such file",
    ]
    source = open_source(f"cc3m:{path}?images=images", on_error="skip")
    assert list(source) == []


def test_splits(tmp_path, write, picture):
    write("train/00000.tar", shard(*sample(picture, 1, "a")))
    write("Validation_GCC-1.1.0-Validation.tsv", "one\ta.jpg\n")
    write("a.jpg", picture())
    write("00009.tar", shard(*sample(picture, 9, "of no split")))
    assert [item.id for item in open_source(f"cc3m:{tmp_path}", split="train")] == ["000000001"]
    assert [item.id for item in open_source(f"cc3m:{tmp_path}", split="val")] == ["a.jpg"]
    with pytest.raises(ValueError, match="unknown split 'test', expected one of train, val"):
        open_source(f"cc3m:{tmp_path}", split="test")
    with pytest.raises(ValueError, match=r"00000\.tar is one file and has no splits, got 'val'"):
        open_source(f"cc3m:{tmp_path}/train/00000.tar", split="val")
    with pytest.raises(ValueError, match=r"expected a \.tar or \.tsv file, found the suffix '\.jpg'"):
        open_source(f"cc3m:{tmp_path}/a.jpg")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"expected shards \(\.tar\) or a \.tsv, found nothing"):
        open_source(f"cc3m:{tmp_path}/empty")
    with pytest.raises(
        FileNotFoundError, match=r"expected a folder train of \.tar shards or Train\*\.tsv, found no"
    ):
        open_source(f"cc3m:{tmp_path}/empty", split="train")
