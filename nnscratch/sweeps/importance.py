"""Which parameters of a sweep mattered."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

from nnscratch.sweeps.sampling import as_the_sampler_sees_it, optuna_space
from nnscratch.sweeps.study import Study, Trial

FEWEST_TRIALS = 5
"""From fewer, the importance of a parameter is chance."""


def importances(study: Study, trials: Sequence[Trial]) -> dict[str, float]:
    """The share of each parameter in telling good trials from bad (PED-ANOVA, Watanabe 2023); {} when unknown."""
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    rows = rated(trials)
    space = optuna_space(study.definition)
    if len(rows) < FEWEST_TRIALS or not space or len({row.value for row in rows}) < 2:
        return {}
    kept = {frozen.number: frozen for frozen in study.frozen_trials()}
    known = optuna.create_study(direction=study.definition.metric.goal)
    known.add_trials([as_the_sampler_sees_it(study.definition, kept[row.number]) for row in rows])
    try:
        with warnings.catch_warnings():
            # Of few trials it says so, which the page's reader sees for himself.
            warnings.filterwarnings("ignore", "Some regimes for parameter", UserWarning)
            shares = get_param_importances(known, evaluator=PedAnovaImportanceEvaluator())
    except (RuntimeError, ValueError):
        return {}  # too few trials differ
    return {name: share for name, share in shares.items() if math.isfinite(share)}


def rated(trials: Sequence[Trial]) -> list[Trial]:
    """Those that are completed, with a value."""
    return [trial for trial in trials if trial.status == "completed" and trial.value is not None]
