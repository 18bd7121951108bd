"""What its config makes of a sweep's parameters: values it takes, fractions it takes, fields that a component lacks."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from nnscratch.config.config import Config, left_out, load_config
from nnscratch.config.node import Value
from nnscratch.config.override import override, parse_override, plain_path
from nnscratch.config.problems import in_order
from nnscratch.datasets.dataset import Dataset
from nnscratch.errors import ConfigError, Problem, UsageError
from nnscratch.sweeps.comparable import unlike_losses
from nnscratch.sweeps.definition import SweepDefinition, rated_by_another
from nnscratch.sweeps.distributions import Choice, Integers, Interval, Mixture, Quantiles
from nnscratch.sweeps.search_space import Parameter
from nnscratch.training.metrics.known import LOGGED, metric_of

MOST_COMBINATIONS = 64
"""With so many combinations of the other parameters' values a value is tried before it is refused."""


def with_overrides(definition: SweepDefinition, overrides: Sequence[str]) -> SweepDefinition:
    """The sweep with more overrides of its config. Raises ConfigError when they are wrong under every choice it makes.

    Raises UsageError for one that the sweep's own values would undo.
    """
    for text in overrides:
        for parameter in definition.parameters:
            if _is_undone(parameter.path, text):
                message = f"{text}: {parameter.path} is a parameter of {definition.path}"
                raise UsageError(message, "change it there")
    command = replace(definition.command, overrides=(*definition.command.overrides, *overrides))
    misplaced, chosen = set(overrides), list[str]()
    for context in _choices([each for each in definition.parameters if each.path.endswith(".name")]):
        chosen = [override(path, name) for path, name in context.items()]
        misplaced &= set(left_out(command.config, [*command.overrides, *chosen]))
    if misplaced:
        load_config(command.config, [*command.overrides, *chosen])
    command.load()
    return replace(definition, command=command, overrides=tuple(overrides))


def _is_undone(path: str, text: str) -> bool:
    """Whether a parameter sets what an override sets, or a part of it."""
    own, changed = plain_path(parse_override(f"{path}=").path, Config), plain_path(parse_override(text).path, Config)
    return own in (changed, (*changed, "name")) or changed[: len(own)] == own


def fit(definition: SweepDefinition) -> SweepDefinition:
    """The sweep with fractions where the config takes them, and with what there is to say about its parameters.

    Raises ConfigError with every value that the config refuses or takes for another, before anything is trained.
    """
    warnings = list(definition.warnings)
    problems = [*_overruled(definition), *_unlogged(definition), *_without_metric(definition)]
    parameters = []
    for parameter in definition.parameters:
        fit_to_method = _without_repeats if definition.method == "grid" else _with_fractions
        fitted = fit_to_method(definition, parameter, warnings)
        problems.extend(_refused(definition, fitted))
        parameters.append(fitted)
    if problems:
        raise ConfigError(in_order(problems))
    definition = replace(definition, parameters=tuple(parameters))
    overruled = [f"{each.path}: {each.message}" for each in overruled_by_the_command(definition)]
    definition = replace(
        definition, warnings=(*warnings, *overruled, *unlike_losses(definition), *_without_a_stop(definition))
    )
    return _with_monitor(replace(definition, notes=tuple(dict.fromkeys(_notes(definition)))))


def _overruled(definition: SweepDefinition) -> Iterator[Problem]:
    """Problems of parameters whose values would not be those of the trials."""
    for parameter in definition.parameters:
        if parameter.path == "name":
            yield parameter.place.problem(
                parameter.label, "every trial has a name of its own: trial-0000, trial-0001, ..."
            )


def overruled_by_the_command(definition: SweepDefinition) -> list[Problem]:
    """Problems of parameters whose values W&B's agents would give in vain, as the command has another behind them."""
    return [
        parameter.place.problem(
            parameter.label, f"{text} after ${{args...}} in `command` overrules it on W&B: write it before ${{args...}}"
        )
        for parameter in definition.parameters
        for text in definition.command.last
        if _is_undone(parameter.path, text)
    ]


