"""The mirror on W&B: what it passes on, and that nothing wandb does can stop or delay a training."""

from __future__ import annotations

import json
import re
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nnscratch.cli import main
from nnscratch.config.config import config_from_mapping
from nnscratch.errors import ConfigError
from nnscratch.experiment.mirrors import wandb as tracking
from nnscratch.experiment.mirrors.mirror import mirror_run
from nnscratch.experiment.observer import Observer
from nnscratch.experiment.train import resume, train
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.runs.directory import RunDirectory
from nnscratch.training.progress import EpochResult

SETTINGS: dict[str, Any] = {
    "name": "mirrored",
    "seed": 3,
    "data": {"dataset": {"name": "shapes", "train": 200, "test": 50}, "validation": 0.2, "scaling": "standardize"},
    "model": {"hidden_layers": [8]},
    "training": {"epochs": 3, "batch_size": 20},
    "wandb": {"project": "tests", "group": "some sweep", "tags": ["tiny"]},
}


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test may find an account, an agent or a server of whoever runs the tests."""
    for name in ("WANDB_API_KEY", "WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "home" / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "home" / "config"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "home" / "cache"))
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "home" / "data"))
    (tmp_path / "home").mkdir()


def workplace(folder: Path, *, plots: bool = False) -> Workplace:
    return Workplace(data_dir=folder / "data", runs_dir=folder / "runs", threads=1, plots=plots)


def transaction_log(path: Path) -> Iterator[Any]:
    """The records of a .wandb file: blocks of 32 KB in LevelDB's log format, after a header of 7 bytes."""
    from wandb.proto import wandb_internal_pb2

    data, position, parts = path.read_bytes(), 7, b""
    while position + 7 <= len(data):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + 7])
        if kind == 0:
            position += left
            continue
        parts += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            record = wandb_internal_pb2.Record()  # type: ignore[attr-defined]  # generated code
            record.ParseFromString(parts)
            parts = b""
            yield record


def logged(run: Path) -> list[Any]:
    """Every record of every transaction log of a run, in order."""
    files = sorted(run.glob("wandb/*run-*/*.wandb"))
    assert files, f"no .wandb file in {run}"
    return [record for file in files for record in transaction_log(file)]


def history(records: list[Any]) -> list[dict[str, Any]]:
    rows = [record.history.item for record in records if record.WhichOneof("record_type") == "history"]
    return [{item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in row} for row in rows]


def test_an_offline_mirror_holds_config_every_metric_pictures_and_the_best_checkpoint(tmp_path: Path) -> None:
    summary = train(
        config_from_mapping(SETTINGS), workplace(tmp_path, plots=True), Display(quiet=True), wandb="offline"
    )
    records = logged(summary.run)
    epochs = [row for row in history(records) if "train_loss" in row]
    local = [json.loads(line) for line in (summary.run / "metrics.jsonl").read_text().splitlines()]
    rows = [{key: value for key, value in row.items() if key != "record"} for row in local if row["record"] == "epoch"]
    assert len(rows) == 3
    assert [{key: row[key] for key in rows[0]} for row in epochs] == rows
    assert any(key.startswith("gradient_norm/") for key in epochs[0])
    run = next(record.run for record in records if record.WhichOneof("record_type") == "run")
    assert (run.display_name, run.project, run.run_group) == ("mirrored", "tests", "some sweep")
    assert list(run.tags) == ["tiny"]
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert config["optimizer"]["name"] == "adam"
    media = {key.partition(".")[0] for row in history(records) for key in row}
    assert {"plots/curves", "plots/confusion_matrix", "report"} <= media
    artifacts = [record.artifact for record in records if record.WhichOneof("record_type") == "artifact"]
    artifacts += [r.request.log_artifact.artifact for r in records if r.request.HasField("log_artifact")]
    paths = {entry.path for artifact in artifacts for entry in artifact.manifest.contents}
    assert {"best.npz", "config.yaml"} <= paths
    values = {item.key: json.loads(item.value_json) for r in records if r.WhichOneof("record_type") == "summary"
              for item in r.summary.update}  # fmt: skip
    assert values["test_accuracy"] == pytest.approx(summary.test.accuracy if summary.test else None)


def test_a_resume_goes_on_in_the_same_run_on_wandb(tmp_path: Path) -> None:
    first = train(config_from_mapping(SETTINGS), workplace(tmp_path), Display(quiet=True), wandb="offline").run
    resume(first, 4, workplace(tmp_path), Display(quiet=True), wandb="offline")
    records = logged(first)
    runs = {record.run.run_id for record in records if record.WhichOneof("record_type") == "run"}
    assert runs == {json.loads((first / "wandb.json").read_text())["id"]}
    assert {row["epoch"] for row in history(records) if "epoch" in row} == {1, 2, 3, 4}


