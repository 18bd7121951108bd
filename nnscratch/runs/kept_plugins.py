"""The copies of its plugins that a run keeps."""

from __future__ import annotations

from pathlib import Path

from nnscratch.config.config import Config
from nnscratch.config.plugins import imported_plugin
from nnscratch.runs.directory import RunDirectory

FOLDER = "plugins"
"""Where in the run they are."""


def keep_plugins(run: RunDirectory, config: Config) -> tuple[Config, dict[str, str]]:
    """Copies the config's plugins into the run; the config that names the copies, and each copy's SHA-256."""
    digests = {}
    for entry in config.plugins:
        name = Path(entry).name
        contents, digests[name] = imported_plugin(name)
        run.write_text(f"{FOLDER}/{name}", contents)
    entries = tuple(f"{FOLDER}/{name}" for name in digests)
    return config.model_copy(update={"plugins": entries}), digests
