"""The mirror on Weights & Biases, which works in a process of its own.

Nothing of wandb is imported here: `wandb_process` does that, a companion of the training. So wandb can be missing,
broken, slow or logged out, and the training neither stops nor waits: all of it together costs at most TIMEOUT seconds
at the end of a run.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shlex
import time
from collections.abc import Mapping
from pathlib import Path

from nnscratch.config.config import Config
from nnscratch.errors import ConfigError, UserError
from nnscratch.experiment.mirrors.companion import Companion
from nnscratch.experiment.observer import Observer, Training, TrainingSummary
from nnscratch.host.display import Display
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.meta import Status
from nnscratch.runs.reading import mapping_of
from nnscratch.training.progress import EpochResult

TIMEOUT = 30.0
LONGEST_UPLOAD = 900.0
"""After so many seconds the other process ends, whatever is left."""
IDENTITY = "wandb.json"
LOG = "logs/wandb.log"
NOT_IN_PROJECTS, LONGEST_PROJECT, LONGEST_TAG = "/\\#?%:", 128, 64


def mirror_problem(run: Path) -> str | None:
    """What kept a run from being on W&B whole; None when nothing did, or nothing was to be there."""
    with contextlib.suppress(UserError, KeyError):
        return str((mapping_of(run / IDENTITY) or {})["problem"])
    return None


def wandb_mode(configured: str, wanted: str | None, environment: Mapping[str, str] | None = None) -> str:
    """off, offline or online: what the command line says, else the config, else on when a W&B agent started us.

    A resume does not ask its run's config, which may be somebody else's: for it, `configured` is off.
    """
    environment = os.environ if environment is None else environment
    if wanted is not None:
        return wanted
    if configured != "off" or not environment.get("WANDB_SWEEP_ID"):
        return configured
    mode = environment.get("WANDB_MODE", "online")
    return "off" if mode == "disabled" else "offline" if mode == "offline" else "online"


def project_problem(project: str) -> str | None:
    """What is wrong with the name of a project; None when W&B takes it."""
    found = sorted(set(project) & set(NOT_IN_PROJECTS))
    if "/" in found:
        return f"a project's name has no /, got {project}; for ENTITY/PROJECT write entity and project"
    if found:
        return f"a project's name has none of {' '.join(NOT_IN_PROJECTS)} on W&B, got {project}"
    return None if len(project) <= LONGEST_PROJECT else f"a project's name has at most {LONGEST_PROJECT} characters"


def require_mirrorable(config: Config, mode: str) -> None:
    """Raises ConfigError for what W&B would refuse once the run begins, and every time it is passed on again."""
    settings, problems = config.wandb, []
    wrong = None if settings.project is None else project_problem(settings.project)
    if wrong is not None:
        problems.append(config.problem("wandb.project", wrong))
    for number, tag in enumerate(settings.tags):
        if len(tag) > LONGEST_TAG:
            message = f"a tag has at most {LONGEST_TAG} characters on W&B, and this one {len(tag)}"
            problems.append(config.problem(f"wandb.tags.{number}", message))
    if problems and mode != "off":
        raise ConfigError(problems)


class WandbMirror(Observer):
    """A run on Weights & Biases: config, metrics, pictures, report and the best checkpoint."""

    def __init__(self, mode: str, display: Display, patience: float | None = None) -> None:
        """`patience` is how many seconds to wait at the end for what is being uploaded."""
        self._mode, self._display = mode, display
        self._patience = TIMEOUT if patience is None else patience
        self.problem: str | None = None
        """What kept it from passing everything on; None as long as nothing did."""
        self._companion: Companion | None = None
        self._started = 0.0
        self._is_ready = False
        self._id = ""
        self._run: RunDirectory | None = None

    def begin(self, training: Training) -> None:
        self.start(training.run, training.config)

    def start(self, run: RunDirectory, config: Config) -> None:
        """Starts the other process and sends what the run has; whether wandb gets anywhere there is seen later."""
        self._run, self._started = run, time.monotonic()
        try:
            self._id = identity = self._identity(run)
            self._keep(run)
            self._companion = companion = Companion("nnscratch.experiment.mirrors.wandb_process", run, LOG)
        except OSError as error:
            self._warn(f"the process for it cannot be started: {error.strerror or error}")
            return
        settings = config.wandb
        companion.send(
            kind="start",
            folder=str(run.path.resolve()),
            mode=self._mode,
            id=identity,
            name=run.name,
            project=settings.project,
            entity=settings.entity,
            group=settings.group,
            tags=list(settings.tags),
            config=config.to_dict(),
            timeout=TIMEOUT,
        )
        for row in run.read_history():  # epochs that an interrupted mirror may not have got
            companion.send(kind="log", values=row)

    def epoch(self, result: EpochResult, is_best: bool) -> None:
        """Passes an epoch's values on."""
        if self._companion is None:
            return
        self._companion.send(kind="log", values=dict(result.values))
        self._hear(self._companion)
        if self._companion.has_ended:
            self._settle(self._companion)

    def end(self, status: Status, summary: TrainingSummary | None) -> None:
        """Passes on what is in the run's folder by now, and waits for the end, but not for long."""
        companion = self._companion
        if companion is None:
            return
        assert self._run is not None
        companion.finish(kind="finish", status=status, has_files=self._run.is_in_place())
        now = time.monotonic()

        def is_enough() -> bool:
            self._hear(companion)
            return time.monotonic() > (now + self._patience if self._is_ready else self._started + TIMEOUT)

        companion.wait(is_enough)
        self._settle(companion)

    def _settle(self, companion: Companion) -> None:
        """What became of the other process."""
        self._companion = None
        if not companion.has_ended and self._is_ready:
            # It is uploading: that may take longer than anyone should wait. It ends itself; see wandb_process.
            self._display.say("W&B: still uploading in the background")
            return
        if not companion.has_ended:
            self._warn(f"no answer within {TIMEOUT:.0f} s")
            companion.kill()
        self._hear(companion)
        if companion.has_failed:
            self._warn(f"the process for it failed; see {LOG} in the run's folder")
        companion.close()

    def _identity(self, run: RunDirectory) -> str:
        """The run's id on W&B: an agent's, else the one of before, so that a resume goes on in the same run."""
        given = os.environ.get("WANDB_RUN_ID") if os.environ.get("WANDB_SWEEP_ID") else None
        if given is None:
            given = (mapping_of(run.path / IDENTITY) or {}).get("id")
        return str(given or secrets.token_hex(4))

    def _keep(self, run: RunDirectory) -> None:
        """Writes the run's id on W&B, and what kept it from being there whole."""
        problem = {} if self.problem is None else {"problem": self.problem}
        run.write_text(IDENTITY, json.dumps({"id": self._id, "mode": self._mode, **problem}) + "\n")

    def _hear(self, companion: Companion) -> None:
        """Says what has come back."""
        for reply in companion.heard():
            if reply.get("kind") == "ready":
                self._is_ready = True
                self._display.say(f"W&B: {reply.get('where')}")
            elif reply.get("kind") == "warning":
                self._warn(str(reply.get("text")))

    def _warn(self, reason: str) -> None:
        if self.problem is None:
            self.problem = reason
            run = self._run.path if self._run is not None else "RUN"
            if self._run is not None and self._id and self._run.is_in_place():
                with contextlib.suppress(OSError, UserError):
                    self._keep(self._run)
            again = shlex.join(["nnscratch", "runs", "mirror", str(run), "--wandb", self._mode])
            self._display.warn(f"W&B mirror: {reason}. Everything is in {run}; `{again}` passes it on later")
