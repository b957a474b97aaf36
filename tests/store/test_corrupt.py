"""Damaged and hostile files of every format: a ValueError that names the file, and nothing runs."""

import gc
import io
import os
import pickle
import re
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.store import open_embeddings


class Hostile:
    """Creates `path` when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def refused(path, message):
    with pytest.raises(ValueError, match=message) as caught:
        open_embeddings(path)
    assert str(path) in str(caught.value)
    gc.collect()  # an unclosed file warns here, and a warning is an error


def test_half_a_file(tmp_path, write, suffix, rows):
    path = write(tmp_path / f"a{suffix}", rows)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(path, "cut short")


def test_half_a_npy_says_how_much_is_missing(tmp_path, rows):
    np.save(tmp_path / "a.npy", rows)
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(whole[:500])
    refused(tmp_path / "a.npy", r"expected 768 bytes for shape \(20, 8\) and dtype float32, found 500")
    (tmp_path / "a.npy").write_bytes(whole + b"more")
    refused(tmp_path / "a.npy", r"too long: expected 768 bytes .* found 772")


def test_random_bytes(tmp_path, write, suffix, rows):
    path = write(tmp_path / f"a{suffix}", rows)
    path.write_bytes(np.random.default_rng(0).bytes(path.stat().st_size))
    refused(path, "readable|not a file that torch.save writes")


def test_flipped_header(tmp_path, write, suffix, rows):
    path = write(tmp_path / f"a{suffix}", rows)
    data = bytearray(path.read_bytes())
    for i in range(12):
        data[i] ^= 0xFF
    path.write_bytes(data)
    refused(path, "readable|not a file that torch.save writes")


def test_file_of_no_bytes(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.touch()
    refused(path, "empty file: expected embeddings, found 0 bytes")


@pytest.mark.parametrize("shape", [(0, 8), (5, 0)])
def test_array_of_no_values(tmp_path, write, suffix, shape):
    path = tmp_path / f"a{suffix}"
    if suffix == ".parquet" and shape == (5, 0):
        pq.write_table(pa.table({"e": pa.array([[]] * 5, pa.list_(pa.float32()))}), path)
    else:
        write(path, np.ones(shape, np.float32))
    refused(path, "is empty")


@settings(deadline=None, max_examples=60)
@given(data=st.data())
@pytest.mark.filterwarnings("ignore:.*(pickle protocol|header parsing)")
def test_any_damage_is_a_value_error_or_reads_as_floats(tmp_path_factory, write, suffix, data):
    folder = tmp_path_factory.mktemp("damage")
    path = write(folder / f"a{suffix}", np.ones((4, 3), np.float32))
    whole = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(whole[: data.draw(st.integers(1, len(whole)))])
    message = ""
    try:
        found = open_embeddings(path)
    except ValueError as error:
        message = str(error)
    assert str(path) in message if message else (found.ndim, found.dtype.kind) == (2, "f")


def test_damaged_values_in_npz_fail_the_checksum(tmp_path, rows):
    np.savez(tmp_path / "a.npz", rows=rows)
    data = (tmp_path / "a.npz").read_bytes()
    at = data.index(rows.tobytes()) + 100
    (tmp_path / "a.npz").write_bytes(data[:at] + b"\xff\xff" + data[at + 2 :])
    refused(tmp_path / "a.npz", "CRC")


def test_npz_member_cut_short(tmp_path, rows):
    stream = io.BytesIO()
    np.save(stream, rows)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("rows.npy", stream.getvalue()[:500])
    refused(
        tmp_path / "a.npz", r"a.npz:rows is cut short: expected 768 bytes for shape \(20, 8\).*, found 500"
    )


def test_objects_and_pickles_are_never_loaded(tmp_path):
    ran = tmp_path / "ran"
    hostile = np.array([[Hostile(ran)]], dtype=object)
    np.save(tmp_path / "a.npy", hostile, allow_pickle=True)
    refused(tmp_path / "a.npy", "Python objects .dtype object., which are pickled and never loaded")
    np.savez(tmp_path / "a.npz", rows=hostile)
    refused(tmp_path / "a.npz", r"expected float16, .*, found rows \(object of shape \(1, 1\)\)")
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Hostile(ran)))
    refused(tmp_path / "b.npy", "not a readable .npy file.*pickles are never loaded")
    assert not ran.exists()
    with pytest.raises(FileExistsError):  # the payload is live: unpickling it twice fails on the second
        [pickle.loads((tmp_path / "b.npy").read_bytes()) for _ in range(2)]  # noqa: S301
    assert ran.exists()


def test_objects_beside_embeddings_are_left_alone(tmp_path, rows):
    ran = tmp_path / "ran"
    np.savez(tmp_path / "a.npz", rows=rows, notes=np.array([Hostile(ran)], dtype=object))
    assert np.array_equal(open_embeddings(tmp_path / "a.npz"), rows)
    assert not ran.exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_pt_file_does_not_run(tmp_path, rows, zipped):
    torch = pytest.importorskip("torch")
    ran = tmp_path / "ran"
    saved = {"rows": torch.tensor(rows), "hook": Hostile(ran)}
    torch.save(saved, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    refused(tmp_path / "a.pt", "does not hold tensors only .code in it is never run.")
    (tmp_path / "b.pt").write_bytes(pickle.dumps(Hostile(ran)))
    refused(tmp_path / "b.pt", "not a file that torch.save writes: it starts with")
    assert not ran.exists()


def test_a_safetensors_header_that_lies(tmp_path, write, rows):
    path = write(tmp_path / "a.safetensors", rows)
    data = path.read_bytes()
    path.write_bytes(re.sub(rb"\[20,8\]", rb"[21,8]", data))
    refused(path, "not a readable .safetensors file")


@pytest.mark.parametrize(
    "before, after",
    [
        (b"'<f4'", b"',f4'"),
        (b", 'fortran_order'", b",i'fortran_order'"),
        (b"'shape': (", b"'shape'[ ("),
        (b"(20, 8), ", b"(-2, 8), "),
        (b" 'fortran_order", b"b'fortran_order"),
    ],
)
def test_a_npy_header_that_is_no_header(tmp_path, rows, before, after):
    np.save(tmp_path / "a.npy", rows)
    data = (tmp_path / "a.npy").read_bytes()
    assert before in data
    (tmp_path / "a.npy").write_bytes(data.replace(before, after, 1))
    refused(
        tmp_path / "a.npy", "a.npy (is not a readable .npy file|has a corrupt header: its shape is .-2, 8.)"
    )
