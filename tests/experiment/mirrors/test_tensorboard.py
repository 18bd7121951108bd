"""The mirror on TensorBoard, read back by TensorBoard's own reader; nothing it does can stop or delay a training."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from nnscratch.config.config import config_from_mapping
from nnscratch.experiment.mirrors import tensorboard as mirror
from nnscratch.experiment.train import resume, train
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.runs.directory import RunDirectory

SETTINGS: dict[str, Any] = {
    "name": "shown",
    "seed": 3,
    "data": {"dataset": {"name": "shapes", "train": 200, "test": 50}, "validation": 0.2, "scaling": "standardize"},
    "model": {"hidden_layers": [8]},
    "optimizer": {"name": "adam", "learning_rate": 0.002},
    "training": {"epochs": 3, "batch_size": 20},
    "tracking": ["tensorboard"],
}


def workplace(folder: Path, *, plots: bool = False) -> Workplace:
    return Workplace(data_dir=folder / "data", runs_dir=folder / "runs", threads=1, plots=plots)


def events_of(run: Path) -> Any:
    """What TensorBoard's reader finds of a run."""
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="the extra tensorboard"
    )
    found = reader.EventAccumulator(str(run / "tensorboard"), size_guidance={"tensors": 0, "images": 0})
    return found.Reload()


def curve(events: Any, name: str) -> dict[int, Any]:
    return {each.step: each.tensor_proto.float_val[0] for each in events.Tensors(name)}


def test_tensorboard_reads_every_value_picture_and_hyperparameter(tmp_path: Path) -> None:
    summary = train(config_from_mapping(SETTINGS), workplace(tmp_path, plots=True), Display(quiet=True))
    events = events_of(summary.run)
    rows = RunDirectory(summary.run).read_history()
    assert any(name.startswith("gradient_norm/") for name in rows[0])
    for name in rows[0].keys() - {"epoch"}:
        assert curve(events, name) == pytest.approx({row["epoch"]: row[name] for row in rows}, rel=1e-6)
    assert summary.test is not None
    assert curve(events, "test_accuracy") == pytest.approx({3: summary.test.accuracy}, rel=1e-6)
    images = events.Images("plots/curves")
    assert [image.encoded_image_string for image in images] == [(summary.run / "plots" / "curves.png").read_bytes()]
    assert set(events.Tags()["images"]) == {f"plots/{path.stem}" for path in (summary.run / "plots").iterdir()}

    from tensorboard.plugins.hparams import api_pb2
    from tensorboard.plugins.hparams.metadata import (
        SESSION_END_INFO_TAG,
        SESSION_START_INFO_TAG,
        parse_session_end_info_plugin_data,
        parse_session_start_info_plugin_data,
    )

    begun = parse_session_start_info_plugin_data(events.SummaryMetadata(SESSION_START_INFO_TAG).plugin_data.content)
    assert begun.hparams["optimizer.learning_rate"].number_value == 0.002
    assert begun.hparams["optimizer.name"].string_value == "adam"
    ended = parse_session_end_info_plugin_data(events.SummaryMetadata(SESSION_END_INFO_TAG).plugin_data.content)
    assert ended.status == api_pb2.STATUS_SUCCESS


def test_a_resumed_run_shows_every_epoch_once(tmp_path: Path) -> None:
    first = train(config_from_mapping(SETTINGS), workplace(tmp_path), Display(quiet=True)).run
    resume(first, 5, workplace(tmp_path), Display(quiet=True))
    assert [each.step for each in events_of(first).Tensors("val_loss")] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise ModuleNotFoundError('no', name='tensorboard')", "pip install 'nnscratch[tensorboard]'"),
        ("raise RuntimeError('broken beyond repair')", "broken beyond repair"),
        ("import os; os._exit(7)", "the process for it failed"),
        ("import time; time.sleep(600)", "no answer within 2 s"),
    ],
)
def test_a_tensorboard_that_is_missing_broken_or_hangs_is_one_warning_and_the_run_is_complete(
    source: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = tmp_path / "fake" / "tensorboard"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path / "fake"))
    monkeypatch.setattr(mirror, "PATIENCE", 2.0)
    started = time.monotonic()
    summary = train(config_from_mapping(SETTINGS), workplace(tmp_path), Display(quiet=True))
    assert time.monotonic() - started < 120, "it would hang for 600"
    assert capsys.readouterr().err.count("warning: TensorBoard mirror:") == 1
    assert json.loads((summary.run / "meta.json").read_text())["status"] == "completed"
    assert said in RunDirectory(summary.run).log.read_text(encoding="utf-8")
