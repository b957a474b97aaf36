"""Files decoded to arrays: images by Pillow, .wav by SciPy, other sounds and videos by PyAV."""

import io
import struct
import threading
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

import numpy as np

MAX_FRAMES = 32  # of a video: four times what X-CLIP looks at, and 200 MB of them in full HD
MODALITIES = {
    **dict.fromkeys((".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif"), "image"),
    **dict.fromkeys((".wav", ".flac", ".mp3", ".ogg"), "audio"),
    **dict.fromkeys((".mp4", ".webm", ".avi", ".mkv"), "video"),
}  # what a file holds, by its suffix
_IMAGES = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM")  # no EPS: it runs Ghostscript
_WARNINGS = threading.Lock()  # the list of filters is one for all threads


def decode_image(file: Path | bytes, name: str | None = None) -> np.ndarray:
    """Return an image as uint8 of shape (height, width, 3).

    Of an animation the first frame; EXIF rotation and transparency are left
    out, as in CLIP's own preprocessing.

    Parameters
    ----------
    file : Path or bytes
        The file, or what is in it.
    name : str, optional
        What to call it in an error; needed for bytes.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
        RGB.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is not an image, is damaged or cut short, or has more pixels than Pillow finds safe.
    """
    from PIL import Image

    name, stream = _open(file, name)
    unreadable = (OSError, SyntaxError, ValueError, EOFError, IndexError, OverflowError, struct.error)
    bombs = (Image.DecompressionBombError, Image.DecompressionBombWarning)
    with stream:
        try:
            with _filtered("error", Image.DecompressionBombWarning):
                image = Image.open(stream, formats=_IMAGES)
            image.load()
            if image.mode == "P":
                image.info.pop("transparency", None)  # it changes no colour, but Pillow would warn of it
            return np.array(image.convert("RGB"))  # (height, width, 3)
        except (*unreadable, *bombs) as error:
            raise ValueError(f"{name}: cannot be decoded as an image: {error}") from error


def decode_audio(file: Path | bytes, name: str | None = None) -> tuple[np.ndarray, int]:
    """Return a sound as float32 of shape (samples, channels), and its rate.

    Parameters
    ----------
    file : Path or bytes
        The file, or what is in it.
    name : str, optional
        What to call it in an error, and whose suffix says whether it is .wav; needed for bytes.

    Returns
    -------
    samples : ndarray of float32, shape (samples, channels)
        Integers scaled to [-1, 1); floating point as stored.
    rate : int
        Samples per second.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is not a sound, is damaged or cut short, or holds NaN.
    ImportError
        It is no .wav, and PyAV is not installed.
    """
    name, stream = _open(file, name)
    with stream:
        wav = PurePath(name).suffix.lower() == ".wav"
        samples, rate = _read_wav(stream, name) if wav else _read_audio(stream, name)
    if not len(samples):
        raise ValueError(f"{name}: expected a sound, found no samples")
    if not np.isfinite(samples).all():
        raise ValueError(f"{name}: expected finite samples, found NaN or infinite ones")
    return samples, rate


def decode_video(file: Path | bytes, name: str | None = None) -> np.ndarray:
    """Return evenly spaced frames of a video as uint8 of shape (frames, height, width, 3).

    All frames where there are at most `MAX_FRAMES`; else every second, fourth,
    eighth, ... one, so that more than half of `MAX_FRAMES` and at most that
    many are kept, in memory too.

    Parameters
    ----------
    file : Path or bytes
        The file, or what is in it.
    name : str, optional
        What to call it in an error; needed for bytes.

    Returns
    -------
    ndarray of uint8, shape (frames, height, width, 3)
        RGB, the first frame first.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is not a video, or is damaged.
    ImportError
        PyAV is not installed.
    """
    name, stream = _open(file, name)
    kept, stride = [], 1
    with stream, _container(stream, name, "video") as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % stride:
                continue
            if len(kept) == MAX_FRAMES:
                kept, stride = kept[::2], 2 * stride
                if number % stride:
                    continue
            kept.append(frame.to_ndarray(format="rgb24"))  # (height, width, 3)
    if not kept:
        raise ValueError(f"{name}: expected a video, found no frames")
    if shapes := {frame.shape for frame in kept} - {kept[0].shape}:
        raise ValueError(f"{name}: expected frames of one size, found {kept[0].shape} and {shapes.pop()}")
    return np.stack(kept)


def _open(file: Path | bytes, name: str | None) -> tuple[str, Any]:
    if isinstance(file, bytes):
        return name or "bytes", io.BytesIO(file)
    if not file.is_file():
        raise FileNotFoundError(f"no such file: {file}")
    return name or str(file), file.open("rb")


@contextmanager
def _filtered(action: Any, category: type[Warning], message: str = "") -> Generator[None]:
    """Turn off warnings but one."""
    with _WARNINGS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings(action, message, category)
        yield


def _read_wav(stream: Any, name: str) -> tuple[np.ndarray, int]:
    from scipy.io import wavfile

    # SciPy trusts the header: where it is damaged, it may divide by zero
    unreadable = (ValueError, EOFError, ArithmeticError, TypeError, struct.error, wavfile.WavFileWarning)
    try:
        with _filtered("error", wavfile.WavFileWarning, "Reached EOF"):
            rate, stored = wavfile.read(stream)
    except UnboundLocalError as error:  # what SciPy does then
        raise ValueError(f"{name}: cannot be decoded as a .wav: it ends before its samples") from error
    except unreadable as error:
        raise ValueError(f"{name}: cannot be decoded as a .wav of PCM or floats: {error}") from error
    samples = stored.astype(np.float32)
    if stored.dtype == np.uint8:
        samples = (samples - 128) / 128
    elif stored.dtype.kind == "i":
        samples /= 2.0 ** (8 * stored.dtype.itemsize - 1)
    return samples[:, None] if samples.ndim == 1 else samples, int(rate)


def _read_audio(stream: Any, name: str) -> tuple[np.ndarray, int]:
    with _container(stream, name, "audio") as container:
        import av

        resampler, parts = av.AudioResampler(format="fltp"), []
        for frame in container.decode(audio=0):
            parts += [part.to_ndarray() for part in resampler.resample(frame)]  # (channels, samples)
        rate = container.streams.audio[0].rate
    if not parts:
        raise ValueError(f"{name}: expected a sound, found no samples")
    return np.ascontiguousarray(np.concatenate(parts, axis=1).T), int(rate)


@contextmanager
def _container(stream: Any, name: str, kind: str) -> Generator[Any]:
    try:
        import av
    except ImportError as error:
        raise ImportError(f'decoding {name} needs PyAV: pip install "isthmus[media]"') from error
    try:
        # A playlist in disguise would have FFmpeg open other files and addresses.
        with av.open(stream, options={"protocol_whitelist": "none"}) as container:
            if not getattr(container.streams, kind):
                raise ValueError(f"found no {kind} in it")
            yield container
    except (av.FFmpegError, ValueError) as error:
        raise ValueError(f"{name}: cannot be decoded as {kind}: {error}") from error
