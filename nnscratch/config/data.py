"""The data of a config: loaded, cut into splits, a table encoded by what its training rows say."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nnscratch.config.config import Config, Tell
from nnscratch.config.document import folder_that_has
from nnscratch.datasets.dataset import Dataset
from nnscratch.datasets.download import Progress as DownloadProgress
from nnscratch.datasets.report import DataReport, data_report, examined
from nnscratch.datasets.sources.own_data import LargeSource, TrainedOn
from nnscratch.datasets.splits import fold_indices, hold_out, limit_indices
from nnscratch.datasets.tables.encoding import TableEncoding
from nnscratch.errors import ConfigError, DataError, Problem, cause, did_you_mean
from nnscratch.host.workplace import DEFAULT_DATA
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.contract import broken
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.training.examples import Examples

UPDATES_AN_EPOCH = 8
"""At least so many, where the config leaves the batch size to the data."""


OF_RUN = (
    "the run was trained with it: go where that was, bring the data back as it was, or write into the run's own "
    "config.yaml where it lies now (data.path)"
)
"""What to do about data that is not as it was."""


@dataclass(frozen=True)
class Splits:
    """The examples of each split; a split that does not exist is None."""

    train: Examples
    validation: Examples | None
    test: Examples | None

    def named(self, name: str) -> Examples | None:
        """The split called train, val or test."""
        return {"train": self.train, "val": self.validation, "test": self.test}[name]

    def report(self, dataset: Dataset) -> DataReport:
        """What there is to say of that dataset, whose splits these are."""
        named = {"training": self.train, "validation": self.validation, "test": self.test}
        parts = {name: (each.inputs, each.targets, each.rows) for name, each in named.items() if each is not None}
        return data_report(dataset, parts)


def encode_dataset(
    config: Config, dataset: Dataset, encoding: TableEncoding | None = None
) -> tuple[Dataset, TableEncoding | None]:
    """The dataset with its table's columns as features, and how they became these; other data as they are."""
    if dataset.schema is None:
        return dataset, None
    if encoding is None:
        rows = split_dataset(config, dataset).train.rows
        encoding = TableEncoding.fit(dataset.schema, dataset.train_inputs[rows])
    return dataset.encoded(encoding), encoding


def load_dataset(
    config: Config,
    data_dir: Path,
    tell: Tell,
    progress: DownloadProgress | None = None,
    download: bool = True,
    trained_on: TrainedOn | None = None,
) -> Dataset:
    """The dataset the config names, as a run has taken it. Raises DataError when it is missing or damaged.

    A data folder that somebody named and that is not there is an error before any download: it may be a slip.
    """
    path = config.data.place
    needs_folder = path is None and bool(config.data.dataset.component.downloads)
    if needs_folder and data_dir != DEFAULT_DATA and not data_dir.exists():
        raise _no_data_dir(data_dir, config.data.dataset.name)
    try:
        with _saying_where(config, is_of_run=trained_on is not None):
            if path is not None and not path.exists():
                _refuse_elsewhere(config, path)
            loaded = _loaded(config, data_dir, path, tell, download, progress, trained_on)
        if not isinstance(loaded, Dataset):  # of a source of one's own
            raise broken(config.data.dataset.component.load, loaded, "a Dataset")
        dataset = examined(loaded)
    except OSError as error:
        raise DataError(f"cannot read {error.filename or path or data_dir}: {cause(error)}") from error
    if not dataset.description.guesses:  # which the data report tells, and all of them
        for note in dataset.notes:
            tell(note)
    return dataset


def _loaded(
    config: Config,
    data_dir: Path,
    path: Path | None,
    tell: Tell,
    download: bool,
    progress: DownloadProgress | None,
    trained_on: TrainedOn | None,
) -> Dataset:
    source, in_memory = config.data.dataset.build(), config.data.in_memory
    if isinstance(source, LargeSource):
        return source.load(data_dir, path, tell, download, progress, in_memory, trained_on)
    if in_memory is False:
        raise ConfigError([config.problem("data.in_memory", f"{source.name} is always read into memory; leave it out")])
    return source.load(data_dir, path, tell, download, progress)


def _no_data_dir(data_dir: Path, name: str) -> DataError:
    missing = data_dir
    while not missing.parent.exists():
        missing = missing.parent
    beside = [each.name for each in missing.parent.iterdir() if each.is_dir()] if missing.parent.is_dir() else []
    where = "" if missing == data_dir else f": there is no {missing.name} in {missing.parent}"
    return DataError(
        f"the data folder {data_dir} does not exist{where}{did_you_mean(missing.name, beside)}",
        f"--data-dir or NNSCRATCH_DATA_DIR says where the data is; "
        f"`nnscratch data fetch {name} --data-dir {shlex.quote(str(data_dir))}` puts it there",
    )


