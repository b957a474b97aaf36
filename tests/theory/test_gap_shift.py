import numpy as np
import pytest

from isthmus.theory import sample
from isthmus.theory.gap_shift import contrastive_losses, gap_shift

_SHIFTS = (-0.5, 0.0, 0.25, 0.5, 0.75, 1.0)


def unit(z):
    return z / np.linalg.norm(z, axis=1, keepdims=True)


def plain_loss(x, y, temperature):
    """The loss of Lemma 1, pair by pair."""
    total = 0.0
    for i in range(len(x)):
        own = np.exp(x[i] @ y[i] / temperature)
        total -= np.log(own / sum(np.exp(x[i] @ y[j] / temperature) for j in range(len(x))))
        total -= np.log(own / sum(np.exp(x[j] @ y[i] / temperature) for j in range(len(x))))
    return total / (2 * len(x))


def orthogonal_gap(half=0.4, n=80, dim=10):
    """Unit rows whose gap is exactly orthogonal to both spans: each row has its mirror image beside it."""
    rng = np.random.default_rng(0)
    shared, noise = rng.normal(size=(2, n // 2, dim))
    spans = [unit(z) for z in (shared, shared + noise)]
    x, y = (np.sqrt(1 - half**2) * np.vstack([z, -z]) for z in spans)
    return np.column_stack([np.full(n, half), x]), np.column_stack([np.full(n, -half), y])


@pytest.fixture(scope="module")
def crooked():
    """Pairs that vary along their gap, more in y than in x."""
    rng = np.random.default_rng(1)
    shared, noise = rng.normal(size=(2, 90, 8))
    x, y = shared + 1.0, shared + 0.7 * noise - 0.6
    return x, y + 0.5 * rng.normal(size=(90, 1))


@pytest.fixture(scope="module")
def drawn():
    return gap_shift(rows=300, temperatures=(0.2, 0.01, 1.0), shifts=_SHIFTS[::-1])


def test_loss_is_the_plain_one(crooked):
    x, y = map(unit, crooked)
    expected = [plain_loss(x[:40], y[:40], t) for t in (0.02, 0.3, 5.0)]
    assert contrastive_losses(x[:40], y[:40], temperatures=(0.02, 0.3, 5.0)) == pytest.approx(expected)


def test_loss_over_several_blocks_has_its_closed_forms():
    n = 600
    same = np.tile([[0.6, 0.8]], (n, 1))
    assert contrastive_losses(same, same, temperatures=[0.05]) == pytest.approx(np.log(n))
    orthogonal = np.eye(n)
    exact = np.log(1 + (n - 1) * np.exp(-1 / np.array([0.1, 0.5])))
    assert contrastive_losses(orthogonal, orthogonal, temperatures=[0.1, 0.5]) == pytest.approx(exact)
    order = np.random.default_rng(0).permutation(n)
    x, y, _ = sample(n)
    x, y = unit(x.astype(np.float64)), unit(y.astype(np.float64))
    given = {"temperatures": [0.01, 0.1]}
    assert contrastive_losses(x[order], y[order], **given) == pytest.approx(contrastive_losses(x, y, **given))


def test_an_orthogonal_gap_acts_through_the_temperature_alone():
    run = gap_shift(*orthogonal_gap(), temperatures=(0.02, 0.1, 1.0))
    c = run.curves
    assert c["loss"] == pytest.approx(c["law"], rel=1e-9)
    assert c["gap"] == pytest.approx(c["gap_predicted"], abs=1e-12)
    assert c["bias"] == pytest.approx(0, abs=1e-12)
    assert (c["recall"] == c["recall"][:, :1]).all()
    assert c["loss"] == pytest.approx(c["loss"][:, ::-1])  # shift 1 swaps the two
    assert c["least"] == pytest.approx(c["least_predicted"], abs=1e-6)
    assert run["gap"].measured == pytest.approx(0.8)
    closed = c["shifts"].tolist().index(0.5)
    x, y = orthogonal_gap()
    sharper = contrastive_losses(x, y, temperatures=c["temperatures"] * (1 - 0.8**2 / 4))
    assert c["loss"][:, closed] == pytest.approx(sharper)


def test_second_order_is_what_is_left_of_a_hot_loss(crooked):
    hot = (1.0, 2.0, 4.0)
    x, y = (unit(z) for z in orthogonal_gap())
    c = gap_shift(x, y, temperatures=hot).curves
    error = np.abs(c["loss"] - c["second_order"]).max(axis=1)
    assert error[2] < 2e-3
    assert error[0] / error[1] > 3.5  # of third order or higher
    assert error[1] / error[2] > 3.5


def test_what_varies_in_the_plane_of_the_means_keeps_a_gap_open():
    """Rows of y vary across the mean of x: the law does not see it, the second order does."""
    x, y, _ = sample(300, seed=1)
    means = unit(x.astype(np.float64)).mean(axis=0), unit(y.astype(np.float64)).mean(axis=0)
    across = means[1] - (means[1] @ means[0]) / (means[0] @ means[0]) * means[0]
    y = y + 0.3 * np.random.default_rng(0).normal(size=(300, 1)) * across
    c = gap_shift(x, y, temperatures=(0.07, 0.2), shifts=np.linspace(0, 1, 11).round(2)).curves
    off = {name: np.abs(c["loss"] - c[name]).max(axis=1) for name in ("law", "second_order")}
    assert (off["second_order"] < off["law"] / 2).all()
    assert (c["least_predicted"] < 0.01).all()
    assert c["least"][0] > 0.2 > c["least"][1] > 0.1
    assert c["least_second_order"][0] == pytest.approx(c["least"][0], abs=0.08)
    assert c["bias"][5] > 2 * c["bias"].min()
    assert c["recall"][0, 5] < c["recall"][0, 3] - 0.03


def test_bias_by_brute_force(crooked):
    x, y = map(unit, crooked)
    gap = x.mean(axis=0) - y.mean(axis=0)
    c = gap_shift(x, y, shifts=_SHIFTS, temperatures=(1.0,)).curves
    for k, shift in enumerate(_SHIFTS):
        a, b = x - shift * gap, y + shift * gap
        of_y = (a @ b.T).mean(axis=0).var()  # what a row of y has with all rows of x alike
        of_x = (a @ b.T).mean(axis=1).var()
        square = np.sqrt((a**2).sum(axis=1).mean() * (b**2).sum(axis=1).mean())
        assert c["bias"][k] == pytest.approx(np.sqrt((of_x + of_y) / 2) / square)
        assert c["gap"][k] == pytest.approx(
            (unit(a).mean(axis=0) - unit(b).mean(axis=0)) @ gap / np.linalg.norm(gap)
        )


def test_drawn_rows_follow_the_law(drawn):
    c = drawn.curves
    assert c["temperatures"].tolist() == [0.01, 0.2, 1.0]
    assert c["shifts"].tolist() == list(_SHIFTS)
    assert c["gap"] == pytest.approx(c["gap_predicted"], abs=0.01)
    assert c["loss"][1:] == pytest.approx(c["law"][1:], abs=1e-3)
    assert c["loss"][0] == pytest.approx(c["law"][0], abs=0.05)
    assert np.ptp(c["recall"], axis=1).max() < 0.04
    assert (c["bias"] < 0.005).all()
    # too hot: closing is best; too cold: the wider, the better; nothing keeps the gap as it is
    assert c["least"][1:] == pytest.approx(0, abs=0.01)
    assert c["least"][0] == c["gap"][0] > 1
    assert drawn["gap of least loss at temperature 0.01"].paper == 0.82


def test_clip_has_its_least_loss_at_its_own_gap_and_temperature(clip_pairs):
    """Liang et al., Figure 3: at 1/100 the default gap is best, at high temperature none is."""
    shifts = np.linspace(-0.1, 0.5, 13).round(2)
    run = gap_shift(*clip_pairs, temperatures=(0.01, 0.05, 1.0), shifts=shifts)
    least = [run[f"gap of least loss at temperature {t}"].measured for t in ("0.01", "0.05", "1")]
    assert least == pytest.approx([0.862, 0.398, 0.003], abs=0.01)
    assert run["gap"].measured == pytest.approx(0.851, abs=0.001)
    assert run["temperature of least loss, gap as it is"].measured == pytest.approx(0.0117, abs=2e-4)
    closing = run["loss added by closing, temperature 0.01"]
    assert closing.measured == pytest.approx(2.00, abs=0.01)
    assert closing.predicted == pytest.approx(0.107, abs=0.01)  # so its gap is not orthogonal to its spans
    assert [run[f"bias of cosines, gap {w}"].measured for w in ("as it is", "closed")] == pytest.approx(
        [0.0177, 0.0401], abs=2e-4
    )
    recalls = [
        run[f"R@1 {w}, gap {g}"].measured for w in ("x to y", "y to x") for g in ("as it is", "closed")
    ]
    assert recalls == [0.552, 0.358, 0.506, 0.366]


def test_neither_turns_nor_lengths_nor_names_matter(crooked):
    x, y = crooked
    given = {"temperatures": (0.05, 0.5), "shifts": _SHIFTS}
    c = gap_shift(x, y, **given).curves
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(8, 8)))[0]
    turned = gap_shift(3 * x @ turn, y @ turn, **given).curves
    swapped = gap_shift(y, x, **given).curves
    for name in ("loss", "law", "second_order", "gap", "bias", "least"):
        assert turned[name] == pytest.approx(c[name], abs=1e-9)
        assert swapped[name] == pytest.approx(c[name], abs=1e-9)
    assert swapped["recall"].tolist() == c["recall"][::-1].tolist()


