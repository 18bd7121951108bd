"""`nnscratch runs list` and `runs compare`."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from nnscratch.cli import main
from nnscratch.report.formats import decimal
from nnscratch.report.values import TimedAccuracy
from nnscratch.runs.checkpoint import Checkpoint, load_checkpoint
from nnscratch.runs.comparison import compare_runs
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.listing import list_runs
from nnscratch.runs.summary import summarize
from nnscratch.runs.watching import Watch


def listed(capsys: pytest.CaptureFixture[str], runs_dir: Path, *options: str) -> list[dict[str, Any]]:
    main(["runs", "list", "--runs-dir", str(runs_dir), "--json", *options])
    runs: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["runs"]
    return runs


def change_meta(run: Path, **values: object) -> None:
    meta = json.loads((run / "meta.json").read_text())
    (run / "meta.json").write_text(json.dumps(meta | values))


def second_run(run: Path, name: str, replaced: str = "", by: str = "") -> Path:
    """A copy of the run under another name, with a text of its config replaced."""
    copy = Path(shutil.copytree(run, run.parent / name))
    config = (copy / "config.yaml").read_text().replace("name: shapes\n", f"name: {name}\n", 1)
    assert replaced in config
    (copy / "config.yaml").write_text(config.replace(replaced, by) if replaced else config)
    return copy


def test_a_run_is_listed_with_its_figures(capsys: pytest.CaptureFixture[str], shapes_run: Path) -> None:
    records = [json.loads(line) for line in (shapes_run / "metrics.jsonl").read_text().splitlines()]
    (run,) = listed(capsys, shapes_run.parent)
    best = max(records[:3], key=lambda row: row["val_accuracy"])
    assert (run["name"], run["data"], run["status"]) == ("shapes", "shapes", "completed")
    assert run["parameters"] == 3072 * 8 + 8 + 8 * 10 + 10
    assert (run["best_epoch"], run["epochs"]) == (best["epoch"], 3)
    assert (run["validation"], run["test"]) == (best["val_accuracy"], records[-1]["test_accuracy"])
    assert run["seconds"] == pytest.approx(sum(row["train_seconds"] for row in records[:3]))


def test_the_table_has_a_line_for_every_run(capsys: pytest.CaptureFixture[str], shapes_run: Path) -> None:
    second_run(shapes_run, "other")
    main(["runs", "list", "--runs-dir", str(shapes_run.parent)])
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split()[:2] == ["run", "data"]
    assert [line.split()[0] for line in lines] == ["other", "shapes"]


def test_runs_are_in_the_order_they_were_started_in_wherever_their_clocks_stood(
    capsys: pytest.CaptureFixture[str], shapes_run: Path
) -> None:
    moments = {"c": "2026-10-25T02:50:00+02:00", "b": "2026-10-25T02:10:00+01:00", "a": "2026-10-25T01:30:00+00:00"}
    for name, started in moments.items():
        change_meta(second_run(shapes_run, name), started=started)
    change_meta(shapes_run, started="yesterday")
    assert [run["name"] for run in listed(capsys, shapes_run.parent)] == ["shapes", "c", "b", "a"]


def test_a_running_run_that_no_process_holds_was_killed(capsys: pytest.CaptureFixture[str], shapes_run: Path) -> None:
    change_meta(shapes_run, status="running")
    assert listed(capsys, shapes_run.parent)[0]["status"] == "killed"
    with RunDirectory(shapes_run).locked():
        assert listed(capsys, shapes_run.parent)[0]["status"] == "running"


def test_a_run_in_training_shows_its_best_epoch_so_far_and_a_killed_one_that_whose_weights_are_there(
    shapes_run: Path,
) -> None:
    change_meta(shapes_run, status="running", result=None)
    rows = [json.loads(line) for line in (shapes_run / "metrics.jsonl").read_text().splitlines()[:3]]
    for row, accuracy in zip(rows, (0.1, 0.3, 0.2), strict=True):
        row["val_accuracy"] = accuracy
    text = "".join(json.dumps(row) + "\n" for row in rows) + '{"record": "ep'
    (shapes_run / "metrics.jsonl").write_text(text)
    run = RunDirectory(shapes_run)
    with run.locked():
        training = summarize(run)
    assert (training.best_epoch, training.validation, training.epochs, training.test) == (2, 0.3, 3, None)
    kept = load_checkpoint(run.best)
    run.best.write_bytes(Checkpoint({**kept.header, "best_epoch": 1}, kept.arrays).encode())
    killed = summarize(run)
    assert (killed.best_epoch, killed.validation, killed.epochs) == (1, 0.1, 3)
    run.best.unlink()
    killed = summarize(run)
    assert (killed.best_epoch, killed.validation, killed.epochs) == (None, None, 3)


def test_a_damaged_run_is_still_listed(capsys: pytest.CaptureFixture[str], shapes_run: Path) -> None:
    for name in ("meta.json", "config.yaml"):
        (shapes_run / name).write_text("{")
    (shapes_run / "metrics.jsonl").write_text("nonsense\n")
    (run,) = listed(capsys, shapes_run.parent)
    assert (run["parameters"], run["best_epoch"]) == (None, None)
    assert run["status"] == "unknown, but meta.json cannot be read; 1 of 1 lines of metrics.jsonl cannot be read"


def test_a_run_without_its_config_is_listed_and_says_so(capsys: pytest.CaptureFixture[str], shapes_run: Path) -> None:
    (shapes_run / "config.yaml").unlink()
    (run,) = listed(capsys, shapes_run.parent)
    assert (run["epochs"], run["status"]) == (3, "completed, but there is no config.yaml")


def test_a_link_to_a_run_is_listed_and_no_other_is_followed(
    capsys: pytest.CaptureFixture[str], shapes_run: Path, tmp_path: Path
) -> None:
    (tmp_path / "here" / "below").mkdir(parents=True)
    for link, to in (("run", shapes_run), ("all", shapes_run.parent), ("below/self", tmp_path / "here")):
        (tmp_path / "here" / link).symlink_to(to, target_is_directory=True)
    for options in ((), ("--all",)):
        assert [run["name"] for run in listed(capsys, tmp_path / "here", *options)] == ["run"]
    assert [run.path.name for run in Watch(tmp_path / "here", everything=False).look().runs] == ["run"]
    (shapes_run.parent / "latest").symlink_to(shapes_run, target_is_directory=True)  # of a run that is listed anyway
    assert [run["name"] for run in listed(capsys, shapes_run.parent)] == ["shapes"]


def test_trials_of_sweeps_are_listed_on_request(capsys: pytest.CaptureFixture[str], shapes_run: Path) -> None:
    shutil.copytree(shapes_run, shapes_run.parent / "sweeps" / "first" / "trial-0001")
    assert [run["name"] for run in listed(capsys, shapes_run.parent)] == ["shapes"]
    everything = {run["name"] for run in listed(capsys, shapes_run.parent, "--all")}
    assert everything == {"shapes", "sweeps/first/trial-0001"}


def test_regression_runs_are_listed_by_their_r2_and_older_ones_by_a_loss_that_is_called_one(
    regression_run: Path,
) -> None:
    listed = list_runs(regression_run.parent)
    ((_, summary),) = listed.runs
    assert summary.metric == "loss"
    assert summary.validation is not None
    assert summary.test is not None
    assert summary.test_r2 is not None
    assert f"loss {decimal(summary.validation)}  R2 {decimal(summary.test_r2)}" in listed.to_text()
    metrics = regression_run / "metrics.jsonl"
    test = json.loads(metrics.read_text().splitlines()[-1])
    assert list(test) == ["record", "epoch", "test_loss", "test_mean_absolute_error", "test_r2"]
    metrics.write_text(metrics.read_text().replace("test_r2", "unknown"))
    assert (
        f"loss {decimal(summary.validation)}  loss {decimal(summary.test)}"
        in list_runs(regression_run.parent).to_text()
    )


def test_an_empty_folder_says_how_to_make_a_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    main(["runs", "list", "--runs-dir", str(tmp_path)])
    assert "nnscratch train" in capsys.readouterr().out


def test_comparing_shows_the_differing_settings_alone(capsys: pytest.CaptureFixture[str], shapes_run: Path) -> None:
    second_run(shapes_run, "wide", "hidden_layers: [8]", "hidden_layers: [16]")
    main(["runs", "compare", "shapes", "wide", "--runs-dir", str(shapes_run.parent), "--json"])
    result = json.loads(capsys.readouterr().out)
    assert result["differences"] == {"model.hidden_layers": {"shapes": "[8]", "wide": "[16]"}}
    assert [run["name"] for run in result["runs"]] == ["shapes", "wide"]
    assert Path(result["picture"]).read_bytes().startswith(b"\x89PNG")
    assert Path(result["picture"]).parent == shapes_run.parent / "comparisons"


def test_the_picture_goes_where_it_is_wanted(
    capsys: pytest.CaptureFixture[str], shapes_run: Path, tmp_path: Path
) -> None:
    other = second_run(shapes_run, "other")
    main(["runs", "compare", str(shapes_run), str(other), "--output", str(tmp_path / "both.png")])
    text = capsys.readouterr().out
    assert (tmp_path / "both.png").is_file()
    assert "the configurations are the same" in text


def test_a_comparison_against_time_leaves_the_one_of_the_curves(
    capsys: pytest.CaptureFixture[str], shapes_run: Path
) -> None:
    command = ["runs", "compare", str(shapes_run), str(second_run(shapes_run, "other"))]
    main(command)
    curves = shapes_run.parent / "comparisons" / "shapes-other.png"
    before = curves.read_bytes()
    main([*command, "--against-time"])
    assert "shapes-other-against-time.png" in capsys.readouterr().out
    assert curves.read_bytes() == before
    assert sorted(path.name for path in curves.parent.iterdir()) == ["shapes-other-against-time.png", curves.name]
    main(command)  # a picture is drawn again in its place


@pytest.mark.parametrize("option", [[], ["--against-time"]])
def test_a_file_that_is_no_picture_is_not_overwritten(
    option: list[str], capsys: pytest.CaptureFixture[str], shapes_run: Path, tmp_path: Path
) -> None:
    notes = tmp_path / "notes.pdf"
    notes.write_bytes(b"no picture")
    other = str(second_run(shapes_run, "other"))
    for target, code, said in (
        (shapes_run / "config.yaml", 2, "is not the name of a picture"),
        (notes, 1, "exists and is no PDF: it is not overwritten"),
    ):
        before = target.read_bytes()
        with pytest.raises(SystemExit) as exit_:
            main(["runs", "compare", str(shapes_run), other, "-o", str(target), *option])
        assert exit_.value.code == code
        assert f"{target} {said}" in capsys.readouterr().err
        assert target.read_bytes() == before


def test_accuracy_against_time_has_a_point_per_config_the_mean_over_its_seeds(
    monkeypatch: pytest.MonkeyPatch, shapes_run: Path, tmp_path: Path
) -> None:
    drawn: list[TimedAccuracy] = []
    monkeypatch.setattr("nnscratch.report.sweeps.accuracy_against_time", lambda points, path: drawn.extend(points))
    runs = [
        shapes_run,
        second_run(shapes_run, "again", "seed: 3\n", "seed: 4\n"),
        second_run(shapes_run, "wide", "[8]", "[16]"),
    ]
    for run, accuracy in zip(runs, (0.5, 0.7, 0.9), strict=True):
        records = run / "metrics.jsonl"
        test = {"record": "test", "test_accuracy": accuracy, "test_loss": 1.0}
        records.write_text(records.read_text() + json.dumps(test) + "\n")
    compare_runs([str(run) for run in runs], tmp_path, tmp_path / "t.png", against_time=True)
    assert [point.label for point in drawn] == ["shapes, mean of 2", "wide"]
    assert [point.accuracy for point in drawn] == pytest.approx([0.6, 0.9])
    assert all(point.minutes > 0 for point in drawn)
    assert {point.group for point in drawn} == {"shapes"}


def test_tables_are_named_by_their_files_and_different_ones_of_one_name_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, shapes_run: Path, tmp_path: Path
) -> None:
    drawn: list[TimedAccuracy] = []
    monkeypatch.setattr("nnscratch.report.sweeps.accuracy_against_time", lambda points, path: drawn.extend(points))
    origins = {"wide": "a/fish.csv", "deep": "a/fish.csv", "narrow": "a/birds.csv"}
    runs = [second_run(shapes_run, name, "[8]", f"[{width}]") for width, name in enumerate(origins, 9)]
    for name, origin in origins.items():
        digest = origin[-7] * 64
        dataset = {"name": "csv", "origin": origin, "digest": digest}
        change_meta(shapes_run.parent / name, dataset=dataset)

    def compared() -> list[str]:
        drawn.clear()
        compare_runs([str(run) for run in runs], tmp_path, tmp_path / "t.png", against_time=True)
        return [point.group for point in drawn]

    assert {row.name: row.data for _, row in list_runs(shapes_run.parent).runs}["narrow"] == "birds.csv"
    assert compared() == ["fish.csv", "fish.csv", "birds.csv"]
    change_meta(runs[1], dataset={"name": "csv", "origin": "b/fish.csv", "digest": "1" * 64})
    assert compared() == ["a/fish.csv", "b/fish.csv", "birds.csv"]
    change_meta(runs[2], dataset={"name": "csv"})  # of a run from before the place was kept
    assert compared()[2] == "csv"


def test_runs_that_were_never_tested_leave_nothing_to_draw_against_time(
    capsys: pytest.CaptureFixture[str], shapes_run: Path, tmp_path: Path
) -> None:
    other = second_run(shapes_run, "other")
    for run in (shapes_run, other):
        records = (run / "metrics.jsonl").read_text().splitlines()
        (run / "metrics.jsonl").write_text("".join(line + "\n" for line in records if '"test"' not in line))
    picture = tmp_path / "t.png"
    main(["runs", "compare", str(shapes_run), str(other), "--against-time", "--output", str(picture)])
    assert "nothing to draw: shapes (no test accuracy), other (no test accuracy)\n" in capsys.readouterr().out
    assert not picture.exists()


def test_runs_that_a_picture_leaves_out_are_named_with_the_reason(
    capsys: pytest.CaptureFixture[str], shapes_run: Path, regression_run: Path, tmp_path: Path
) -> None:
    begun = second_run(shapes_run, "begun")
    (begun / "metrics.jsonl").unlink()
    runs, picture = [str(shapes_run), str(begun), str(regression_run)], tmp_path / "t.png"
    name = regression_run.name
    main(["runs", "compare", *runs, "--output", str(picture)])
    assert f"picture in {picture}\nnot in it: begun (no epoch, completed)\n" in capsys.readouterr().out
    main(["runs", "compare", *runs, "--against-time", "--output", str(picture)])
    said = f"not in it: begun (no epoch, completed), {name} (no accuracy: a regression)\n"
    assert said in capsys.readouterr().out
    main(["runs", "compare", *runs, "--against-time", "--output", str(picture), "--json"])
    assert set(json.loads(capsys.readouterr().out)["not_drawn"]) == {"begun", name}


def test_runs_of_one_name_in_two_folders_are_told_apart(
    capsys: pytest.CaptureFixture[str], shapes_run: Path, tmp_path: Path
) -> None:
    twin = Path(shutil.copytree(shapes_run, tmp_path / "elsewhere" / "shapes"))
    main(["runs", "compare", str(shapes_run), str(twin), "--json"])
    assert [run["name"] for run in json.loads(capsys.readouterr().out)["runs"]] == [str(shapes_run), str(twin)]


def test_a_run_that_does_not_exist_is_named_with_the_closest_one(
    capsys: pytest.CaptureFixture[str], shapes_run: Path
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["runs", "compare", "shape", "shapes", "--runs-dir", str(shapes_run.parent)])
    assert exit_.value.code == 2
    assert "did you mean shapes?" in capsys.readouterr().err


def test_one_run_alone_is_no_comparison(capsys: pytest.CaptureFixture[str], shapes_run: Path) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["runs", "compare", str(shapes_run)])
    assert exit_.value.code == 2


def test_a_run_that_is_not_done_shows_its_epochs_of_those_planned(shapes_run: Path) -> None:
    config = shapes_run / "config.yaml"
    config.write_text(config.read_text().replace("epochs: 3", "epochs: 12"))
    listing = list_runs(shapes_run.parent)
    assert listing.to_dict()["runs"][0]["planned_epochs"] == 12
    assert "3 of 12" in listing.to_text()


def rows_with(run: Path, **changes: object) -> str:
    rows = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return "".join(json.dumps({**row, **changes}) + "\n" for row in rows)


def test_odd_runs_are_lines_of_their_own_and_the_others_are_listed(
    shapes_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    meta = json.loads((shapes_run / "meta.json").read_text())
    odd: dict[str, tuple[str, str]] = {
        "text": ("meta.json", json.dumps({**meta, "parameters": "many", "status": 5, "dataset": {"train": "x"}})),
        "result": ("meta.json", json.dumps({**meta, "result": {"run": "x", "epochs": 2, "best": {"epoch": 10**30}}})),
        "null": ("meta.json", json.dumps({**meta, "machine": None, "dataset": None})),
        "deep": ("meta.json", "[" * 100_000),
        "nulls": ("metrics.jsonl", rows_with(shapes_run, train_loss=None, val_accuracy=None)),
        "words": ("metrics.jsonl", rows_with(shapes_run, train_loss="x", epoch="y")),
        "huge": ("metrics.jsonl", rows_with(shapes_run, train_loss=10**400, train_seconds=10**400)),
        "infinite": ("metrics.jsonl", rows_with(shapes_run, train_seconds=float("inf"))),
        "vast": ("metrics.jsonl", rows_with(shapes_run, train_loss=-1e308, val_accuracy=1e308)),
        "config": ("config.yaml", "training: {epochs: [}"),
    }
    runs = tmp_path / "many"
    for name, (file, text) in odd.items():
        shutil.copytree(shapes_run, runs / name)
        (runs / name / file).write_text(text)
    for name in ("meta.json", "metrics.jsonl", "config.yaml", ".lock"):
        folder = shutil.copytree(shapes_run, runs / f"pipe{name}")
        (folder / name).unlink()
        os.mkfifo(folder / name)
        folder = shutil.copytree(shapes_run, runs / f"endless{name}")
        (folder / name).unlink()
        (folder / name).symlink_to("/dev/zero")
    shutil.copytree(shapes_run, runs / "good")
    main(["runs", "list", "--runs-dir", str(runs), "--json"])
    listed = {run["name"]: run for run in json.loads(capsys.readouterr().out)["runs"]}
    assert listed.keys() == {path.name for path in runs.iterdir()}
    assert listed["good"]["status"] == "completed"
    assert not any("unreadable" in run["status"] for run in listed.values())
    assert listed["deep"]["status"].endswith(", but meta.json cannot be read")
    assert "lines of metrics.jsonl cannot be read" in listed["words"]["status"]
    for file in ("meta.json", "metrics.jsonl"):
        assert listed[f"pipe{file}"]["status"].endswith(f", but {file} is no file")
        assert listed[f"endless{file}"]["status"].endswith(f", but {file} is no file")
    assert "but" not in listed["nulls"]["status"]


def test_a_run_that_cannot_be_summarized_says_why_in_its_line(
    shapes_run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nnscratch.runs.reading.LONGEST_METRICS", 100)
    main(["runs", "list", "--runs-dir", str(shapes_run.parent)])
    assert "metrics.jsonl has more than 100 bytes: no training wrote it" in capsys.readouterr().out
