"""Polars, with as many threads as this process may use; imported only where a table is read."""

from __future__ import annotations

import os

from nnscratch import cpu

# It asks the machine, not the container, unless it is told before it is imported.
os.environ.setdefault("POLARS_MAX_THREADS", str(cpu.usable_threads()))

import polars as pl

__all__ = ["pl"]
