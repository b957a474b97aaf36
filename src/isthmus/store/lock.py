"""A lock that one process holds at a time, and loses when it ends."""

import os
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_POLL_SECONDS = 0.02


@contextmanager
def locked(path: Path, *, timeout: float) -> Generator[None]:
    """Hold the lock file at `path`, which stays; the system frees it when its holder ends, even in a crash.

    Parameters
    ----------
    path : Path
        The lock file.
    timeout : float
        Seconds to wait for another holder.

    Raises
    ------
    TimeoutError
        Another process still holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        deadline = time.monotonic() + timeout
        while not _take(descriptor):
            if time.monotonic() >= deadline:
                raise TimeoutError(f"another process holds {path}, still after {timeout:g} seconds")
            time.sleep(_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)  # frees it


if sys.platform == "win32":
    import msvcrt

    def _take(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True
else:
    import fcntl

    def _take(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
