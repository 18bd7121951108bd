"""`nnscratch data describe PATH`: somebody's own data, read and reported without a config, and the block for one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnscratch.config.config import Config, config_from_mapping
from nnscratch.config.data import encode_dataset, load_dataset, split_dataset
from nnscratch.config.node import node_from_value
from nnscratch.config.overrides import apply_overrides
from nnscratch.config.shorthand import write_out
from nnscratch.config.yaml_core import dump_yaml
from nnscratch.datasets.dataset import Dataset
from nnscratch.datasets.recognition import recognize
from nnscratch.datasets.report import DataReport
from nnscratch.errors import UsageError
from nnscratch.host.display import Display
from nnscratch.results.data_text import whole_report_text


@dataclass(frozen=True, eq=False)
class OwnData:
    """Data that was recognized and read: as a dataset, as a report, and as the `data` section that reads it again."""

    path: Path
    dataset: Dataset
    report: DataReport
    section: dict[str, Any]
    """The fields `dataset` and `path` of `data`, every guess of theirs written out."""
    failure = None

    @property
    def block(self) -> str:
        """The section as YAML."""
        return f"data:\n{_indented(self.section)}"

    def to_dict(self) -> dict[str, Any]:
        return {"data": self.section, **self.report.to_dict()}

    def to_text(self) -> str:
        wanted = "For a config (`nnscratch init --data` writes a whole one):"
        return f"{whole_report_text(self.report)}\n\n{wanted}\n\n{self.block}"


def read_own_data(
    path: Path, target: Sequence[str], data_dir: Path, display: Display, changes: Sequence[str] = ()
) -> OwnData:
    """What lies at a path, read, with fields `data.dataset.FIELD=VALUE` as given.

    Raises DataError for what cannot be read, UsageError for a target where there is none, ConfigError for a field.
    """
    named = [each.partition("=")[2].strip("'\"") for each in changes if each.startswith("data.dataset.name=")]
    source, place = (named[-1], path) if named else recognize(path)
    if target and source != "csv":
        raise UsageError(f"--target names a column of a table, and {place} is read as {source}")
    fields: dict[str, Any] = {"name": source}
    if target:
        fields["target"] = target[0] if len(target) == 1 else list(target)
    fields = _changed(fields, changes)
    source = fields["name"]
    config = _config({"dataset": fields, "path": str(place), "validation": 0})
    raw = load_dataset(config, data_dir, display.detail)
    if raw.validation_inputs is not None:  # a split of the data's own is looked at, but none is held out
        config = _config({"dataset": fields, "path": str(place), "validation": 0.1})
    dataset, _ = encode_dataset(config, raw)
    report = split_dataset(config, dataset).report(dataset)
    if source == "csv":
        guessed = next((guess.taken for guess in raw.description.guesses if guess.what == "target"), None)
        fields.setdefault("target", guessed)
    if source in ("csv", "npz"):
        fields["task"] = dataset.task
    left_out = {each.name: "ignore" for each in report.description.columns if each.kind == "left out"}
    if left_out:
        fields["columns"] = {**left_out, **fields.get("columns", {})}
    return OwnData(path, dataset, report, {"path": str(place), "dataset": fields})


def _changed(fields: dict[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """The dataset's fields with those that are given beside them. Raises ConfigError, UsageError for others."""
    for each in changes:
        if not each.startswith("data.dataset."):
            raise UsageError(f"`{each}` is no field of the data", "here it is data.dataset.FIELD=VALUE")
    root = write_out(node_from_value({"data": {"dataset": fields}}, "config"), Config, [])
    apply_overrides(root, Config, changes)
    written: Any = root.plain()
    found: dict[str, Any] = written["data"]["dataset"]
    return found


def _config(data: dict[str, Any]) -> Config:
    return config_from_mapping({"name": "own", "data": data, "model": {"hidden_layers": []}})


def _indented(section: dict[str, Any], depth: int = 1) -> str:
    """YAML with a line for each field of the section and of its sections."""
    lines, indent = [], "  " * depth
    for key, value in section.items():
        if isinstance(value, dict) and depth == 1:
            lines.append(f"{indent}{key}:\n{_indented(value, 2)}")
        else:
            listed = dump_yaml([value]).strip()  # on lines of its own, never a block; `[price]` or `- {id: ignore}`
            text = listed[1:-1] if listed.startswith("[") else listed[2:]
            lines.append(f"{indent}{key}: {text}".replace("\n", f"\n{indent}"))
    return "\n".join(lines)
