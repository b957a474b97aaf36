"""Connection: each step by hand; only what is trained on is corrupted; each method is what defines it."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from isthmus.align import GaussianNoise, MeanCollapse
from isthmus.decode.connection import Connection, Method
from isthmus.decode.methods import METHODS
from tests.measure.oracles import unit

ITEMS = np.repeat(np.arange(30), 4)
DIM = 8


@pytest.fixture(scope="module")
def rows():
    """Captions, four an item, and images, videos: each modality with its own mean, of any length."""
    rng = np.random.default_rng(0)
    item = rng.normal(size=(30, DIM))
    text = item[ITEMS] + 0.5 * rng.normal(size=(120, DIM)) + 1
    image, video = (item + 0.5 * rng.normal(size=(30, DIM)) + shift for shift in (-1, rng.normal(size=DIM)))
    return {
        name: r * rng.uniform(0.5, 2, size=(len(r), 1))
        for name, r in (("text", text), ("image", image), ("video", video))
    }


def fit(name, rows, **options):
    others = {name: rows[name] for name in ("image", "video")}
    return Connection.fit(METHODS[name], rows["text"], others, **({"items": ITEMS} | options))


def mean(rows):
    return unit(rows).mean(axis=0)


def rng():
    return np.random.default_rng(7)


def test_c3_by_hand(rows):
    """Unit rows, minus the text mean, noise, unit rows: the released order."""
    u = rows["text"] / np.sqrt((rows["text"] ** 2).sum(axis=1, keepdims=True))
    collapsed = u - u.mean(axis=0)
    noisy = collapsed + np.sqrt(0.016) * rng().standard_normal((120, DIM))
    expected = noisy / np.sqrt((noisy**2).sum(axis=1, keepdims=True))
    assert fit("C3", rows).train(rows["text"], rng()) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["text", "image", "video"])
def test_inference_is_collapse_by_the_mean_of_the_modality(rows, name):
    """And nothing else: what MeanCollapse gives, the same whatever the noise."""
    expected = MeanCollapse().fit(rows[name], rows[name]).transform(rows[name])
    for method in ("C2-collapse", "C3", "C3-calibrated"):
        assert fit(method, rows).infer(rows[name], name) == pytest.approx(expected)


@pytest.mark.parametrize("name", METHODS)
def test_inference_is_never_corrupted(rows, name):
    connection = fit(name, rows)
    quiet = Connection(replace(METHODS[name], noise=None), connection.means)
    for modality in ("text", "image", "video"):
        once = connection.infer(rows[modality], modality)
        assert (once == connection.infer(rows[modality], modality)).all()
        assert (once == quiet.infer(rows[modality], modality)).all()
    assert (connection.infer(rows["text"], "text") == quiet.train(rows["text"], rng())).all()


@pytest.mark.parametrize("name", METHODS)
def test_training_rows_are_corrupted_where_the_method_says_so(rows, name):
    connection = fit(name, rows)
    before = rows["text"].copy()
    first, second = (connection.train(rows["text"], np.random.default_rng(seed)) for seed in (1, 2))
    assert (first != second).any(axis=1).all() == (METHODS[name].noise is not None)
    assert (first == connection.train(rows["text"], np.random.default_rng(1))).all()
    assert (rows["text"] == before).all()
    assert np.linalg.norm(first, axis=1) == pytest.approx(1)
    single = connection.train(rows["text"].astype(np.float32), np.random.default_rng(1))
    assert single.dtype == connection.infer(rows["image"].astype(np.float16), "image").dtype == np.float32
    assert single == pytest.approx(first, abs=1e-5)


def test_without_collapse_or_noise_rows_are_only_scaled(rows):
    for name in ("C1", "DeCap", "CLIPRe", "ClipCap", "WS-ClipCap", "ZeroCap", "MAGIC"):
        assert fit(name, rows).train(rows["text"], rng()) == pytest.approx(unit(rows["text"]))
        assert fit(name, rows).infer(rows["image"], "image") == pytest.approx(unit(rows["image"]))


def test_c2_corrupt_is_the_released_noise_without_collapse(rows):
    expected = unit(unit(rows["text"]) + np.sqrt(0.016) * rng().standard_normal((120, DIM)))
    assert fit("C2-corrupt", rows).train(rows["text"], rng()) == pytest.approx(expected)


def test_capdec_measures_its_noise_on_captions_of_one_item(rows):
    std, found = (
        GaussianNoise(rule).fit(unit(rows["text"]), groups=ITEMS).std_ for rule in ("capdec", "auto")
    )
    expected = unit(unit(rows["text"]) + std * rng().standard_normal((120, DIM)))
    assert fit("CapDec", rows).train(rows["text"], rng()) == pytest.approx(expected)
    assert found < std
    assert fit("C3", rows, std="capdec").noise.std_ == pytest.approx(std)
    assert fit("C3", rows, std="auto").noise.std_ == pytest.approx(found)
    assert fit("C2-span", rows, std="auto").noise.std_ == pytest.approx(found)
    assert json.dumps(fit("C3", rows, std=np.float32(0.5)).to_dict())
    assert fit("CapDec", rows, std=0.3).noise.std_ == fit("C3", rows, std=0.3).noise.std_ == 0.3
    with pytest.raises(ValueError, match="expected groups, got groups=None"):
        fit("CapDec", rows, items=None)


def test_c2_span_spares_the_gap_to_every_other_modality(rows):
    """Appendix H: noise is normal in the span, none along a gap; the caption's own part there stays."""
    epsilon = np.sqrt(0.016) * rng().standard_normal((120, DIM))
    gaps = np.stack([mean(rows[name]) - mean(rows["text"]) for name in ("image", "video")])
    kept = np.eye(DIM) - gaps.T @ np.linalg.inv(gaps @ gaps.T) @ gaps
    expected = unit(unit(rows["text"]) + epsilon @ kept)
    assert fit("C2-span", rows).train(rows["text"], rng()) == pytest.approx(expected)
    one = Connection.fit(METHODS["C2-span"], rows["text"], {"image": rows["image"]})
    g = gaps[0] / np.linalg.norm(gaps[0])
    appendix = unit(unit(rows["text"]) + epsilon - (epsilon @ g)[:, None] * g)
    assert one.train(rows["text"], rng()) == pytest.approx(appendix)
    with pytest.raises(ValueError, match="expected another modality in others, got none"):
        Connection.fit(METHODS["C2-span"], rows["text"], {})


