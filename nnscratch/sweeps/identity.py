"""Whether trials may stand in one table: what a sweep was started with, kept in its study and in its folder."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnscratch.config.config import flatten
from nnscratch.config.node import Value
from nnscratch.errors import UserError
from nnscratch.files import write_atomically
from nnscratch.report.formats import setting
from nnscratch.runs.reading import mapping_of
from nnscratch.sweeps.definition import SweepDefinition

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

ATTRIBUTE, NUMBER = "sweep", "id"
KEPT = "study.json"
"""In a sweep's folder: which study its results are of."""
NOT_COMPARED = ("name", "wandb.")
SINCE = ("data", "monitor")
"""Keys that sweeps of before have not: what they were started with is not known there, and so no difference."""
MOST_SHOWN = 5

Identity = dict[str, Value]


def identity(definition: SweepDefinition, seed: int, data: str | None) -> Identity:
    """What decides the trials of a sweep, by key: method, metric, seed, every parameter, every field of the config.

    `data` is the digest of what they learn from, where that is the same for all and no matter of the config alone.
    """
    config = flatten(definition.command.load())
    since = {"data": data, "monitor": definition.monitor}
    return {
        "method": definition.method,
        "metric": f"{definition.metric.goal} {definition.metric.name}",
        "seed": seed,
        **{f"parameters.{each.path}": str(each.distribution) for each in definition.parameters},
        **{f"config.{path}": value for path, value in config.items() if not path.startswith(NOT_COMPARED)},
        **{key: value for key, value in since.items() if value is not None},
    }


def recorded(storage: BaseStorage, study: int) -> Identity | None:
    """What a study was started with; None of a new one."""
    kept: Identity | None = storage.get_study_user_attrs(study).get(ATTRIBUTE)
    return kept


@dataclass(frozen=True)
class Identified:
    """A study of a storage, which is to be that of a sweep."""

    storage: BaseStorage
    study: int
    label: str
    """How the storage is called in messages."""

    def become(self, now: Identity, name: str, folder: Path | None, extend: bool) -> None:
        """Marks a new study as this sweep's, or an old one, with `extend`, where only the search itself has changed.

        Raises UserError, which says what differs, when the study's trials, or the folder's results, are of another.
        """
        before = recorded(self.storage, self.study)
        if before is None and self.storage.get_n_trials(self.study):
            raise UserError(
                f"{self.label}: {name} was started by an earlier version of nnscratch", "choose another --name"
            )
        if folder is not None:
            self._require_own(folder, before, now)
        if before is not None:
            _require_same(before, now, f"{self.label}: {name}", extend)
        if folder is not None:
            kept = {"id": self._number(), "storage": self.label, "sweep": now}
            write_atomically(folder / KEPT, json.dumps(kept, indent=2) + "\n")
        if before is None or before != {**before, **now} or before.keys() - now.keys() - {*SINCE}:
            self.storage.set_study_user_attr(self.study, ATTRIBUTE, now)

    def _require_own(self, folder: Path, before: Identity | None, now: Identity) -> None:
        """Raises UserError when the folder has the results of another sweep, which would be overwritten."""
        kept = _kept(folder)
        advice = "choose another --name, give the --storage that it was started with, or move the folder away"
        if kept is None and before is None and (folder / "sweep.json").exists():
            raise UserError(f"{folder} has the results of a sweep whose trials are not in {self.label}", advice)
        if kept is not None and kept["id"] != self._number() and (changed := _changed(kept["sweep"], now)):
            first = f"{folder} has the results of another sweep, whose trials are in {kept['storage']}:"
            raise UserError("\n".join([first, *_lines(kept["sweep"], now, changed)]), advice)

    def _number(self) -> str:
        """What tells this study from every other."""
        known = self.storage.get_study_user_attrs(self.study).get(NUMBER)
        if known is None:
            known = uuid.uuid4().hex
            self.storage.set_study_user_attr(self.study, NUMBER, known)
        return str(known)


def _kept(folder: Path) -> dict[str, Any] | None:
    """What the folder says of its study; None when it says nothing that can be understood."""
    kept = mapping_of(folder / KEPT) or {}
    return kept if isinstance(kept.get("sweep"), dict) and {"id", "storage"} <= kept.keys() else None


def _changed(before: Identity, now: Identity) -> list[str]:
    """The keys that differ."""
    keys = [key for key in {**before, **now} if key not in SINCE or (key in before and key in now)]
    return [key for key in keys if before.get(key) != now.get(key) or (key in before) != (key in now)]


def _require_same(before: Identity, now: Identity, title: str, extend: bool) -> None:
    changed = _changed(before, now)
    firm = [key for key in changed if not _may_change(key, now)]
    if not changed or (extend and not firm):
        return
    more = ", or go on with the old trials by --extend" if not firm else ""
    raise UserError(
        "\n".join([f"{title} is another sweep:", *_lines(before, now, firm if extend else changed)]),
        f"choose another --name, or give it what it was started with{more}; run_cap and early_terminate may change",
    )


def _may_change(key: str, now: Identity) -> bool:
    """The search may go on elsewhere; a parameter that is gone would leave the old trials with a value of nothing."""
    return key == "method" or (key.startswith("parameters.") and key in now)


def _lines(before: Identity, now: Identity, changed: list[str]) -> list[str]:
    lines = [f"  {key}: {_change(before, now, key)}" for key in changed[:MOST_SHOWN]]
    return lines + ([f"  and {len(changed) - MOST_SHOWN} more"] if len(changed) > MOST_SHOWN else [])


def _change(before: Identity, now: Identity, key: str) -> str:
    if key == "data":
        digests = f"SHA-256 {str(before[key])[:8]}, now {str(now[key])[:8]}"
        return f"is not what it was ({digests}), or this version of nnscratch reads it otherwise"
    if key not in now:
        stay = "; --extend wants it to stay, if only as one `value`" if key.startswith("parameters.") else ""
        return f"was {setting(before[key])}, is gone{stay}"
    return f"{f'was {setting(before[key])}' if key in before else 'was not there'}, is now {setting(now[key])}"
