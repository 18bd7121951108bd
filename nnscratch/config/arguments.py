"""What follows a command: the config file, and the fields of it that are changed for this one time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from nnscratch.config.config import Config
from nnscratch.config.problems import OTHER_NAMES, dots, field_paths
from nnscratch.errors import UsageError, did_you_mean


def config_and_overrides(arguments: Sequence[str], options: Sequence[str]) -> tuple[Path | None, list[str]]:
    """The config's path, and `a.b=v`, `--a.b=v` and `--a.b v` each as `a.b=v`; in any order.

    Only dotted paths and top-level fields of a config are overrides: anything else with a dash is a mistyped option of
    the command, whose own `options` are named. Raises UsageError.
    """
    config: Path | None = None
    changes: list[str] = []
    remaining = list(arguments)
    while remaining:
        argument = remaining.pop(0)
        if argument.startswith("-"):
            path, equals, value = argument.lstrip("-").partition("=")
            if "." not in path and path not in Config.model_fields:
                closest = did_you_mean(f"--{path}", [option for option in options if option.startswith("--")])
                field = _field_called(path.replace("-", "_"))
                if not closest and field is not None:
                    closest = f"; did you mean {field}={argument.partition('=')[2] or 'VALUE'}?"
                raise UsageError(f"no such option: {argument.partition('=')[0]}{closest}", "`--help` lists the options")
            if not equals and not remaining:
                raise UsageError(f"--{path} needs a value", f"write --{path}=VALUE")
            changes.append(f"{path}={value if equals else remaining.pop(0)}")
        elif config is None and ("=" not in argument or Path(argument).exists()):
            config = Path(argument)
        elif "=" in argument:
            changes.append(argument)
        else:
            value = remaining[1] if remaining[:1] == ["="] and remaining[1:] else (remaining or ["VALUE"])[0]
            written = f"{argument}={value}" if re.fullmatch(r"\w+(\.\w+)+", argument) else "a.b=value"
            raise UsageError(f"`{argument}` is not an override", f"write {written}, after one config")
    return config, changes


def _field_called(name: str) -> str | None:
    """The dotted path of the field that an option without dots is meant for: `lr` is optimizer.learning_rate."""
    wanted = OTHER_NAMES.get(name.lower(), name)
    paths = [path for path in field_paths(Config, None) if path.rpartition(".")[2] == wanted]
    return min(paths, key=dots) if paths else None
