"""`nnscratch gradcheck`: shipped configs pass, a planted error exits with 1 and names the layer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nnscratch.cli import main
from nnscratch.config.config import load_config, parse_config
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.layers import Dense
from nnscratch.teaching.gradient_report import GradientError, GradientReport, gradcheck

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted(
    path
    for path in (ROOT / "configs").rglob("*.yaml")
    if not {"parameters:", "method:"} & set(path.read_text().split())  # a sweep
)
NO_DATA = Path("no-data-here")
TINY = """
data: {dataset: {name: shapes, train: 60, test: 20}}
model: {hidden_layers: [6, 6], activation: tanh}
l2: 0.01
training: {batch_size: 10}
"""


def check(text: str = TINY, samples: int = 20) -> GradientReport:
    return gradcheck(parse_config(text, "tiny.yaml"), Workplace(NO_DATA), Display(quiet=True), samples=samples)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_config_agrees_to_a_millionth(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = load_config(path)
    # Batch norm after a dense layer makes +1 and -1 of any two examples: hardly a gradient is left.
    examples = 2 if any(layer.name == "conv" for layer in config.build_layers()) else 4
    report = gradcheck(config, Workplace(NO_DATA, threads=1), Display(quiet=True), samples=3, batch_size=examples)
    assert report.worst.worst < 1e-6
    assert sum(row.checked for row in report.network) >= 15


def test_the_report_has_a_row_per_layer_the_loss_and_the_input() -> None:
    lines = check().to_text().splitlines()
    assert [line.split()[0] for line in lines[1:9]] == [
        "0.flatten", "1.dense", "2.tanh", "3.dense", "4.tanh", "5.dense", "loss", "input",
    ]  # fmt: skip
    assert "passed" in lines[-1]


@pytest.mark.parametrize(
    ("error", "named"),
    [("sign", "layer 3.dense: the gradient of weight"), ("transpose", "layer 3.dense: dx"), ("scale", "layer 3.dense")],
)
def test_a_planted_error_is_reported_with_its_layer(error: str, named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = Dense.backward

    def backward(self: Dense, dy: Array) -> Array | None:
        dx = right(self, dy)
        if self.path != "3.dense":
            return dx
        if error == "sign":
            self.dW *= -1
        elif error == "scale":
            self.db *= 2
        else:
            dx = dy @ self.W
        return dx

    monkeypatch.setattr(Dense, "backward", backward)
    report = check()
    assert not report.passed
    assert len(report.failures) == 1
    assert report.failures[0].startswith(named)
    assert isinstance(report.failure, GradientError)
    assert "3.dense" in str(report.failure)
    assert report.failure.exit_code == 1


def test_a_gradient_without_its_penalty_is_found_though_every_layer_is_right() -> None:
    report = check()
    broken = [replace(row, worst=0.5) if row.name == "1.dense.weight" else row for row in report.network]
    failures = replace(report, network=tuple(broken)).failures
    assert failures[0].startswith("1.dense.weight")
    assert "right alone" in failures[1]


def test_not_a_number_fails() -> None:
    report = check()
    assert not replace(report, loss=replace(report.loss, worst=np.nan)).passed


def test_the_command_prints_json_and_works_without_the_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "small.yaml"
    path.write_text("data: {dataset: cifar10}\nmodel: {hidden_layers: [4]}\n")
    main(["gradcheck", str(path), "--data-dir", str(tmp_path), "--samples", "5", "--json"])
    result = json.loads(capsys.readouterr().out)
    assert result["passed"] is True
    assert "random numbers" in result["data"]


def test_above_the_tolerance_the_command_exits_with_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(TINY)
    with pytest.raises(SystemExit) as exit:
        main(["gradcheck", str(path), "--samples", "5", "--tolerance", "1e-16"])
    assert exit.value.code == 1
    assert "layer" in capsys.readouterr().err