def _without_a_stop(definition: SweepDefinition) -> Iterator[str]:
    """A warning when early termination comes too late for every trial."""
    band, setting = definition.early_terminate, ("training", "training.epochs", "training.minutes")
    tried = [definition.command.load()]
    for parameter in definition.parameters:
        if parameter.path in setting and isinstance(parameter.distribution, Quantiles | Mixture):
            return  # of which no number is the largest
        if parameter.path in setting:
            found = (_tried(definition, parameter, each, {}) for each in parameter.distribution.examples())
            tried += [each for each in found if isinstance(each, Config)]
    most = max(each.training.epochs for each in tried)
    if band is None or any(each.training.minutes is not None for each in tried) or band.bands(most)[0] < most:
        return
    first = band.bands(most)[0]
    yield f"early_terminate: stops no trial: it looks at epoch {first} first, and trials have {most} epochs at most"


def _unlogged(definition: SweepDefinition) -> Iterator[Problem]:
    """A problem when the metric is one that a trial, or one of the sweep's values for what it monitors, lacks."""
    metric = definition.metric
    if metric.name.partition("_")[2] in LOGGED:
        return
    setting = [each for each in definition.parameters if each.path in ("training", "training.monitor")]
    if not setting and definition.command.load().training.monitor != metric.name:
        monitor = f"write `training: {{monitor: {metric.name}}}` in {definition.command.config}"
        yield metric.problem(f"{metric.name} is computed where it is monitored: {monitor}")
    for parameter in setting:
        for at, value in enumerate(parameter.distribution.examples()):
            tried = _tried(definition, parameter, value, {})
            if isinstance(tried, Config) and tried.training.monitor != metric.name:
                place = parameter.places[at] if at < len(parameter.places) else parameter.place
                message = f"{override(parameter.path, value)}: such a trial has no {metric.name}, which it must monitor"
                yield place.problem(parameter.label, message)


def _with_monitor(definition: SweepDefinition) -> SweepDefinition:
    """The sweep whose trials keep the weights that they are rated by, where nobody says otherwise; a note if not."""
    metric, monitors = definition.metric, {definition.command.load().training.monitor}
    for parameter in definition.parameters:
        if parameter.path in ("training", "training.monitor"):
            tried = [_tried(definition, parameter, each, {}) for each in parameter.distribution.examples()]
            monitors = {each.training.monitor for each in tried if isinstance(each, Config)}
    own = metric.name if metric.name.startswith("val_") else None
    if own is None and definition.command.load().data.validation == 0:
        return definition
    if monitors <= {None, metric.name} and own is not None:
        return replace(definition, monitor=own)
    return replace(definition, monitor=own, notes=(*definition.notes, rated_by_another(metric.name)))


def _without_metric(definition: SweepDefinition) -> Iterator[Problem]:
    """A problem when the trials, or some of them, do not come to the metric: nothing held out, or no epoch."""
    if definition.metric.name.startswith("val_"):
        yield from _zero(definition, "data.validation", "0.1", "holds a tenth of the training data out")
    yield from _zero(definition, "training.epochs", "10", "trains for ten")


def _zero(definition: SweepDefinition, field: str, better: str, effect: str) -> Iterator[Problem]:
    """Problems where a field is 0 that must not be, in the config or among the sweep's values."""
    metric, (section, _, name) = definition.metric, field.partition(".")
    setting = [each for each in definition.parameters if each.path in (section, field)]
    base = definition.command.load()
    if section == "training" and (
        base.training.minutes is not None or any(each.path == "training.minutes" for each in definition.parameters)
    ):
        return  # which epochs there are, is then a matter of time
    if not setting and getattr(getattr(base, section), name) == 0:
        written = base.problem(field, "")
        where = f" in {written.source}:{written.line}" if written.line is not None else ""
        yield metric.problem(
            f"no trial has {metric.name}: {field} is 0{where}; {better} there, or {field}={better} after "
            f"{definition.path} on the command line, {effect}"
        )
    for parameter in setting:
        values = parameter.distribution.examples()
        tried = [_tried(definition, parameter, value, {}) for value in values]
        without = [
            at
            for at, each in enumerate(tried)
            if isinstance(each, Config) and getattr(getattr(each, section), name) == 0
        ]
        # An interval may begin at 0, which no trial draws.
        if isinstance(parameter.distribution, Choice | Integers) or len(without) == len(values):
            for at in without:
                place = parameter.places[at] if at < len(parameter.places) else parameter.place
                message = f"{override(parameter.path, values[at])}: such a trial has no {metric.name}; more than 0 has"
                yield place.problem(parameter.label, message)


