"""The copies of its plugins that a run keeps, and the plugins of a config, which may be a run's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nnscratch.config import plugins
from nnscratch.config.config import Config
from nnscratch.config.document import read_yaml
from nnscratch.errors import UserError
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.layout import PLUGINS
from nnscratch.runs.names import folder_of


def import_plugins(path: Path) -> None:
    """Runs the plugins that a config, a run or the run of a checkpoint names; of a run, only as it was trained.

    Called only when the user has allowed it. Raises UserError as `nnscratch.config.plugins.import_plugins` does.
    """
    folder = folder_of(path)
    config = RunDirectory(folder).config if folder.is_dir() else path
    plugins.import_plugins(read_yaml(config).root, config.parent, RunDirectory(config.parent).read_meta().plugins or {})


def require_as_trained(run: Path, recorded: Mapping[str, str]) -> None:
    """Raises UserError where this process has imported another version of a run's plugin since: that would compute."""
    for name, digest in recorded.items():
        if plugins.imported_digest(name) not in (digest, None):  # what is not imported, as a loss, computes nothing
            raise UserError(
                f"{run} was trained with another {name} than the one that this process imported last",
                "load it with allow_plugins=True, which imports its own",
            )


def keep_plugins(run: RunDirectory, config: Config) -> tuple[Config, dict[str, str]]:
    """Copies the config's plugins into the run; the config that names the copies, and each copy's SHA-256."""
    digests = {}
    for entry in config.plugins:
        name = Path(entry).name
        contents, digests[name] = plugins.imported_plugin(name)
        run.write_text(f"{PLUGINS}/{name}", contents)
    entries = tuple(f"{PLUGINS}/{name}" for name in digests)
    return config.model_copy(update={"plugins": entries}), digests
