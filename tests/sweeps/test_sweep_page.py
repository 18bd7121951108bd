"""The page that a sweep keeps while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nnscratch import files
from nnscratch.cli import main
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.sweeps import sweep_page
from nnscratch.sweeps.assignment import Assignment
from nnscratch.sweeps.study import Study
from nnscratch.sweeps.sweep_file import load_sweep
from nnscratch.sweeps.sweep_page import SweepPage

REFRESH = '<meta http-equiv="refresh" content="5">'


@pytest.fixture
def study(write_sweep: Callable[..., Path], tmp_path: Path) -> Study:
    file = write_sweep(tmp_path)
    return Assignment(load_sweep(file), 3, tmp_path, None, 60.0, False, Workplace(tmp_path)).open_study()


def test_a_trial_that_gets_on_is_on_the_page_and_the_last_page_stays(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    page, file = SweepPage(study, tmp_path / "sweep", Display(quiet=True)), tmp_path / "sweep" / "sweep.html"
    study.claim()
    study.begin(0, tmp_path, 50, 0)
    page.show(study.trials())
    assert "trial 0: epoch 0/50" in file.read_text()
    study.report(0, 5, 0.25)
    clock += 0.1
    page.show(study.trials())
    assert "epoch 0/50" in file.read_text(), "it is too soon"
    clock += 10
    page.show(study.trials())
    text = file.read_text()
    assert "trial 0: epoch 5/50" in text
    assert "25.00 %" in text
    assert REFRESH in text
    page.end(None)
    text = file.read_text()
    assert "refresh" not in text
    assert "stopped" in text


def test_without_news_the_page_is_made_again_after_ten_seconds(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, made = 100.0, []
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    monkeypatch.setattr(sweep_page, "write_atomically", lambda *_: made.append(clock))
    page = SweepPage(study, tmp_path, Display(quiet=True))
    trials = study.trials()
    for _ in range(25):
        page.show(trials)
        clock += 1
    assert made == [100.0, 110.0, 120.0]


def test_a_page_that_cannot_be_written_is_one_warning(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    page = SweepPage(study, tmp_path / "file", Display(quiet=True))
    for _ in range(3):
        page._due = 0.0
        page.show(study.trials())
    assert capsys.readouterr().err.count("is not kept") == 1


def test_a_sweep_leaves_its_page_and_without_plots_none(
    write_sweep: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages: list[str] = []

    def write(path: Path, contents: str) -> None:
        pages.append(contents)
        files.write_atomically(path, contents)

    monkeypatch.setattr(sweep_page, "write_atomically", write)
    monkeypatch.setattr("nnscratch.sweeps.outcome._draw", lambda *_: None)
    words = ["sweep", str(write_sweep(tmp_path)), "--threads", "1", "--quiet", "--runs-dir", str(tmp_path / "runs")]
    main(words)
    assert REFRESH in pages[0]
    page = (tmp_path / "runs" / "sweeps" / "tiny" / "sweep.html").read_text()
    assert page == pages[-1]
    assert "refresh" not in page
    for shown in ("4 of 4", "Leaderboard", "Parallel coordinates", "against each parameter", "Train the best again"):
        assert shown in page
    main([*words, "--no-plots", "--name", "bare"])
    assert not (tmp_path / "runs" / "sweeps" / "bare" / "sweep.html").exists()


def test_a_page_whose_contents_cannot_be_found_is_one_warning(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> dict[str, float]:
        raise ArithmeticError("no shares")

    page = SweepPage(study, tmp_path / "sweep", Display())
    monkeypatch.setattr(sweep_page, "importances", broken)
    monkeypatch.setattr(sweep_page, "rated", lambda _: [None])
    page.show(study.trials())
    page.end(None)
    said = capsys.readouterr()
    assert (said.out + said.err).count("no shares; the sweep goes on") == 1