def require_accuracy(definition: SweepDefinition, dataset: Dataset) -> None:
    """Raises ConfigError when the metric is one of classes and the data of all trials has none, or the reverse."""
    metric = definition.metric
    measured = metric_of(metric.name)
    if measured is not None and measured.task != dataset.task and not _varies_the_data(definition):
        message = f"no trial has {metric.name}: {dataset.name} is {dataset.task}; use val_loss"
        raise ConfigError([metric.problem(message)])


def data_digest(definition: SweepDefinition, dataset: Dataset) -> str | None:
    """The digest of what every trial learns from; None where trials differ in that, or the config alone decides it."""
    source = definition.command.load().data.dataset.component
    is_drawn = not source.reads_path and not source.downloads
    return None if is_drawn or _varies_the_data(definition) else dataset.digest()


def _varies_the_data(definition: SweepDefinition) -> bool:
    return any(
        each.path in ("data", "data.path") or f"{each.path}.".startswith("data.dataset.")
        for each in definition.parameters
    )


def _with_fractions(definition: SweepDefinition, parameter: Parameter, warnings: list[str]) -> Parameter:
    """The parameter, which is no integer when its field takes fractions and its bounds alone look whole."""
    whole = parameter.distribution
    if not parameter.is_implied or not isinstance(whole, Integers) or whole.low == whole.high:
        return parameter
    contexts = _contexts(definition, parameter)
    if not any(isinstance(_tried(definition, parameter, whole.low + 0.5, each), Config) for each in contexts):
        return parameter
    warnings.append(
        f"{parameter.label}: takes fractions, so numbers between {whole.low} and {whole.high} are tried; W&B would try "
        f"whole ones: min: {whole.low}.0 says the same to both, distribution: int_uniform means whole numbers"
    )
    return replace(parameter, distribution=Interval(float(whole.low), float(whole.high)))


def _without_repeats(definition: SweepDefinition, parameter: Parameter, warnings: list[str]) -> Parameter:
    """The parameter of a grid with every value once: 1 and 1e0 are one to the config."""
    choice = parameter.distribution
    if not isinstance(choice, Choice):
        return parameter
    contexts = _contexts(definition, parameter)
    kept: list[int] = []
    seen: list[tuple[int, Config, Value]] = []
    for index, value in enumerate(choice.values):
        tried = enumerate(_tried(definition, parameter, value, each) for each in contexts)
        taken = [(number, result, value) for number, result in tried if isinstance(result, Config)]
        same = [before for at, config, before in seen if any(at == now and config == new for now, new, _ in taken)]
        if same:
            label = f"{parameter.label}.values.{index}"
            warnings.append(f"{label}: is {override(parameter.path, same[0])} to the config, too: it is tried once")
        else:
            kept.append(index)
        seen += taken
    values = tuple(choice.values[index] for index in kept)
    places = tuple(parameter.places[index] for index in kept if index < len(parameter.places))
    return replace(parameter, distribution=replace(choice, values=values), places=places)


