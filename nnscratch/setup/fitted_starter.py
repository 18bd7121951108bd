"""The config that `nnscratch init --data` writes: for the data that it read, with the reason for every value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from nnscratch.config.config import parse_config
from nnscratch.config.yaml_core import dump_yaml
from nnscratch.host.display import Display
from nnscratch.report.formats import count, printable, shorten
from nnscratch.setup.own_data import OwnData, read_own_data
from nnscratch.setup.recipe import FEWEST_FOR_VALIDATION, Recipe, recipe_for
from nnscratch.setup.starter import Starter, require_new, write_config

REASONS_AT, WIDTH = 34, 118
MOST_KINDS = 40


def write_fitted(
    path: Path, data: Path, target: Sequence[str], data_dir: Path, display: Display, changes: Sequence[str] = ()
) -> Starter:
    """Writes a config for the data at a path, read with these changes. Raises UsageError rather than touch a file."""
    require_new(path)
    own = read_own_data(data, target, data_dir, display, changes)
    text = fitted_config(own)
    parse_config(text, str(path))  # what is written here is never refused there
    write_config(path, text)
    return Starter(path, own.report)


def fitted_config(own: OwnData) -> str:
    """The text of the config."""
    recipe, dataset = recipe_for(own.dataset), own.dataset
    examples = count(len(dataset.train_targets))
    kind = f"{len(dataset.classes)} classes" if dataset.classes is not None else "regression"
    lines = [
        f"# For {printable(str(own.path))}: {kind}, {examples} examples to learn from.",
        "# Train it:                      nnscratch train FILE",
        "# What was found in the data:    nnscratch train FILE --dry-run",
        "# Change one value for one run:  nnscratch train FILE optimizer.learning_rate=3e-4",
        "",
        _line("seed: 42", "equal seeds give equal runs"),
        "",
        *own.block.split("\n"),
        *_kinds(own),
        _validation(recipe, has_own=dataset.validation_inputs is not None),
        *_scaling(is_table=len(dataset.input_shape) == 1),
        "",
        *_model(recipe),
        "",
        *_learning(recipe, examples),
        "",
    ]
    return "\n".join(lines)


def _line(setting: str, reason: str) -> str:
    return f"{setting:<{REASONS_AT - 2}}  # {reason}"


def _kinds(own: OwnData) -> Iterator[str]:
    """What each column was taken for, as a comment that can be made a setting."""
    described = own.report.description.columns
    kinds = {each.name: each.kind for each in described if each.kind != "left out"}
    if kinds:
        shown = dict(list(kinds.items())[:MOST_KINDS])
        some = f" ({MOST_KINDS} of {len(kinds)})" if len(kinds) > MOST_KINDS else ""
        yield f"    # Every other column by what its cells hold; write under `columns` what should be otherwise{some}:"
        for name, kind in shown.items():
            yield f"    #   {shorten(dump_yaml({name: kind}).strip()[1:-1], WIDTH)}"


def _validation(recipe: Recipe, *, has_own: bool) -> str:
    if has_own:
        reason = "not 0: the data's own validation examples choose the best epoch"
    elif recipe.validation:
        reason = "share of the training data that chooses the best epoch"
    else:
        reason = f"none: under {count(FEWEST_FOR_VALIDATION)} examples all are learned from, and the last epoch counts"
    return _line(f"  validation: {recipe.validation}", reason)


def _scaling(*, is_table: bool) -> Iterator[str]:
    if is_table:
        yield _line("  scaling: standardize", "every column to mean 0 and deviation 1: their units no longer matter")
    else:
        yield _line("  scaling: {name: standardize, per: channel}", "colours to mean 0 and deviation 1")
        yield _line("  augment: [{translate: 2}]", "moved at random; `flip` too, where left and right do not matter")


def _model(recipe: Recipe) -> Iterator[str]:
    yield "model:" + " " * (REASONS_AT - 6) + "# sizes of inputs and outputs come from the data"
    if recipe.layers is None:
        widths = ", ".join(map(str, recipe.hidden_layers or []))
        yield _line(f"  hidden_layers: [{widths}]", "one number per dense layer; [] is a linear model")
        yield _line("  activation: relu", "without it any depth is a linear model; or gelu, silu, tanh")
        yield _line("  weight_init: he", "keeps the signal's size through relu layers")
        return
    yield "  layers:"
    for layer in recipe.layers:
        text = layer if isinstance(layer, str) else dump_yaml(layer).strip()
        yield f"    - {text[1:-1] if text.startswith('{') else text}"


def _learning(recipe: Recipe, examples: str) -> Iterator[str]:
    reason = "for classes, softmax included" if recipe.loss == "cross_entropy" else "for numbers"
    yield _line(f"loss: {recipe.loss}", reason)
    why = f"a price on large weights: the fewer examples ({examples}), the higher; try 3x up, 3x down"
    yield _line(f"l2: {recipe.l2:g}", why)
    yield ""
    yield _line("optimizer:", "adapts the step of every weight")
    yield "  name: adam"
    yield _line(f"  learning_rate: {recipe.learning_rate:g}", "the one to tune first: 3x up, 3x down")
    yield ""
    yield _line("schedule: cosine", "large steps early, none at the end: the last weights are settled")
    yield ""
    yield "training:"
    yield _line(f"  epochs: {recipe.epochs}", "passes over the training data: the less data, the more")
    yield _line(f"  batch_size: {recipe.batch_size}", "examples per update: a sixteenth of them, at most 128")
    if recipe.validation:
        yield _line("  monitor: val_loss", "what makes an epoch the best; the accuracy of a small split is coarse")
