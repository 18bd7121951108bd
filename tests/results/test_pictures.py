"""The plots and the report of a run, drawn by `train` and by `nnscratch plot`."""

from __future__ import annotations

import csv
import json
import re
import shutil
import struct
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from nnscratch.cli import main
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.report.elements import Picture
from nnscratch.results.evaluate import evaluate_split, load_data, write_evaluation
from nnscratch.results.evaluation import Evaluation
from nnscratch.results.measured import Classified
from nnscratch.results.pictures import _evaluation_plots, _history_plots
from nnscratch.results.plot import paper_of
from nnscratch.results.report_page import write_report
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.loaded import LoadedRun, load_run
from nnscratch.training.examples import Examples

OF_IMAGES = {
    "curves", "gradient_flow", "confusion_matrix", "per_class", "thresholds", "reliability", "predictions", "weights",
    "first_layer",
}  # fmt: skip


def drawn(run: Path) -> set[str]:
    """The names of the plots, each of which must be a PNG of a size worth looking at."""
    names = set()
    for path in (run / "plots").iterdir():
        header = path.read_bytes()[:24]
        assert header.startswith(b"\x89PNG")
        assert min(struct.unpack(">II", header[16:24])) >= 150
        names.add(path.stem)
    return names


class Page(HTMLParser):
    """What a page asks a browser to load or run."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.sources += [value or "" for name, value in attributes if name in ("src", "srcset", "href", "data")]


@pytest.fixture(scope="module")
def drawn_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run as `train` leaves it, with plots and report."""
    folder = tmp_path_factory.mktemp("drawn")
    config = folder / "little.yaml"
    config.write_text(
        "data: {dataset: {name: shapes, train: 200, test: 50}}\nmodel: {hidden_layers: [8]}\n"
        "training: {epochs: 2, batch_size: 20}\n"
    )
    main(["train", str(config), "--runs-dir", str(folder), "--threads", "1", "--quiet"])
    return folder / "little"


def test_training_ends_with_every_plot_and_the_report(drawn_run: Path) -> None:
    assert drawn(drawn_run) == OF_IMAGES
    assert (drawn_run / "report.html").is_file()


def test_the_report_is_one_page_that_loads_nothing(drawn_run: Path) -> None:
    page = Page()
    page.feed((drawn_run / "report.html").read_text(encoding="utf-8"))
    assert not page.tags & {"script", "link", "iframe", "object"}
    assert page.sources
    assert all(source.startswith(("data:image/png;base64,", "#")) for source in page.sources)


def test_the_report_shows_the_figures_the_config_and_the_command(drawn_run: Path) -> None:
    text = (drawn_run / "report.html").read_text(encoding="utf-8")
    meta = json.loads((drawn_run / "meta.json").read_text())
    visible = re.sub(r"<[^>]*>", " ", text.split("</style>")[1])
    assert f"{100 * meta['result']['test_accuracy']:.2f} %" in visible
    assert f"nnscratch train {drawn_run}/config.yaml --threads 1" in visible
    titles = ("Worst mistakes", "Identical inputs", "Network", "Timings")
    for words in (*titles, "hidden_layers: [8]", meta["machine"]["numpy"]):
        assert words in visible