def test_c3_calibrated_measures_its_noise_on_pairs_or_on_siblings(rows):
    pairs = rows["image"], rows["text"][::4]
    x, y = (unit(r) - mean(r) for r in pairs)
    slope = (x * y).sum() / (y * y).sum()
    measured = fit("C3-calibrated", rows, pairs=pairs, items=None)
    assert measured.noise.slope_ == pytest.approx(slope)
    assert measured.noise.std_ == pytest.approx((x / slope - y).std())
    noisy = unit(rows["text"]) - mean(rows["text"])
    noisy += rng().standard_normal((120, DIM)) @ measured.noise.root_
    assert measured.train(rows["text"], rng()) == pytest.approx(unit(noisy))
    alone = fit("C3-calibrated", rows)
    assert alone.noise.slope_ is None
    assert alone.noise.std_ == pytest.approx(fit("C3", rows, std="auto").noise.std_)
    with pytest.raises(ValueError, match="expected Y or groups, got neither"):
        fit("C3-calibrated", rows, items=None)


def test_adaptive_noise_is_added_after_the_collapse(rows):
    method = Method("LAFITE", collapse=True, noise="adaptive")
    connection = Connection.fit(method, rows["text"], {})
    n = unit(rng().standard_normal((120, DIM)))
    f = unit(rows["text"]) - mean(rows["text"])
    expected = unit(0.25 * f + 0.75 * np.linalg.norm(f, axis=1, keepdims=True) * n)
    assert connection.train(rows["text"], rng()) == pytest.approx(expected)


def test_means_need_no_pairs_and_heed_every_row_alike(rows):
    order = np.random.default_rng(0).permutation(120)
    a = fit("C3", rows)
    b = Connection.fit(METHODS["C3"], rows["text"][order], {"image": rows["image"][::-1] * 3})
    assert b.means["text"] == pytest.approx(mean(rows["text"]))
    assert b.means["image"] == pytest.approx(a.means["image"])


