"""The `command` of a sweep file: which config the trials start from, and what it already changes in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from nnscratch.config.config import Config, Tell, left_out, load_config
from nnscratch.config.document import folder_that_has
from nnscratch.config.node import Node
from nnscratch.config.override import override
from nnscratch.errors import ConfigError, Problem
from nnscratch.runs.kept_plugins import import_plugins

EXAMPLE = '["${env}", "nnscratch", "train", "configs/mine.yaml", "${args_no_hyphens}"]'
MACRO = re.compile(r"\$\{[^}]*\}")
AS_OVERRIDES = {"--name": "name", "--seed": "seed", "--epochs": "training.epochs", "--wandb": "wandb.mode"}
TEXTS = ("--name", "--wandb")
"""Those whose value is text, even when it looks like a number."""
OWN_OPTIONS = ("--runs-dir", "--data-dir", "--threads", "--resume")
FLAGS = ("--json", "--quiet", "-q", "--verbose", "-v", "--plots", "--no-plots", "--allow-plugins")
"""What a W&B agent passes on and a trial here has no use for: consent to plugins is given to `nnscratch sweep`."""


@dataclass(frozen=True)
class BaseCommand:
    """The config of every trial before its own values are set."""

    config: Path
    overrides: tuple[str, ...]
    last: tuple[str, ...] = ()
    """Those of the overrides that the command gives after a trial's own values."""

    def load(self, changes: tuple[str, ...] = (), tell: Tell | None = None) -> Config:
        """The config with the command's own overrides and then these, as far as they fit. Raises ConfigError."""
        return load_config(self.config, [*self.overrides, *changes], tell, leave_out=True)

    def left_out(self, changes: tuple[str, ...]) -> list[str]:
        """Those of the changes that do not fit: the component they change has no such field. Raises ConfigError."""
        return [each for each in left_out(self.config, [*self.overrides, *changes]) if each in changes]


def parse_command(root: Node, problems: list[Problem], allow_plugins: bool) -> BaseCommand | None:
    """The command, as `wandb agent` would run it from the present folder; None, and problems, when it is unusable."""
    node = root.child("command")
    if node is None:
        problems.append(root.place.problem("command", f"is required: it names the config, as in {EXAMPLE}"))
        return None
    words = node.plain()
    if not isinstance(words, list) or not all(isinstance(word, str | int | float) for word in words):
        problems.append(node.place.problem("command", f"expected a list of words, as in {EXAMPLE}"))
        return None
    tokens = [str(word) for word in words]
    program = root.child("program")
    if program is not None:
        tokens = [str(program.plain()) if token == "${program}" else token for token in tokens]
    if "train" not in tokens:
        problems.append(node.place.problem("command", f"does not run `nnscratch train CONFIG`; write {EXAMPLE}"))
        return None
    if not any(token.startswith("${args") for token in tokens):
        problems.append(node.place.problem("command", "passes no parameters on: add ${args_no_hyphens}"))
    tokens = tokens[tokens.index("train") + 1 :]
    config, overrides = _arguments(tokens, node, problems)
    if config is None:
        problems.append(node.place.problem("command", f"names no config after `train`; write {EXAMPLE}"))
        return None
    before = next((at for at, token in enumerate(tokens) if token.startswith("${args")), len(tokens))
    _, first = _arguments(tokens[:before], node, [])
    command = BaseCommand(config, tuple(overrides), tuple(overrides[len(first) :]))
    folder = None if config.exists() else folder_that_has(config, node.place.source)
    if folder is not None:
        there = f"{config} is not in {Path.cwd()}, but in {folder}: start the sweep there"
        problems.append(node.place.problem("command", there))
        return None
    try:
        if allow_plugins:
            import_plugins(config)
        load_config(command.config, command.overrides)
    except ConfigError as error:
        hint = f" ({error.hint})" if error.hint else ""
        problems.append(node.place.problem("command", f"{config} cannot be used{hint}:"))
        problems.extend(error.problems)
    return command


def _arguments(tokens: list[str], node: Node, problems: list[Problem]) -> tuple[Path | None, list[str]]:
    config: Path | None = None
    overrides: list[str] = []
    words = iter(tokens)
    for word in words:
        if MACRO.fullmatch(word) or word in FLAGS:
            continue
        option, equals, value = word.partition("=")
        if option in AS_OVERRIDES or option in OWN_OPTIONS:
            given = value if equals else next(words, "")
            if option in AS_OVERRIDES:
                path = AS_OVERRIDES[option]
                overrides.append(override(path, given) if option in TEXTS else f"{path}={given}")
            else:
                message = f"{option} belongs to the machine, not to the sweep: give it to `nnscratch sweep`"
                problems.append(node.place.problem("command", message))
        elif equals:
            overrides.append(word.lstrip("-"))
        elif word.startswith("-"):
            problems.append(node.place.problem("command", f"{word} is not an option of `nnscratch train`"))
        elif config is None:
            config = Path(word)
        else:
            problems.append(node.place.problem("command", f"does not understand `{word}`"))
    return config, overrides
