"""What tests of groups and of replays share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

import pytest

from nnscratch.datasets.sources.array_inputs import Pixels
from nnscratch.datasets.sources.npz import NPZ


@pytest.fixture
def older_code(monkeypatch: pytest.MonkeyPatch) -> AbstractContextManager[None]:
    """Inside, arrays are read as before all splits of a file had one white."""
    load = NPZ.load

    @contextmanager
    def reading() -> Iterator[None]:
        with monkeypatch.context() as before:
            before.setattr(Pixels, "of", Pixels.of_before)
            before.setattr(NPZ, "load", lambda *given: replace(load(*given), one_white=False))
            yield

    return reading()
