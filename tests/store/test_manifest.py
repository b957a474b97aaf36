"""What a store refuses to open."""

import json

import numpy as np
import pytest

from isthmus.store import Store, open_embeddings, open_pairs


@pytest.fixture
def root(tmp_path):
    """Write a store of two shards, of 3 and 2 rows, with metadata."""
    store = Store.create(tmp_path / "store", {name: {"encoder": "ViT-B-32"} for name in ("image", "text")})
    for n in (3, 2):
        rows = np.random.default_rng(n).normal(size=(n, 4)).astype(np.float32)
        store.append({"image": rows, "text": rows}, {"image_id": ["a"] * n})
    return tmp_path / "store"


def test_a_changed_shard_is_named_with_both_hashes(root):
    path = root / "text_emb" / "text_emb_1.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    message = (
        r"text_emb/text_emb_1.npy has changed: the manifest says sha256 [0-9a-f]{64}, found [0-9a-f]{64}"
    )
    for read in (Store.open, open_pairs, lambda root: open_embeddings(root / "text_emb")):
        with pytest.raises(ValueError, match=message):
            read(root)
    assert len(Store.open(root, verify=False)) == 5  # the header still fits
    assert len(open_embeddings(root / "img_emb")) == 5


def test_changed_metadata_is_named(root):
    path = root / "metadata" / "metadata_0.parquet"
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ValueError, match=r"metadata_0.parquet has changed: .* sha256"):
        Store.open(root)
    path.unlink()
    with pytest.raises(ValueError, match=r"missing shard .*metadata_0.parquet, which the manifest names"):
        Store.open(root, verify=False)


@pytest.mark.parametrize("verify", [True, False])
def test_missing_and_cut_shards(root, verify):
    path = root / "img_emb" / "img_emb_0.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"img_emb_0.npy (has changed|is not a readable|is cut short)"):
        Store.open(root, verify=verify)
    path.unlink()
    with pytest.raises(ValueError, match=r"missing shard .*img_emb_0.npy, which the manifest names"):
        Store.open(root, verify=verify)


@pytest.mark.parametrize("array", [np.ones((2, 4), np.float32), np.ones((3, 4)), np.ones((3, 5), np.float32)])
def test_headers_are_checked_without_hashes_too(root, array):
    np.save(root / "img_emb" / "img_emb_0.npy", array)
    with pytest.raises(
        ValueError, match=r"img_emb_0.npy: .* shape \(3, 4\) and dtype float32, found \(\d, \d\) and"
    ):
        Store.open(root, verify=False)


def edit(root, change):
    document = json.loads((root / "manifest.json").read_text())
    change(document)
    (root / "manifest.json").write_text(json.dumps(document))


@pytest.mark.parametrize(
    "change, message",
    [
        (
            lambda d: d.update(version=2),
            "expected format 'isthmus-store' version 1, found 'isthmus-store' version 2",
        ),
        (lambda d: d.update(format="zarr"), "expected format 'isthmus-store' .*, found 'zarr' version 1"),
        (lambda d: d.pop("modalities"), "not a valid manifest: KeyError: 'modalities'"),
        (lambda d: d.update(modalities=[]), "not a valid manifest: AttributeError"),
        (lambda d: d.update(modalities={}), "modalities with a folder each, found none"),
        (lambda d: d["modalities"]["text"].update(colour=1), "not a valid manifest: TypeError: .*colour"),
        (lambda d: d["modalities"]["text"].update(count=7), "text has count 7, its shards have 5 rows"),
        (
            lambda d: d["modalities"]["text"].update(dim=None),
            "text needs a dim and a dtype, found None and 'float32'",
        ),
        (lambda d: d["modalities"]["text"]["shards"].pop(), r"image has rows \[3, 2\], text has rows \[3\]"),
        (lambda d: d["metadata"].pop(), r"image has rows \[3, 2\], metadata has rows \[3\]"),
        (
            lambda d: d["modalities"]["image"]["shards"][1].update(file="../../secret.npy"),
            r"expected shard 'img_emb/img_emb_1.npy', found '../../secret.npy'",
        ),
        (
            lambda d: d["modalities"]["image"]["shards"][0].update(count="3"),
            "needs a whole count and a sha256",
        ),
    ],
)
def test_bad_manifests(root, change, message):
    edit(root, change)
    with pytest.raises(ValueError, match=rf"manifest.json.*{message}"):
        Store.open(root)


@pytest.mark.parametrize("data", [b"", b'{"format": "isthmus-sto', b"\xff\xfe", b"[" * 100_000])
def test_a_manifest_that_is_not_json(root, data):
    (root / "manifest.json").write_bytes(data)
    for read in (Store.open, open_pairs, lambda root: open_embeddings(root / "text_emb")):
        with pytest.raises(ValueError, match=r"manifest.json is not a readable manifest"):
            read(root)


def test_a_manifest_of_something_else_is_left_alone(layout):
    (layout / "manifest.json").write_text('{"name": "a web page"}')
    assert len(open_pairs(layout)) == 7
    with pytest.raises(FileNotFoundError, match=r"nowhere is not a store: no nowhere/manifest.json"):
        Store.open("nowhere")
