"""`model.start_from`: a training that starts from the weights of a run."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from nnscratch.config.assembly import Assembly, assemble, prepare
from nnscratch.config.beginning import (
    require_more_than_zero,
    require_read,
    tell_what_cannot_be,
)
from nnscratch.config.config import Config, Tell
from nnscratch.config.data import encode_dataset, load_dataset
from nnscratch.config.named_weights import StartingWeights, array_names
from nnscratch.config.sections import StartConfig
from nnscratch.datasets.dataset import Dataset
from nnscratch.datasets.sources.own_data import TrainedOn
from nnscratch.datasets.suspicions import seen_before
from nnscratch.errors import ConfigError, DataError, Problem, UsageError, UserError, did_you_mean, listed
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace, at_home
from nnscratch.nn.compute.buffers import Array, Shape
from nnscratch.nn.parameters import is_among
from nnscratch.runs.checkpoint import Checkpoint
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.header import Header, header_of
from nnscratch.runs.loaded import LoadedRun, load_run
from nnscratch.runs.meta import Origin
from nnscratch.runs.names import find_run
from nnscratch.runs.trained_examples import trained_examples
from nnscratch.runs.training_state import scaling_of, target_scaling_of
from nnscratch.runs.weights_file import load_weights
from nnscratch.training.scaling import UNCHANGED, Affine

FAR = 10.0
"""So many deviations from 0, or times as spread, no targets of the same kind are."""


def prepare_start(
    config: Config, workplace: Workplace, display: Display, trained_on: TrainedOn | None = None
) -> tuple[Assembly, Origin | None]:
    """As `prepare`, and where its weights are from: with weights, running statistics and scaling of `start_from`.

    A table's columns become features as in that run. The config then names the run by its whole path. What is done
    with its scaling and its classes is told. `trained_on` is how a run of the same group took the data. Raises
    ConfigError when there is no such run, or with every array that does not fit.
    """
    require_read(config)
    require_more_than_zero(config)
    config = with_whole_path(config, workplace.runs_dir)
    if config.model.start_from is None:
        assembly, origin = prepare(config, workplace, display, trained_on), None
    else:
        assembly, origin = _prepared_from(config.model.start_from, config, workplace, display, trained_on)
    tell_what_cannot_be(assembly, display.warn)
    return assembly, origin


def _prepared_from(
    start: StartConfig, config: Config, workplace: Workplace, display: Display, trained_on: TrainedOn | None
) -> tuple[Assembly, Origin]:
    path = at_home(start.run)
    try:
        file = path if path.is_file() else RunDirectory.open(path).best
        saved = load_weights(file)
        header = header_of(saved, file)
    except UserError as error:
        raise ConfigError([config.problem("model.start_from", error.message)], _instead_of(path)) from error
    # It is a training that begins: the data is read, and refused, as that of any other.
    dataset = load_dataset(config, workplace.data_dir, display.say, display.download, workplace.download, trained_on)
    assembly = _with_columns_of(header, start, config, dataset, display.say)
    started = _start_from(start, assembly, path, file, saved, header, display.say)
    with suppress(UserError):  # of a checkpoint alone, or a run that was changed since, nobody knows the examples
        _tell_what_was_seen(assembly, load_run(path), workplace, display.warn)
    return started


def _tell_what_was_seen(assembly: Assembly, run: LoadedRun, workplace: Workplace, tell: Tell) -> None:
    """Tells when the weights were trained on examples that are held out here."""
    train, splits = trained_examples(run, assembly.config.data.place, workplace), assembly.splits
    for name, held_out in (("validation", splits.validation), ("test", splits.test)):
        if train is None or held_out is None:
            continue
        number = seen_before((train.inputs, train.rows), (held_out.inputs, held_out.rows))
        if number:
            tell(
                f"{number:,} of {len(held_out):,} {name} inputs are among those that {run.run.path.name} trained on: "
                "the score there may look better than it is"
            )


def _instead_of(path: Path) -> str:
    """What to do when there are no weights that can be read."""
    last = RunDirectory(path).last
    if path.is_dir() and last.is_file():
        return f"of the same run, there is model.start_from={shlex.quote(str(last))}"
    return "it is a run, a checkpoint of one, or a .safetensors that `nnscratch export` wrote"


def _with_columns_of(header: Header, start: StartConfig, config: Config, dataset: Dataset, tell: Tell) -> Assembly:
    """The assembly with the columns of a table as in the run; as they are here when the first layer starts anew."""
    try:
        encode_dataset(config, dataset, header.table_encoding)
    except DataError as error:
        assembly = assemble(config, dataset, tell)
        first = next(iter(assembly.network.parameters.shapes))
        if is_among(first, start.fresh):
            tell("its table had other columns: they become features as they are here")
            return assembly
        name, layer = Path(start.run).name, first.rpartition(".")[0]
        raise ConfigError(
            [config.problem("model.start_from", f"{name} learned other columns: {error.message}")],
            f"of other columns the first layer starts anew: start_from: {{run: {name}, fresh: [{layer}]}}",
        ) from error
    return assemble(config, dataset, tell, header.table_encoding)


def _start_from(
    start: StartConfig, assembly: Assembly, path: Path, file: Path, saved: Checkpoint, header: Header, tell: Tell
) -> tuple[Assembly, Origin]:
    arrays, state = saved.section("parameters"), saved.section("state")
    shapes, state_shapes = assembly.network.parameters.shapes, assembly.network.parameters.state_shapes
    problems = list(_problems(assembly, {**arrays, **state}, {**shapes, **state_shapes}))
    if problems:
        unlike = [name for name, shape in shapes.items() if name not in arrays or arrays[name].shape != shape]
        layers = ", ".join(dict.fromkeys(name.rpartition(".")[0] for name in unlike)) or "..."
        said = f"layers that are to start anew are named: start_from: {{run: {path.name}, fresh: [{layers}]}}"
        raise ConfigError(problems, said)
    fresh = start.fresh
    starting = StartingWeights(_kept(arrays, shapes, fresh), _kept(state, state_shapes, fresh))
    origin = Origin(str(path), header.epoch, hashlib.sha256(file.read_bytes()).hexdigest())
    tell(_told(starting, {**shapes, **state_shapes}, path, header))
    for line in _about_classes(assembly, header, starting):
        tell(line)
    return _with_scaling(replace(assembly, starting=starting), starting, saved, file, header, tell), origin


def with_whole_path(config: Config, runs_dir: Path) -> Config:
    """The config that names the run it starts from by its whole path. Raises ConfigError when there is none."""
    start = config.model.start_from
    if start is None:
        return config
    try:
        run = find_run(at_home(start.run), runs_dir)
    except UsageError as error:
        raise ConfigError([config.problem("model.start_from", error.message)], error.hint) from error
    whole = start.model_copy(update={"run": str(run.absolute())})
    return config.model_copy(update={"model": config.model.model_copy(update={"start_from": whole})})


def _problems(assembly: Assembly, found: Mapping[str, Array], needed: Mapping[str, Shape]) -> Iterator[Problem]:
    config, start = assembly.config, assembly.config.model.start_from
    assert start is not None
    name_of_run = Path(start.run).name
    known = [*array_names(assembly.network), *found]
    for index, name in enumerate(start.fresh):
        where = f"model.start_from.fresh.{index}"
        if not any(is_among(each, [name]) for each in (*known, *needed)):
            yield config.problem(where, f"there is no layer or weight `{name}`{did_you_mean(name, known)}")
        elif is_among(name, config.model.freeze):
            yield config.problem(where, f"{name} starts anew and is frozen: it would never learn anything")
    for name, shape in needed.items():
        if is_among(name, start.fresh):
            continue
        if name not in found:
            close = did_you_mean(name, [each for each in found if each not in needed])
            yield config.problem("model.start_from", f"{name_of_run} has no {name}{close}")
        elif found[name].shape != shape:
            said = f"{name} has shape {found[name].shape} in {name_of_run}, here {shape}"
            yield config.problem("model.start_from", said)
    for name in found:
        if name not in needed and not is_among(name, start.fresh):
            yield config.problem("model.start_from", f"{name_of_run} has {name}, the network has not")


def _kept(arrays: Mapping[str, Array], shapes: Mapping[str, Shape], fresh: tuple[str, ...]) -> dict[str, Array]:
    return {name: array for name, array in arrays.items() if name in shapes and not is_among(name, fresh)}


def _told(starting: StartingWeights, shapes: Mapping[str, Shape], path: Path, header: Header) -> str:
    taken = {**starting.parameters, **starting.state}
    anew = [name for name in shapes if name not in taken]
    said = f"starts from {path}, epoch {header.epoch}: {len(taken)} of {len(shapes)} arrays"
    return said + (f"; anew: {', '.join(anew)}" if anew else "")


def _about_classes(assembly: Assembly, header: Header, starting: StartingWeights) -> Iterator[str]:
    """A line when the outputs meant something else, and the weights of the last layer are kept."""
    last = _kept_last_layer(assembly, starting)
    before, now = _outputs_of(assembly, header)
    if last and before != now:
        yield (
            f"its outputs were {_listed(before)}, here they are {_listed(now)}; "
            f"{last} keeps its weights: model.start_from.fresh would start it anew"
        )


def _kept_last_layer(assembly: Assembly, starting: StartingWeights) -> str:
    """The name of the layer that gives the outputs, when it has the run's weights; empty otherwise."""
    last = list(assembly.network.parameters.shapes)[-1]
    return last.rpartition(".")[0] if last in starting.parameters else ""