def test_a_modality_may_come_later(rows):
    connection = Connection.fit(METHODS["C3"], rows["text"], {"image": rows["image"]})
    with pytest.raises(ValueError, match="no mean of 'video' is known, only of text, image"):
        connection.infer(rows["video"], "video")
    later = connection.with_mean_of("video", rows["video"])
    assert later.modalities == ("text", "image", "video")
    assert connection.modalities == ("text", "image")
    assert (later.infer(rows["video"], "video") == fit("C3", rows).infer(rows["video"], "video")).all()
    with pytest.raises(ValueError, match="another than text"):
        connection.with_mean_of("text", rows["text"])


def test_what_subtracts_no_mean_needs_none(rows):
    connection = Connection.fit(METHODS["C2-corrupt"], rows["text"], {})
    assert connection.infer(rows["video"], "video") == pytest.approx(unit(rows["video"]))


def test_noise_is_measured_on_some_items_where_there_are_many():
    """On 4,000 of 5,000: near the value of all, the same for a seed."""
    random = np.random.default_rng(0)
    items = np.repeat(np.arange(5000), 2)
    texts = random.normal(size=(5000, 4))[items] + 0.3 * random.normal(size=(10_000, 4))
    std = [
        Connection.fit(METHODS["CapDec"], texts, {}, items=items, seed=seed).noise.std_ for seed in (0, 0, 1)
    ]
    everything = GaussianNoise("capdec").fit(unit(texts), groups=items).std_
    assert std[0] == std[1] != std[2]
    assert std == pytest.approx([everything] * 3, rel=0.02)
    assert std[0] != everything


@pytest.mark.parametrize("name", [*METHODS, "adaptive"])
def test_saved_and_loaded_gives_the_same_bits(rows, name, tmp_path):
    path = tmp_path / "connection.safetensors"
    method = METHODS.get(name, Method("LAFITE", collapse=True, noise="adaptive"))
    connection = Connection.fit(method, rows["text"], {"image": rows["image"]}, items=ITEMS)
    connection.save(path)
    loaded = Connection.load(path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert loaded.method == connection.method
    assert loaded.modalities == connection.modalities
    assert loaded.to_dict() == connection.to_dict() == json.loads(json.dumps(connection.to_dict()))
    assert (loaded.train(rows["text"], rng()) == connection.train(rows["text"], rng())).all()
    assert (loaded.infer(rows["image"], "image") == connection.infer(rows["image"], "image")).all()


def test_bad_files_are_refused(rows, tmp_path):
    path = tmp_path / "connection.safetensors"
    with pytest.raises(FileNotFoundError, match="no such file"):
        Connection.load(path)
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        Connection.load(path)
    save_file({"a": np.ones(2)}, path)
    with pytest.raises(ValueError, match="holds no connection"):
        Connection.load(path)
    connection = fit("C3", rows)
    story = {"format": 1, **connection.to_dict()}
    tensors = {f"mean.{name}": value for name, value in connection.means.items()}
    for change, message in (
        ({"format": 2}, "later isthmus: format 2, known 1"),
        ({"method": story["method"] | {"code": "x"}}, "unknown entries code"),
        ({"noise": story["noise"] | {"kind": "Popen"}}, "unknown noise 'Popen': expected one of Gaussian"),
        ({"noise": story["noise"] | {"learned": {"fit": 1}}}, "unknown entries fit"),
        ({"modalities": ["text", "audio"]}, "corrupt: expected a finite mean of audio, 8 numbers"),
    ):
        save_file(tensors, path, {"connection": json.dumps(story | change)})
        with pytest.raises(ValueError, match=message):
            Connection.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"texts": np.zeros((3, DIM))}, "texts has 3 zero rows, the first is row 0"),
        ({"others": {"image": np.ones((3, 5))}}, "image must have dim 8, as texts have, got dim 5"),
        ({"others": {"image": np.full((3, DIM), np.nan)}}, "image has 3 NaN or infinite rows"),
        ({"others": {"text": np.ones((3, DIM))}}, "others must hold modalities other than text"),
        ({"others": {}, "std": "big"}, r"std must be a number in \[0, inf\), 'auto' or 'capdec', got 'big'"),
        ({"items": [1, 2]}, "items has 2 entries, the embeddings have 120 rows"),
        ({"std": -1}, r"std must be a number in \[0, inf\), got -1"),
        ({"method": METHODS["C1"], "std": 0.1}, "std does not apply to C1: it adds no noise, got 0.1"),
        ({"method": METHODS["C3-calibrated"], "std": 0.1}, "its noise is calibrated, got 0.1"),
        (
            {"method": METHODS["C3-calibrated"], "pairs": (np.ones((3, DIM)), np.ones((2, DIM)))},
            r"pairs\[0\] has 3 rows, pairs\[1\] has 2",
        ),
        (
            {"method": METHODS["C3-calibrated"], "pairs": (np.ones((3, 5)), np.ones((3, 5)))},
            r"pairs\[0\] must have dim 8, got dim 5",
        ),
    ],
)
def test_bad_arguments_are_refused(rows, change, message):
    given = {"method": METHODS["C3"], "texts": rows["text"], "others": {}, "items": ITEMS} | change
    with pytest.raises(ValueError, match=message):
        Connection.fit(given.pop("method"), given.pop("texts"), given.pop("others"), **given)


