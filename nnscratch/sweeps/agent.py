"""The forms in which a W&B agent passes a trial's values on, as the overrides `a.b=value` that `train` takes.

${args} and ${args_no_equals} are overrides already; so is ${args_no_hyphens}. The others, and Python's way of writing
values, are rewritten here: ${args_no_boolean_flags}, ${args_json}, ${args_json_file} and Hydra's + and ++.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from nnscratch.config.override import override
from nnscratch.errors import UsageError


def started_by_agent(environment: Mapping[str, str]) -> bool:
    """Whether a W&B agent runs this command, for one trial of a sweep."""
    return bool(environment.get("WANDB_SWEEP_ID"))


def as_overrides(arguments: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """The arguments, without the command's own options, with every agent's form replaced.

    Raises UsageError for JSON that holds no values by field.
    """
    by_agent = started_by_agent(environment)
    result: list[str] = []
    for index, argument in enumerate(arguments):
        following = arguments[index + 1] if index + 1 < len(arguments) else "--"
        values_before = result and result[-1].startswith("--") and "=" not in result[-1]
        if argument.startswith("{") and not values_before:
            result += _from_json(argument, "the JSON argument")
        elif index and argument.endswith(".json") and "=" not in argument and Path(argument).is_file():
            result += _from_json(Path(argument).read_bytes(), argument)
        elif by_agent and argument.startswith("+") and "=" in argument:
            result += _with_yaml_value(argument.lstrip("+"))
        elif by_agent and argument.startswith("--") and "=" not in argument:
            if following.startswith("--"):
                result.append(f"{argument}=true")  # a flag: it stands alone when it is true
            else:
                result.append(argument)
        elif by_agent and values_before:
            result += _with_yaml_value(f"{result.pop()}={argument}")
        elif by_agent and "=" in argument:
            result += _with_yaml_value(argument)
        else:
            result.append(argument)
    return result


def _from_json(text: str | bytes, where: str) -> list[str]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise UsageError(f"{where} holds no values by field", 'write {"optimizer.learning_rate": 0.001}')
    return [override(path, value) for path, value in _flat(values)]


def _with_yaml_value(argument: str) -> list[str]:
    """`a={'b': None}`, as Python writes it, as `a.b=null`."""
    path, _, text = argument.partition("=")
    if text == "None":
        return [f"{path}=null"]
    if not text.startswith(("{", "[", "(")):
        return [argument]
    try:
        value = ast.literal_eval(text)
        return [override(inner, item) for inner, item in _flat({path: value})]
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return [argument]  # YAML of somebody's own


def _flat(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Nested parameters by dotted paths; a mapping with a name is a component, which is one value."""
    for key, value in values.items():
        if isinstance(value, dict) and value and "name" not in value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