def test_place_of_the_least_loss(crooked):
    fine = gap_shift(*crooked, temperatures=(0.2,), shifts=np.linspace(0, 0.5, 51).round(5)).curves
    coarse = gap_shift(*crooked, temperatures=(0.2,), shifts=np.linspace(0, 0.5, 11).round(5)).curves
    expected = fine["gap"][fine["loss"][0].argmin()]
    assert 0.05 < expected < fine["gap"][0] - 0.05
    assert coarse["least"][0] == pytest.approx(expected, abs=0.005)
    taus = np.geomspace(0.05, 1, 300)
    losses = contrastive_losses(*map(unit, crooked), temperatures=taus)
    best = gap_shift(*crooked, temperatures=(0.2,), shifts=(0, 0.5))[
        "temperature of least loss, gap as it is"
    ]
    assert best.measured == pytest.approx(taus[losses.argmin()], rel=0.02)


def test_rows_and_seeds(drawn):
    again = gap_shift(rows=300, temperatures=(0.2, 0.01, 1.0), shifts=_SHIFTS[::-1])
    assert again.to_dict() == drawn.to_dict()
    x, y, _ = sample(120)
    few = {"rows": 50, "shifts": (0, 0.5), "temperatures": (0.1,)}
    one, same, other = (gap_shift(x, y, seed=s, **few) for s in (0, 0, 1))
    assert one.settings["n"] == 50
    assert one["R@1 x to y, gap as it is"].measured > 0.4  # pairs stay pairs
    assert one.to_dict() == same.to_dict()
    assert one.curves["loss"].tolist() != other.curves["loss"].tolist()
    assert gap_shift(**few).curves["loss"].tolist() != gap_shift(seed=1, **few).curves["loss"].tolist()
    all_of_them = gap_shift(x[:50], y[:50], seed=1, **few).curves["loss"]
    assert all_of_them == pytest.approx(gap_shift(x[:50], y[:50], seed=2, **few).curves["loss"])


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: gap_shift(np.eye(3)), "x and y must be given together, got x alone"),
        (lambda: gap_shift(y=np.eye(3)), "x and y must be given together, got y alone"),
        (lambda: gap_shift(np.eye(3), np.eye(3)), "x and y must have different means, got the same"),
        (lambda: gap_shift(np.eye(3), np.eye(3)[:2]), "x has 3 rows, y has 2"),
        (lambda: gap_shift(rows=1), r"rows must be a whole number in \[2, inf\), got 1"),
        (lambda: gap_shift(seed=-1), "seed must be a whole number"),
        (lambda: gap_shift(temperatures=()), "temperatures must hold at least one number in"),
        (
            lambda: gap_shift(temperatures=(0.1, 0.1)),
            "temperatures must be different numbers, got 0.1 more than once",
        ),
        (lambda: gap_shift(shifts=(0, 0.5, 0)), "shifts must be different numbers, got 0 more than once"),
        (
            lambda: gap_shift(temperatures=(0.001,)),
            r"temperatures must be a number in \[0.005, inf\), got 0.001",
        ),
        (
            lambda: gap_shift(shifts=(0, 1)),
            r"shifts must hold 0 \(as it is\) and 0.5 \(closed\), got \[0, 1\]",
        ),
        (lambda: gap_shift(shifts=(0, 0.5, np.nan)), "shifts must be a number"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
