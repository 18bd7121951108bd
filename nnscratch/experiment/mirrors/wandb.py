"""The mirror on Weights & Biases, which works in a process of its own.

Nothing of wandb is imported here. What it needs goes to `wandb_process` as lines of JSON, through a thread that may
block instead of the training; what it says comes back the same way. So wandb can be missing, broken, slow or logged
out, and the training neither stops nor waits: all of it together costs at most TIMEOUT seconds at the end of a run.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import secrets
import shlex
import subprocess
import threading
import time
from collections.abc import Mapping
from typing import Any

from nnscratch.config.config import Config
from nnscratch.experiment.observer import Observer, Training, TrainingSummary
from nnscratch.host.appending import open_to_append
from nnscratch.host.display import Display
from nnscratch.host.python_process import module_command
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.meta import Status
from nnscratch.runs.reading import LONGEST_META, text_of
from nnscratch.training.progress import EpochResult

TIMEOUT = 30.0
LONGEST_UPLOAD = 900.0
"""After so many seconds the other process ends, whatever is left."""
IDENTITY = "wandb.json"
LOG = "logs/wandb.log"


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


class WandbMirror(Observer):
    """A run on Weights & Biases: config, metrics, pictures, report and the best checkpoint."""

    def __init__(self, mode: str, display: Display, patience: float | None = None) -> None:
        """`patience` is how many seconds to wait at the end for what is being uploaded."""
        self._mode, self._display, self._timeout = mode, display, TIMEOUT
        self._patience = TIMEOUT if patience is None else patience
        self.problem: str | None = None
        """What kept it from passing everything on; None as long as nothing did."""
        self._process: subprocess.Popen[str] | None = None
        self._outbox: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._replies: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._started = 0.0
        self._is_ready = False
        self._run: RunDirectory | None = None

    def begin(self, training: Training) -> None:
        self.start(training.run, training.config)

    def start(self, run: RunDirectory, config: Config) -> None:
        """Starts the other process and sends what the run has; whether wandb gets anywhere there is seen later."""
        self._run, self._started = run, time.monotonic()
        try:
            identity = self._identity(run)
            log = open_to_append(run.place(LOG))
            with log:
                self._process = subprocess.Popen(
                    module_command("nnscratch.experiment.mirrors.wandb_process"),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    encoding="utf-8",
                    start_new_session=True,  # Ctrl-C is for the training; and without a terminal nothing can ask
                )
        except OSError as error:
            self._warn(f"the process for it cannot be started: {error.strerror or error}")
            return
        settings = config.wandb
        self._send(
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
            timeout=self._timeout,
        )
        for row in run.read_history():  # epochs that an interrupted mirror may not have got
            self._send(kind="log", values=row)
        for work in (self._write, self._read):
            threading.Thread(target=work, daemon=True, name=f"wandb {work.__name__}").start()

    def epoch(self, result: EpochResult, is_best: bool) -> None:
        """Passes an epoch's values on."""
        if self._process is None:
            return
        self._send(kind="log", values=dict(result.values))
        self._hear()
        if self._process.poll() is not None:
            self._settle()

    def end(self, status: Status, summary: TrainingSummary | None) -> None:
        """Passes on what is in the run's folder by now, and waits for the end, but not for long."""
        if self._process is None:
            return
        assert self._run is not None
        self._send(kind="finish", status=status, has_files=self._run.is_in_place())
        self._outbox.put(None)
        now = time.monotonic()
        while self._process.poll() is None:
            self._hear()
            if time.monotonic() > (now + self._patience if self._is_ready else self._started + self._timeout):
                break
            time.sleep(0.05)
        self._settle()

    def _settle(self) -> None:
        """What became of the other process."""
        process, self._process = self._process, None
        assert process is not None
        if process.poll() is None and self._is_ready:
            # It is uploading: that may take longer than anyone should wait. It ends itself; see wandb_process.
            self._display.say("W&B: still uploading in the background")
            return
        if process.poll() is None:
            self._warn(f"no answer within {self._timeout:.0f} s")
            with contextlib.suppress(OSError):
                process.kill()
            process.wait()
        time.sleep(0.05)  # the reading thread's last lines
        self._hear()
        if process.returncode != 0:
            self._warn(f"the process for it failed; see {LOG} in the run's folder")
        for stream in (process.stdin, process.stdout):
            with contextlib.suppress(OSError, ValueError):
                if stream is not None:
                    stream.close()

    def _identity(self, run: RunDirectory) -> str:
        """The run's id on W&B: an agent's, else the one of before, so that a resume goes on in the same run."""
        given = os.environ.get("WANDB_RUN_ID") if os.environ.get("WANDB_SWEEP_ID") else None
        if given is None:
            with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
                return str(json.loads(text_of(run.path / IDENTITY, LONGEST_META))["id"])
        identity = given or secrets.token_hex(4)
        run.write_text(IDENTITY, json.dumps({"id": identity, "mode": self._mode}) + "\n")
        return identity

    def _send(self, **message: Any) -> None:
        self._outbox.put(json.dumps(message))

    def _write(self) -> None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        with contextlib.suppress(OSError, ValueError):  # the other process has ended
            while (line := self._outbox.get()) is not None:
                process.stdin.write(line + "\n")
                process.stdin.flush()
            process.stdin.close()

    def _read(self) -> None:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        with contextlib.suppress(OSError, ValueError):
            for line in process.stdout:
                with contextlib.suppress(ValueError):
                    reply = json.loads(line)
                    if isinstance(reply, dict):
                        self._replies.put(reply)

    def _hear(self) -> None:
        """Says what has come back."""
        while not self._replies.empty():
            reply = self._replies.get()
            if reply.get("kind") == "ready":
                self._is_ready = True
                self._display.say(f"W&B: {reply.get('where')}")
            elif reply.get("kind") == "warning":
                self._warn(str(reply.get("text")))

    def _warn(self, reason: str) -> None:
        if self.problem is None:
            self.problem = reason
            run = self._run.path if self._run is not None else "RUN"
            again = shlex.join(["nnscratch", "runs", "mirror", str(run), "--wandb", self._mode])
            self._display.warn(f"W&B mirror: {reason}. Everything is in {run}; `{again}` passes it on later")