def _refused(definition: SweepDefinition, parameter: Parameter) -> Iterator[Problem]:
    """A problem for every value that the config takes under no choice of components, or takes for an earlier one.

    A field that only some component has (`optimizer.momentum`) is fine when the sweep also chooses that component.
    """
    contexts = _contexts(definition, parameter)
    hopeless: set[str] = set()
    seen: list[tuple[int, Config, Value]] = []
    for index, value in enumerate(parameter.distribution.examples()):
        is_listed = index < len(parameter.places)
        place = parameter.places[index] if is_listed else parameter.place
        label = f"{parameter.label}.values.{index}" if is_listed else parameter.label
        results = [(number, _tried(definition, parameter, value, each)) for number, each in enumerate(contexts)]
        accepted = [(number, result, value) for number, result in results if isinstance(result, Config)]
        errors = [result for _, result in results if isinstance(result, ConfigError)]
        message = errors[-1].problems[0].message if errors and errors[-1].problems else ""
        is_refused = bool(errors) and not accepted
        if is_refused and (message in hopeless or not _is_taken_beside_others(definition, parameter, value)):
            hopeless.add(message)
            whole = _whole(definition, parameter, value)
            yield place.problem(label, f"{override(parameter.path, value)}: {message}{whole}")
        same = [before for at, config, before in seen if any(config == new for here, new, _ in accepted if here == at)]
        if is_listed and same:
            yield place.problem(label, f"is listed twice: it is {override(parameter.path, same[0])} to the config")
        seen += accepted


def _is_taken_beside_others(definition: SweepDefinition, parameter: Parameter, value: Value) -> bool:
    """Whether the config takes the value with some of the values that other parameters have."""
    others = {each.path: each.distribution.examples() for each in definition.parameters if each is not parameter}
    if math.prod(map(len, others.values())) <= MOST_COMBINATIONS:
        combinations = [dict(zip(others, chosen, strict=True)) for chosen in itertools.product(*others.values())]
    else:
        draw = random.Random(0)
        combinations = [{path: draw.choice(of) for path, of in others.items()} for _ in range(MOST_COMBINATIONS)]
    return any(isinstance(_tried(definition, parameter, value, each), Config) for each in combinations)


def _whole(definition: SweepDefinition, parameter: Parameter, value: Value) -> str:
    """What to write instead of a distribution of fractions for a field of whole numbers; '' for any other."""
    made = parameter.distribution
    if not isinstance(made, Interval | Quantiles) or isinstance(made.q, int) or not isinstance(value, int | float):
        return ""
    tried = (_tried(definition, parameter, round(value), each) for each in _contexts(definition, parameter))
    if not any(isinstance(each, Config) for each in tried):
        return ""
    rounded = f"q_{made.kind}" if isinstance(made, Quantiles) else "q_log_uniform_values"
    is_even = isinstance(made, Interval) and not made.is_logarithmic
    return f"; for whole numbers write distribution: {'int_uniform' if is_even else rounded}"


def _contexts(definition: SweepDefinition, parameter: Parameter) -> list[dict[str, Value]]:
    """The choices of the components that hold the parameter's field, as far as the sweep makes them."""
    holders = [
        each
        for each in definition.parameters
        if each is not parameter
        and each.path.endswith(".name")
        and parameter.path.startswith(each.path.removesuffix("name"))
    ]
    return _choices(holders)


def _choices(parameters: Sequence[Parameter]) -> list[dict[str, Value]]:
    """Every combination of their values, by path."""
    combinations = itertools.product(*(each.distribution.examples() for each in parameters))
    return [dict(zip((each.path for each in parameters), chosen, strict=True)) for chosen in combinations]


def _tried(
    definition: SweepDefinition, parameter: Parameter, value: Value, context: Mapping[str, Value]
) -> Config | ConfigError | None:
    """The config with that value, or what is wrong with it; None when the component chosen has no such field."""
    change = override(parameter.path, value)
    changes = (*(override(path, name) for path, name in context.items()), change)
    try:
        return None if change in definition.command.left_out(changes) else definition.command.load(changes)
    except ConfigError as error:
        return error


def _notes(definition: SweepDefinition) -> Iterator[str]:
    """What overrides do, and each choice of a component, to the other values of a trial."""
    values = {parameter.path: parameter.distribution.examples()[0] for parameter in definition.parameters}
    trials = [values]
    for parameter in definition.parameters:
        if parameter.path.endswith(".name"):
            trials += [values | {parameter.path: name} for name in parameter.distribution.examples()]
    for trial in trials:
        notes: list[str] = []
        try:
            definition.command.load(tuple(override(path, value) for path, value in trial.items()), notes.append)
        except ConfigError:
            continue  # these do not go together: such a trial fails
        yield from notes
