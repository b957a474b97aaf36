"""Steps of the contrastive optimization a second, beside a loop as the released notebook writes it.

python benchmarks/optimization.py [STEPS]
"""

import sys
import time

import numpy as np
import torch
from torch.nn.functional import cross_entropy, normalize

from isthmus.theory.initialization import collapsed
from isthmus.theory.optimization import rotated
from isthmus.theory.optimization_config import OptimizationConfig
from isthmus.theory.optimization_descent import Descent


class Automatic:
    """Automatic gradients, all pairs, all dimensions, rows scaled in the forward pass, float32."""

    def __init__(self, x, y, config):
        self.rows = [torch.nn.Parameter(torch.tensor(z, dtype=torch.float32)) for z in (x, y)]
        self.optimizer = torch.optim.SGD(self.rows, lr=config.learning_rate)
        self.scale, self.pair = 1 / config.temperature, torch.arange(config.n)

    def advance(self, steps):
        for _ in range(steps):
            x, y = (normalize(z, dim=1) for z in self.rows)
            logits = self.scale * x @ y.T
            loss = (cross_entropy(logits, self.pair) + cross_entropy(logits.T, self.pair)) / 2
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()


def main(steps):
    for n in (500, 1000):
        config = OptimizationConfig(n=n)
        x, y = collapsed(n)
        loops = {
            "automatic gradients": Automatic(x, y, config),
            "isthmus, all dimensions": Descent(x.copy(), y.copy(), config),
            "isthmus": Descent(*rotated(x, y, config)[:2], config),
        }
        seconds = {name: [] for name in loops}
        for turn in range(6):
            for name, loop in loops.items():
                start = time.perf_counter()
                loop.advance(steps)
                if turn:  # the first warms up
                    seconds[name].append((time.perf_counter() - start) / steps)
        base = np.median(seconds["automatic gradients"])
        for name, times in seconds.items():
            middle = np.median(times)
            print(
                f"n = {n:4} {name:24} {1 / middle:7.1f} steps/s (best turn {1 / min(times):7.1f})  "
                f"{base / middle:5.2f} x  200,000 steps: {200_000 * middle / 60:6.1f} min"
            )
        moved = loops["automatic gradients"].rows[0].detach().numpy() - x
        apart = loops["automatic gradients"].rows[0].detach().numpy() - loops["isthmus, all dimensions"].x
        print(f"         furthest apart {np.abs(apart).max():.1e}, after moving {np.abs(moved).max():.1e}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
