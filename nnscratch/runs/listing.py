"""`nnscratch runs list`: what the runs in a folder are."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from nnscratch.errors import UserError
from nnscratch.report.tables import plain_table, runs_table
from nnscratch.report.values import RunSummary
from nnscratch.runs import layout
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.group import RunGroup
from nnscratch.runs.group_summary import summarize_group
from nnscratch.runs.names import has_been_trained, is_group
from nnscratch.runs.summary import damaged_records, plain_summary, summarize


@dataclass(frozen=True)
class RunsList:
    """A line per run, the one that was started first at the top; above it what does not say when it was."""

    runs_dir: Path
    runs: tuple[tuple[Path, RunSummary], ...]
    failure = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        return {"runs_dir": str(self.runs_dir), "runs": [plain_summary(path, summary) for path, summary in self.runs]}

    def to_text(self) -> str:
        """The table, or what to do when there are none."""
        if not self.runs:
            return f"no runs in {self.runs_dir}; make one: nnscratch train configs/quickstart.yaml"
        return plain_table(runs_table([summary for _, summary in self.runs])).rstrip("\n")


def list_runs(runs_dir: Path, *, everything: bool = False) -> RunsList:
    """The runs directly in runs_dir; with `everything` also those in folders below, such as a sweep's trials."""
    found = []
    for path in run_folders(runs_dir, everything=everything):
        started, summary = summarized(path, str(path.relative_to(runs_dir)))
        found.append((started, path, summary))
    found.sort(key=lambda each: each[:2])
    return RunsList(runs_dir, tuple((path, summary) for _, path, summary in found))


def summarized(path: Path, name: str) -> tuple[float, RunSummary]:
    """The `moment` a run was started at, and its line under that name; of one that cannot be read, a line why."""
    run = RunDirectory(path)
    try:
        if is_group(path):
            group = RunGroup.open(path)
            started = [moment(member.run.read_meta().started) for member in group.members]
            return min(filter(None, started), default=0.0), summarize_group(group).as_row(name)
        summary, odd = summarize(run), "; ".join(damaged_records(run))
        status = f"{summary.status}, but {odd}" if odd else summary.status
        return moment(run.read_meta().started), replace(summary, name=name, status=status)
    except UserError as error:
        return 0.0, RunSummary(name, "-", f"unreadable: {error.message}")
    except Exception as error:
        return 0.0, RunSummary(name, "-", f"unreadable: {type(error).__name__}: {error}"[:200])


def moment(started: str | None) -> float:
    """When that was, in seconds since 1970, wherever its clock stood; 0 for what is no date."""
    try:
        return datetime.fromisoformat(started or "").timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0


def run_folders(runs_dir: Path, *, everything: bool) -> list[Path]:
    """Folders with checkpoints and a config, or with what a run without one says: below a run nothing is looked for.

    A link to a run is one, other links are not followed. A group of runs is one; with `everything` its runs are found,
    too. Raises UserError when there is no such folder.
    """
    if not runs_dir.is_dir():
        raise UserError(f"there is no folder {runs_dir}", "--runs-dir says where runs are")
    found: list[Path] = []
    links: list[Path] = []
    for parent, folders, names in os.walk(runs_dir):
        path = Path(parent)
        if path != runs_dir and layout.CHECKPOINTS in folders and {layout.CONFIG, layout.META} & set(names):
            found.append(path)
            folders.clear()
        elif path != runs_dir and not everything:
            found += [path] if layout.GROUP in names else []
            folders.clear()
        elif path != runs_dir and layout.GROUP in names:
            found.append(path)
        folders[:] = [name for name in folders if not name.startswith(".")]
        links += [path / name for name in folders if (path / name).is_symlink() and _is_run_or_group(path / name)]
    seen = {each.resolve() for each in found}
    return found + [each for each in links if each.resolve() not in seen]


def _is_run_or_group(path: Path) -> bool:
    said = any((path / name).is_file() for name in (layout.CONFIG, layout.META))
    return is_group(path) or (said and has_been_trained(path))