def test_mistakes_are_called_as_in_predictions_csv_and_no_headline_stands_twice(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = "".join(f"{rng.normal():.4f},{rng.normal():.4f},{'ab'[rng.integers(2)]}\n" for _ in range(80))
    (tmp_path / "noise.csv").write_text(f"a,b,kind\n{rows}")
    (tmp_path / "noise.yaml").write_text(
        f"data: {{dataset: csv, path: {tmp_path / 'noise.csv'}, validation: 0.4}}\n"
        "model: {hidden_layers: [4]}\ntraining: {epochs: 1}\n"
    )
    main(["train", str(tmp_path / "noise.yaml"), "--runs-dir", str(tmp_path), "--no-plots", "--quiet"])
    loaded = load_run(tmp_path / "noise")
    dataset, splits = load_data(loaded, Workplace(tmp_path, threads=1), Display(quiet=True))
    evaluation = evaluate_split(loaded, dataset, splits, "val")
    write_evaluation(loaded, evaluation)
    page = write_report(loaded, evaluation, {}).read_text(encoding="utf-8")
    mistakes = re.findall(r"<small>(noise\.csv:\d+)</small>", page)
    with (loaded.run.evaluation("val") / "predictions.csv").open(newline="") as file:
        wrong = {row["file"] for row in csv.DictReader(file) if row["correct"] == "0"}
    assert mistakes
    assert set(mistakes) <= wrong
    assert len(re.findall(r">Validation accuracy<", page)) == 1


def test_the_plots_show_the_one_look_at_the_test_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawn_run: Path
) -> None:
    shown: list[Evaluation] = []

    def remember(_: LoadedRun, evaluation: Evaluation, __: Examples) -> dict[str, Picture]:
        shown.append(evaluation)
        return {}

    def refuse(*_: object) -> None:
        raise AssertionError("a split was evaluated again")

    monkeypatch.setattr("nnscratch.results.plot.draw_run", remember)
    monkeypatch.setattr("nnscratch.results.plot.evaluate_split", refuse)
    main(["train", str(drawn_run / "config.yaml"), "--runs-dir", str(tmp_path), "--threads", "1", "--quiet"])
    (evaluation,) = shown
    result = json.loads((tmp_path / "little" / "meta.json").read_text())["result"]
    assert evaluation.subject.name == "test"
    assert evaluation.score.accuracy == result["test_accuracy"]
    assert isinstance(evaluation.measured, Classified)
    assert np.trace(evaluation.measured.counts) == pytest.approx(50 * result["test_accuracy"])


def test_no_plots_means_neither_plots_nor_report(shapes_run: Path) -> None:
    assert list((shapes_run / "plots").iterdir()) == []
    assert not (shapes_run / "report.html").exists()


def test_plot_draws_a_run_again_and_names_the_files(capsys: pytest.CaptureFixture[str], shapes_run: Path) -> None:
    main(["plot", str(shapes_run), "--json"])
    result = json.loads(capsys.readouterr().out)
    assert drawn(shapes_run) == OF_IMAGES == {Path(path).stem for path in result["plots"]}
    assert Path(result["report"]).read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_curves_mark_the_best_epoch_whichever_weights_are_looked_at(shapes_run: Path) -> None:
    meta = RunDirectory(shapes_run).read_meta()
    assert meta.result is not None
    best = meta.result.best["epoch"]
    for checkpoint in ("best", "last"):
        (curves,) = (plot for plot in _history_plots(load_run(shapes_run, checkpoint)) if plot.name == "curves")
        assert curves.alt.endswith(f"the best is epoch {best}")


def test_a_confusion_matrix_is_headed_by_what_it_counts(drawn_run: Path) -> None:
    loaded = load_run(drawn_run)
    evaluation = evaluate_split(loaded, *load_data(loaded, Workplace(Path()), Display(quiet=True)), "test")
    assert isinstance(evaluation.measured, Classified)
    counts = np.roll(evaluation.measured.counts, 1, axis=1)  # as another decision than the largest gives
    other = replace(evaluation, measured=replace(evaluation.measured, counts=counts))
    (matrix,) = (plot for plot in _evaluation_plots(other, "t") if plot.name == "confusion_matrix")
    assert f"{100 * np.trace(counts) / counts.sum():.2f} %" in matrix.alt


def test_a_regression_gets_a_scatter_instead_of_classes(regression_run: Path) -> None:
    main(["plot", str(regression_run), "--quiet"])
    assert drawn(regression_run) == {"curves", "gradient_flow", "regression", "weights"}
    report = (regression_run / "report.html").read_text(encoding="utf-8")
    assert "Test R2" in report
    assert ">Predictions and residuals</h2>" in report
    assert "Class by class" not in report


