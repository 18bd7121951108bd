"""`--engine wandb`: the sweep is created on Weights & Biases, which chooses the trials; an agent here trains them."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from typing import Any

from nnscratch.config.document import read_yaml
from nnscratch.config.node import Value
from nnscratch.errors import Interrupted, UsageError, UserError
from nnscratch.host.display import Display
from nnscratch.host.python_process import module_command, python_command
from nnscratch.sweeps.definition import SweepDefinition
from nnscratch.sweeps.distributions import Constant, Mixture

CREATE = """
import json, sys, wandb
given = json.load(sys.stdin)
if not (given["has_key"] or wandb.api.api_key):
    sys.exit("logged out")
sweep = wandb.sweep(given["sweep"], entity=given["entity"], project=given["project"])
print("\\nsweep id:", sweep)
"""
CREATE_SECONDS = 60.0


@dataclass(frozen=True)
class WandbSweep:
    """A sweep on W&B that an agent has worked on."""

    path: str
    failure = None  # W&B keeps the trials' outcome

    def to_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        return {"engine": "wandb", "sweep": self.path}

    def to_text(self) -> str:
        """Where it is."""
        return f"the sweep on W&B: {self.path}; another agent: wandb agent {self.path}"


def _with_overrides(definition: SweepDefinition) -> Value:
    """The file as it is, with the overrides given beside it before the parameters of a trial, which so win."""
    sweep = read_yaml(definition.path).value
    if definition.overrides and isinstance(sweep, dict) and isinstance(sweep["command"], list):
        words = sweep["command"]
        at = next((index for index, word in enumerate(words) if str(word).startswith("${args")), len(words))
        sweep["command"] = [*words[:at], *definition.overrides, *words[at:]]
    return sweep


def sweep_on_wandb(definition: SweepDefinition, count: int | None, display: Display) -> WandbSweep:
    """Creates the sweep and runs `wandb agent` to its end.

    Raises UserError when W&B does not answer, or would misunderstand the file.
    """
    for parameter in definition.parameters:
        mixture = parameter.distribution
        if isinstance(mixture, Mixture) and any(not isinstance(part, Constant) for part in mixture.parts):
            raise UsageError(
                f"{parameter.label}: W&B knows no distribution inside `values`", "leave out --engine wandb"
            )
    given = {
        "sweep": _with_overrides(definition),
        "entity": definition.entity,
        "project": definition.project or "nnscratch",
        "has_key": bool(os.environ.get("WANDB_API_KEY")),
    }
    try:
        created = subprocess.run(
            python_command(CREATE),
            input=json.dumps(given),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=CREATE_SECONDS,
            start_new_session=True,  # without a terminal, nothing can ask for a login
        )
    except subprocess.TimeoutExpired:
        raise UserError(
            f"W&B did not answer within {CREATE_SECONDS:.0f} s", "try again later, or leave out --engine wandb"
        ) from None
    identity = [line for line in created.stdout.splitlines() if line.startswith("sweep id: ")]
    if created.returncode != 0 or not identity:
        lines = [line.strip() for line in created.stderr.splitlines() if line.strip()]
        if lines[-1:] == ["logged out"]:
            raise UserError("not logged in to W&B", "run `wandb login`, or leave out --engine wandb")
        raise UserError(
            f"W&B did not create the sweep: {lines[-1] if lines else 'no reason given'}",
            "try again later, or leave out --engine wandb",
        )
    parts = [definition.entity, definition.project or "nnscratch", identity[-1].removeprefix("sweep id: ").strip()]
    path = "/".join(part for part in parts if part)
    display.say(f"created the sweep {path} on W&B; starting an agent")
    cap = count if count is not None else definition.run_cap
    limit = [] if cap is None else ["--count", str(cap)]
    try:
        agent = subprocess.run(module_command("wandb", "agent", *limit, path), check=False)
    except KeyboardInterrupt:
        raise Interrupted("the agent was stopped", f"go on with: wandb agent {path}") from None
    if agent.returncode != 0:
        raise UserError(f"the W&B agent failed with code {agent.returncode}", f"try: wandb agent {path}")
    return WandbSweep(path)
