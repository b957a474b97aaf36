import numpy as np
import pytest

from isthmus.checks import unit_rows
from isthmus.measure import mean_cosine_within
from isthmus.theory.depth_attention import attention_overlap, propagate_transformer
from isthmus.theory.depth_equivalent import Moments, equivalent_layers, sample_spectrum, spectrum
from isthmus.theory.depth_kernel import arc_cosine, propagate
from isthmus.theory.stacks import HEADS, normalize, run_stack, xavier

FLAT = ("linear", "mlp", "residual", "normalized", "postnorm")


def features(stack, n=400, width=256, depth=8, seed=0):
    """What each layer of a stack gives for Gaussian inputs, before and after the ReLU."""
    rng = np.random.default_rng(seed)
    return list(run_stack(stack, rng.normal(size=(n, width)), depth=depth, rng=rng))


def ratio(x):
    values = spectrum(unit_rows(x))
    return 1 / (values @ values)


def norm(row):
    return [(v - sum(row) / len(row)) / np.std(row) for v in row]


@pytest.mark.parametrize("stack", FLAT)
def test_layers_are_those_of_the_definition(stack):
    x = np.random.default_rng(1).normal(size=(3, 5))
    found = list(run_stack(stack, x, depth=2, rng=np.random.default_rng(2)))
    rng, rows = np.random.default_rng(2), x.tolist()
    for before, after in found:
        weights = xavier(5, rng)
        for k, row in enumerate(rows):
            z = [sum(weights[i, j] * row[j] for j in range(5)) for i in range(5)]
            z = norm(z) if stack == "normalized" else z
            a = z if stack == "linear" else [max(v, 0.0) for v in z]
            a = norm(a) if stack == "postnorm" else a
            a = [v + w for v, w in zip(a, row, strict=True)] if stack == "residual" else a
            assert np.allclose(before[k], z)
            assert np.allclose(after[k], a)
            rows[k] = a


def test_blocks_of_a_transformer_are_those_of_the_definition():
    n, tokens, width = 2, 3, 2 * HEADS
    x = np.random.default_rng(1).normal(size=(n, tokens, width))
    ((before, after),) = run_stack("transformer", x, depth=1, rng=np.random.default_rng(2))
    rng = np.random.default_rng(2)
    q, k, v, o, first, second = (xavier(width, rng) for _ in range(6))
    for rows, b, a in zip(x, before, after, strict=True):
        unit = np.array([norm(row) for row in rows])
        gathered = np.zeros(width)
        for head in range(HEADS):
            part = slice(2 * head, 2 * head + 2)
            scores = [np.exp((q @ unit[0])[part] @ (k @ u)[part] / np.sqrt(2)) for u in unit]
            gathered[part] = sum(s * (v @ u)[part] for s, u in zip(scores, unit, strict=True)) / sum(scores)
        middle = rows[0] + o @ gathered
        hidden = first @ np.array(norm(middle))
        assert np.allclose(b, hidden)
        assert np.allclose(a, middle + second @ np.maximum(hidden, 0))


def test_rows_of_a_transformer_do_not_see_each_other():
    x = np.random.default_rng(1).normal(size=(300, 2, 8))  # more than go through it together
    (_, whole), (_, some) = (
        next(run_stack("transformer", z, depth=1, rng=np.random.default_rng(0))) for z in (x, x[290:])
    )
    assert np.allclose(whole[290:], some)


def test_weights_are_xavier_uniform():
    weights = xavier(400, np.random.default_rng(0))
    assert 400 * weights.var() == pytest.approx(1, abs=0.01)
    assert abs(weights).max() == pytest.approx(np.sqrt(3 / 400), rel=1e-3)


@pytest.mark.parametrize("stack", ["linear", "mlp", "residual"])
def test_the_length_of_an_input_goes_through(stack):
    x = np.random.default_rng(0).normal(size=(4, 32))
    one, other = (list(run_stack(stack, z, depth=4, rng=np.random.default_rng(1)))[-1][1] for z in (x, 7 * x))
    assert np.allclose(7 * one, other)


def test_arc_cosine_is_what_a_wide_layer_does():
    rng = np.random.default_rng(0)
    for cosine in (-0.7, 0.0, 0.4, 0.95):
        x = np.array([1.0, 0.0]), np.array([cosine, np.sqrt(1 - cosine**2)])
        weights = rng.normal(size=(10**6, 2))
        a, b = (np.maximum(weights @ row, 0) for row in x)
        assert a @ b / np.sqrt((a @ a) * (b @ b)) == pytest.approx(float(arc_cosine(cosine)), abs=3e-3)
    assert np.allclose(arc_cosine([-1, 0, 1]), [0, 1 / np.pi, 1])


