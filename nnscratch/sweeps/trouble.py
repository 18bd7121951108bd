"""What no trial is to blame for: a storage that is away, which may come back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from nnscratch.config.config import Tell
from nnscratch.errors import UserError
from nnscratch.host.interruption import StopRequest
from nnscratch.host.trouble import reason

Result = TypeVar("Result")

RETRY_SECONDS = 600.0


@dataclass
class Patience:
    """Tries again while the sweep's storage is away, says so once, and gives up when it stays away."""

    stop: StopRequest
    """The sweep's own."""
    tell: Tell
    has_told: bool = field(default=False, init=False)

    def __call__(self, work: Callable[[], Result]) -> Result:
        """The result of `work`. Raises UserError when the storage stays away, or a stop is wanted meanwhile."""
        deadline = time.monotonic() + RETRY_SECONDS
        pause = 0.5
        while True:
            try:
                result = work()
            except Exception as error:
                if not is_storage_trouble(error):
                    raise
                said = f"the sweep's storage does not answer: {reason(error)}"
                if time.monotonic() > deadline or self.stop.wanted:
                    raise UserError(said, "start the sweep again when it does") from None
                if not self.has_told:
                    self.tell(f"{said}; trying again for {RETRY_SECONDS / 60:.0f} minutes")
                self.has_told = True
            else:
                self.has_told = False
                return result
            time.sleep(pause)
            pause = min(2 * pause, 15.0)


def is_storage_trouble(error: Exception) -> bool:
    """True for a database or a file system that does not answer: it may again."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    return isinstance(error, StorageInternalError | SQLAlchemyError | OSError)
