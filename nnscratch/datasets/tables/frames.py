"""Polars, with as many threads as this process may use; imported only where a table is read."""

from __future__ import annotations

import os

from nnscratch import cpu
from nnscratch.errors import UserError

# It asks the machine, not the container, unless it is told before it is imported.
os.environ.setdefault("POLARS_MAX_THREADS", str(cpu.usable_threads()))

# Counted with 1 to 16 threads; where it gets fewer, it ends the process by a panic, or fills standard error for ever.
THREADS = 3 * int(os.environ["POLARS_MAX_THREADS"]) + 9

if cpu.can_start_threads(THREADS):
    import polars as pl
else:
    raise UserError(
        "no table can be read: the system allows too few threads (`ulimit -u`, or a container's limit)",
        f"raise the limit: reading one takes up to {THREADS} more",
    ) from RuntimeError("can't start new thread")

__all__ = ["pl"]
