"""How a run stands, by what it says and by whether a process holds it."""

from __future__ import annotations

from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.meta import Meta, Status


def status_of(run: RunDirectory, meta: Meta) -> Status:
    """What the run says; killed when it says running but no process holds it."""
    return "killed" if meta.status == "running" and not run.is_being_trained() else meta.status
