import numpy as np
import pytest

from isthmus.checks import unit_rows
from isthmus.theory.contrastive import gradients, lemma_gradients, loss, loss_gradients

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(2, 7, 5))


def oracle(x, y, temperature):
    """The loss as section 2.3 writes it, term by term."""
    total = 0.0
    for i in range(len(x)):
        pair = np.exp(x[i] @ y[i] / temperature)
        total += np.log(pair / sum(np.exp(x[i] @ other / temperature) for other in y))
        total += np.log(pair / sum(np.exp(other @ y[i] / temperature) for other in x))
    return -total / (2 * len(x))


def numerical(function, x, step=1e-6):
    slope = np.empty_like(x)
    for index in np.ndindex(x.shape):
        ends = []
        for sign in (1, -1):
            moved = x.copy()
            moved[index] += sign * step
            ends.append(function(moved))
        slope[index] = (ends[0] - ends[1]) / (2 * step)
    return slope


@pytest.mark.parametrize("temperature", [0.2, 1.0, 5.0])
def test_loss_is_the_oracles(temperature):
    assert loss(X, Y, temperature=temperature) == pytest.approx(oracle(X, Y, temperature))


def test_loss_in_known_limits():
    assert loss(X, Y, temperature=1e9) == pytest.approx(np.log(7))
    units = unit_rows(X)
    assert loss(units, units, temperature=1e-3) == pytest.approx(0, abs=1e-12)
    with np.errstate(over="raise"):
        assert np.isfinite(loss(X * 1e3, Y * 1e3))


def test_loss_does_not_see_rotation_order_or_which_is_first():
    rotation, order = np.linalg.qr(RNG.normal(size=(5, 5)))[0], RNG.permutation(7)
    for x, y in ((X @ rotation, Y @ rotation), (X[order], Y[order]), (Y, X)):
        assert loss(x, y) == pytest.approx(loss(X, Y))


@pytest.mark.parametrize("scaled", [False, True])
def test_gradients_are_the_slopes_of_the_loss(scaled):
    def value(x, y):
        return oracle(unit_rows(x), unit_rows(y), 0.3) if scaled else oracle(x, y, 0.3)

    by_x, by_y = loss_gradients(X, Y, temperature=0.3, scaled=scaled)
    np.testing.assert_allclose(by_x, numerical(lambda x: value(x, Y), X), atol=1e-8)
    np.testing.assert_allclose(by_y, numerical(lambda y: value(X, y), Y), atol=1e-8)


def test_scaled_gradients_are_across_the_rows_and_shrink_with_their_length():
    by_x, _ = loss_gradients(X, Y, scaled=True)
    np.testing.assert_allclose(np.einsum("nd,nd->n", by_x, X), 0, atol=1e-12)
    np.testing.assert_allclose(loss_gradients(10 * X, Y, scaled=True)[0], by_x / 10)


def test_the_lemma_is_what_it_prints():
    x, y, n, temperature = unit_rows(X), unit_rows(Y), 7, 0.3
    e = np.exp(x @ y.T / temperature)
    printed = np.zeros_like(x)
    for i in range(n):
        for j in range(n):
            alpha = e[i, j] / sum(e[i]) + e[i, j] / sum(e[:, j])  # p(y_j | x_i) + p(x_i | y_j)
            printed[i] += alpha * (y[j] - y[i]) / (2 * n * temperature)
    np.testing.assert_allclose(lemma_gradients(x, y, temperature=temperature)[0], printed, atol=1e-12)


def test_the_lemma_is_right_where_attention_is_uniform_and_there_alone():
    circle = np.stack([np.cos(np.arange(9) * 2 * np.pi / 9), np.sin(np.arange(9) * 2 * np.pi / 9)], axis=1)
    turned = circle @ np.array([[0.8, 0.6], [-0.6, 0.8]])
    for ours, theirs in zip(loss_gradients(circle, turned), lemma_gradients(circle, turned), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)
    x, y = unit_rows(X), unit_rows(Y)
    e = np.exp(x @ y.T / 0.07)
    attention = (e / e.sum(axis=0)).sum(axis=1)
    missing = (attention - 1)[:, None] * y / (2 * 7 * 0.07)
    assert np.abs(missing).max() > 0.1
    np.testing.assert_allclose(loss_gradients(x, y)[0] - lemma_gradients(x, y)[0], missing, atol=1e-12)


def test_simulation_measures_what_it_predicts():
    run = gradients(n=60, dim=64, effective=(8, 20), seed=3)
    for line in run.lines:
        assert line.measured == pytest.approx(line.predicted, abs=1e-12)
    assert run["unit rows: outside the span"].measured > 1e-3  # the lemma's omission is no rounding
    assert abs(run["scaled rows: slope along the gap"].measured) > 1e-5
    assert run.curves["attention"].mean() == pytest.approx(1)
    assert run.curves["outside_lemma"].shape == run.curves["outside_unit"].shape == (60,)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: loss(X, Y[:3]), "x has 7 rows, y has 3"),
        (lambda: loss(X, Y, temperature=0), r"temperature must be a number in \(0, inf\), got 0"),
        (lambda: loss_gradients(X, np.zeros_like(Y), scaled=True), "y has 7 zero rows"),
        (lambda: lemma_gradients(X, Y[:, :2]), "must share one embedding space"),
        (lambda: gradients(n=1), "n must be a whole number"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