@contextmanager
def _saying_where(config: Config, is_of_run: bool = False) -> Iterator[None]:
    """What names a field of the config without knowing it is raised again, with the place where that is written.

    What is done with a run takes no settings, and its data was as it says when it was trained.
    """
    try:
        yield
    except DataError as error:
        if error.field is None:
            raise
        if is_of_run:
            raise DataError(f"{error.field}: {error.reason}", OF_RUN) from error
        problem = config.problem(error.field, error.reason)
        is_written = config.has_written(error.field) and (problem.line or problem.excerpt) is not None
        raise DataError(str(problem if is_written else Problem(problem.path, problem.message)), error.hint) from error
    except ConfigError as error:
        placed = [each if each.source else config.problem(each.path, each.message) for each in error.problems]
        raise ConfigError(placed, error.hint) from error


def _refuse_elsewhere(config: Config, path: Path) -> None:
    """Raises DataError for data that lies beside the config, or above it, and not where the command is given."""
    source = config.problem("data.path", "").source
    folder = folder_that_has(path, source) if source is not None else None
    if source is not None and folder is not None:
        where = "it lies beside the config" if folder == Path(source).parent else f"it lies in {folder}"
        raise DataError(
            f"{path} does not exist in {Path.cwd()}, where a relative path begins; {where}",
            f"go there, or name it from here: data.path={shlex.quote(str(folder / path))}",
            "data.path",
        )


def split_dataset(config: Config, dataset: Dataset) -> Splits:
    """Training, validation (the data's own, or held out: stratified, from the config's seed) and test examples."""
    with _saying_where(config):
        return _split(config, dataset)


def _split(config: Config, dataset: Dataset) -> Splits:
    limit, fraction, names = config.data.limit, config.data.validation, dataset.example_names

    def limited(inputs: Array | None, targets: Array | None, split: str) -> Examples | None:
        if inputs is None or targets is None:
            return None
        rows = np.arange(len(targets)) if limit is None else limit_indices(targets, limit)
        return Examples(inputs, targets, rows, names.get(split), dataset.weights.get(split))

    pool = limited(dataset.train_inputs, dataset.train_targets, "train")
    assert pool is not None
    test = limited(dataset.test_inputs, dataset.test_targets, "test")
    is_labelled = dataset.task == "classification"
    groups, order = dataset.separation.groups.get("train"), dataset.separation.order
    if config.data.fold is not None:
        number, of = config.data.fold.number, config.data.fold.of
        rng = RandomStreams(config.seed).stream("folds")
        if order is not None:
            said = "has folds trained on what comes after them, which split: last rules out; leave one of them out"
            raise ConfigError([config.problem("data.fold", said)])
        of_rows = groups[pool.rows] if groups is not None else None
        rest, inside = fold_indices(pool.targets[pool.rows], number, of, rng, is_labelled, of_rows)
        pool, test = replace(pool, rows=pool.rows[rest]), replace(pool, rows=pool.rows[inside])
    if fraction > 0 and dataset.validation_inputs is not None:
        return Splits(pool, limited(dataset.validation_inputs, dataset.validation_targets, "val"), test)
    rng = RandomStreams(config.seed).stream("validation split")
    train, validation = hold_out(
        pool.targets[pool.rows], fraction, rng, is_labelled,
        groups=None if groups is None else groups[pool.rows], order=None if order is None else order[pool.rows],
    )  # fmt: skip
    held_out = replace(pool, rows=pool.rows[validation]) if len(validation) else None
    return Splits(replace(pool, rows=pool.rows[train]), held_out, test)


def fitted(config: Config, splits: Splits, tell: Tell | None = None) -> Config:
    """The config with what it leaves to the data: below 1,024 training examples a batch is an eighth of them.

    So an epoch makes eight updates or more. A batch size that is written stays as it is.
    """
    training, size = config.training, max(len(splits.train) // UPDATES_AN_EPOCH, 1)
    if "batch_size" in training.model_fields_set or size >= training.batch_size:
        return config
    if tell is not None:
        tell(
            f"batch_size {size} in place of {training.batch_size}, for {UPDATES_AN_EPOCH} updates an epoch of "
            f"{len(splits.train)} training examples (training.batch_size overrules)"
        )
    return config.model_copy(update={"training": training.model_copy(update={"batch_size": size})})
