"""The other side of `wandb.WandbMirror`: reads what happens from standard input and tells wandb.

python -m nnscratch.experiment.mirrors.wandb_process
"""

from __future__ import annotations

import csv
import os
import sys
import threading
from pathlib import Path
from typing import Any

from nnscratch.experiment.mirrors.companion import Told, reason
from nnscratch.experiment.mirrors.wandb import LONGEST_UPLOAD
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.layout import EVALUATION
from nnscratch.training.metrics.known import goal_of


def main() -> int:
    """Mirrors one run, from its `start` line to its `finish` line or the end of input."""
    told = Told()
    messages = told.messages()
    start = next(messages, None)
    if start is None:
        return 0
    try:
        run = _begin(start, told.answer)
    except BaseException as error:
        # A broken or unreachable wandb raises anything, SystemExit included; the training wants one line.
        told.answer(kind="warning", text=reason(error))
        return 0
    if run is None:
        return 0
    status, has_files = "killed", True
    for message in messages:
        if message["kind"] == "log":
            run.log(message["values"], step=int(message["values"]["epoch"]))
        elif message["kind"] == "finish":
            status, has_files = message["status"], message["has_files"]
    _end_at_the_latest(LONGEST_UPLOAD)
    try:
        if has_files:  # else another run has taken the folder's place
            _add_files(run, RunDirectory(Path(start["folder"])), status)
        run.finish(exit_code=0 if status in ("completed", "pruned", "interrupted") else 1)
    except BaseException as error:
        told.answer(kind="warning", text=f"not everything was passed on: {reason(error)}")
    return 0


def _begin(start: dict[str, Any], reply: Any) -> Any:
    mode = start["mode"]
    if "WANDB_DIR" in os.environ:
        del os.environ["WANDB_DIR"]
    import wandb

    if mode == "online" and not _logged_in(wandb):
        reply(kind="warning", text="not logged in (`wandb login`), so it is kept offline; upload it by `wandb sync`")
        mode = "offline"
    group = {"group": start["group"]} if start["group"] else {}
    places = {key: start[key] for key in ("project", "entity") if start[key]}
    run = wandb.init(
        mode=mode,
        dir=start["folder"],
        id=start["id"],
        resume="allow",
        name=start["name"],
        tags=start["tags"] or None,
        config=start["config"],
        settings=wandb.Settings(
            init_timeout=max(start["timeout"] - 5.0, 5.0),
            login_timeout=1,
            console="off",
            silent=True,
            disable_git=True,
            disable_code=True,
        ),
        **places,
        **group,
    )
    monitored = (start["config"].get("training") or {}).get("monitor")
    for value in {"val_accuracy", "train_accuracy", "val_loss", "train_loss", monitored or "val_loss"}:
        best = "max" if goal_of(value) == "maximize" else "min"
        run.define_metric(value, summary=f"{best},last")
    where = run.url if mode == "online" else f"offline in {Path(run.dir).parent}"
    reply(kind="ready", where=where)
    return run


def _logged_in(wandb: Any) -> bool:
    """Whether there is a key, without ever asking for one."""
    return bool(os.environ.get("WANDB_API_KEY") or wandb.api.api_key)


def _add_files(run: Any, trained: RunDirectory, status: str) -> None:
    """What a finished run has: test figures, pictures, confusion matrix, report, checkpoint."""
    import wandb

    run.summary.update({key: value for key, value in trained.read_test().items() if key != "epoch"})
    run.summary["status"] = status
    media: dict[str, Any] = {}
    for picture in sorted(trained.plots.glob("*.png")):
        media[f"plots/{picture.stem}"] = wandb.Image(str(picture))
    for table in sorted(trained.path.glob(f"{EVALUATION}/*/confusion_matrix.csv")):
        with table.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        if len(rows) > 1:
            media[f"{table.parent.name}_confusion_matrix"] = wandb.Table(columns=[*rows[0]], data=rows[1:])
    if trained.report.is_file():
        media["report"] = wandb.Html(trained.report.read_text(encoding="utf-8"), inject=False)
    if media:
        run.log(media)
    if trained.best.is_file():
        artifact = wandb.Artifact(f"run-{run.id}-best", type="model", metadata={"status": status})
        for file_path in (trained.best, trained.config, trained.report):
            if file_path.is_file():
                artifact.add_file(str(file_path))
        run.log_artifact(artifact)


def _end_at_the_latest(seconds: float) -> None:
    """An upload that hangs must not leave a process behind for ever; what is not uploaded stays in the folder."""
    watchdog = threading.Timer(seconds, os._exit, args=(1,))
    watchdog.daemon = True
    watchdog.start()


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    # wandb's own exit hooks may wait for a server that does not answer.
    os._exit(status)
