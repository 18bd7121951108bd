"""The examples that a run trained on, read once more: a figure of others that are among them means less."""

from __future__ import annotations

from pathlib import Path

from nnscratch.config.data import load_dataset, split_dataset
from nnscratch.datasets.sources.own_data import LargeSource
from nnscratch.errors import UserError
from nnscratch.host.workplace import Workplace
from nnscratch.runs.loaded import LoadedRun
from nnscratch.training.examples import Examples


def trained_examples(loaded: LoadedRun, place: Path | None, workplace: Workplace) -> Examples | None:
    """What the run trained on, to be compared with other examples, which lie at `place`; None where it is not at hand.

    Of pictures and arrays, which may be many, only others in the run's own file or folder are to be compared.
    """
    try:
        source, own = loaded.config.data.dataset.build(), loaded.config.data.place
        if isinstance(source, LargeSource) and not _is_within(place, own):
            return None
        dataset = load_dataset(
            loaded.config, workplace.data_dir, lambda _: None, download=False, trained_on=loaded.trained_on
        )
        dataset = loaded.fitted(dataset)
    except UserError:
        return None
    if loaded.run.read_meta().dataset.digest not in (None, dataset.digest()):
        return None
    return split_dataset(loaded.config, dataset).train


def _is_within(place: Path | None, own: Path | None) -> bool:
    return place is not None and own is not None and place.resolve().is_relative_to(own.resolve())
