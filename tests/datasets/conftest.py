"""Where the real data may lie, and a list that collects what is reported."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def real_data() -> Path:
    """The folder with the real datasets; tests that need one of them skip when it is not there."""
    return Path(os.environ.get("NNSCRATCH_DATA_DIR", Path(__file__).parents[2] / "data"))


@pytest.fixture
def said() -> list[str]:
    """What was reported: pass `said.append`."""
    return []
