"""`nnscratch runs card`: what is known of a trained network, for who is to rely on it, as Markdown and as JSON.

After Mitchell et al., "Model cards for model reporting" (2019). What a program cannot know is left to fill in; what a
person has written there stays when the card is made again.
"""

from __future__ import annotations

import hashlib
import math
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nnscratch.config.document import read_yaml
from nnscratch.errors import UserError
from nnscratch.host.json_text import json_text
from nnscratch.report.formats import count, counted, decimal, duration, percent, printable_lines
from nnscratch.report.table_formats import markdown_table, markdown_text
from nnscratch.report.tables import Column, Table
from nnscratch.results.evaluation import evaluations_of
from nnscratch.runs.checkpoint import epoch_of_weights
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.looks import count_looks
from nnscratch.runs.reading import LONGEST_META, text_of
from nnscratch.runs.status import status_of

MARKDOWN, JSON = "model_card.md", "model_card.json"
FORMAT = 1
TO_FILL_IN = {
    "Intended use": "who uses it, for which decisions",
    "Out of scope": "what it must not be used for",
    "Origin of the data": "who collected it, how, when, under which licence, with whose consent",
    "Risks and limits": "whom an error harms, and what is done about it",
    "Contact": "who answers for it",
}
HEADINGS = ("What it is", *TO_FILL_IN, "Data", "Figures", "Accountability", "Config")
UNFILLED = "*To fill in:*"
SHARES = ("accuracy", "f1", "macro_precision", "recall", "share", "calibration_error", "calibration_error_before")
NOT_FIGURES = ("epoch", "examples")


