"""A SentenceTransformer that ends in an aligner gives what the aligner gives for its embeddings."""

import numpy as np
import pytest

from isthmus.align import SharedSpace, read_verification, save_aligner
from isthmus.align.files import read_provenance
from isthmus.align.provenance import FittedOn, Provenance, hash_items
from tests.encoders.networks import TEXTS, clip_tokenizer, pictures

torch = pytest.importorskip("torch", reason="torch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")
library = pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")

from isthmus.align.export.sentence_transformers import AlignerModule  # noqa: E402  needs all three


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A small CLIP network as sentence-transformers opens it."""
    from tests.encoders.test_clip import image_processor, network

    path, tokenizer = tmp_path_factory.mktemp("clip"), clip_tokenizer()
    network(vocabulary=len(tokenizer)).save_pretrained(path)
    transformers.CLIPProcessor(image_processor=image_processor(), tokenizer=tokenizer).save_pretrained(path)
    return library.SentenceTransformer(str(path), device="cpu")


@pytest.fixture(scope="module")
def images():
    from PIL import Image

    return [Image.fromarray(pixels) for pixels in pictures()]


@pytest.fixture(scope="module")
def aligner():
    x, y = np.random.default_rng(0).normal(size=(2, 200, 24))
    return SharedSpace(noise="separate", shrinkage=0.8, strength=8).fit(x, x + 0.3 * y + 0.5)


def test_each_modality_goes_through_its_own_map(clip, images, aligner, tmp_path):
    saved = tmp_path / "a.safetensors"
    told = Provenance(FittedOn("image"), FittedOn("text"), pairs=200, items=hash_items(["a"]))
    save_aligner(aligner, saved, verified={"rmg": 0.3}, provenance=told)
    model = library.SentenceTransformer(modules=[*clip, AlignerModule.from_file(saved)], device="cpu")
    image, text = aligner.transform(clip.encode(images), clip.encode(TEXTS))
    for found in (model, saved_and_loaded(model, tmp_path / "model")):
        assert found.encode(images) == pytest.approx(image, abs=1e-6)
        assert found.encode(TEXTS) == pytest.approx(text, abs=1e-6)
        assert found.get_embedding_dimension() == 24
    written = next((tmp_path / "model").rglob("aligner.safetensors"))
    assert written.read_bytes() == saved.read_bytes()
    assert (read_verification(written), str(read_provenance(written).y)) == ({"rmg": 0.3}, "text")


def saved_and_loaded(model, path):
    model.save(str(path), create_model_card=False)
    with pytest.raises(ValueError, match="trust_remote_code=True"):
        library.SentenceTransformer(str(path), device="cpu")
    return library.SentenceTransformer(str(path), device="cpu", trust_remote_code=True)


def test_every_aligner(fitted, rows):
    module = AlignerModule(fitted, ("audio", "text"))
    for name, side, expected in (
        ("audio", "x", fitted.transform(rows["x"])),
        ("text", "y", fitted.transform_y(rows["y"])),
    ):
        features = {"sentence_embedding": torch.from_numpy(rows[side]), "modality": name}
        assert module(features)["sentence_embedding"].numpy() == pytest.approx(expected, abs=1e-6)
    assert not any(weight.requires_grad for weight in module.parameters())


def test_rows_of_both_modalities_in_one_batch(aligner):
    """As the CLIP module of sentence-transformers before 6 has them."""
    rows = np.random.default_rng(1).normal(size=(5, 24)).astype(np.float32)
    features = {"sentence_embedding": torch.from_numpy(rows), "image_text_info": [0, 1, 1, 0, 1]}
    found = AlignerModule(aligner)(features)["sentence_embedding"].numpy()
    x, y = aligner.transform(rows, rows)
    assert found == pytest.approx(np.where([[0], [1], [1], [0], [1]], y, x), abs=1e-6)


def test_half_precision_stays_half(aligner):
    rows = torch.full((2, 24), 3e4, dtype=torch.float16)
    found = AlignerModule(aligner)({"sentence_embedding": rows, "modality": "text"})["sentence_embedding"]
    assert found.dtype == torch.float16
    assert found.float().numpy() == pytest.approx(aligner.transform_y(rows.numpy()), abs=1e-3)


def test_what_tells_no_modality_is_refused(aligner, tmp_path):
    module = AlignerModule(aligner)
    with pytest.raises(ValueError, match=r"must tell its modality, .* got features sentence_embedding"):
        module({"sentence_embedding": torch.ones(1, 24)})
    path = tmp_path / "a.safetensors"
    save_aligner(aligner, path)
    with pytest.raises(ValueError, match=r"modalities must be given, .* x: nothing, y: nothing"):
        AlignerModule.from_file(path)
    half = Provenance(FittedOn("audio"), FittedOn(), pairs=200, items=hash_items(["a"]))
    save_aligner(aligner, path, provenance=half)
    with pytest.raises(ValueError, match=r"modalities must be given, .* x: audio, y: nothing"):
        AlignerModule.from_file(path)
    assert AlignerModule.from_file(path, ("audio", "text")).modalities == ("audio", "text")


def test_modalities_are_saved_with_the_module(aligner, tmp_path):
    """They need not be what the aligner's file tells."""
    path = tmp_path / "a.safetensors"
    told = Provenance(FittedOn("image"), FittedOn("text"), pairs=200, items=hash_items(["a"]))
    for provenance in (told, None):
        save_aligner(aligner, path, provenance=provenance)
        AlignerModule.from_file(path, ("text", "image")).save(str(tmp_path))
        loaded = AlignerModule.load(str(tmp_path))
        assert loaded.modalities == ("text", "image")
        rows = torch.ones(1, 24)
        found = loaded({"sentence_embedding": rows, "modality": "text"})["sentence_embedding"]
        assert found.numpy() == pytest.approx(aligner.transform(rows.numpy()), abs=1e-6)


@pytest.mark.parametrize(
    "rows, message",
    [
        (
            torch.eye(2, 24) * torch.tensor([[1.0], [0.0]]),
            "sentence_embedding has 1 zero row, the first is row 1",
        ),
        (torch.full((2, 24), torch.nan), "sentence_embedding has 2 NaN or infinite rows"),
        (torch.full((1, 24), torch.inf), "sentence_embedding has 1 NaN or infinite row"),
        (torch.ones(2, 5), r"sentence_embedding must have shape \(n, 24\), got \(2, 5\)"),
        (torch.ones(24), r"sentence_embedding must have shape \(n, 24\), got \(24,\)"),
    ],
)
def test_rows_that_transform_refuses_are_refused(aligner, rows, message):
    with pytest.raises(ValueError, match=message):
        AlignerModule(aligner)({"sentence_embedding": rows, "modality": "image"})


def test_missing_library_is_named(monkeypatch):
    import importlib
    import sys

    name = "isthmus.align.export.sentence_transformers"
    monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sentence_transformers.base.modules", None)
    with pytest.raises(ImportError, match=r'AlignerModule needs .*: pip install "isthmus\[clip\]"'):
        importlib.import_module(name)


def test_other_modalities_are_refused(aligner):
    module = AlignerModule(aligner)
    with pytest.raises(ValueError, match="maps image and text, the batch is of modality 'audio'"):
        module({"sentence_embedding": torch.ones(1, 24), "modality": "audio"})
    with pytest.raises(ValueError, match="must be two different names"):
        AlignerModule(aligner, ("text", "text"))
    with pytest.raises(FileNotFoundError, match="no such file"):
        AlignerModule.load("/nowhere", "1_AlignerModule")
