"""Images, sounds and videos decoded: values by other means, and files that are damaged."""

import io
import struct
import sys
import warnings

import numpy as np
import pytest
from PIL import Image

from isthmus.sources import Item
from isthmus.sources.decoding import MAX_FRAMES, decode_audio, decode_image, decode_video


def image_file(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "WEBP"])
def test_lossless_images_come_back_as_they_were(kind):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    decoded = decode_image(
        image_file(Image.fromarray(pixels), kind, **{"lossless": True} if kind == "WEBP" else {})
    )
    np.testing.assert_array_equal(decoded, pixels)
    assert decoded.dtype == np.uint8


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
def test_every_mode_becomes_rgb(mode):
    image = Image.new("RGB", (4, 3), (255, 255, 255)).convert(mode)
    kind = "JPEG" if mode == "CMYK" else "PNG"
    np.testing.assert_array_equal(decode_image(image_file(image, kind)), np.full((3, 4, 3), 255, np.uint8))


def test_a_palette_with_transparency_gives_no_warning():
    image = Image.new("P", (2, 2), 1)
    image.putpalette([0, 0, 0, 9, 8, 7])
    file = image_file(image, transparency=b"\x00\x80")
    np.testing.assert_array_equal(decode_image(file), np.full((2, 2, 3), (9, 8, 7), np.uint8))


def test_exif_rotation_is_left_alone():
    exif = Image.Exif()
    exif[0x0112] = 6  # lying on its side
    assert decode_image(image_file(Image.new("RGB", (4, 2)), "JPEG", exif=exif)).shape == (2, 4, 3)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF"])
