"""The page of a run that trains: it grows, it says how things ended, and the report takes its place."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from nnscratch.config.config import config_from_mapping
from nnscratch.errors import Interrupted, UserError
from nnscratch.experiment.mirrors import live_page, live_page_process
from nnscratch.experiment.observer import Observer
from nnscratch.experiment.train import resume, train
from nnscratch.host.display import Display
from nnscratch.host.interruption import StopRequest
from nnscratch.host.workplace import Workplace
from nnscratch.results.live_page import Moment, is_report, write_live_page
from nnscratch.runs.directory import RunDirectory
from nnscratch.training.progress import EpochResult

SETTINGS: dict[str, Any] = {
    "name": "live",
    "seed": 3,
    "data": {"dataset": {"name": "shapes", "train": 200, "test": 50}, "validation": 0.2, "scaling": "standardize"},
    "model": {"hidden_layers": [8]},
    "training": {"epochs": 4, "batch_size": 20},
}
REFRESH = '<meta http-equiv="refresh" content="5">'


def workplace(folder: Path, *, plots: bool = True) -> Workplace:
    return Workplace(data_dir=folder / "data", runs_dir=folder / "runs", threads=1, plots=plots)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_page, "SOON", 0.0)
    monkeypatch.setattr(live_page, "INTERVAL", 0.0)


@pytest.fixture
def drawn_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A word in place of plots and report, which take seconds."""
    for module in ("session", "train"):
        monkeypatch.setattr(
            f"nnscratch.experiment.{module}.draw", lambda training, *_: training.run.write_text("report.html", "drawn")
        )


class Reader(Observer):
    """Waits after every epoch until the page tells of it, and keeps it."""

    def __init__(self, report: Path, stop: StopRequest | None = None) -> None:
        self.report, self.stop = report, stop
        self.pages: list[str] = []

    def epoch(self, result: EpochResult, is_best: bool) -> None:
        if self.stop is not None and result.epoch == 2:
            self.stop.ask("interrupted")
        until = time.monotonic() + 20
        while time.monotonic() < until:
            page = self.report.read_text(encoding="utf-8") if self.report.exists() else ""
            if f"over {result.epoch} epochs" in page:
                self.pages.append(page)
                return
            time.sleep(0.05)


def test_the_page_grows_with_every_epoch_and_the_report_takes_its_place(tmp_path: Path) -> None:
    reader = Reader(tmp_path / "runs" / "live" / "report.html")
    run = train(config_from_mapping(SETTINGS), workplace(tmp_path), Display(quiet=True), observers=[reader]).run
    assert len(reader.pages) == 4
    for epoch, page in enumerate(reader.pages, 1):
        assert REFRESH in page
        assert f"{25 * epoch} % of live" in page or epoch == 4
        assert "Best validation accuracy" in page
        assert "http://" not in page
        assert "<script" not in page
    assert "Time left" in reader.pages[1]
    assert is_report(run / "report.html")
    assert "refresh" not in (run / "report.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("drawn_quickly")
def test_an_interrupted_training_leaves_a_page_that_says_so_and_how_to_go_on(tmp_path: Path) -> None:
    stop = StopRequest()
    report = tmp_path / "runs" / "live" / "report.html"
    with pytest.raises(Interrupted):
        train(
            config_from_mapping(SETTINGS), workplace(tmp_path), Display(quiet=True),
            observers=[Reader(report, stop)], stop=stop,
        )  # fmt: skip
    page = report.read_text(encoding="utf-8")
    assert "refresh" not in page
    assert "interrupted" in page
    assert f"nnscratch train --resume {report.parent}" in page
    assert not is_report(report)
    resume(report.parent, None, workplace(tmp_path), Display(quiet=True))
    assert is_report(report)


def test_without_plots_there_is_no_page(tmp_path: Path) -> None:
    run = train(config_from_mapping(SETTINGS), workplace(tmp_path, plots=False), Display(quiet=True)).run
    assert not (run / "report.html").exists()
    assert not (run / "logs" / "live_page.log").exists()


TRAIN = """
import sys
from nnscratch.experiment.mirrors import live_page
live_page.SOON = 0.0
from nnscratch.cli import main
main(sys.argv[1:])
"""


def test_a_killed_training_leaves_a_page_that_says_killed(tmp_path: Path) -> None:
    (tmp_path / "live.yaml").write_text(
        "name: live\ndata: {dataset: {name: shapes, train: 2000, test: 50}, validation: 0.2}\n"
        "model: {hidden_layers: [64]}\ntraining: {epochs: 100000, batch_size: 20}\n"
    )
    words = ["train", str(tmp_path / "live.yaml"), "--runs-dir", str(tmp_path / "runs"), "--threads", "1", "--quiet"]
    report = tmp_path / "runs" / "live" / "report.html"
    with subprocess.Popen([sys.executable, "-c", TRAIN, *words]) as process:
        until = time.monotonic() + 60
        while not report.exists() and time.monotonic() < until:
            time.sleep(0.05)
        assert REFRESH in report.read_text(encoding="utf-8")
        process.send_signal(signal.SIGKILL)
    until = time.monotonic() + 20
    while REFRESH in report.read_text(encoding="utf-8") and time.monotonic() < until:
        time.sleep(0.05)
    page = report.read_text(encoding="utf-8")
    assert "refresh" not in page
    assert '<span class="status bad">killed</span>' in page
    assert "Best validation" not in page  # there was no checkpoint after the one before the first step


@pytest.mark.usefixtures("drawn_quickly")
@pytest.mark.parametrize("source", ["raise RuntimeError('broken')", "import time; time.sleep(600)"])
def test_a_page_that_cannot_be_made_changes_nothing(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken_page.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(live_page, "MODULE", "broken_page")
    started = time.monotonic()
    run = train(config_from_mapping(SETTINGS), workplace(tmp_path), Display(quiet=True)).run
    assert time.monotonic() - started < 60
    assert is_report(run / "report.html")
    assert "warning" not in capsys.readouterr().err


def a_run(folder: Path) -> RunDirectory:
    run = RunDirectory.create(folder, "trial")
    (run.path / ".lock").touch()
    return run


def test_a_page_rests_a_hundred_times_as_long_as_it_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = live_page_process._Page(a_run(tmp_path))
    clock = iter([1.0, 1.04, 5.0, 5.001, 7.0, 9.0])
    monkeypatch.setattr(time, "process_time", lambda: next(clock))
    rests = []
    for _ in range(3):
        page.write()
        rests.append(page._rest)
    assert rests == [pytest.approx(4.0), 1.0, 10.0]


def test_nothing_is_written_into_another_run_of_that_name(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    with run.followed():
        page = live_page_process._Page(run)
        page.write()
        os.rename(run.path, tmp_path / "moved")
        another = a_run(tmp_path)
        with pytest.raises(UserError, match="no longer the folder of this training"):
            page.write()
    assert not another.report.exists()


def test_the_last_warnings_of_the_log_stand_on_the_page_and_harmlessly(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    run.log.write_text("".join(f"2026-11-26T04:00:00+00:00  warning: <b>number {n}</b>\n" for n in range(9)))
    write_live_page(run, Moment(10, 5, 20, 0, 8.0), goes_on=True)
    page = run.report.read_text(encoding="utf-8")
    assert "number 3" not in page
    assert "warning: &lt;b&gt;number 8&lt;/b&gt;" in page
    assert "<strong>12 s</strong>" in page, "20 of 50 updates took 8 s"
