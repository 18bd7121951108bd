"""Who works on a trial, and whether that process is still there."""

from __future__ import annotations

import os
import platform
import sys
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


class LeaseLostError(Exception):
    """The trial has been taken over by another worker: this one was silent for too long."""


@dataclass(frozen=True)
class Lease:
    """Who works on a trial; `beat` grows while they do."""

    worker: str
    host: str
    pid: int
    started: str
    beat: int = 0

    @classmethod
    def of_this_process(cls) -> Lease:
        return cls(uuid.uuid4().hex, _host(), os.getpid(), _process_start(os.getpid()))

    def process_is_gone(self) -> bool:
        """True when it ran on this machine and runs no more; of other machines nothing is known."""
        return self.host == _host() and _process_start(self.pid) != self.started


def _host() -> str:
    """This machine, since it was booted, and this container: where process numbers mean the same."""
    parts = [platform.node()]
    with suppress(OSError):
        parts += [Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip(), os.readlink("/proc/self/ns/pid")]
    return " ".join(parts)


def _process_start(pid: int) -> str:
    """When a process started, '' when there is none: numbers are used again."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        if Path("/proc/self/stat").exists():
            return ""
        if sys.platform == "win32":  # there it would end the process
            return "unknown"
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return ""
        except OSError:
            pass
        return "unknown"
    return "" if fields[0] in "ZX" else fields[19]