def test_an_image_cut_short_names_its_file(tmp_path, kind):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    file = image_file(Image.fromarray(pixels), kind)
    (tmp_path / "cut.img").write_bytes(file[: len(file) // 2])
    with pytest.raises(ValueError, match=r"cut\.img: cannot be decoded as an image: "):
        decode_image(tmp_path / "cut.img")


def test_what_is_no_image_names_its_file(tmp_path):
    (tmp_path / "page.jpg").write_text("<html>not found</html>")
    with pytest.raises(ValueError, match=r"page\.jpg: cannot be decoded as an image: cannot identify"):
        Item("a", "a", image=tmp_path / "page.jpg").load("image")


def test_postscript_is_never_run():
    with pytest.raises(ValueError, match="cannot identify image file"):
        decode_image(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n%%EndComments\n", "evil.jpg")


@pytest.mark.parametrize("times", [1.5, 2.5])  # Pillow warns above once its limit, and raises above twice
def test_a_decompression_bomb_is_an_error(monkeypatch, times):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", int(100 / times))
    with pytest.raises(
        ValueError, match=r"bomb\.png: cannot be decoded as an image: Image size \(100 pixels\)"
    ):
        decode_image(image_file(Image.new("RGB", (10, 10))), "bomb.png")


def test_missing_files_are_named(tmp_path):
    for decode in (decode_image, decode_audio, decode_video):
        with pytest.raises(FileNotFoundError, match=r"no such file: .*gone\.wav"):
            decode(tmp_path / "gone.wav")


@pytest.mark.parametrize(
    "kind, stored, expected",
    [
        (np.int16, [-32768, 0, 16384], [-1, 0, 0.5]),
        (np.int32, [-(2**31), 0, 2**30], [-1, 0, 0.5]),
        (np.uint8, [0, 128, 192], [-1, 0, 0.5]),
        (np.float32, [-1, 0, 0.5], [-1, 0, 0.5]),
        (np.float64, [-1, 0, 0.5], [-1, 0, 0.5]),
    ],
)
def test_wav_samples_are_scaled(wav, kind, stored, expected):
    samples, rate = decode_audio(wav(stored, 44100, kind), "a.wav")
    assert samples.dtype == np.float32
    assert rate == 44100
    np.testing.assert_array_equal(samples, np.array(expected, np.float32)[:, None])


def test_wav_keeps_its_channels(tmp_path, wav):
    (tmp_path / "a.WAV").write_bytes(wav([[1, 2], [3, 4], [5, 6]]))
    sound = Item("a", "a", audio=tmp_path / "a.WAV").load("audio")
    np.testing.assert_array_equal(sound.samples * 32768, [[1, 2], [3, 4], [5, 6]])


def test_wav_with_a_chunk_of_its_own_gives_no_warning(wav):
    extra = b"note" + struct.pack("<I", 4) + b"abcd"
    file = wav([7, 8])
    size = struct.pack("<I", len(file) + len(extra) - 8)
    samples, _ = decode_audio(file[:4] + size + file[8:12] + extra + file[12:], "a.wav")
    np.testing.assert_array_equal(samples[:, 0] * 32768, [7, 8])


def test_a_wav_cut_anywhere_is_an_error(wav):
    file = wav(np.arange(50))
    for end in range(len(file)):
        with pytest.raises(ValueError, match=r"cut\.wav: "):
            decode_audio(file[:end], "cut.wav")


def test_a_wav_damaged_anywhere_is_read_or_an_error(wav):
    file, rng = wav(np.arange(50)), np.random.default_rng(0)
    for _ in range(500):
        damaged = bytearray(file)
        damaged[rng.integers(44)] = rng.integers(256)
        try:
            decode_audio(bytes(damaged), "a.wav")
        except ValueError as error:
            assert str(error).startswith("a.wav: ")  # noqa: PT017


def test_sounds_that_hold_nothing_are_errors(wav):
    with pytest.raises(ValueError, match=r"a\.wav: expected a sound, found no samples"):
        decode_audio(wav([]), "a.wav")
    with pytest.raises(ValueError, match=r"a\.wav: expected finite samples, found NaN"):
        decode_audio(wav([0, np.nan], kind=np.float32), "a.wav")


def test_filters_of_warnings_are_left_as_they_were(wav):
    before = list(warnings.filters)
    decode_audio(wav(), "a.wav")
    assert warnings.filters == before


def test_without_pyav_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match=r'decoding a\.mp4 needs PyAV: pip install "isthmus\[media\]"'):
        decode_video(b"", "a.mp4")
    with pytest.raises(ImportError, match=r"decoding a\.flac needs PyAV"):
        decode_audio(b"", "a.flac")


def flac(samples):
    av = pytest.importorskip("av")
    file = io.BytesIO()
    with av.open(file, "w", format="flac") as container:
        stream = container.add_stream("flac", rate=8000, layout="stereo")
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate = 8000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return file.getvalue()


def video(frames):
    """A lossless video whose frame `i` has level `i` everywhere."""
    av = pytest.importorskip("av")
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 16, 12, "bgr0"
        for level in range(frames):
            frame = av.VideoFrame.from_ndarray(np.full((12, 16, 3), level, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def test_flac_comes_back_as_it_was():
    stored = np.random.default_rng(0).integers(-3000, 3000, (9000, 2)).astype(np.int16)
    samples, rate = decode_audio(flac(stored), "a.flac")
    assert rate == 8000
    np.testing.assert_array_equal(samples * 32768, stored)


@pytest.mark.parametrize("frames, stride", [(1, 1), (MAX_FRAMES, 1), (33, 2), (64, 2), (65, 4), (200, 8)])
def test_video_frames_are_evenly_spaced(frames, stride):
    decoded = decode_video(video(frames), "a.mkv")
    np.testing.assert_array_equal(decoded[:, 0, 0, 0], np.arange(0, frames, stride))
    assert decoded.shape[1:] == (12, 16, 3)
    assert (decoded == decoded[:, :1, :1, :1]).all()


def test_the_wrong_kind_of_file_is_named():
    with pytest.raises(ValueError, match=r"a\.mp4: cannot be decoded as video: found no video in it"):
        decode_video(flac(np.zeros((5000, 2), np.int16)), "a.mp4")
    with pytest.raises(ValueError, match=r"a\.mp3: cannot be decoded as audio: found no audio in it"):
        decode_audio(video(2), "a.mp3")
    with pytest.raises(ValueError, match=r"a\.mp4: cannot be decoded as video: "):
        decode_video(b"text", "a.mp4")


def test_a_playlist_in_disguise_opens_nothing(tmp_path):
    (tmp_path / "secret.mkv").write_bytes(video(2))
    (tmp_path / "evil.mp4").write_text("ffconcat version 1.0\nfile secret.mkv\n")
    with pytest.raises(ValueError, match=r"evil\.mp4: cannot be decoded as video"):
        decode_video(tmp_path / "evil.mp4")
