"""Fixtures that several test folders share."""

from __future__ import annotations

import os

# On a busy machine two BLAS threads that wait for each other are slower than one; tests about threads set their own.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Where prepared datasets would be."""
    return Path(os.environ.get("NNSCRATCH_DATA_DIR", ROOT / "data"))
