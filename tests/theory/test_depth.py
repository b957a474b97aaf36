import gzip
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq

from isthmus.measure import effective_dimension, l2m, mean_cosine_within
from isthmus.sources import Item, Source, open_source
from isthmus.theory.depth import dimensional_collapse
from isthmus.theory.depth_clip import _captions_tokens, random_clip
from isthmus.theory.depth_equivalent import spectrum
from isthmus.theory.stacks import STACKS, run_stack


@pytest.fixture(scope="module")
def mlp():
    return dimensional_collapse(depth=12, width=128, n=250, repeats=3)


def gaussian_dimension(n, dim):
    """Dimensions that hold 0.99 of the spread of Gaussian rows, by the law of Marchenko and Pastur."""
    c = dim / n
    low, high = (1 - np.sqrt(c)) ** 2, (1 + np.sqrt(c)) ** 2

    def density(v):
        return np.sqrt(max(0.0, (high - v) * (v - low))) / (2 * np.pi * c * v)

    # shares of the spread, of mean 1, and of the values that lie above a value
    edge = brentq(lambda e: quad(lambda v: v * density(v), e, high)[0] - 0.99, low + 1e-9, high)
    return dim * quad(density, edge, high)[0]


def test_inputs_have_the_dimensions_of_gaussian_rows():
    run = dimensional_collapse(depth=1, width=128, n=300, repeats=2)
    assert run.curves["mlp_dimension_before"][0] == pytest.approx(gaussian_dimension(300, 128), abs=1.5)
    assert run.curves["mlp_dimension_before_predicted"][0] == pytest.approx(
        gaussian_dimension(300, 128), abs=1.5
    )
    assert gaussian_dimension(10**6, 200) == pytest.approx(198, abs=0.2)


def test_figures_are_those_of_the_features(mlp):
    rng = np.random.default_rng([0, 1])  # the second network
    x = rng.normal(size=(250, 128))
    alone = dimensional_collapse(depth=12, width=128, n=250, repeats=2)
    first = dimensional_collapse(depth=12, width=128, n=250, repeats=1)
    before, after = list(run_stack("mlp", x, depth=12, rng=rng))[-1]
    for side, z in (("before", before), ("after", after)):
        for quantity, value in (
            ("cosine", mean_cosine_within(z)),
            ("unit_dimension", effective_dimension(z)),
        ):
            key = f"mlp_{quantity}_{side}"
            assert 2 * alone.curves[key][-1] - first.curves[key][-1] == pytest.approx(value)
        values = np.linalg.svd(np.cov(z, rowvar=False), compute_uv=False)
        raw = np.searchsorted(np.cumsum(values) / values.sum(), 0.99) + 1
        key = f"mlp_dimension_{side}"
        assert 2 * alone.curves[key][-1] - first.curves[key][-1] == pytest.approx(raw)


def test_deeper_networks_use_fewer_dimensions_in_a_narrower_cone(mlp):
    assert mlp.curves["layers"].tolist() == [0, 5, 10, 12]
    for side in ("before", "after"):
        assert (np.diff(mlp.curves[f"mlp_dimension_{side}"]) < 0).all()
        assert (np.diff(mlp.curves[f"mlp_cosine_{side}"]) > 0).all()


def test_predictions_are_met(mlp):
    for line in mlp.lines:
        tolerance = 0.05 if "cosine" in line.name else 0.2 * line.predicted
        assert line.measured == pytest.approx(line.predicted, abs=tolerance), line.name
    assert len(mlp.lines) == 8


def test_the_lengths_of_rows_hide_what_a_residual_stack_holds():
    run = dimensional_collapse(depth=35, width=128, n=200, stack="residual", repeats=1)
    for tail in ("", "_predicted"):
        assert run.curves[f"residual_dimension_after{tail}"][-1] == 1
        assert run.curves[f"residual_unit_dimension_after{tail}"][-1] > 15
    scaled = dimensional_collapse(depth=10, width=64, n=100, stack="normalized", repeats=1)
    assert (
        np.abs(
            scaled.curves["normalized_dimension_before"] - scaled.curves["normalized_unit_dimension_before"]
        ).max()
        <= 1
    )


