"""The folder of one run: created under a name of its own, never overwritten, every file in it written whole."""

from __future__ import annotations

import csv
import errno
import io
import math
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, ClassVar

from nnscratch.errors import UsageError, UserError, cause
from nnscratch.files import open_own_to_append, open_to_append, open_without_following, replace_file, take_lock
from nnscratch.host.json_text import json_text
from nnscratch.runs import layout
from nnscratch.runs.meta import Meta
from nnscratch.runs.names import folder_of, has_been_trained, new_folder, no_run
from nnscratch.runs.reading import mapping_of, mappings_of, number

Row = Mapping[str, float]


class RunDirectory:
    """Where a run's config, metrics, checkpoints, plots and log are.

    Who writes a file of the run asks `place` for its path, or has it written by `write_bytes` and the like.
    """

    is_written: ClassVar[bool] = True
    """Not by a process that only takes part in the training."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: IO[bytes] | None = None
        """The lock's open file, while this process holds or follows the run."""

    @classmethod
    def create(cls, runs_dir: Path, name: str) -> RunDirectory:
        """A new folder <name>, <name>-2, ...: the first that did not exist, even when two runs start at once."""
        with new_folder(runs_dir, name, "a run") as path:
            for folder in (Path(layout.LOG).parent, layout.CHECKPOINTS, layout.PLOTS):
                (path / folder).mkdir()
        return cls(path)

    def discard(self) -> None:
        """Removes a run that was created but could not begin; not what stands in its place by now."""
        if self.is_in_place():
            shutil.rmtree(self.path, ignore_errors=True)

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """An existing run; UsageError when there is none, with the closest one beside it."""
        if not has_been_trained(path):
            raise no_run(path)
        if not (path / layout.CONFIG).is_file():
            if (path / layout.CHECKPOINTS).is_dir() and any((path / layout.CHECKPOINTS).glob("*.npz")):
                raise UserError(
                    f"{path} has lost its {layout.CONFIG}", "bring that back from a copy: its weights are still there"
                )
            raise UserError(
                f"{path} was stopped before its config was written: there is nothing to continue",
                "delete the folder, and start the training again",
            )
        return cls(path)

    @property
    def name(self) -> str:
        return self.path.resolve().name

    @property
    def config(self) -> Path:
        return self.path / layout.CONFIG

    @property
    def metrics(self) -> Path:
        return self.path / layout.METRICS

    @property
    def log(self) -> Path:
        return self.path / layout.LOG

    @property
    def checkpoints(self) -> Path:
        return self.path / layout.CHECKPOINTS

    @property
    def last(self) -> Path:
        return self.path / layout.LAST

    @property
    def best(self) -> Path:
        return self.path / layout.BEST

    @property
    def plots(self) -> Path:
        return self.path / layout.PLOTS

    @property
    def report(self) -> Path:
        return self.path / layout.REPORT

    def evaluation(self, split: str) -> Path:
        """The folder of what `nnscratch evaluate` writes of that split."""
        return self.path / layout.EVALUATION / split

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the run, until this process ends at the latest; UserError when another process holds it."""
        try:
            handle = open_to_append(self.path / layout.LOCK)
        except OSError as error:
            raise UserError(f"cannot write into {self.path}: {cause(error)}") from None
        with handle:
            for _ in range(20):  # somebody may just look whether it is held
                if take_lock(handle.fileno()) is not False:  # a file system without locks keeps nobody from training
                    break
                time.sleep(0.01)
            else:
                raise UserError(f"{self.path} is being trained by another process", "wait for it, or stop it")
            self._lock = handle
            try:
                yield
            finally:
                self._lock = None

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Knows which folder this is, without holding it: who writes beside the training writes into no other."""
        with open_without_following(self.path / layout.LOCK) as self._lock:
            yield

    def is_being_trained(self) -> bool:
        """Whether a process holds the run just now."""
        try:
            with open_without_following(self.path / layout.LOCK) as handle:
                return take_lock(handle.fileno(), shared=True) is False
        except OSError:
            return False

    def is_in_place(self) -> bool:
        """Whether the folder is the one that this process holds, when it holds one.

        A training's folder may be moved or deleted, and another training take its name. The lock's file tells them
        apart: while it is open, no other file has its number.
        """
        if self._lock is None:
            return True
        try:
            return os.path.samestat(os.fstat(self._lock.fileno()), os.lstat(self.path / layout.LOCK))
        except OSError:
            return False

    def place(self, name: str) -> Path:
        """Where that file of the run is to be written; the folders on the way are made, but never the run's own.

        Raises UserError when the run is no longer in its place, or when a link would lead out of it.
        """
        path = self.path / name
        if not self.is_in_place():
            raise UserError(
                f"{self.path} is no longer the folder of this training: it was moved or deleted",
                "nothing more is written; where it was moved to, `nnscratch train --resume` goes on with it",
            )
        folder = self.path
        for part in Path(name).parts[:-1]:
            folder = folder / part
            try:
                folder.mkdir()
            except FileExistsError:
                if folder.is_symlink():
                    raise UserError(
                        f"{folder} is a link: nothing is written through it", "put a folder in its place"
                    ) from None
            except OSError as error:
                raise UserError(f"cannot write {path}: {cause(error)}") from None
        return path

    def remove_leftovers(self) -> None:
        """Deletes the temporary files of a process that was killed while it wrote; only for who holds the lock."""
        for leftover in self.path.rglob(".*.tmp"):
            if leftover.is_symlink() or not leftover.is_dir():
                leftover.unlink(missing_ok=True)

    def write_bytes(self, name: str, contents: bytes) -> None:
        """Writes a file of the run; UserError when the disk refuses, or when the run is no longer in its place."""
        path = self.place(name)
        try:
            replace_file(path, contents)
        except OSError as error:
            raise UserError(f"cannot write {path}: {cause(error)}") from None

    def write_text(self, name: str, text: str) -> None:
        """The same for text."""
        self.write_bytes(name, text.encode("utf-8", "backslashreplace"))  # a path need not be UTF-8

    def write_meta(self, meta: Meta) -> None:
        self.write_text(layout.META, json_text(meta.to_dict(), indent=2) + "\n")

    def read_meta(self) -> Meta:
        """meta.json; what is missing in it, damaged or odd is not known. Raises UserError for a newer version's."""
        return Meta.read(mapping_of(self.path / layout.META), self.path / layout.META)

    def record(self, record: Mapping[str, Any]) -> None:
        """Appends one line to metrics.jsonl; when the disk refuses, no part of it and a UserError."""
        self.append(layout.METRICS, record)

    def append(self, name: str, record: Mapping[str, Any]) -> None:
        """Appends one line to that file of the run, likewise."""
        path = self.place(name)
        try:
            with open_own_to_append(path) as file:
                size = file.seek(0, os.SEEK_END)
                line = json_text(record).encode() + b"\n"
                try:
                    if file.write(line) != len(line):
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                except OSError:
                    file.truncate(size)
                    raise
        except OSError as error:
            raise UserError(f"cannot write {path}: {cause(error)}") from None

    def rewrite_metrics(self, history: Sequence[Row]) -> None:
        """metrics.jsonl with these epochs and nothing after them: what a resume goes on from."""
        lines = [json_text({"record": "epoch", **row}) for row in history]
        self.write_text(layout.METRICS, "".join(line + "\n" for line in lines))
        self.write_metrics_table(history)

    def write_metrics_table(self, history: Sequence[Row]) -> None:
        """metrics.csv: one row per epoch."""
        columns = list(dict.fromkeys(key for row in history for key in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
        self.write_text(layout.METRICS_TABLE, text.getvalue())

    def read_history(self) -> list[dict[str, float]]:
        """The epochs' rows of metrics.jsonl; NaN for what is no number. A last line cut off by a kill is left out.

        What one row says of training and validation every row does, and of train_loss in any case.
        """
        rows = [
            {key: number(value) for key, value in record.items() if key != "record"}
            for record in self.read_records()
            if record.get("record") == "epoch" and type(record.get("epoch")) is int
        ]
        expected = {"train_loss": math.nan}
        expected |= {key: math.nan for row in rows for key in row if key.startswith(("train_", "val_"))}
        return [expected | row for row in rows]

    def read_test(self) -> dict[str, float]:
        """The row of the latest look at the test split, likewise; empty before there was one."""
        tests = [record for record in self.read_records() if record.get("record") == "test"]
        known = {key: number(value) for key, value in tests[-1].items()} if tests else {}
        return {key: value for key, value in known.items() if not math.isnan(value)}

    def read_records(self) -> list[dict[str, Any]]:
        """Every whole line of metrics.jsonl."""
        return mappings_of(self.metrics)

    def keep_copy_of_last(self, updates: int, keep: int) -> None:
        """With keep > 1: last.npz also under its step number, and only the newest `keep` of those."""
        if keep < 2:
            return
        copy = self.place(f"{layout.CHECKPOINTS}/step-{updates:09d}{layout.CHECKPOINT_SUFFIX}")
        try:
            copy.unlink(missing_ok=True)
            try:
                os.link(self.last, copy)
            except OSError:  # a file system without links
                replace_file(copy, self.last.read_bytes())
            for old in sorted(self.checkpoints.glob(f"step-*{layout.CHECKPOINT_SUFFIX}"))[:-keep]:
                old.unlink()
        except OSError as error:
            raise UserError(f"cannot keep the checkpoint {copy}: {cause(error)}") from None


def find_checkpoint(path: Path) -> tuple[RunDirectory, Path]:
    """The run in a folder with its last checkpoint, or the run that a checkpoint file belongs to, with that file."""
    if not path.is_file():
        run = RunDirectory.open(path)
        return run, run.last
    folder = folder_of(path)
    if folder == path:
        raise UsageError(f"{path} is not a checkpoint: those are in a run's folder checkpoints, and end with .npz")
    return RunDirectory.open(folder), path
