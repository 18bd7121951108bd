"""What follows a command: the config file, and the fields of it that are changed for this one time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nnscratch.config.config import Config
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
                raise UsageError(f"no such option: {argument.partition('=')[0]}{closest}", "`--help` lists the options")
            if not equals and not remaining:
                raise UsageError(f"--{path} needs a value", f"write --{path}=VALUE")
            changes.append(f"{path}={value if equals else remaining.pop(0)}")
        elif config is None and ("=" not in argument or Path(argument).exists()):
            config = Path(argument)
        elif "=" in argument:
            changes.append(argument)
        else:
            raise UsageError(f"`{argument}` is not an override", "write overrides as a.b=value, after one config")
    return config, changes