def test_all_stacks_have_the_curves_of_a_picture():
    run = dimensional_collapse(depth=6, width=32, n=50, stack="all", repeats=2)
    for stack in STACKS:
        assert run.curves[f"{stack}_spectrum"].shape == (3, 32)
        assert np.allclose(run.curves[f"{stack}_spectrum"].sum(axis=1), 1)
        for quantity in ("cosine", "dimension", "unit_dimension", "participation"):
            for side in ("before", "after"):
                for tail in ("", "_spread", "_predicted"):
                    if stack == "transformer" and tail == "_predicted" and quantity != "cosine":
                        assert f"{stack}_{quantity}_{side}{tail}" not in run.curves
                    else:
                        assert run.curves[f"{stack}_{quantity}_{side}{tail}"].shape == (3,)
    assert run["transformer: effective dimension, after the ReLU"].predicted is None
    assert run.to_dict()["settings"]["width"] == 32


def test_the_seed_decides(mlp):
    again = dimensional_collapse(depth=12, width=128, n=250, repeats=3)
    assert again.to_dict() == mlp.to_dict()
    assert dimensional_collapse(depth=1, width=16, n=9, repeats=1).lines[0].spread is None
    one, other = (dimensional_collapse(depth=5, width=16, n=20, seed=s).to_dict()["curves"] for s in (0, 1))
    assert one != other


