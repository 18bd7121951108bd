"""`--engine wandb`: the sweep is created on Weights & Biases, which chooses the trials; an agent here trains them."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from typing import Any

from nnscratch.errors import Interrupted, UsageError, UserError
from nnscratch.host.display import Display
from nnscratch.host.python_process import module_command, python_command
from nnscratch.host.workplace import DEFAULT_RUNS, Workplace
from nnscratch.sweeps.definition import SweepDefinition
from nnscratch.sweeps.distributions import Constant, Mixture
from nnscratch.sweeps.sweep_file import written_out

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


def _places(workplace: Workplace) -> list[str]:
    words = [] if workplace.threads is None else ["--threads", str(workplace.threads)]
    words += [] if workplace.runs_dir == DEFAULT_RUNS else ["--runs-dir", str(workplace.runs_dir)]
    return words + ([] if workplace.plots else ["--no-plots"])


def sweep_on_wandb(
    definition: SweepDefinition, name: str | None, count: int | None, workplace: Workplace, display: Display
) -> WandbSweep:
    """Creates the sweep, with a name if one is given, and runs `wandb agent` to its end.

    The trials' command says how many threads they have, where their runs are and whether they draw. Raises UserError
    when W&B does not answer, or would misunderstand the file.
    """
    for parameter in definition.parameters:
        mixture = parameter.distribution
        if isinstance(mixture, Mixture) and any(not isinstance(part, Constant) for part in mixture.parts):
            raise UsageError(
                f"{parameter.label}: W&B knows no distribution inside `values`", "leave out --engine wandb"
            )
    given = {
        "sweep": written_out(definition, [*_places(workplace), *definition.overrides], name),
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
        data = {"NNSCRATCH_DATA_DIR": str(workplace.data_dir)} if workplace.words_to_repeat() else {}
        agent = subprocess.run(module_command("wandb", "agent", *limit, path), check=False, env=os.environ | data)
    except KeyboardInterrupt:
        raise Interrupted("the agent was stopped", f"go on with: wandb agent {path}") from None
    if agent.returncode != 0:
        raise UserError(f"the W&B agent failed with code {agent.returncode}", f"try: wandb agent {path}")
    return WandbSweep(path)
