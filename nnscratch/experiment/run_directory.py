"""The folder of one run: created under a name of its own, never overwritten, every file in it written whole."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from nnscratch.errors import UserError, did_you_mean
from nnscratch.report.files import write_atomically

Row = Mapping[str, float]


class RunDirectory:
    """Where a run's config, metrics, checkpoints, plots and log are."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: IO[bytes] | None = None

    @classmethod
    def create(cls, runs_dir: Path, name: str) -> RunDirectory:
        """A new folder <name>, <name>-2, ...: the first that did not exist, even when two runs start at once."""
        number = 1
        try:
            runs_dir.mkdir(parents=True, exist_ok=True)
            while True:
                path = runs_dir / (name if number == 1 else f"{name}-{number}")
                try:
                    path.mkdir()
                    break
                except FileExistsError:
                    number += 1
            for folder in ("logs", "checkpoints", "plots"):
                (path / folder).mkdir()
        except OSError as error:
            raise UserError(
                f"cannot create a run in {runs_dir}: {error.strerror or error}", "choose another folder by --runs-dir"
            ) from None
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """An existing run; UserError when there is none, with the closest name beside it."""
        if not (path / "config.yaml").is_file():
            siblings = [each.parent.name for each in path.parent.glob("*/config.yaml")] if path.parent.is_dir() else []
            raise UserError(
                f"{path} is not a run: it has no config.yaml{did_you_mean(path.name, siblings)}",
                "`nnscratch runs list` shows the runs there are",
            )
        return cls(path)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def log(self) -> Path:
        return self.path / "logs" / "train.log"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def last(self) -> Path:
        return self.checkpoints / "last.npz"

    @property
    def best(self) -> Path:
        return self.checkpoints / "best.npz"

    @property
    def plots(self) -> Path:
        return self.path / "plots"

    def lock(self) -> None:
        """Holds the run until this process ends, however it ends; UserError when another process holds it."""
        try:
            import fcntl
        except ImportError:  # pragma: no cover  (not on Windows, where two processes are told apart by the user)
            return
        handle = (self.path / ".lock").open("wb")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.close()
            raise UserError(f"{self.path} is being trained by another process", "wait for it, or stop it") from None
        self._lock = handle

    def unlock(self) -> None:
        """Lets the run go."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def write_text(self, name: str, text: str) -> None:
        """Writes a file of the run; UserError when the disk refuses."""
        path = self.path / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, text.encode())
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror or error}") from None

    def write_meta(self, meta: Mapping[str, Any]) -> None:
        self.write_text("meta.json", json.dumps(meta, indent=2) + "\n")

    def read_meta(self) -> dict[str, Any]:
        """meta.json; empty when it is missing or damaged, since nothing in it is needed to use the run."""
        try:
            meta = json.loads((self.path / "meta.json").read_text())
        except (OSError, ValueError):
            return {}
        return meta if isinstance(meta, dict) else {}

    def record(self, record: Mapping[str, Any]) -> None:
        """Appends one line to metrics.jsonl."""
        try:
            with (self.path / "metrics.jsonl").open("a") as file:
                file.write(json.dumps(record) + "\n")
        except OSError as error:
            raise UserError(f"cannot write {self.path / 'metrics.jsonl'}: {error.strerror or error}") from None

    def rewrite_metrics(self, history: Sequence[Row]) -> None:
        """metrics.jsonl with these epochs and nothing after them: what a resume goes on from."""
        lines = [json.dumps({"record": "epoch", **row}) for row in history]
        self.write_text("metrics.jsonl", "".join(line + "\n" for line in lines))
        self.write_metrics_table(history)

    def write_metrics_table(self, history: Sequence[Row]) -> None:
        """metrics.csv: one row per epoch."""
        columns = list(dict.fromkeys(key for row in history for key in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
        self.write_text("metrics.csv", text.getvalue())

    def read_history(self) -> list[dict[str, float]]:
        """The epochs' rows, from metrics.jsonl; a last line cut off by a kill is left out."""
        return [
            {key: value for key, value in record.items() if key != "record"}
            for record in self.read_records()
            if record.get("record") == "epoch"
        ]

    def read_records(self) -> list[dict[str, Any]]:
        """Every whole line of metrics.jsonl."""
        try:
            lines = (self.path / "metrics.jsonl").read_text().splitlines()
        except OSError:
            return []
        records = []
        for line in lines:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict):
                records.append(record)
        return records

    def keep_copy_of_last(self, updates: int, keep: int) -> None:
        """With keep > 1: last.npz also under its step number, and only the newest `keep` of those."""
        if keep < 2:
            return
        copy = self.checkpoints / f"step-{updates:09d}.npz"
        copy.unlink(missing_ok=True)
        os.link(self.last, copy)
        for old in sorted(self.checkpoints.glob("step-*.npz"))[:-keep]:
            old.unlink()