def _outputs_of(assembly: Assembly, header: Header) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the outputs are called in the run, and here: classes, or targets; nothing for numbers without names."""
    before = header.classes if header.classes is not None else header.target_names
    now = assembly.dataset.classes if assembly.dataset.classes is not None else assembly.dataset.target_names
    return tuple(before or ()), tuple(now or ())


def _listed(names: tuple[str, ...]) -> str:
    return listed(names, 4) or "numbers"


def _with_scaling(
    assembly: Assembly, starting: StartingWeights, saved: Checkpoint, file: Path, header: Header, tell: Tell
) -> Assembly:
    """With the run's scaling of inputs, when it fits, and of targets, when the last layer keeps its weights.

    Weights know numbers as they were scaled when they learned them. Targets of another name are scaled anew.
    """
    inputs, targets = assembly.affine, assembly.target_affine
    try:
        there = scaling_of(saved, file, assembly.dataset.input_shape)
    except UserError:
        tell("inputs have another shape than there: they are scaled as data.scaling says, not as its weights know them")
    else:
        if not _are_equal(inputs, there):
            tell("inputs are scaled as there, since its weights know them so: data.scaling does not count")
        inputs = there
    before, now = _outputs_of(assembly, header)
    last = _kept_last_layer(assembly, starting)
    if last and before == now and assembly.dataset.task == "regression":
        there = target_scaling_of(saved, file, assembly.dataset.outputs)
        if not _are_equal(targets, there):
            tell(f"targets are scaled as there, since {last} knows them so: data.target_scaling does not count")
            if _is_far(assembly, there):
                tell(
                    "there, targets of another size or spread were learned: are these in the same unit? "
                    f"model.start_from.fresh with {last} gives them a scaling of their own"
                )
            targets = there
    return assembly.with_scaling(inputs, targets)


def _is_far(assembly: Assembly, there: Affine) -> bool:
    """Whether targets that are standardized, as those there were, would be far from it as they are scaled there."""
    own = assembly.target_affine
    if assembly.config.data.target_scaling != "standardize" or _are_equal(there, UNCHANGED):
        return False
    deviation = there.multiplier / own.multiplier
    mean = there.offset - own.offset * deviation
    return bool(np.any(np.abs(mean) > FAR) or np.any(deviation > FAR) or np.any(deviation < 1 / FAR))


def _are_equal(one: Affine, other: Affine) -> bool:
    try:
        multiplied = np.allclose(one.multiplier, other.multiplier, rtol=1e-6, atol=0)
        return multiplied and np.allclose(one.offset, other.offset, rtol=1e-6, atol=1e-6)
    except ValueError:
        return False
