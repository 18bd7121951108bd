"""A training whose pictures fail is completed all the same, and a later command draws what is missing."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import matplotlib
import pytest

from nnscratch.cli import main
from nnscratch.config.config import config_from_mapping
from nnscratch.errors import Interrupted
from nnscratch.experiment.train import resume, train
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.report import curves, style
from nnscratch.results import plot
from nnscratch.results.drawers import Job
from nnscratch.runs.directory import RunDirectory

TINY: dict[str, Any] = {
    "name": "run",
    "data": {"dataset": {"name": "shapes", "train": 60, "test": 20}},
    "model": {"hidden_layers": [4]},
    "training": {"epochs": 1, "batch_size": 30},
}


class Killed(BaseException):
    """Stands for the end of the process: nothing in nnscratch handles it."""


def workplace(folder: Path, *, plots: bool = True) -> Workplace:
    return Workplace(folder, folder / "runs", 1, plots=plots)


def raising(error: BaseException) -> Any:
    def draw(*_: object, **__: object) -> NoReturn:
        raise error

    return draw


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), "MemoryError"),
        (ImportError("no _path in matplotlib"), "ImportError: no _path in matplotlib"),
        (RuntimeError("In FT2Font: broken"), "RuntimeError: In FT2Font: broken"),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
    ],
    ids=["memory", "import", "matplotlib", "disk"],
)
def test_whatever_drawing_raises_the_run_is_completed_and_its_figures_are_told_first(
    error: Exception, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(plot, "draw_run", raising(error))
    run = train(config_from_mapping(TINY), workplace(tmp_path), Display()).run
    assert RunDirectory(run).read_meta().status == "completed"
    out, err = capsys.readouterr()
    assert err == f"warning: plots or report are missing: {told}; `nnscratch plot {run}` draws it\n"
    log = (run / "logs" / "train.log").read_text()
    assert "test_accuracy" in out
    assert log.index("test_accuracy") < log.index("plots or report are missing")
    assert ("Traceback" in log) == (not isinstance(error, OSError)), "of what nobody expected"


def test_a_run_killed_while_it_is_drawn_is_drawn_by_a_resume_and_trains_and_tests_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(plot, "draw_run", raising(Killed()))
        with pytest.raises(Killed):
            train(config_from_mapping(TINY), workplace(tmp_path), Display(quiet=True))
    run = tmp_path / "runs" / "run"
    kept = {name: (run / name).read_bytes() for name in ("meta.json", "metrics.jsonl", "checkpoints/last.npz")}
    assert not (run / "report.html").exists()
    resume(run, None, workplace(tmp_path, plots=False), Display(quiet=True))
    assert not (run / "report.html").exists(), "--no-plots draws none"
    resume(run, None, workplace(tmp_path), Display())
    assert f"plots in {run}/plots, report in {run}/report.html" in capsys.readouterr().out
    assert (run / "plots" / "confusion_matrix.png").exists()
    assert "Test accuracy" in (run / "report.html").read_text(encoding="utf-8")
    assert {name: (run / name).read_bytes() for name in kept} == kept


def test_a_second_ctrl_c_while_a_run_is_drawn_leaves_it_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plot, "draw_run", raising(KeyboardInterrupt()))
    with pytest.raises(Interrupted, match="is trained and saved, but not drawn\n  `nnscratch plot "):
        train(config_from_mapping(TINY), workplace(tmp_path), Display(quiet=True))
    assert RunDirectory(tmp_path / "runs" / "run").read_meta().status == "completed"


def test_evaluate_tells_its_figures_when_its_pictures_fail(
    shapes_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from nnscratch.results import evaluate

    shutil.rmtree(shapes_run / "evaluation", ignore_errors=True)
    monkeypatch.setattr(evaluate, "draw_evaluation", raising(MemoryError()))
    main(["evaluate", str(shapes_run), "--threads", "1"])
    out, err = capsys.readouterr()
    assert "accuracy" in out
    assert err.startswith("warning: plots or report are missing: MemoryError; the figures are in")
    assert (shapes_run / "evaluation" / "test" / "metrics.json").exists()


@pytest.mark.parametrize(
    "error", [ImportError("no matplotlib"), SystemExit(0), MemoryError()], ids=lambda each: type(each).__name__
)
def test_preflight_and_compare_tell_what_they_found_when_their_pictures_fail(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "tiny.yaml"
    config.write_text(json.dumps(TINY))
    first, second = (train(config_from_mapping(TINY), workplace(tmp_path, plots=False), Display()).run for _ in "ab")
    capsys.readouterr()
    monkeypatch.setattr(style, "new_figure", raising(error))
    monkeypatch.setattr(curves, "new_figure", raising(error))
    with suppress(SystemExit):  # so small a network fails its checks
        main(["preflight", str(config), "--runs-dir", str(tmp_path)])
    out, err = capsys.readouterr()
    assert "learning rate" in out
    assert type(error).__name__ in err
    assert "the checks stand without them" in err
    with pytest.raises(SystemExit, match="1"):
        main(["runs", "compare", str(first), str(second)])
    out, err = capsys.readouterr()
    assert "completed" in out
    assert err.startswith("error: cannot draw ")
    assert type(error).__name__ in err


def test_a_matplotlibrc_where_one_stands_changes_no_picture_and_starts_no_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, other = tmp_path / "plain.png", tmp_path / "other.png"
    history = [{"epoch": epoch, "train_loss": 1 / epoch} for epoch in (1, 2)]
    draw = partial(curves.curves, history)
    plain.write_bytes(Job(draw).drawn())
    with matplotlib.rc_context({"text.usetex": True, "lines.linewidth": 30, "font.size": 40}):  # as read at its import
        other.write_bytes(Job(draw).drawn())
        assert matplotlib.rcParams["text.usetex"]
    assert plain.read_bytes() == other.read_bytes()
