"""Names that become folders: of runs and of sweeps."""

from __future__ import annotations

import re

LONGEST = 100
FOLDER_NAME = rf"^[A-Za-z0-9_]([A-Za-z0-9._-]{{0,{LONGEST - 2}}}[A-Za-z0-9_-])?$"
"""What every file system takes, as a pattern for JSON Schema too: Windows drops a `.` at the end."""

EXPECTED = (
    f"must be usable as a folder name: a to z, A to Z, 0 to 9, `.`, `_` and `-`, at most {LONGEST}, "
    "no `.` or `-` first, no `.` last"
)


def is_folder_name(name: str) -> bool:
    """Whether a run or a sweep may have that name."""
    return re.fullmatch(FOLDER_NAME, name) is not None


def folder_name(text: str, otherwise: str) -> str:
    """The name nearest to a text, such as a file's; `otherwise` when nothing of it can be kept."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-")[:LONGEST].rstrip(".") or otherwise