def test_bad_rows_are_refused(rows):
    connection = fit("C3", rows)
    with pytest.raises(ValueError, match="rows must have dim 8, got dim 3"):
        connection.infer(np.ones((2, 3)), "image")
    with pytest.raises(ValueError, match="rows has 1 zero row, the first is row 1"):
        connection.train(np.eye(DIM)[:2] * [[1], [0]], rng())
    with pytest.raises(ValueError, match=r"rng must be a numpy\.random\.Generator"):
        connection.train(rows["text"], 0)


@pytest.mark.parametrize("field", ["noise", "learns_from", "writes", "other"])
def test_a_method_has_known_parts(field):
    with pytest.raises(ValueError, match=f"{field} must be one of .*, got 'none such'"):
        replace(METHODS["C1"], **{field: "none such"})


def test_methods_are_those_of_the_papers_tables():
    assert list(METHODS) == [
        *("C1", "C2-collapse", "C2-corrupt", "C2-span", "C3", "C3-calibrated", "CapDec", "DeCap", "CLIPRe"),
        *("WS-ClipCap", "WS-ClipCap-Multi", "ClipCap", "ZeroCap", "MAGIC"),
    ]
    assert all(name == method.name and method.source for name, method in METHODS.items())

    def those(**parts):
        return [m.name for m in METHODS.values() if parts.items() <= asdict(m).items()]

    assert those(collapse=True) == ["C2-collapse", "C3", "C3-calibrated"]
    assert those(noise="gaussian") == ["C2-corrupt", "C3"]
    assert those(noise="capdec") == ["CapDec"]
    assert those(noise="span") == ["C2-span"]
    assert those(noise="calibrated") == ["C3-calibrated"]
    assert those(learns_from="other-text") == ["WS-ClipCap", "WS-ClipCap-Multi"]
    assert those(learns_from="other-text", other="next") == ["WS-ClipCap"]
    assert those(learns_from="pairs") == ["ClipCap"]
    assert [m.name for m in METHODS.values() if m.writes != "decoder"] == [
        *("DeCap", "CLIPRe", "ZeroCap", "MAGIC"),
    ]
    assert those(writes="projection") == ["DeCap"]
    assert those(writes="nearest") == ["CLIPRe"]


def test_a_corrupted_caption_of_clip_is_as_far_from_itself_as_its_image_is(clip_pairs):
    """C3's own noise goes farther than images do, calibrated noise as far."""
    image, text = clip_pairs.astype(float)
    c3, calibrated = (
        Connection.fit(METHODS[name], text, {"image": image}, pairs=(image, text))
        for name in ("C3", "C3-calibrated")
    )
    quiet = c3.infer(text, "text")
    pairs = (c3.infer(image, "image") * quiet).sum(axis=1).mean()
    there = [(c.train(text, rng()) * quiet).sum(axis=1).mean() for c in (c3, calibrated)]
    assert pairs == pytest.approx(0.315, abs=1e-3)
    assert there == pytest.approx([0.234, 0.311], abs=0.006)
