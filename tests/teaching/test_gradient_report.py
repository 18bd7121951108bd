"""`nnscratch gradcheck`: shipped configs pass, a planted error exits with 1 and names the layer."""

from __future__ import annotations

import json
import shutil
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnscratch.cli import main
from nnscratch.config.config import load_config, parse_config
from nnscratch.host.display import Display
from nnscratch.host.json_text import json_text
from nnscratch.host.workplace import Workplace
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.gradient_check import check_gradients
from nnscratch.nn.layers import Dense, Scale
from nnscratch.nn.losses import CrossEntropy, Loss
from nnscratch.nn.network import Network
from nnscratch.nn.regularization import L2
from nnscratch.runs.loaded import load_run
from nnscratch.teaching.gradient_report import GradientError, GradientReport, gradcheck, gradcheck_run
from tests.conftest import sampled

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


def check(text: str = TINY, samples: int | None = 20) -> GradientReport:
    return gradcheck(parse_config(text, "tiny.yaml"), Workplace(NO_DATA), Display(quiet=True), samples=samples)


@pytest.mark.parametrize("path", sampled(CONFIGS))
def test_every_shipped_config_agrees_to_a_millionth(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = load_config(path)
    # Batch norm after a dense layer makes +1 and -1 of any two examples: hardly a gradient is left.
    examples = 2 if any(layer.name == "conv" for layer in config.build_layers()) else 4
    report = gradcheck(config, Workplace(NO_DATA, threads=1), Display(quiet=True), samples=3, batch_size=examples)
    assert report.failures == []
    assert report.worst.worst < 1e-6
    assert sum(row.checked for row in report.network) >= 14


@pytest.mark.parametrize("loss", ["cross_entropy", "huber"])
def test_the_weights_of_examples_are_part_of_what_is_checked(
    loss: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 40) if loss == "cross_entropy" else rng.normal(size=40)
    np.savez(tmp_path / "w.npz", x=rng.normal(size=(40, 3)), y=y, sample_weight=rng.choice([0.5, 1.0, 4.0], 40))
    text = f"data: {{dataset: npz, path: {tmp_path / 'w.npz'}}}\nmodel: {{hidden_layers: [4]}}\nloss: {loss}\n"
    report = check(text)
    assert report.failures == []
    assert report.data == "4 weighted examples of npz"
    monkeypatch.setattr(Loss, "weighted", lambda self, y, t, w: (np.mean(w * self.per_example(y, t)), self(y, t)[1]))
    assert check(text).failures[0].startswith("the loss: ")


def test_the_report_has_a_row_per_layer_the_loss_and_the_input() -> None:
    lines = check().to_text().splitlines()
    assert [line.split()[0] for line in lines[1:9]] == [
        "0.flatten", "1.dense", "2.tanh", "3.dense", "4.tanh", "5.dense", "loss", "input",
    ]  # fmt: skip
    assert "passed" in lines[-1]


@pytest.mark.parametrize(
    ("error", "named", "hint"),
    [
        ("sign", "layer 3.dense: the gradient of weight", "the sign is flipped: every entry is minus the right one"),
        ("transpose", "layer 3.dense: dx", "the matrix is transposed"),
        ("scale", "layer 3.dense: the gradient of bias", "every entry is 2 times the right one"),
        ("rebound", "layer 3.dense: the gradient of weight", "write self.dW[...] = ..."),
        ("mean", "layer 3.dense: the gradient of weight", "every entry is 1/4 of the right one"),
        (
            "short",
            "layer 3.dense: the gradient of bias is wrong in a batch of 3 after one of 9",
            "0.75 times the right",
        ),
    ],
)
def test_a_planted_error_is_reported_with_its_layer_and_its_likely_cause(
    error: str, named: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Dense.backward

    def backward(self: Dense, dy: Array) -> Array | None:
        dx = right(self, dy)
        if self.path != "3.dense":
            return dx
        if error == "sign":
            self.dW *= -1
        elif error == "scale":
            self.db *= 2
        elif error == "rebound":
            self.dW = self.x.T @ dy
        elif error == "mean":
            self.dW /= len(dy)
        elif error == "short":
            self.db *= min(len(dy) / 4, 1)
        else:
            dx = dy @ self.W
        return dx

    monkeypatch.setattr(Dense, "backward", backward)
    report = check()
    assert not report.passed
    assert len(report.failures) == 1
    assert report.failures[0].startswith(named)
    assert hint in report.failures[0]
    assert isinstance(report.failure, GradientError)
    assert "3.dense" in str(report.failure)
    assert report.failure.exit_code == 1


def test_a_gradient_without_its_penalty_is_found_though_every_layer_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(L2, "add_gradient", lambda self, parameters, batch_size: None)
    failures = check().failures
    assert failures[0].startswith("1.dense.weight: the gradient of weight is wrong")
    assert failures[-1] == "each layer and the loss are right alone: one overwrites what another needs, or L2 errs"


def test_a_layer_that_writes_over_what_others_need_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def forward(self: Scale, x: Array, training: bool) -> Array:
        x *= self.factor
        return x

    monkeypatch.setattr(Scale, "forward", forward)
    layers = "model: {layers: [flatten, {dense: 6}, tanh, {scale: 2.0}, dense]}"
    failures = check(TINY.replace("model: {hidden_layers: [6, 6], activation: tanh}", layers)).failures
    assert failures[0].startswith("1.dense.weight: the gradient of weight is wrong")
    assert failures[-1].startswith("each layer and the loss are right alone: layer 3.scale: forward writes over x")


def test_not_a_number_fails() -> None:
    report = check(TINY.replace("tanh", "relu"))
    assert report.passed
    broken = replace(report.loss, verdict="wrong", worst=np.nan)
    assert replace(report, loss=broken).failures[0].startswith("the loss: dy is wrong")
    assert replace(report, loss=broken).worst is broken


def test_what_could_not_be_checked_is_no_pass() -> None:
    report = check()
    layers = [
        replace(row, verdict="not checked", hint="every step crosses a kink") if row.name == "2.tanh dx" else row
        for row in report.layers
    ]
    blind = replace(report, layers=tuple(layers))
    assert blind.failures == ["layer 2.tanh: dx was not checked: every step crosses a kink"]
    assert "<- not checked" in next(line for line in blind.to_text().splitlines() if line.startswith("2.tanh"))


def test_the_report_says_what_it_does_not_see_and_which_batches_it_saw() -> None:
    report = check()
    text = report.to_text()
    for unseen in ("running statistics", "evaluation mode", "dropout's scale", "optimizer", "schedule"):
        assert unseen in text
        assert unseen in report.to_dict()["not_seen"]
    assert "in batches of 4, 9, 3 and 1, one after another" in text


def test_as_many_entries_are_looked_at_as_are_asked_for() -> None:
    for samples in (7, 70):
        rows = {row.name: row for row in check(samples=samples).layers}
        assert rows["1.dense.weight"].checked == samples
        assert rows["3.dense.weight"].checked == min(samples, 36)


def test_left_out_a_costly_network_gets_fewer_entries_and_no_more_than_fifty() -> None:
    rows = {row.name: row for row in check(samples=None).network}
    assert rows["1.dense.weight"].checked == 50


MIXED = """
data: {dataset: {name: shapes, train: 60, test: 20}, augment: [{mixup: 1.0}]}
model: {layers: [flatten, {dense: 6}, tanh, dense]}
loss: {cross_entropy: {label_smoothing: 0.1, class_weights: balanced}}
training: {batch_size: 10}
"""


@pytest.mark.parametrize(("text", "found"), [(MIXED, True), (MIXED.replace("{mixup: 1.0}", "flip"), False)])
def test_the_form_of_targets_that_mixup_makes_is_checked_where_it_is_used(
    text: str, found: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = CrossEntropy._of_distributions

    def wrong(self: CrossEntropy, y: Array, t: Array) -> tuple[float, Array]:
        value, dy = right(self, y, t)
        return value, dy * 1.01

    assert check(text).passed
    monkeypatch.setattr(CrossEntropy, "_of_distributions", wrong)
    report = check(text)
    assert report.passed != found
    if found:
        assert report.failures[0].startswith("the loss: dy is wrong")


def test_under_mixup_labels_are_checked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    right = CrossEntropy.__call__

    def wrong(self: CrossEntropy, y: Array, t: Array) -> tuple[float, Array]:
        value, dy = right(self, y, t)
        return value, dy * (1.01 if t.ndim == 1 else 1)

    monkeypatch.setattr(CrossEntropy, "__call__", wrong)
    assert check(MIXED).failures[0].startswith("the loss: dy is wrong")


def test_a_loss_that_returns_one_of_numpys_numbers_gives_json(monkeypatch: pytest.MonkeyPatch) -> None:
    right = CrossEntropy.__call__

    def single(self: CrossEntropy, y: Array, t: Array) -> tuple[np.float32, Array]:
        value, dy = right(self, y, t)
        return np.float32(value), dy

    monkeypatch.setattr(CrossEntropy, "__call__", single)
    report = check()
    assert json.loads(json_text(report.to_dict()))["passed"] is True
    assert "the loss is in single precision: right to 0.0001" in report.to_text()


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


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a network with normalisation, dropout, mixup and L2, after three epochs."""
    folder = tmp_path_factory.mktemp("trained")
    text = """
        data: {dataset: {name: shapes, train: 200, test: 20}, validation: 0.2, augment: [flip, {mixup: 0.5}]}
        model: {layers: [{conv: 4}, {max_pool: 4}, batch_norm, relu, flatten, {dropout: 0.2}, dense]}
        l2: 0.01
        training: {epochs: 3, batch_size: 20}
    """
    (folder / "mine.yaml").write_text(textwrap.dedent(text))
    main(["train", str(folder / "mine.yaml"), "--runs-dir", str(folder / "runs"), "--threads", "1", "--no-plots", "-q"])
    return folder / "runs" / "mine"


def test_the_trained_weights_of_a_run_are_checked(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for given in ([str(trained)], [trained.name, "--runs-dir", str(trained.parent)]):
        main(["gradcheck", *given, "--samples", "5", "--json"])
        result = json.loads(capsys.readouterr().out)
        assert result["passed"] is True
        assert result["data"].startswith("4 examples of shapes, weights of epoch ")
        assert result["data"].endswith(" of mine")


def test_it_is_the_trained_weights_that_are_checked(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def check(network: Network, *given: Any, **named: Any) -> Any:
        seen.append({name: array.copy() for name, array in network.parameters.named().items()})
        return check_gradients(network, *given, **named)

    monkeypatch.setattr("nnscratch.teaching.gradient_report.check_gradients", check)
    gradcheck_run(trained, Workplace(NO_DATA, threads=1), Display(quiet=True), samples=1)
    saved = load_run(trained).network.parameters.named()
    for name, array in saved.items():
        np.testing.assert_array_equal(seen[0][name], array.astype(np.float64))


def test_a_fault_shows_at_trained_weights_too(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = Dense.backward

    def backward(self: Dense, dy: Array) -> Array | None:
        dx = right(self, dy)
        self.db *= 2
        return dx

    monkeypatch.setattr(Dense, "backward", backward)
    with pytest.raises(SystemExit) as exit:
        main(["gradcheck", str(trained), "--samples", "5"])
    assert exit.value.code == 1
    assert "layer 6.dense: the gradient of bias is wrong" in capsys.readouterr().err


def test_a_run_takes_no_overrides(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        main(["gradcheck", str(trained), "l2=0.5"])
    assert exit.value.code == 2
    assert "checked as it was trained" in capsys.readouterr().err


def test_the_checkpoint_that_is_named_is_the_one_whose_weights_are_checked(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["gradcheck", str(trained), "--checkpoint", "last", "--samples", "1", "--json"])
    assert "weights of epoch 3 of mine" in json.loads(capsys.readouterr().out)["data"]
    run = tmp_path / "mine"
    shutil.copytree(trained, run)
    (run / "checkpoints" / "best.npz").unlink()
    with pytest.raises(SystemExit):
        main(["gradcheck", str(run), "--samples", "1"])
    assert "--checkpoint last" in capsys.readouterr().err
    main(["gradcheck", str(run), "--samples", "1", "--checkpoint", "last"])
    (tmp_path / "tiny.yaml").write_text(TINY)
    with pytest.raises(SystemExit) as exit:
        main(["gradcheck", str(tmp_path / "tiny.yaml"), "--checkpoint", "last"])
    assert exit.value.code == 2
    assert "a config has no checkpoints" in capsys.readouterr().err
