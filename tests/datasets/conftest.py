"""A list that collects what is reported."""

from __future__ import annotations

import pytest


@pytest.fixture
def said() -> list[str]:
    """What was reported: pass `said.append`."""
    return []