@pytest.mark.parametrize(
    "options, message",
    [
        ({"depth": 0}, r"depth must be a whole number in \[1, inf\), got 0"),
        ({"width": 1.5}, r"width must be a whole number in \[2, inf\), got 1.5"),
        ({"n": 1}, r"n must be a whole number in \[2, inf\), got 1"),
        ({"repeats": 0}, "repeats must be a whole number"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"stack": "cnn"}, "stack must be one of mlp, .*linear or all, got 'cnn'"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        dimensional_collapse(**options)


@pytest.mark.parametrize(
    "options, message",
    [
        (
            {"width": 8, "n": 30},
            r"width must be larger for mlp at depth 50: with 8, .* 30 rows .* by layer \d+",
        ),
        ({"width": 2, "n": 3, "depth": 1}, "mlp at depth 1: with 2, 1 of 3 rows are zero by layer 1"),
        (
            {"width": 2, "n": 30, "depth": 20, "stack": "postnorm"},
            "postnorm at depth 20: with 2, a row is constant",
        ),
        (
            {"width": 4, "n": 30, "depth": 5000, "stack": "linear"},
            "depth must be lower for linear: at 5000, rows leave",
        ),
        ({"width": 12, "n": 9, "stack": "all"}, "width must be a multiple of the 8 heads .*, got 12"),
    ],
)
def test_networks_too_narrow_or_too_deep_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        dimensional_collapse(**options)


def test_published_random_clip_agrees(realdata):
    """The figures that the docstring of random_clip quotes."""
    x, y = np.load(realdata / "liang2022" / "features_clip_random.npy")
    assert (effective_dimension(x), effective_dimension(y)) == (25, 230)
    some = np.random.default_rng(0).choice(500, 159, replace=False)
    assert effective_dimension(x[some]) == pytest.approx(22, abs=2)
    assert effective_dimension(y[some]) == pytest.approx(128, abs=2)
    # directions of the two means are independent: their cosine is of the order of 1 / sqrt(512)
    apart = np.hypot(*(np.linalg.norm(z.mean(axis=0)) for z in (x, y)))
    assert l2m(x, y) == pytest.approx(apart, abs=0.05)


@pytest.fixture
def small(monkeypatch):
    """Networks of two narrow layers, that see images of 224 x 224 and give 512 dimensions as CLIP's do."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed: isthmus[clip]")
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2, "num_hidden_layers": 2}
    monkeypatch.setattr(
        "isthmus.theory.depth_clip._config",
        lambda patch: transformers.CLIPConfig(text_config=tower, vision_config=tower | {"patch_size": patch}),
    )


@pytest.fixture
def scenes():
    """Five pictures, of five captions, four, ... and one."""
    pictures = np.random.default_rng(0).integers(0, 256, size=(5, 40, 50, 3), dtype=np.uint8)
    texts = "a red dog", "two cats", "a dog on the sofa", "rain", "a red car in the rain"
    items = [
        Item(str(i), str(i), tuple(f"{text} {i}" for text in texts[i:]), image=picture)
        for i, picture in enumerate(pictures)
    ]
    return Source("five", lambda: iter(items))


def test_random_clip_gives_what_its_embeddings_have(small, scenes, monkeypatch):
    seen = []
    monkeypatch.setattr("isthmus.theory.depth_clip.spectrum", lambda x: (seen.append(x), spectrum(x))[1])
    clip = random_clip(scenes, patch=32)
    x, y, every = seen
    captions = [item.captions for item in scenes]
    assert len(every) == sum(len(texts) for texts in captions)
    assert np.array_equal(y, every[np.cumsum([0, *(len(texts) for texts in captions[:-1])])])
    assert clip["effective dimension of images"].measured == effective_dimension(x)
    assert clip["effective dimension of captions"].measured == effective_dimension(y)
    assert clip["distance of means"].measured == pytest.approx(l2m(x, y))
    lengths = [np.linalg.norm(z.mean(axis=0)) for z in (x, y)]
    assert clip["distance of means"].predicted == pytest.approx(np.hypot(*lengths))
    assert clip.settings["n"] == 5
    assert 1 < clip["effective dimension of images"].measured <= 4
    assert clip["effective dimension of captions"].measured <= 4
    assert clip["effective dimension of images"].paper == 25
    assert 0 < clip["mean cosine of images"].measured < 1
    assert random_clip(scenes, patch=32).to_dict() == clip.to_dict()
    other = random_clip(scenes, patch=32, n=4, seed=1, initialization="transformers")
    assert other["mean cosine of images"].measured != clip["mean cosine of images"].measured
    assert other.settings["n"] == 4


@pytest.mark.slow
def test_a_real_random_clip_collapses(realdata):
    pytest.importorskip("transformers", reason="transformers is not installed: isthmus[clip]")
    clip = random_clip(open_source(f"coco:{realdata}/coco-mini"), n=40, patch=32)
    images, captions = (clip[f"effective dimension of {name}"].measured for name in ("images", "captions"))
    assert images < captions - 3
    assert clip["mean cosine of images"].measured > 0.6
    line = clip["distance of means"]
    assert line.measured == pytest.approx(line.predicted, abs=0.1)


def test_spectra_of_a_random_clip(small, scenes):
    clip = random_clip(scenes, patch=32)
    for name in ("x", "y", "captions"):
        assert clip.curves[f"spectrum_{name}"].shape == (512,)
        assert (clip.curves[f"spectrum_{name}"] > 1e-9).sum() <= (14 if name == "captions" else 4)


def test_weights_are_drawn_as_by_openai():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    from isthmus.theory.depth_clip import _draw_as_openai

    tower = {"hidden_size": 128, "intermediate_size": 512, "num_attention_heads": 4, "num_hidden_layers": 2}
    config = transformers.CLIPConfig(
        text_config=tower, vision_config=tower | {"image_size": 64}, projection_dim=64
    )
    torch.manual_seed(0)
    network = transformers.CLIPModel(config)
    _draw_as_openai(network)
    text, image = (part.encoder.layers[1] for part in (network.text_model, network.vision_model))
    expected = {  # standard deviations in clip/model.py, and those of torch's own layers
        text.self_attn.q_proj.weight: 128**-0.5,
        text.self_attn.out_proj.weight: 128**-0.5 * 4**-0.5,
        text.mlp.fc1.weight: 256**-0.5,
        text.mlp.fc2.weight: 128**-0.5 * 4**-0.5,
        network.text_model.embeddings.position_embedding.weight: 0.01,
        network.text_projection.weight: 128**-0.5,
        network.visual_projection.weight: 128**-0.5,
        network.vision_model.embeddings.position_embedding.weight: 128**-0.5,
        network.vision_model.embeddings.patch_embedding.weight: (3 * 3 * 32 * 32) ** -0.5,
        image.self_attn.v_proj.weight: (2 / 512) ** 0.5,
        image.self_attn.out_proj.weight: (3 * 128) ** -0.5,
        image.mlp.fc2.weight: (3 * 512) ** -0.5,
    }
    for weight, std in expected.items():
        assert weight.std().item() == pytest.approx(std, rel=0.1)
    for bias in (image.self_attn.out_proj.bias, text.self_attn.q_proj.bias):
        assert not bias.any()
    assert text.mlp.fc1.bias.any()


def test_tokens_of_captions():
    encode = _captions_tokens(["A red dog.", "a red cat on a mat"])
    assert encode("a RED dog.") == [49406, 1, 6, 3, 0, 49407]  # of . a cat dog mat on red
    assert encode("a zebra") == encode("a")  # the encoder looks how wide its rows are by one text
    with pytest.raises(ValueError, match="captions have 49407 words, more than the 49406 tokens"):
        _captions_tokens([" ".join(f"w{i}" for i in range(49407))])


def test_tokens_of_clip(tmp_path, monkeypatch):
    pytest.importorskip("transformers", reason="transformers is not installed: isthmus[clip]")
    from isthmus.theory.depth_clip import _clip_tokens

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        ImportError, match=r'vocabulary "clip" needs open_clip: pip install "isthmus\[openclip\]"'
    ):
        _clip_tokens()
    merges = ["c a", "ca t</w>", "p h"]
    (tmp_path / "bpe_simple_vocab_16e6.txt.gz").write_bytes(
        gzip.compress("\n".join(["v", *merges, ""]).encode())
    )
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    )
    # letters are numbered from "!", and those that end a word follow all others
    assert _clip_tokens()("A cat  pa") == [49406, 256 + 64, 513, ord("p") - 33, 256 + 64, 49407]


def test_tokens_of_clip_are_those_that_it_ships():
    pytest.importorskip("open_clip", reason="open_clip is not installed")
    from isthmus.theory.depth_clip import _clip_tokens

    assert _clip_tokens()("a photo of a cat") == [49406, 320, 1125, 539, 320, 2368, 49407]


def test_random_clip_names_what_is_missing(monkeypatch):
    source = Source("mine", lambda: iter([Item("7", "7", (), image=np.zeros((9, 9, 3), np.uint8))]))
    for options, message in (
        ({"patch": 14}, "patch must be 16 or 32, got 14"),
        ({"initialization": "xavier"}, "initialization must be openai or transformers, got 'xavier'"),
        ({"vocabulary": "bytes"}, "vocabulary must be captions or clip, got 'bytes'"),
        ({"n": 1}, r"n must be a whole number in \[2, inf\), got 1"),
        ({"seed": -1}, "seed must be a whole number"),
    ):
        with pytest.raises(ValueError, match=message):
            random_clip(source, **options)
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(ImportError, match=r'^random_clip needs transformers: pip install "isthmus\[clip\]"$'):
        random_clip(source)


def test_random_clip_names_bad_items():
    pytest.importorskip("transformers", reason="transformers is not installed: isthmus[clip]")
    image = np.zeros((9, 9, 3), np.uint8)
    for items, message in (
        ([Item("7", "7", (), image=image)], "mine: item 7 must have captions, it has none"),
        ([Item("7", "7", ("a dog",), image=image)], "mine: expected at least 2 items, got 1"),
    ):
        with pytest.raises(ValueError, match=message):
            random_clip(Source("mine", lambda items=items: iter(items)))
