"""Where a command works on this computer, and with how many threads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DEFAULT_DATA = Path("data")
"""The one data folder that a download may create unasked."""
DEFAULT_RUNS = Path("runs")


def at_home(path: str) -> Path:
    """The path, with `~/` at its beginning led to the home folder unless it is a folder's own name."""
    place = Path(path)
    return Path.home() / path[2:] if path.startswith("~/") and not place.exists() else place


@dataclass(frozen=True)
class Workplace:
    """The folders and threads of a command, and whether it may draw and download."""

    data_dir: Path
    runs_dir: Path = DEFAULT_RUNS
    threads: int | None = None
    plots: bool = True
    download: bool = True

    def words_to_repeat(self) -> list[str]:
        """What of them a command line needs to find the same data again."""
        return [] if self.data_dir.absolute() == DEFAULT_DATA.absolute() else ["--data-dir", str(self.data_dir)]