def test_cosines_of_an_mlp_iterate_the_kernel():
    theory = propagate("mlp", depth=60, width=64)
    cosine = 0.0
    for layer in range(60):
        assert theory.before[layer + 1] == pytest.approx(cosine, abs=1e-12)
        cosine = float(arc_cosine(cosine))
        assert theory.after[layer + 1] == pytest.approx(cosine, abs=1e-12)
    # far down, 1 - cosine falls as 9 pi^2 / (2 layers^2)
    deep = propagate("mlp", depth=3000, width=64).after[-1]
    assert (1 - deep) * 3000**2 == pytest.approx(4.5 * np.pi**2, rel=0.02)


@pytest.mark.parametrize("stack", FLAT)
def test_wide_layers_have_the_cosines_and_the_participation_of_theory(stack):
    n, width = 500, 384
    theory = propagate(stack, depth=6, width=width)
    runs = [features(stack, n, width, 6, seed) for seed in range(2)]
    for layer in (1, 3, 6):
        for side, (cosine, square) in enumerate(
            [
                (theory.before[layer], 1 / theory.participation_before[layer]),
                (theory.after[layer], 1 / theory.participation_after[layer]),
            ]
        ):
            rows = [run[layer - 1][side] for run in runs]
            assert np.mean([mean_cosine_within(z) for z in rows]) == pytest.approx(cosine, abs=0.03)
            expected = 1 / (square + (1 + square) / n)
            assert np.mean([ratio(z) for z in rows]) == pytest.approx(expected, rel=0.05)


def test_the_wider_the_closer():
    theory = propagate("mlp", depth=10, width=1).after[-1]
    off = [
        np.mean(
            [abs(mean_cosine_within(features("mlp", 60, width, 10, s)[-1][1]) - theory) for s in range(8)]
        )
        for width in (16, 512)
    ]
    assert off[1] < off[0] / 2


def test_a_linear_stack_has_the_moments_of_fuss_and_catalan():
    assert np.allclose(propagate("linear", depth=4, width=60).participation_after, 60 / np.arange(1, 6))
    assert not propagate("linear", depth=4, width=60).after.any()
    assert np.mean([abs(mean_cosine_within(z)) for _, z in features("linear")]) < 2e-3


def test_normalising_after_the_relu_keeps_the_dimensions_and_opens_the_cone():
    theory = propagate("postnorm", depth=200, width=512)
    assert theory.after.max() < 1e-12
    linear = 0.25 / (0.5 - 0.5 / np.pi)  # share of a ReLU's variance that is linear
    assert theory.participation_after[-1] == pytest.approx(512 * (1 - linear**2), rel=1e-9)
    assert propagate("normalized", depth=200, width=512).after[-1] > 0.99


@pytest.mark.parametrize("cosine, tokens", [(0.0, 2), (0.0, 8), (0.6, 8), (0.95, 4)])
def test_overlap_of_attention_is_that_of_drawn_scores(cosine, tokens):
    rng = np.random.default_rng(0)
    s, noise = np.sqrt(1 - cosine) * rng.normal(size=(2, 100_000, tokens))
    t = cosine * s + np.sqrt(1 - cosine**2) * noise
    p, q = (np.exp(z) / np.exp(z).sum(axis=1, keepdims=True) for z in (s, t))
    same, different = attention_overlap(cosine, tokens)
    assert same == pytest.approx((p * p).sum(axis=1).mean(), rel=5e-3)
    assert different == pytest.approx((p * q).sum(axis=1).mean(), rel=5e-3)


def test_a_transformer_has_the_cosines_of_theory():
    before, after = propagate_transformer(depth=4, tokens=4)
    found = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(80, 4, 256)).astype(np.float32)
        found.append(
            [[mean_cosine_within(z) for z in pair] for pair in run_stack("transformer", x, depth=4, rng=rng)]
        )
    assert np.allclose(np.mean(found, axis=0), np.transpose([before, after])[1:], atol=0.03)


def test_one_token_attends_to_itself():
    assert attention_overlap(0.3, 1) == pytest.approx((1, 1), abs=1e-4)


