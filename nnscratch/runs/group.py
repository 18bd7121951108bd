"""Runs that repeat one config, with other seeds or with other folds of the data held out, in one folder.

    runs/<name>/group.json        which they are
                config.yaml       what they share
                seed-42/ ...      ordinary runs

A run is over when it says so itself: nothing is kept twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from nnscratch.config.config import Config, differences, load_config
from nnscratch.config.override import override
from nnscratch.config.plugins import imported_plugin, plugin_digests
from nnscratch.errors import UsageError, UserError
from nnscratch.files import open_to_append, take_lock, write_atomically
from nnscratch.host.json_text import json_text
from nnscratch.runs import layout
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.kept_plugins import keep_plugins
from nnscratch.runs.names import is_group, new_folder, number_of
from nnscratch.runs.reading import mapping_of
from nnscratch.runs.records import read_record

FORMAT = 1
"""Grows when a reader of the format before would misunderstand what is written."""


@dataclass(frozen=True)
class Repetitions:
    """All of group.json: the seeds, or the number of folds."""

    format: int = 0
    seeds: Sequence[int] = ()
    folds: int | None = None
    minutes: float | None = None
    """The time budget that the config's number of epochs was measured for."""

    @property
    def kind(self) -> Literal["seeds", "folds"]:
        return "seeds" if self.folds is None else "folds"


@dataclass(frozen=True)
class Member:
    """One run of a group: its folder, and the fields that make the shared config its own."""

    label: str
    run: RunDirectory
    overrides: tuple[str, ...]

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to train; a divergence is a result, too: it would come again."""
        return self.run.read_meta().status in ("completed", "diverged")


@dataclass(frozen=True)
class RunGroup:
    """The folder, and what group.json says."""

    path: Path
    repetitions: Repetitions

    @classmethod
    def open(cls, path: Path) -> RunGroup:
        """An existing group. Raises UsageError when the folder is none, UserError when it cannot be understood."""
        if not is_group(path):
            raise UsageError(f"{path} is not a group of runs: it has no {layout.GROUP}")
        file = path / layout.GROUP
        found = read_record(Repetitions, mapping_of(file))
        if found.format > FORMAT:
            raise UserError(f"{file} was written by a newer version of nnscratch", "use that version")
        if not found.seeds and not (found.folds or 0) > 1:
            raise UserError(f"{file} is damaged: it names no seeds and no folds", "bring it back from a copy")
        return cls(path, found)

    @classmethod
    def find(cls, runs_dir: Path, config: Config, wanted: Repetitions) -> RunGroup | None:
        """The group of that config there, with the wanted seeds, which are yet to be kept; None when there is none."""
        for path in _candidates(runs_dir, config.name):
            group = cls.open(path)
            if group._repeats(config, wanted):
                return group._with(wanted)
        return None

    @classmethod
    def create(cls, runs_dir: Path, config: Config, wanted: Repetitions) -> RunGroup:
        """A new one, `<name>`, `<name>-2`, ...; the plugins of the config are copied into it."""
        with new_folder(runs_dir, config.name, "a group of runs") as path:
            kept, _ = keep_plugins(RunDirectory(path), config)
            write_atomically(path / layout.CONFIG, kept.to_yaml())
            group = cls(path, replace(wanted, format=FORMAT))
            group._write()
        return group

    @property
    def name(self) -> str:
        return self.path.resolve().name

    @property
    def config(self) -> Config:
        """What the runs share. Raises ConfigError."""
        return load_config(self.path / layout.CONFIG)

    @property
    def is_untouched(self) -> bool:
        """Whether nothing that a training leaves is in the folder."""
        made = (layout.CONFIG, layout.GROUP, layout.PLUGINS)
        return all(each.name in made or each.name.startswith(".") for each in self.path.iterdir())

    @property
    def members(self) -> list[Member]:
        """The runs, those that have not begun included."""
        folds = self.repetitions.folds
        if folds is None:
            named = [(f"seed {seed}", f"seed-{seed}", (f"seed={seed}",)) for seed in self.repetitions.seeds]
        else:
            named = [
                (f"fold {number}", f"fold-{number}", (f"data.fold={{number: {number}, of: {folds}}}",))
                for number in range(1, folds + 1)
            ]
        return [
            Member(label, RunDirectory(self.path / folder), (*changes, f"name={folder}"))
            for label, folder, changes in named
        ]

    @property
    def begun(self) -> RunDirectory | None:
        """One of its runs that says what data it was trained on; None before there is one."""
        return next((each.run for each in self.members if each.run.read_meta().dataset.digest is not None), None)

    def member_config(self, member: Member) -> Config:
        """The config of one run; on W&B the runs of a group are one, too. Raises ConfigError."""
        config = load_config(self.path / layout.CONFIG, member.overrides)
        if config.wandb.group is None:
            config = load_config(self.path / layout.CONFIG, [*member.overrides, override("wandb.group", self.name)])
        return config

    @contextmanager
    def claimed(self, member: Member) -> Iterator[bool]:
        """Whether the run is this process's to train: no other has claimed it. The claim ends with the process."""
        with open_to_append(self.path / f".{member.run.name}.claim") as handle:
            yield take_lock(handle.fileno()) is not False

    def _repeats(self, config: Config, wanted: Repetitions) -> bool:
        """Whether it is of that config, apart from what a group sets itself and what no weight depends on."""
        known = self.repetitions
        if (known.folds, known.minutes) != (wanted.folds, wanted.minutes):
            return False
        try:
            kept = self.config
            same_plugins = plugin_digests(kept.plugins, self.path) == _imported_digests(config)
        except UserError:
            return False
        free = ["name", "wandb.", "plugins", *(["seed"] if known.folds is None else [])]
        free += ["training.epochs", "training.minutes"] if known.minutes is not None else []
        return same_plugins and all(path.startswith(tuple(free)) for path in differences(kept, config))

    def _with(self, wanted: Repetitions) -> RunGroup:
        seeds = list(dict.fromkeys([*self.repetitions.seeds, *wanted.seeds]))
        if seeds == list(self.repetitions.seeds):
            return self
        return replace(self, repetitions=replace(self.repetitions, seeds=seeds))

    def keep(self) -> None:
        """Writes down which runs it has, where that is new; for whoever holds the folder."""
        if RunGroup.open(self.path) != self:
            self._write()

    def _write(self) -> None:
        values = {name: value for name, value in asdict(self.repetitions).items() if value not in (None, ())}
        write_atomically(self.path / layout.GROUP, json_text(values, indent=2) + "\n")


def _imported_digests(config: Config) -> dict[str, str]:
    """The SHA-256 of every plugin of the config, as this process imported it, by its file's name."""
    return {Path(entry).name: imported_plugin(Path(entry).name)[1] for entry in config.plugins}


def _candidates(runs_dir: Path, name: str) -> list[Path]:
    """The groups there that were called so, in their order, also behind a folder that was deleted since."""
    found = [path for path in runs_dir.glob("*") if is_group(path)]
    return sorted((path for path in found if number_of(path.name, name)), key=lambda path: number_of(path.name, name))
