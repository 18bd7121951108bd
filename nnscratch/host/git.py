"""The commit that is checked out where a command is started, read from git's files.

git itself runs programs that the repository's config names (core.fsmonitor, hooks, filters): in a folder of somebody
else that would be their code. So whether files have changed since the commit is not known here.
"""

from __future__ import annotations

import re
from pathlib import Path

LONGEST = 4096
PACKED = 64 * 1024 * 1024


def checked_out_commit(folder: Path | None = None) -> str | None:
    """The commit's hexadecimal name; None outside a working tree, and before its first commit."""
    try:
        start = (folder or Path()).resolve()
        found = next((each for parent in (start, *start.parents) if (each := parent / ".git").exists()), None)
        return _commit(found) if found is not None else None
    except (OSError, ValueError):
        return None


def _commit(git: Path) -> str | None:
    if git.is_file():  # a worktree or a submodule, whose own files are elsewhere
        git = git.parent / _text(git).removeprefix("gitdir:").strip()
    head = _text(git / "HEAD").strip()
    if not head.startswith("ref:"):
        return _name(head)
    reference = head.removeprefix("ref:").strip()
    if not re.fullmatch(r"refs(/[^/\0]+)+", reference) or ".." in reference:
        return None
    common = git / (_text(git / "commondir").strip() or ".")
    for place in (git, common):
        found = _name(_text(place / reference).strip())
        if found is not None:
            return found
    for line in _text(common / "packed-refs", PACKED).splitlines():
        name, _, packed = line.partition(" ")
        if packed.strip() == reference:
            return _name(name)
    return None


def _text(path: Path, longest: int = LONGEST) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return file.read(longest).decode("utf-8", "replace")


def _name(text: str) -> str | None:
    return text if re.fullmatch(r"[0-9a-f]{40}([0-9a-f]{24})?", text) else None
