"""Whether trials may stand in one table: what a sweep was started with, kept in its study, against what is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nnscratch.config.config import flatten
from nnscratch.config.node import Value
from nnscratch.errors import UserError
from nnscratch.report.formats import setting
from nnscratch.sweeps.definition import SweepDefinition

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

ATTRIBUTE = "sweep"
NOT_COMPARED = ("name", "wandb.")
MOST_SHOWN = 5

Identity = dict[str, Value]


def identity(definition: SweepDefinition, seed: int) -> Identity:
    """What decides the trials of a sweep, by key: method, metric, seed, every parameter, every field of the config."""
    config = flatten(definition.command.load())
    return {
        "method": definition.method,
        "metric": f"{definition.metric.goal} {definition.metric.name}",
        "seed": seed,
        **{f"parameters.{each.path}": str(each.distribution) for each in definition.parameters},
        **{f"config.{path}": value for path, value in config.items() if not path.startswith(NOT_COMPARED)},
    }


def identify(storage: BaseStorage, study: int, now: Identity, title: str, extend: bool) -> None:
    """Marks a new study as this sweep's, or an old one, with `extend`, where only the search itself has changed.

    Raises UserError, which says what differs, when the study's trials were made for another sweep.
    """
    before = storage.get_study_user_attrs(study).get(ATTRIBUTE)
    if before is None and storage.get_n_trials(study):
        raise UserError(f"{title} was started by an earlier version of nnscratch", "choose another --name")
    if before is None:
        storage.set_study_user_attr(study, ATTRIBUTE, now)
        return
    changed = [key for key in {**before, **now} if before.get(key) != now.get(key) or (key in before) != (key in now)]
    if not changed:
        return
    firm = [key for key in changed if not _may_change(key, now)]
    if extend and not firm:
        storage.set_study_user_attr(study, ATTRIBUTE, now)
        return
    shown = firm if extend else changed
    lines = [f"  {key}: {_change(before, now, key)}" for key in shown[:MOST_SHOWN]]
    lines += [f"  and {len(shown) - MOST_SHOWN} more"] if len(shown) > MOST_SHOWN else []
    more = ", or go on with the old trials by --extend" if not firm else ""
    raise UserError(
        "\n".join([f"{title} is another sweep:", *lines]),
        f"choose another --name, or give it what it was started with{more}; run_cap and early_terminate may change",
    )


def _may_change(key: str, now: Identity) -> bool:
    """The search may go on elsewhere; a parameter that is gone would leave the old trials with a value of nothing."""
    return key == "method" or (key.startswith("parameters.") and key in now)


def _change(before: Identity, now: Identity, key: str) -> str:
    if key not in now:
        stay = "; --extend wants it to stay, if only as one `value`" if key.startswith("parameters.") else ""
        return f"was {setting(before[key])}, is gone{stay}"
    return f"{f'was {setting(before[key])}' if key in before else 'was not there'}, is now {setting(now[key])}"