def fake_wandb(folder: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the mirror's process imports as wandb from now on."""
    package = folder / "fake" / "wandb"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(source)
    monkeypatch.syspath_prepend(str(folder / "fake"))


def test_without_the_mirror_wandb_is_never_imported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_wandb(tmp_path, "open('imported', 'w').close()\n", monkeypatch)
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    train(config_from_mapping(SETTINGS), workplace(tmp_path), Display(quiet=True), wandb="off")
    assert not (tmp_path / "imported").exists()
    assert not any(name.partition(".")[0] == "wandb" for name in set(sys.modules) - before)


@pytest.mark.parametrize(
    "source",
    [
        "raise RuntimeError('broken beyond repair')",
        "import sys; sys.exit(3)",
        "import os; os._exit(7)",
        "def init(**settings): raise OSError('no')\nclass Settings:\n    def __init__(self, **settings): pass\n",
        "x = (",
    ],
)
def test_a_broken_wandb_is_one_warning_and_the_run_is_complete(
    source: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_wandb(tmp_path, source, monkeypatch)
    summary = train(config_from_mapping(SETTINGS), workplace(tmp_path), Display(quiet=True), wandb="offline")
    assert capsys.readouterr().err.count("warning: W&B mirror:") == 1
    assert json.loads((summary.run / "meta.json").read_text())["status"] == "completed"
    assert (summary.run / "checkpoints" / "best.npz").is_file()


DIES = """
import os

class Settings:
    def __init__(self, **settings): pass

class Run:
    dir = url = "there"
    summary = {}
    def define_metric(self, *names, **how): pass
    def log(self, values, step=None):
        if step == 2: os.kill(os.getpid(), 9)

def init(**settings): return Run()
"""


def test_a_wandb_that_dies_is_told_at_the_epoch_and_not_at_the_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_wandb(tmp_path, DIES, monkeypatch)

    class Slow(Observer):
        said_after: int | None = None

        def epoch(self, result: EpochResult, is_best: bool) -> None:
            said = (RunDirectory(tmp_path / "runs" / "mirrored").log).read_text(encoding="utf-8")
            if "the process for it failed" in said and self.said_after is None:
                self.said_after = result.epoch
            time.sleep(0 if self.said_after else 0.5)

    slow = Slow()
    settings = {**SETTINGS, "training": {"epochs": 40, "batch_size": 80}}
    summary = train(
        config_from_mapping(settings), workplace(tmp_path), Display(quiet=True), wandb="offline", observers=[slow]
    )
    assert slow.said_after is not None
    assert 2 < slow.said_after < 40
    warning = capsys.readouterr().err
    assert warning.count("warning: W&B mirror:") == 1
    assert f"`nnscratch runs mirror {summary.run} --wandb offline` passes it on later" in warning


def test_a_finished_run_is_mirrored_as_it_would_have_been(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = train(config_from_mapping(SETTINGS), workplace(tmp_path, plots=True), Display(quiet=True)).run
    capsys.readouterr()
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    main(["runs", "mirror", "mirrored", "--wandb", "offline", "--runs-dir", str(run.parent)])
    assert capsys.readouterr().out.startswith(f"W&B: offline in {run}/wandb/offline-run-")
    assert {path: path.read_bytes() for path in before} == before
    records = logged(run)
    rows = [row for row in history(records) if "train_loss" in row]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    media = {key.partition(".")[0] for row in history(records) for key in row}
    assert {"plots/curves", "report"} <= media
    values = {item.key: json.loads(item.value_json) for r in records if r.WhichOneof("record_type") == "summary"
              for item in r.summary.update}  # fmt: skip
    assert values["status"] == "completed"
    main(["runs", "mirror", str(run), "--wandb", "offline", "--json"])
    assert json.loads(capsys.readouterr().out) == {"run": str(run), "wandb": "offline", "complete": True}
    runs = {record.run.run_id for record in logged(run) if record.WhichOneof("record_type") == "run"}
    assert runs == {json.loads((run / "wandb.json").read_text())["id"]}, "under the id of before"


def test_a_mirror_that_fails_and_a_run_that_is_being_trained_are_errors(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(config_from_mapping(SETTINGS), workplace(tmp_path), Display(quiet=True)).run
    fake_wandb(tmp_path, "raise RuntimeError('broken beyond repair')", monkeypatch)
    with pytest.raises(SystemExit) as caught:
        main(["runs", "mirror", str(run), "--wandb", "online"])
    assert caught.value.code == 1
    err = capsys.readouterr().err
    assert "broken beyond repair" in err
    assert f"error: not all of {run} is on W&B: RuntimeError: broken beyond repair\n  mend that first\n" in err
    assert json.loads((run / "wandb.json").read_text())["problem"] == "RuntimeError: broken beyond repair"
    with RunDirectory(run).locked(), pytest.raises(SystemExit):
        main(["runs", "mirror", str(run), "--wandb", "online"])
    assert "is being trained by another process" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"project": "team/mine"}, "wandb.project: a project's name has no /, got team/mine; for ENTITY/PROJECT"),
        ({"project": "50%"}, "wandb.project: a project's name has none of / "),
        ({"project": "p" * 129}, "wandb.project: a project's name has at most 128 characters"),
        ({"tags": ["short", "t" * 65]}, "wandb.tags.1: a tag has at most 64 characters on W&B, and this one 65"),
    ],
)
def test_what_wandb_would_refuse_is_refused_before_a_run_that_is_mirrored(
    settings: dict[str, Any], said: str, tmp_path: Path
) -> None:
    config = config_from_mapping({**SETTINGS, "wandb": settings})
    with pytest.raises(ConfigError, match=re.escape(said)):
        train(config, workplace(tmp_path), Display(quiet=True), wandb="offline")
    assert not (tmp_path / "runs").exists()
    run = train(config, workplace(tmp_path), Display(quiet=True)).run  # nothing is mirrored
    with pytest.raises(ConfigError, match=re.escape(said)):
        mirror_run(run, "offline", Display(quiet=True))


