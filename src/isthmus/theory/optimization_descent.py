"""Gradient descent on the symmetric contrastive loss itself, rows being the parameters."""

import os
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Barrier, BrokenBarrierError

import numpy as np

from isthmus.theory.optimization_config import OptimizationConfig

_ROWS = 250  # of a block: the work of one thread, and alike on any machine, so that results are too
_LOG_FLOAT32 = 85.0  # sums of exponentials up to this stay in the range of float32
_LOG_COLD = -700.0  # of reciprocal temperatures: from here on they leave the range of float64


class Descent:
    r"""Rows of two modalities on their way down the contrastive loss.

    Gradients are the closed form of Lemma 1 [1]_, with :math:`E` the
    exponentials of the logits, :math:`r` and :math:`c` the sums of its rows
    and columns, and unit rows :math:`u, v`:

    .. math:: \nabla_{u} L = \frac{1}{2 n \tau} W v, \quad \nabla_{v} L = \frac{1}{2 n \tau} W^T u, \quad
              W_{ij} = E_{ij} (1 / r_i + 1 / c_j) - 2 \delta_{ij}

    Products are taken in float32, with one exponential for both softmaxes;
    parameters are kept in float64: late steps are smaller than a float32's
    last digit. Blocks of rows go to threads, in a partition that does not
    depend on their number: a step gives the same bits on one processor as on many.

    Parameters
    ----------
    x, y : ndarray of float64, shape (n, width)
        Where the rows start; changed in place.
    config : OptimizationConfig
        Step length, temperature and reading.

    Attributes
    ----------
    x, y : ndarray of float64, shape (n, width)
        Parameters.
    log_scale : float
        Logarithm of the reciprocal temperature.
    step : int
        Steps done.

    References
    ----------
    .. [1] Zhang et al., "Connect, Collapse, Corrupt", ICLR 2024, Lemma 1.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> descent = Descent(*rng.normal(size=(2, 20, 8)), OptimizationConfig(n=20, dim=8, effective=(2, 3)))
    >>> before = descent.x.copy()
    >>> descent.advance(3)
    >>> descent.step, bool((descent.x == before).all())
    (3, False)
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, config: OptimizationConfig) -> None:
        self.x, self.y, self.config = x, y, config
        self.step = 0
        self.log_scale = float(np.log(1 / config.temperature))
        n = len(x)
        self._blocks = [slice(start, min(start + _ROWS, n)) for start in range(0, n, _ROWS)]
        self._weights = np.empty((n, n), dtype=np.float32)
        self._rows = np.empty(n, dtype=np.float32)  # sums of the rows of E, then their reciprocals
        self._columns = np.empty((len(self._blocks), n), dtype=np.float32)  # sums by block
        self._scratch = [np.empty((r.stop - r.start, n), dtype=np.float32) for r in self._blocks]
        self._units = [np.empty(x.shape, dtype=np.float32) for _ in range(4)]  # of this step and of the next
        self._length = np.empty((2, n))
        self._slope = np.empty(len(self._blocks))
        self._begun: list[Future[None]] = []  # the threads' work of the steps begun last
        self.refresh()

    def refresh(self) -> None:
        """Take up parameters that were put in place from outside."""
        for which, rows in enumerate((self.x, self.y)):
            for block in self._blocks:
                self._settle(which, rows, block, self._units[which])
        self._plan()

    def advance(self, steps: int) -> None:
        """Go some steps, on all processors; they are done even where Ctrl-C comes between.

        Raises FloatingPointError in the step after which rows are not finite.
        """
        from threadpoolctl import threadpool_limits

        affinity = getattr(os, "sched_getaffinity", None)  # not on every system
        threads = min(len(self._blocks), len(affinity(0)) if affinity else os.cpu_count() or 1)
        # all threads wait there for the last one, which does what is to be done once
        meetings = [Barrier(threads, action) for action in (self._invert, None, self._turn)]
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
            blocks = [range(first, len(self._blocks), threads) for first in range(threads)]
            begun = self._begun = []
            try:
                for own in blocks:
                    begun.append(pool.submit(self._work, own, steps, meetings))
                for one in begun:
                    one.result()
            except BaseException:
                if len(begun) < threads or any(one.cancel() for one in begun):
                    _abort(meetings)  # who never begins would be waited for
                raise

    def settle(self) -> None:
        """Wait for the steps that were begun: Ctrl-C twice leaves `advance` before its threads are done."""
        wait(self._begun)

    @property
    def scale(self) -> float:
        """Reciprocal of the temperature of the coming step."""
        annealed = self.config.final_temperature is not None
        return float(np.exp(self.config.log_scale_at(self.step) if annealed else self.log_scale))

    def _work(self, blocks: Iterable[int], steps: int, meetings: list[Barrier]) -> None:
        """Do one thread's blocks of some steps."""
        phases = list(zip((self._exponentials, self._move_x, self._move_y), meetings, strict=True))
        try:
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # `_settle` tells
                for _ in range(steps):
                    for phase, meeting in phases:
                        for b in blocks:
                            phase(b)
                        meeting.wait()
        except BrokenBarrierError:
            return  # the thread that left tells why
        except BaseException:
            _abort(meetings)  # nobody waits for this thread any more
            raise

    def _invert(self) -> None:
        """Sums of the exponentials are all there."""
        if self._large:
            self._softmaxes()
        else:
            np.reciprocal(self._columns.sum(axis=0), out=self._columns[0])
            np.reciprocal(self._rows, out=self._rows)

    def _turn(self) -> None:
        """All rows have moved: on to the next step."""
        u, v, next_u, next_v = self._units
        self._units = [next_u, next_v, u, v]
        if self.config.learn_temperature:
            slope = float(self._slope.sum()) * self._scale / (2 * len(self.x))
            self.log_scale = min(self.log_scale - self.config.learning_rate * slope, float(np.log(100)))
            if not self.log_scale > _LOG_COLD:
                self._diverged("the temperature is")
        self.step += 1
        self._plan()

    def _plan(self) -> None:
        """What all blocks of the coming step share."""
        self._scale = self.scale
        self._factor = self.config.learning_rate * self._scale / (2 * len(self.x))
        longest = 1.0 if self.config.scaled else float(self._length.max()) ** 2
        self._large = self._scale * longest + np.log(len(self.x)) > _LOG_FLOAT32

    def _exponentials(self, b: int) -> None:
        """Logits of a block of rows, unless these are too large their exponentials, and their sums."""
        rows, (u, v) = self._blocks[b], self._units[:2]
        e = np.matmul(u[rows] * np.float32(self._scale), v.T, out=self._weights[rows])  # (rows, n)
        if not self._large:
            np.exp(e, out=e)
            np.sum(e, axis=1, out=self._rows[rows])
            np.sum(e, axis=0, out=self._columns[b])

    def _softmaxes(self) -> None:
        """Both softmaxes of logits too large for one exponential, each from its own maxima."""
        logits = self._weights
        total = np.zeros_like(logits)
        for axis in (0, 1):
            e = np.exp(logits - logits.max(axis=axis, keepdims=True))
            total += e / e.sum(axis=axis, keepdims=True)
        logits[:] = total

    def _move_x(self, b: int) -> None:
        rows, v = self._blocks[b], self._units[1]
        w = self._weights[rows]
        if not self._large:
            w *= np.add(self._rows[rows, None], self._columns[0], out=self._scratch[b])
        w[np.arange(len(w)), np.arange(rows.start, rows.stop)] -= 2
        self._slope[b] = self._move(0, self.x, rows, w @ v)

    def _move_y(self, b: int) -> None:
        rows, u = self._blocks[b], self._units[0]
        self._move(1, self.y, rows, self._weights[:, rows].T @ u)

    def _move(self, which: int, z: np.ndarray, rows: slice, gradient: np.ndarray) -> float:
        """Move parameters against the gradient, given by unit rows; return the gradient by the log scale."""
        unit = self._units[which][rows]
        along = np.einsum("nd,nd->n", gradient, unit)
        if self.config.scaled:
            gradient -= along[:, None] * unit  # what changes the length alone
            gradient *= (self._factor / self._length[which, rows, None]).astype(np.float32)
        else:
            gradient *= np.float32(self._factor)
        part = z[rows]
        part -= gradient
        if self.config.reading == "renormalized":
            part /= np.sqrt(np.einsum("nd,nd->n", part, part))[:, None]
        self._settle(which, z, rows, self._units[which + 2])
        return float(along.sum(dtype=np.float64))

    def _settle(self, which: int, z: np.ndarray, rows: slice, units: np.ndarray) -> None:
        """Lengths of parameters, and the rows that enter the loss."""
        part = z[rows]
        length = np.sqrt(np.einsum("nd,nd->n", part, part))
        if not np.isfinite(length).all():
            self._diverged("rows are")
        if self.config.reading == "renormalized":
            length[:] = 1  # brought to it after each step; once more would change the last bits
        self._length[which, rows] = length
        np.divide(
            part,
            1 if self.config.reading == "free" else length[:, None],
            out=units[rows],
            casting="same_kind",
        )

    def _diverged(self, what: str) -> None:
        config = self.config
        raise FloatingPointError(
            f"the learning rate {config.learning_rate:g} is too high for {config.reading} rows: {what} "
            f"beyond the range of float64 after step {self.step + 1} of {config.steps}"
        )


def _abort(meetings: list[Barrier]) -> None:
    for meeting in meetings:
        meeting.abort()