def test_moments_of_unit_and_of_stretched_rows():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(6, 6)) / 12
    moments = Moments(np.arange(1.0, 7.0), mixing @ mixing.T)
    rows = moments.mean + rng.normal(size=(200_000, 6)) @ mixing.T
    assert np.allclose(moments.unit().covariance, np.cov(unit_rows(rows).T), atol=2e-5)
    assert np.allclose(moments.unit().mean, unit_rows(rows).mean(axis=0), atol=1e-3)
    factors = 1 + 0.1 * rng.normal(size=(len(rows), 1))
    assert np.allclose(moments.stretched(0.01).covariance, np.cov((factors * rows).T), atol=0.01)
    assert mean_cosine_within(rows) == pytest.approx(moments.cosine, abs=1e-3)


@pytest.mark.parametrize("stack", FLAT)
def test_a_product_of_random_matrices_has_the_dimensions_of_the_network(stack):
    n, width, depth = 400, 192, 6
    theory = propagate(stack, depth=depth, width=width)
    found, drawn, cosines = [], [], []
    for seed in range(3):
        rng = np.random.default_rng([seed, 1])
        pairs = zip(
            features(stack, n, width, depth, seed)[-1],
            list(equivalent_layers(stack, depth=depth, width=width, rng=rng))[-1],
            strict=True,
        )
        for z, moments in pairs:
            spectra = spectrum(unit_rows(z)), sample_spectrum(moments.covariance, n=n, rng=rng)
            for values, held in zip(spectra, (found, drawn), strict=True):
                held.append(np.searchsorted(np.cumsum(values), 0.99))
            cosines.append(moments.cosine)
    assert np.mean(found) == pytest.approx(np.mean(drawn), rel=0.05)
    assert np.mean(cosines) == pytest.approx((theory.before[-1] + theory.after[-1]) / 2, abs=0.06)


def test_the_covariance_after_a_relu_is_that_of_gaussian_neurons():
    stacked = equivalent_layers("mlp", depth=3, width=12, rng=np.random.default_rng(0), unit=False)
    before, after = list(stacked)[-1]
    rng = np.random.default_rng(1)
    z = np.maximum(rng.multivariate_normal(before.mean, before.covariance, size=300_000), 0)
    scale = np.diag(after.covariance).max()
    assert np.allclose(after.mean, z.mean(axis=0), atol=0.01 * np.sqrt(scale))
    assert np.allclose(np.diag(after.covariance), z.var(axis=0), atol=0.01 * scale)
    assert np.allclose(after.covariance, np.cov(z.T), atol=0.03 * scale)


def test_the_covariance_of_a_residual_layer_is_that_of_its_features():
    stacked = equivalent_layers("residual", depth=1, width=8, rng=np.random.default_rng(0), unit=False)
    ((_, after),) = stacked
    x = np.random.default_rng(1).normal(size=(300_000, 8))
    ((_, rows),) = run_stack("residual", x, depth=1, rng=np.random.default_rng(0))
    assert np.allclose(after.mean, rows.mean(axis=0), atol=0.01)
    assert np.allclose(after.covariance, np.cov(rows.T), atol=0.03)


@pytest.mark.parametrize("n, dim", [(40, 7), (5, 9)])
def test_spectrum_is_that_of_the_covariance(n, dim):
    x = np.random.default_rng(0).normal(size=(n, dim)) + 3
    values = np.linalg.svd(np.cov(x, rowvar=False), compute_uv=False)
    assert np.allclose(spectrum(x), values / values.sum())
    assert np.allclose(spectrum(5 * x + 2), spectrum(x))


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda x, rng: list(run_stack("cnn", x, depth=1, rng=rng)),
            "stack must be one of mlp, .*, got 'cnn'",
        ),
        (
            lambda x, rng: list(run_stack("transformer", x, depth=1, rng=rng)),
            r"x must have shape \(n, tokens, width\) for transformer, got \(4, 6\)",
        ),
        (
            lambda x, rng: list(run_stack("transformer", x[:, None], depth=1, rng=rng)),
            "width must be a multiple of the 8 heads, got 6",
        ),
        (lambda x, rng: arc_cosine(1.5), r"cosine must be in \[-1, 1\], got 1.5"),
        (lambda x, rng: propagate("transformer", depth=1, width=8), "stack must be mlp.*got 'transformer'"),
        (
            lambda x, rng: list(equivalent_layers("cnn", depth=1, width=8, rng=rng)),
            "stack must be mlp.*got 'cnn'",
        ),
        (lambda x, rng: spectrum(np.ones((3, 2))), "x must have rows that differ"),
    ],
)
def test_errors(call, message):
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=message):
        call(rng.normal(size=(4, 6)), rng)


def test_normalized_rows():
    z = normalize(np.random.default_rng(0).normal(size=(3, 2, 50)) * 4 + 1)
    assert np.allclose(z.mean(axis=-1), 0)
    assert np.allclose(z.std(axis=-1), 1)
