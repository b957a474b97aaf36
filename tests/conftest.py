"""Data that tests share: simulated pairs, and real embeddings where they are at hand."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side, one per processor

import signal
from pathlib import Path

import numpy as np
import pytest

signal.signal(signal.SIGINT, signal.default_int_handler)  # programs that tests start inherit it if ignored

_HERE = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests go first, so that no process is left with one of them in the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Folder of real embeddings; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("ISTHMUS_REALDATA", _HERE.parent / "shared" / "realdata"))
    if not folder.is_dir():
        pytest.skip(f"real embeddings are not at {folder}; set ISTHMUS_REALDATA to their folder")
    return folder


@pytest.fixture(scope="session")
def clip_pairs(realdata) -> np.ndarray:
    """500 COCO images and their captions by CLIP ViT-B/32, shape (2, 500, 512)."""
    return np.load(realdata / "liang2022" / "features_clip.npy")


@pytest.fixture
def pairs() -> tuple[np.ndarray, np.ndarray]:
    """120 pairs in 12 dimensions, with a gap and noise, rows of any length."""
    rng = np.random.default_rng(0)
    shared, noise = rng.normal(size=(2, 120, 12))
    return shared + 1.5, (shared + 0.4 * noise - 0.5) * rng.uniform(0.5, 2, size=(120, 1))
