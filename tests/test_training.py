import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is an extra")

from isthmus.training import TrainingConfig, train  # noqa: E402


class Line:
    """Fit y = 3 x with a linear layer and dropout."""

    def __init__(self, n=64, name="line"):
        self.n, self.name = n, name
        self.x = torch.as_tensor(np.random.default_rng(0).normal(size=(n, 4)), dtype=torch.float32)
        self.seen = []

    def loss(self, network, rows):
        self.seen.append(rows)
        return ((network(self.x[rows]) - 3 * self.x[rows, :1]) ** 2).mean()

    def validate(self, network):
        network.eval()
        with torch.no_grad():
            return float(((network(self.x) - 3 * self.x[:, :1]) ** 2).mean())


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.Dropout(0.2), torch.nn.Linear(16, 1))


def state(net):
    return torch.cat([p.detach().ravel() for p in net.parameters()])


CONFIG = TrainingConfig(epochs=12, batch_size=16, learning_rate=0.02, checkpoint_seconds=0)


def test_learns_and_visits_every_row_once_per_epoch():
    net, task = network(), Line()
    history = train(net, task, config=CONFIG)
    assert history.losses[-1] < history.losses[0] / 3
    assert len(task.seen) == 12 * 4
    for epoch in range(12):
        assert sorted(np.concatenate(task.seen[4 * epoch : 4 * epoch + 4])) == list(range(64))


@pytest.mark.parametrize("stop", [1, 5, 11])
def test_killed_and_resumed_gives_the_same_bits(tmp_path, stop):
    alone = network()
    whole = train(alone, Line(), config=CONFIG)

    class Killed(Exception):
        pass

    def kill(progress):
        if progress.epoch == stop + 1:  # the epoch after the last checkpoint is lost
            raise Killed

    with pytest.raises(Killed):
        train(network(), Line(), config=CONFIG, checkpoint=tmp_path / "run", progress=kill)
    resumed = network()
    torch.manual_seed(123)  # the state of the global generator does not matter
    history = train(resumed, Line(), config=CONFIG, checkpoint=tmp_path / "run")
    assert history == whole
    assert torch.equal(state(resumed), state(alone))


def test_finished_run_returns_at_once(tmp_path):
    first = network()
    train(first, Line(), config=CONFIG, checkpoint=tmp_path / "run")
    task, again = Line(), network()
    train(again, task, config=CONFIG, checkpoint=tmp_path / "run")
    assert task.seen == []
    assert torch.equal(state(first), state(again))


def test_global_generators_are_left_alone():
    torch.manual_seed(7)
    before = torch.get_rng_state()
    net = network()
    torch.set_rng_state(before)
    train(net, Line(), config=CONFIG)
    assert torch.equal(torch.get_rng_state(), before)


def test_early_stopping_keeps_the_best_weights():
    class Worsening(Line):
        losses = iter([5.0, 3.0, 4.0, 4.0, 4.0, 4.0, 4.0])

        def validate(self, network):
            self.kept = (
                state(network).clone() if (loss := next(self.losses)) == 3.0 else getattr(self, "kept", None)
            )
            return loss

    net, task = network(), Worsening()
    history = train(net, task, config=TrainingConfig(epochs=50, patience=2))
    assert (history.best_epoch, len(history.losses)) == (2, 5)
    assert torch.equal(state(net), task.kept)


def test_checkpoint_of_another_run_is_refused(tmp_path):
    train(network(), Line(), config=CONFIG, checkpoint=tmp_path / "run")
    other = TrainingConfig(epochs=12, batch_size=16, learning_rate=0.01, checkpoint_seconds=0)
    with pytest.raises(ValueError, match=r"another run: learning_rate is 0.02 there and 0.01 here"):
        train(network(), Line(), config=other, checkpoint=tmp_path / "run")
    with pytest.raises(ValueError, match="another run: task is line there and curve here"):
        train(network(), Line(name="curve"), config=CONFIG, checkpoint=tmp_path / "run")


def test_corrupt_checkpoint_is_named(tmp_path):
    (tmp_path / "run").write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match="run is not a checkpoint"):
        train(network(), Line(), config=CONFIG, checkpoint=tmp_path / "run")


def test_diverging_loss_says_what_to_try():
    with pytest.raises(ValueError, match=r"training loss is .* try a learning_rate below"):
        train(network(), Line(), config=TrainingConfig(learning_rate=1e30, warmup=0, epochs=5))