@dataclass(frozen=True)
class ModelCard:
    """The card, and where it was written."""

    folder: Path
    values: Mapping[str, Any]
    config: str
    """Its YAML."""
    filled: Mapping[str, str]
    """What a person has written, by heading."""
    failure = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in model_card.json and for --json."""
        return {"format": FORMAT, **self.values, "filled_in": {name: self.filled.get(name) for name in TO_FILL_IN}}

    def to_text(self) -> str:
        """Where it is, and what is left to do."""
        left = [name for name in TO_FILL_IN if name not in self.filled]
        said = f"model card in {self.folder / MARKDOWN} and {self.folder / JSON}"
        said += f"\nleft to fill in: {', '.join(left)}" if left else ""
        if not self.values["evaluations"]:
            command = shlex.join(["nnscratch", "evaluate", str(self.folder)])
            said += f"\nfor metrics with intervals: {command}, then the card again"
        return said

    def to_markdown(self) -> str:
        """The card for people."""
        return "\n".join(_markdown(self.values, self.config, self.filled))


def write_card(path: Path, gradient_check: Mapping[str, Any] | None) -> ModelCard:
    """Writes model_card.md and model_card.json into the run, from its files and a gradient check of it.

    Raises UserError when there is no trained run, or a link is in the way.
    """
    run = RunDirectory.open(path)
    config, before = text_of(run.config, LONGEST_META), text_of(path / MARKDOWN, LONGEST_META)
    card = ModelCard(path, _values(run, gradient_check), config, _filled(before))
    run.write_text(MARKDOWN, card.to_markdown())
    run.write_text(JSON, json_text(card.to_dict(), indent=2) + "\n")
    return card


def _values(run: RunDirectory, gradient_check: Mapping[str, Any] | None) -> dict[str, Any]:
    meta, config = run.read_meta(), run.config.read_bytes()
    if not run.best.is_file() and not run.last.is_file():
        raise UserError(f"{run.path} has no weights yet", "train it first")
    weights = run.best if run.best.is_file() else run.last
    checked = None
    if gradient_check is not None:
        checked = {name: gradient_check.get(name) for name in ("passed", "worst", "worst_array", "tolerance")}
    started_from = None if meta.started_from is None else asdict(meta.started_from)
    return {
        "name": run.name,
        "status": status_of(run, meta),
        "started": meta.started,
        "updated": meta.updated,
        "parameters": meta.parameters,
        "epochs": meta.epochs,
        "train_seconds": meta.train_seconds,
        "started_from": started_from,
        "data": asdict(meta.dataset),
        "digests": {
            "data": meta.dataset.digest,
            "config": hashlib.sha256(config).hexdigest(),
            "weights": hashlib.sha256(weights.read_bytes()).hexdigest(),
            "code": {"nnscratch": meta.machine.nnscratch, "git_commit": meta.machine.git_commit},
            "plugins": dict(meta.plugins or {}),
        },
        "config": read_yaml(run.config).value,
        "gradient_check": checked,
        "looks": dict(count_looks(run)),
        "training_test": run.read_test(),
        "weights": weights.name,
        "weights_epoch": epoch_of_weights(weights),
        "evaluations": dict(evaluations_of(run)),
        "environment": asdict(meta.machine),
    }


def _filled(markdown: str) -> dict[str, str]:
    """What stands under the headings that are for people, where somebody has written something, headings among it."""
    parts = re.split(rf"^## +({'|'.join(HEADINGS)}) *$", markdown, flags=re.MULTILINE)
    found = {heading: text.strip() for heading, text in zip(parts[1::2], parts[2::2], strict=True)}
    return {name: found[name] for name in TO_FILL_IN if found.get(name) and not found[name].startswith(UNFILLED)}


def _markdown(values: Mapping[str, Any], config: str, filled: Mapping[str, str]) -> Iterator[str]:
    yield f"# {markdown_text(values['name'])}\n"
    data, digests = values["data"], values["digests"]
    yield "## What it is\n"
    yield f"A network of {count(values['parameters'])} parameters, trained with nnscratch for {values['epochs']} epochs"
    started = markdown_text(values["started"] or "-")
    yield f"({duration(values['train_seconds'])}), {values['status']}. Started {started}."
    origin = values["started_from"]
    if origin is not None:
        yield f"It started from the weights of {markdown_text(str(origin['run']))}, epoch {origin['epoch']}."
    yield ""
    for name, hint in TO_FILL_IN.items():
        yield f"## {name}\n\n{filled.get(name, f'{UNFILLED} {hint}.')}\n"
    yield "## Data\n"
    yield f"{markdown_text(str(data['name']))} ({markdown_text(str(data['origin']))}): {count(data['train'])} training,"
    yield f"{count(data['validation'])} validation, {count(data['test'])} test examples.\n"
    yield "How often each split was looked at; whoever chooses by a split fits it, too:\n"
    rows = tuple((name, count(times)) for name, times in values["looks"].items())
    yield markdown_table(Table((Column("split"), Column("looks", True)), rows))
    yield "## Figures\n"
    if not values["evaluations"]:
        figures = {name: value for name, value in values["training_test"].items() if name != "epoch"}
        told = ", ".join(f"{markdown_text(name)} {_figure(name, value)}" for name, value in figures.items())
        yield f"At the end of training: {told or 'no test split was scored'}. `nnscratch evaluate` adds intervals.\n"
    for name, found in values["evaluations"].items():
        yield f"### {markdown_text(name)}: {counted(found.get('examples'), 'example')}\n"
        yield from _of_other_weights(values, found)
        yield markdown_table(_figures(found))
        yield from _subgroups(found.get("subgroups"))
    yield "## Accountability\n"
    yield from _accountability(values, digests)
    yield "## Config\n"
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", config)), 0)  # which no line of it ends
    yield f"{fence}yaml\n{printable_lines(config).rstrip()}\n{fence}\n"


def _of_other_weights(values: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    """A sentence where an evaluation was of weights that are not those of the card."""
    # By the file's name alone: the run may have been moved since.
    name, epoch = Path(str(found.get("checkpoint"))).name, found.get("epoch")
    is_of_elsewhere = found.get("checkpoint_of_elsewhere", False)
    if is_of_elsewhere or (name, epoch) != (values["weights"], values["weights_epoch"]):
        told = f"{markdown_text(str(found['checkpoint']) if is_of_elsewhere else name)}, epoch {epoch}"
        yield f"Of other weights than this card's: {told}; `nnscratch evaluate` makes it new.\n"


def _figures(found: Mapping[str, Any]) -> Table:
    intervals = found.get("intervals", {})
    rows = []
    for name, value in found.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or name in NOT_FIGURES:
            continue
        limits = intervals.get(name) if isinstance(intervals, dict) else None
        shown = (
            f"{_figure(name, limits[0])} to {_figure(name, limits[1])}"
            if isinstance(limits, list) and len(limits) == 2
            else "-"
        )
        rows.append((name.replace("_", " "), _figure(name, value), shown))
    return Table((Column("figure"), Column("value", True), Column("95 % interval", True)), tuple(rows))


def _subgroups(found: object) -> Iterator[str]:
    if not isinstance(found, dict) or not isinstance(found.get("groups"), list):
        return
    groups = [each for each in found["groups"] if isinstance(each, dict)]
    known = ("accuracy", "macro_f1", "mean_absolute_error", "r2")
    names = [name for name in known if any(name in each for each in groups)]
    rows = tuple(
        (str(each.get("group")), count(each.get("examples")), *(_figure(name, each.get(name)) for name in names))
        for each in groups
    )
    headings = (Column(str(found.get("column"))), Column("examples", True), *(Column(name, True) for name in names))
    yield markdown_table(Table(headings, rows))


def _accountability(values: Mapping[str, Any], digests: Mapping[str, Any]) -> Iterator[str]:
    checked, machine = values["gradient_check"], values["environment"]
    told = "not made"
    if checked is not None:
        verdict = "passed" if checked["passed"] else "FAILED"
        told = f"{verdict}, largest relative error {decimal(checked['worst'], 2)} in {checked['worst_array']}"
    code = digests["code"]
    rows = [
        ("gradient check", told),
        ("SHA-256 of the data", digests["data"] or "-"),
        ("SHA-256 of config.yaml", digests["config"]),
        ("SHA-256 of the weights", digests["weights"]),
        ("code", f"nnscratch {code['nnscratch']}, commit {code['git_commit'] or 'unknown'}"),
        *((f"SHA-256 of the plugin {name}", digest) for name, digest in digests["plugins"].items()),
        ("Python, NumPy", f"{machine['python']}, {machine['numpy']}"),
        ("machine", f"{machine['cpu']}, {machine['threads']} threads, {machine['platform']}"),
    ]
    yield markdown_table(Table((Column("what"), Column("which")), tuple((name, str(value)) for name, value in rows)))


def _figure(name: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return "-"
    return percent(value) if name.endswith(SHARES) else decimal(value)
