"""How much memory is left for this process, by what the system, its limits and its container say."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

from nnscratch import cpu


def available_memory(root: Path = Path("/")) -> int:
    """Bytes that this process can still get: of the machine, of its limits (ulimit), of its container."""
    found = [_kilobytes(root / "proc" / "meminfo", "MemAvailable:")]
    if sys.platform != "win32":
        import resource

        for limit, used in ((resource.RLIMIT_AS, "VmSize:"), (resource.RLIMIT_DATA, "VmData:")):
            most = resource.getrlimit(limit)[0]
            if most != resource.RLIM_INFINITY:
                found.append(max(0, most - (_kilobytes(root / "proc" / "self" / "status", used) or 0)))
    found += [_left_in(group) for group in cpu.control_groups("memory", root)]
    known = [size for size in found if size is not None]
    return min(known) if known else 4 << 30


def _kilobytes(file: Path, field: str) -> int | None:
    with suppress(OSError, ValueError, StopIteration):
        line = next(line for line in file.read_text("utf-8").splitlines() if line.startswith(field))
        return int(line.split()[1]) * 1024
    return None


def _left_in(group: Path) -> int | None:
    """What a control group (v2, v1) has left, where it has a limit; what it only caches counts as left."""
    for limit, used in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
        with suppress(OSError, ValueError):
            most = int((group / limit).read_text("utf-8"))
            cached = [line.split() for line in (group / "memory.stat").read_text("utf-8").splitlines()]
            reclaimable = sum(int(size) for name, size in cached if name in ("inactive_file", "active_file"))
            return max(0, most - int((group / used).read_text("utf-8")) + reclaimable)
    return None