def test_a_wandb_that_hangs_delays_a_training_by_its_time_out_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_wandb(tmp_path, "import time; time.sleep(600)", monkeypatch)
    monkeypatch.setattr(tracking, "TIMEOUT", 2.0)
    started = time.monotonic()
    summary = train(config_from_mapping(SETTINGS), workplace(tmp_path), Display(quiet=True), wandb="online")
    assert summary.epochs == 3
    assert time.monotonic() - started < 120, "it would hang for 600"
    assert "no answer within 2 s" in capsys.readouterr().err


def test_a_server_that_cannot_be_reached_is_one_warning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
    monkeypatch.setattr(tracking, "TIMEOUT", 10.0)
    started = time.monotonic()
    summary = train(config_from_mapping(SETTINGS), workplace(tmp_path), Display(quiet=True), wandb="online")
    assert summary.epochs == 3
    assert time.monotonic() - started < 120
    assert capsys.readouterr().err.count("warning: W&B mirror:") == 1


def test_logged_out_it_is_kept_offline_and_nothing_asks_for_a_login(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = train(config_from_mapping(SETTINGS), workplace(tmp_path), Display(quiet=True), wandb="online")
    err = capsys.readouterr().err
    assert err.count("warning:") == 1
    assert "not logged in" in err
    assert len([row for row in history(logged(summary.run)) if "train_loss" in row]) == 3


@pytest.mark.parametrize(
    ("config_mode", "wanted", "environment", "mode"),
    [
        ("off", None, {}, "off"),
        ("offline", None, {}, "offline"),
        ("online", "off", {"WANDB_SWEEP_ID": "abc"}, "off"),
        ("off", None, {"WANDB_SWEEP_ID": "abc"}, "online"),
        ("off", None, {"WANDB_SWEEP_ID": "abc", "WANDB_MODE": "offline"}, "offline"),
        ("off", None, {"WANDB_SWEEP_ID": "abc", "WANDB_MODE": "disabled"}, "off"),
        ("off", "offline", {}, "offline"),
    ],
)
def test_the_mirror_is_on_when_asked_for_or_started_by_an_agent(
    config_mode: str, wanted: str | None, environment: dict[str, str], mode: str
) -> None:
    assert tracking.wandb_mode(config_mode, wanted, environment) == mode


def test_the_option_wandb_of_train_is_recorded_in_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_wandb(tmp_path, "raise RuntimeError('not needed')", monkeypatch)
    (tmp_path / "tiny.yaml").write_text(json.dumps(SETTINGS))
    folders = ["--runs-dir", str(tmp_path / "runs"), "--data-dir", str(tmp_path)]
    main(["train", str(tmp_path / "tiny.yaml"), *folders, "--threads", "1", "--no-plots", "--wandb", "offline"])
    assert "mode: offline" in (tmp_path / "runs" / "mirrored" / "config.yaml").read_text()


def test_a_resume_sends_nothing_to_wandb_that_was_not_asked_for_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {**SETTINGS, "wandb": {"mode": "online"}}
    first = train(config_from_mapping(settings), workplace(tmp_path), Display(quiet=True), wandb="off").run
    monkeypatch.setattr("nnscratch.experiment.mirrors.mirror.WandbMirror", None)
    resume(first, 4, workplace(tmp_path), Display())
    assert "nothing is sent to W&B: --wandb online goes on with the mirror there" in capsys.readouterr().out


def test_a_resume_whose_override_asks_for_the_mirror_is_mirrored(tmp_path: Path) -> None:
    run = train(config_from_mapping(SETTINGS), workplace(tmp_path), Display(quiet=True)).run
    resume(run, 4, workplace(tmp_path), Display(quiet=True), overrides=["wandb.mode=offline"])
    assert {row["epoch"] for row in history(logged(run)) if "epoch" in row} == {1, 2, 3, 4}


def test_the_mirrors_process_imports_nothing_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = tmp_path / "hostile"
    (hostile / "nnscratch").mkdir(parents=True)
    for name in ("wandb.py", "csv.py", "json.py", "nnscratch/__init__.py"):
        (hostile / name).write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()")
    monkeypatch.chdir(hostile)
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.syspath_prepend("")  # as `python -m nnscratch` has it
    run = train(config_from_mapping(SETTINGS), workplace(tmp_path), Display(quiet=True), wandb="offline").run
    assert not (tmp_path / "ran").exists()
    assert list(run.glob("wandb/*run-*/*.wandb"))