def test_without_its_data_a_run_is_drawn_as_far_as_possible(
    capsys: pytest.CaptureFixture[str], regression_run: Path
) -> None:
    (regression_run.parent.parent / "table.csv").unlink()
    main(["plot", str(regression_run)])
    assert drawn(regression_run) == {"curves", "gradient_flow", "weights"}
    assert "only what needs no data is drawn" in capsys.readouterr().err


def test_a_report_that_shows_the_data_stays_when_the_data_is_gone(
    capsys: pytest.CaptureFixture[str], regression_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nnscratch.results.plot.draw_run", lambda *_: {})
    main(["plot", str(regression_run), "--quiet"])
    before = (regression_run / "report.html").read_bytes()
    (regression_run.parent.parent / "table.csv").unlink()
    capsys.readouterr()
    main(["plot", str(regression_run)])
    out, err = capsys.readouterr()
    assert (regression_run / "report.html").read_bytes() == before
    assert "the report stays as it is" in err
    assert "report.html" not in out
    (regression_run / "report.html").write_text('<meta name="nnscratch" content="live">')
    main(["plot", str(regression_run)])
    assert "report.html" in capsys.readouterr().out


def test_a_run_that_is_not_completed_shows_validation_not_test(
    shapes_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nnscratch.results.plot.draw_run", lambda *_: {})
    meta = json.loads((shapes_run / "meta.json").read_text())
    (shapes_run / "meta.json").write_text(json.dumps(meta | {"status": "interrupted"}))
    main(["plot", str(shapes_run), "--quiet"])
    text = (shapes_run / "report.html").read_text(encoding="utf-8")
    assert "Test accuracy" not in text
    assert "Validation accuracy" in text


def test_a_full_disk_at_the_plots_is_a_warning_not_a_failed_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawn_run: Path
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nnscratch.report.picture_files.write_atomically", full)
    main(["train", str(drawn_run / "config.yaml"), "--runs-dir", str(tmp_path), "--threads", "1", "--quiet"])
    assert "No space left on device" in capsys.readouterr().err
    assert json.loads((tmp_path / "little" / "meta.json").read_text())["status"] == "completed"


@pytest.mark.parametrize(
    "error", [MemoryError(), ImportError("matplotlib is broken"), SystemExit(3), RuntimeError("no font"), ValueError()]
)
def test_whatever_drawing_raises_the_figures_are_told_before_and_the_run_is_completed(
    error: BaseException,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    drawn_run: Path,
) -> None:
    def broken(*_: object, **__: object) -> None:
        assert "test_accuracy" in (tmp_path / "little" / "logs" / "train.log").read_text()
        assert json.loads((tmp_path / "little" / "meta.json").read_text())["status"] == "completed"
        raise error

    monkeypatch.setattr("nnscratch.results.plot.draw_run", broken)
    main(["train", str(drawn_run / "config.yaml"), "--runs-dir", str(tmp_path), "--threads", "1"])
    said = capsys.readouterr()
    assert f"plots or report are missing: {type(error).__name__}" in said.err
    assert "test_accuracy" in said.out
    assert "results in" in said.out
    assert json.loads((tmp_path / "little" / "meta.json").read_text())["status"] == "completed"


def test_an_evaluation_is_told_without_the_pictures_that_fail(
    shapes_run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("nnscratch.results.evaluate.draw_evaluation", broken)
    main(["evaluate", str(shapes_run)])
    said = capsys.readouterr()
    assert "accuracy" in said.out
    assert "plots or report are missing: MemoryError" in said.err


def test_an_interrupt_while_drawing_leaves_a_completed_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawn_run: Path
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nnscratch.results.plot.draw_run", stopped)
    with pytest.raises(SystemExit) as ending:
        main(["train", str(drawn_run / "config.yaml"), "--runs-dir", str(tmp_path), "--threads", "1", "--quiet"])
    assert ending.value.code == 130
    assert "trained and saved, but not drawn" in capsys.readouterr().err
    assert json.loads((tmp_path / "little" / "meta.json").read_text())["status"] == "completed"


def test_hostile_class_names_are_shown_not_run(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    classes = np.array(["<script>alert(1)</script>", "$\\frac{", "\x1b[31mred"])
    images = rng.integers(0, 256, (60, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "mine.npz", x=images, y=np.arange(60) % 3, classes=classes)
    config = tmp_path / "hostile.yaml"
    config.write_text(
        f"data: {{dataset: npz, path: {tmp_path}/mine.npz}}\nmodel: {{hidden_layers: []}}\n"
        "training: {epochs: 1, batch_size: 8}\n"
    )
    main(["train", str(config), "--runs-dir", str(tmp_path), "--threads", "1", "--quiet"])
    text = (tmp_path / "hostile" / "report.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "\x1b" not in text


def test_initial_weights_are_those_training_started_from(tmp_path: Path, shapes_run: Path) -> None:
    untrained = tmp_path / "untrained"
    main(
        ["train", str(shapes_run / "config.yaml"), "--epochs", "0", "--runs-dir", str(untrained), "--threads", "1",
         "--quiet", "--no-plots"]
    )  # fmt: skip
    start = load_run(untrained / "shapes").network.parameters.named()
    network = load_run(shapes_run).initial_network(None)
    assert network is not None
    again = network.parameters.named()
    assert start.keys() == again.keys()
    assert all(np.array_equal(start[name], again[name]) for name in start)


def test_a_convolutional_first_layer_is_drawn_too(tmp_path: Path) -> None:
    config = tmp_path / "conv.yaml"
    config.write_text(
        "data: {dataset: {name: shapes, train: 100, test: 20}}\n"
        "model: {layers: [{conv: {channels: 4, kernel: 3}}, relu, {max_pool: 4}, flatten, dense]}\n"
        "training: {epochs: 1, batch_size: 20}\n"
    )
    main(["train", str(config), "--runs-dir", str(tmp_path), "--threads", "1", "--quiet"])
    assert drawn(tmp_path / "conv") == OF_IMAGES


def test_pictures_for_a_paper_have_the_format_and_the_width_asked_for_and_leave_the_report_alone(
    drawn_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "paper"
    shutil.copytree(drawn_run, run)
    before = (run / "report.html").read_bytes()
    main(["plot", str(run), "--format", "pdf", "--width", "8.5cm", "--threads", "1", "--quiet"])
    drawn_for_it = {path.stem: path.read_bytes() for path in (run / "plots").glob("*.pdf")}
    assert drawn_for_it.keys() == OF_IMAGES
    points = 8.5 / 2.54 * 72
    for name, contents in drawn_for_it.items():
        box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ", contents)
        assert box is not None
        assert abs(float(box[1]) - points) < 1, name
    assert (run / "report.html").read_bytes() == before


@pytest.mark.parametrize(
    ("width", "inches"),
    [("8cm", 3.15), ("80mm", 3.15), ("3.15in", 3.15), ("227pt", 3.153), ("100cm", 39.37), ("1000mm", 39.37)],
)
def test_the_widths_that_its_message_names_are_taken_in_every_unit(width: str, inches: float) -> None:
    paper = paper_of(None, width)
    assert paper is not None
    assert paper.width == pytest.approx(inches, abs=1e-3)


@pytest.mark.parametrize("options", [["--format", "jpg"], ["--width", "8.5"], ["--width", "5cm"], ["--width", "9km"]])
def test_a_format_or_a_width_that_is_none_is_refused(
    options: list[str], drawn_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["plot", str(drawn_run), *options])
    assert exit_.value.code == 2
    assert f"error: {' '.join(options)} is no" in capsys.readouterr().err
