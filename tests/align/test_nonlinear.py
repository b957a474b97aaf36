import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is an extra")

from isthmus.align import LinearMap, NonLinearAligner, load_aligner, save_aligner  # noqa: E402
from isthmus.align.nonlinear import _Pairs  # noqa: E402
from isthmus.checks import unit_rows  # noqa: E402
from isthmus.training import TrainingConfig  # noqa: E402


def curved(n=1500, seed=0):
    """y is a function of x that no linear map gives."""
    x = np.random.default_rng(seed).normal(size=(n, 6))
    return x, np.hstack([np.abs(x[:, :3]) - 0.8, x[:, 3:] * np.sign(x[:, :1])])


def alignment(a, b):
    return (a * b).sum(axis=1).mean()


def test_learns_what_no_linear_map_can():
    x, y = curved()
    xt, yt = curved(seed=1)
    config = TrainingConfig(epochs=60, batch_size=64)
    ours = NonLinearAligner(widths=(64, 64), dropout=0, residual=False, training=config).fit(x, y)
    assert alignment(*ours.transform(xt, yt)) > 0.85
    assert alignment(*LinearMap().fit(x, y).transform(xt, yt)) < 0.6


@pytest.mark.parametrize("activation", ["relu", "gelu", "tanh"])
@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("widths", [(), (8,), (8, 5)])
def test_numpy_gives_what_torch_gives(activation, residual, widths):
    x, y = curved(60)
    config = TrainingConfig(epochs=4)
    aligner = NonLinearAligner(widths, activation, residual, training=config).fit(x, y)
    kinds = {"relu": torch.nn.ReLU, "gelu": torch.nn.GELU, "tanh": torch.nn.Tanh}
    tensors = [torch.as_tensor(w, dtype=torch.float64) for w in aligner.weights_]
    inputs = torch.as_tensor((unit_rows(x) - aligner.x_mean_) * np.sqrt(6))
    hidden = inputs
    for i in range(0, len(tensors), 2):
        hidden = (kinds[activation]()(hidden) if i else hidden) @ tensors[i] + tensors[i + 1]
    out = (hidden + inputs if residual else hidden).numpy() / np.sqrt(6) + aligner.y_mean_
    assert aligner.transform(x) == pytest.approx(unit_rows(out), abs=1e-9)


def test_losses_are_what_they_are_called():
    x, y = curved(40)
    config = TrainingConfig(patience=0)
    u, v = unit_rows(x), unit_rows(y)
    zero = torch.nn.Linear(6, 6)
    torch.nn.init.zeros_(zero.weight)
    torch.nn.init.zeros_(zero.bias)
    mean = v.mean(axis=0)
    predicted = np.tile(mean, (40, 1))
    expected = {
        "mse": ((v - predicted) ** 2).mean() * 6,  # rows are scaled to unit variance
        "cosine": 1 - alignment(unit_rows(predicted), v),
    }
    for loss, value in expected.items():
        aligner = NonLinearAligner(residual=False, loss=loss)
        task = _Pairs(aligner, u, v, group=np.arange(40), config=config)
        assert float(task.loss(zero, np.arange(40)).detach()) == pytest.approx(value, rel=1e-5)


def test_contrastive_term_counts_the_batch():
    x, y = curved(30)
    config = TrainingConfig(patience=0)
    network = torch.nn.Identity()
    network.register_parameter("unused", torch.nn.Parameter(torch.zeros(1)))
    task = _Pairs(
        NonLinearAligner(residual=False, loss="mse+contrastive"), x, y, group=np.arange(30), config=config
    )
    u, v = ((unit_rows(z) - unit_rows(z).mean(axis=0)) * np.sqrt(6) for z in (x, y))
    logits = unit_rows(u) @ unit_rows(v).T / 0.05
    softmax = [np.log(np.exp(m).sum(axis=1)) - np.diag(m) for m in (logits, logits.T)]
    expected = ((u - v) ** 2).mean() + (softmax[0].mean() + softmax[1].mean()) / 2
    assert float(task.loss(network, np.arange(30)).detach()) == pytest.approx(expected, rel=1e-4)


def test_early_stopping_holds_out_whole_items():
    x, y = curved(200)
    group = np.repeat(np.arange(40), 5)
    task = _Pairs(NonLinearAligner(), x, y, group=group, config=TrainingConfig())
    assert len(task.held_out) == 20
    assert not set(group[task.held_out]) & set(group[task.training])


def test_same_seed_same_bits_and_resumed_too(tmp_path):
    x, y = curved(300)
    config = TrainingConfig(epochs=8, checkpoint_seconds=0)

    def fit(**kwargs):
        return NonLinearAligner(widths=(16,), training=config).fit(x, y, **kwargs)

    class Killed(Exception):
        pass

    def kill(progress):
        if progress.epoch == 5:
            raise Killed

    with pytest.raises(Killed):
        fit(checkpoint=tmp_path / "run", progress=kill)
    for name, aligner in (("a", fit()), ("b", fit(checkpoint=tmp_path / "run"))):
        save_aligner(aligner, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with pytest.raises(ValueError, match="another run: task"):
        NonLinearAligner(widths=(16,), training=config).fit(x[::-1], y, checkpoint=tmp_path / "run")
    assert load_aligner(tmp_path / "a").training == config


@pytest.mark.parametrize(
    "options, message",
    [
        ({"activation": "swish"}, "activation must be one of relu, gelu, tanh, got 'swish'"),
        ({"loss": "mae"}, r"loss must be one of mse, cosine, mse\+contrastive, got 'mae'"),
        ({"dropout": 1.0}, r"dropout must be a number in \[0, 1\), got 1.0"),
        ({"widths": 5}, "widths must be a tuple of whole numbers, got 5"),
        ({"widths": (8, -1)}, r"a width must be a whole number in \[1, inf\), got -1"),
    ],
)
def test_errors_of_options(options, message):
    with pytest.raises(ValueError, match=message):
        NonLinearAligner(**options).fit(*curved(20))


def test_without_torch_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(ImportError, match=r'pip install "isthmus\[train\]"'):
        NonLinearAligner().fit(*curved(20))
