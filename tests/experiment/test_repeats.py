"""`train --seeds` and `--folds`: ordinary runs under one parent, each trained once, however often it is interrupted."""

from __future__ import annotations

import json
import shutil
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnscratch.cli import main
from nnscratch.config.assembly import Assembly, prepare
from nnscratch.config.config import Config, config_from_mapping, load_config
from nnscratch.errors import ConfigError, Interrupted, UsageError, UserError
from nnscratch.experiment.observer import Observer
from nnscratch.experiment.repeats import How, go_on, parse_seeds, repeat
from nnscratch.experiment.train import train
from nnscratch.host.display import Display
from nnscratch.host.interruption import StopRequest
from nnscratch.host.workplace import Workplace
from nnscratch.report.formats import labelled
from nnscratch.report.tables import runs_table
from nnscratch.runs.comparison import compare_runs
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.group import RunGroup
from nnscratch.runs.group_comparison import Difference, GroupComparison
from nnscratch.runs.group_summary import GroupSummary, summarize_group
from nnscratch.runs.listing import list_runs
from nnscratch.runs.loaded import load_run
from nnscratch.runs.meta import Meta
from nnscratch.runs.names import number_of
from nnscratch.training.metrics.student import interval
from nnscratch.training.progress import EpochResult

SETTINGS: dict[str, Any] = {
    "name": "tiny",
    "data": {"dataset": {"name": "shapes", "train": 120, "test": 40}, "validation": 0.2, "scaling": "standardize"},
    "model": {"hidden_layers": [8]},
    "training": {"epochs": 2, "batch_size": 20},
}


def run_group(
    tmp_path: Path, seeds: tuple[int, ...] = (), folds: int | None = None, workers: int = 1, **changes: Any
) -> GroupSummary:
    workplace = Workplace(tmp_path / "data", tmp_path / "runs", threads=1, plots=False)
    config = config_from_mapping({**SETTINGS, **changes})
    return repeat(config, seeds, folds, How(workers), workplace, Display(quiet=True))


def weights(run: Path) -> bytes:
    with np.load(run / "checkpoints" / "best.npz") as arrays:
        return b"".join(arrays[name].tobytes() for name in sorted(arrays.files) if name.startswith("parameters"))


def test_each_seed_is_an_ordinary_run_and_their_mean_has_an_interval(tmp_path: Path) -> None:
    summary = run_group(tmp_path, seeds=(1, 2, 3))
    runs = tmp_path / "runs" / "tiny"
    assert sorted(each.name for each in runs.glob("seed-*")) == ["seed-1", "seed-2", "seed-3"]
    tests = [
        json.loads((runs / f"seed-{seed}" / "meta.json").read_text())["result"]["test_accuracy"] for seed in (1, 2, 3)
    ]
    assert summary.interval is not None
    assert summary.interval.mean == pytest.approx(np.mean(tests))
    assert summary.interval.deviation == pytest.approx(np.std(tests, ddof=1))
    assert "(3 seeds, 95 % interval " in summary.to_text()
    alone = train(
        config_from_mapping({**SETTINGS, "seed": 2}),
        Workplace(tmp_path / "data", tmp_path / "alone", threads=1, plots=False),
        Display(quiet=True),
    )
    assert weights(alone.run) == weights(runs / "seed-2")


class StopAfterOneEpoch(Observer):
    def __init__(self, stop: StopRequest) -> None:
        self.stop = stop

    def epoch(self, result: EpochResult, is_best: bool) -> None:
        self.stop.ask("interrupted")


def test_the_same_command_again_trains_what_is_left_and_nothing_twice(tmp_path: Path) -> None:
    whole = run_group(tmp_path / "whole", seeds=(1, 2, 3))
    run_group(tmp_path, seeds=(1, 2, 3))
    group = RunGroup.open(tmp_path / "runs" / "tiny")
    first, second, third = group.members
    before = (first.run.metrics.read_bytes(), (first.run.path / "meta.json").read_bytes())
    shutil.rmtree(second.run.path)
    shutil.rmtree(third.run.path)
    stop = StopRequest()
    workplace = Workplace(tmp_path / "data", group.path, threads=1, plots=False)
    with pytest.raises(Interrupted):
        train(
            group.member_config(second), workplace, Display(quiet=True), observers=[StopAfterOneEpoch(stop)], stop=stop
        )
    assert len(second.run.read_history()) == 1
    again = run_group(tmp_path, seeds=(1, 2, 3))
    assert again.scores == whole.scores
    assert (first.run.metrics.read_bytes(), (first.run.path / "meta.json").read_bytes()) == before
    assert [len(member.run.read_history()) for member in group.members] == [2, 2, 2]
    assert sorted(each.name for each in group.path.glob("seed-*")) == ["seed-1", "seed-2", "seed-3"]


def test_more_seeds_join_the_group_and_another_config_begins_its_own(tmp_path: Path) -> None:
    run_group(tmp_path, seeds=(1, 2))
    assert run_group(tmp_path, seeds=(2, 3)).total == 3
    assert run_group(tmp_path, seeds=(1, 2), l2=0.01).path.name == "tiny-2"


def of_table(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    lines = ["a,b,y", *(f"{row % 7},{row * 3 % 11},{'ab'[row % 3 // 2]}" for row in range(90))]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    return {"data": {"dataset": "csv", "path": str(tmp_path / "a.csv"), "validation": 0.2}, **changes}


def test_a_group_that_older_code_has_begun_goes_on_with_its_data_as_that_took_it(
    tmp_path: Path, older_code: AbstractContextManager[None]
) -> None:
    few, labels = np.random.default_rng(0).integers(0, 13, (60, 4, 4)).astype(np.uint8), np.arange(60) % 3
    np.savez(tmp_path / "few.npz", x=few, y=labels)
    data = {"dataset": "npz", "path": str(tmp_path / "few.npz"), "validation": 0.2}
    with older_code:
        run_group(tmp_path, seeds=(1,), data=data)
    summary = run_group(tmp_path, seeds=(1, 2), data=data)
    assert summary.failure is None
    one, two = (member.run for member in RunGroup.open(summary.path).members)
    assert two.read_meta().dataset.digest == one.read_meta().dataset.digest
    assert load_run(two.path).white is None
    assert load_run(run_group(tmp_path, seeds=(1,), data=data, name="new").path / "seed-1").white == 16


@pytest.mark.parametrize("begun", [False, True], ids=["not begun", "begun without a checkpoint"])
def test_a_group_whose_data_has_changed_is_refused_before_an_update_and_stays_readable(
    begun: bool, tmp_path: Path
) -> None:
    changes = of_table(tmp_path)
    group = RunGroup.open(run_group(tmp_path, seeds=(1, 2), **changes).path)
    second = group.members[1].run
    if begun:
        for kept in (*second.checkpoints.iterdir(), second.metrics):
            kept.unlink()
        second.write_meta(Meta(status="running", dataset=second.read_meta().dataset))
    else:
        shutil.rmtree(second.path)
    table = tmp_path / "a.csv"
    table.write_text(table.read_text().replace("0,0,a", "5,5,b"))
    again = run_group(tmp_path, seeds=(1, 2), **changes)
    assert "was trained on other data: csv in " in str(again.failure)
    assert not list(second.path.glob("checkpoints/*")) if begun else not second.path.exists()
    assert len(summarize_group(group).scores) == 1


@pytest.mark.parametrize(("asked", "expected"), [(None, 2), (1, 1)])
def test_runs_of_a_group_go_on_with_their_own_threads_unless_others_are_asked_for(
    asked: int | None, expected: int, tmp_path: Path
) -> None:
    workplace = Workplace(tmp_path / "data", tmp_path / "runs", threads=2, plots=False)
    how, display = How(), Display(quiet=True)
    group = RunGroup.open(repeat(config_from_mapping(SETTINGS), (1, 2), None, how, workplace, display).path)
    whole = [weights(member.run.path) for member in group.members]
    for member in group.members:
        shutil.rmtree(member.run.path)
        stop = StopRequest()
        own = replace(workplace, runs_dir=group.path)
        with pytest.raises(Interrupted):
            train(group.member_config(member), own, display, observers=[StopAfterOneEpoch(stop)], stop=stop)
    go_on(group, How(workers=2), replace(workplace, threads=asked and 2 * asked), display)
    assert [member.run.read_meta().machine.threads for member in group.members] == [expected, expected]
    if asked is None:
        assert [weights(member.run.path) for member in group.members] == whole


def test_a_group_is_found_behind_a_folder_that_was_deleted(tmp_path: Path) -> None:
    run_group(tmp_path, seeds=(1, 2))
    assert run_group(tmp_path, seeds=(1, 2), l2=0.01).path.name == "tiny-2"
    shutil.rmtree(tmp_path / "runs" / "tiny")
    assert run_group(tmp_path, seeds=(1, 2), l2=0.01).path.name == "tiny-2"
    assert [number_of(each, "tiny") for each in ("tiny", "tiny-2", "tiny-x", "tinyx", "tin")] == [1, 2, 0, 0, 0]


def test_several_workers_train_each_run_once(tmp_path: Path) -> None:
    summary = run_group(tmp_path, seeds=(1, 2, 3), workers=2)
    assert summary.scores == run_group(tmp_path / "alone", seeds=(1, 2, 3)).scores
    assert len(list((tmp_path / "runs" / "tiny").glob("seed-*"))) == 3


def test_every_training_example_is_held_out_in_one_fold_and_the_test_split_is_not_looked_at(tmp_path: Path) -> None:
    summary = run_group(tmp_path, folds=3)
    assert (summary.kind, summary.total, summary.split) == ("folds", 3, "test")
    held_out = []
    for member in RunGroup.open(summary.path).members:
        prepared = prepare(load_config(member.run.config), Workplace(tmp_path / "data"), Display(quiet=True))
        test, validation = prepared.splits.test, prepared.splits.validation
        assert test is not None
        assert validation is not None
        assert test.inputs is prepared.dataset.train_inputs
        inside = [set(each.rows.tolist()) for each in (prepared.splits.train, validation, test)]
        assert sum(map(len, inside)) == len(set.union(*inside)) == 120
        shares = np.bincount(test.targets[test.rows], minlength=10) - np.bincount(test.targets, minlength=10) / 3
        assert np.abs(shares).max() < 1
        held_out.append(inside[2])
    assert set.union(*held_out) == set(range(120))
    assert sum(map(len, held_out)) == 120


def test_a_diverged_run_is_told_and_left_out_of_the_mean(tmp_path: Path) -> None:
    run_group(tmp_path, seeds=(1, 2, 3))
    group = RunGroup.open(tmp_path / "runs" / "tiny")
    meta = group.members[1].run.path / "meta.json"
    meta.write_text(meta.read_text().replace('"completed"', '"diverged"'))
    summary = summarize_group(group)
    assert list(summary.scores) == ["seed 1", "seed 3"]
    assert "2 of 3 seeds" in summary.headline()
    assert "left out of the mean, since they diverged: seed 2" in summary.to_text()


def test_what_no_run_of_a_group_can_be_trained_with_is_said_before_there_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="120 examples cannot be cut into 130 folds"):
        run_group(tmp_path, folds=130)
    with pytest.raises(ConfigError, match="batch_size: 97 is larger than the training split, which has 96") as caught:
        run_group(tmp_path, seeds=(1, 2), training={"epochs": 1, "batch_size": 97})
    assert "runs" not in str(caught.value)  # but the config that was given
    with pytest.raises(ConfigError, match="batch_size: 50 is larger than the training split, which has 48"):
        run_group(tmp_path, folds=2, training={"epochs": 1, "batch_size": 50})
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_group_of_which_no_run_can_begin_leaves_no_folder(
    tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nnscratch.experiment.repeats._prepared", prepared_without_looking)
    few = {**SETTINGS["data"], "dataset": {"name": "shapes", "train": 20, "test": 40}}
    with pytest.raises(UserError, match="20 examples cannot be cut into 21 folds"):
        run_group(tmp_path, folds=21, workers=workers, data=few)
    assert list((tmp_path / "runs").iterdir()) == []
    assert run_group(tmp_path, folds=3).path.name == "tiny"


def prepared_without_looking(config: Config, folds: int | None, workplace: Workplace, display: Display) -> Assembly:
    return prepare(config, workplace, display)


@pytest.mark.parametrize("trouble", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_group_that_cannot_be_written_whole_leaves_no_folder_and_its_name_free(
    trouble: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, contents: object) -> None:
        if path.name == "group.json":
            raise trouble
        path.touch()

    monkeypatch.setattr("nnscratch.runs.group.write_atomically", full)
    with pytest.raises((UserError, KeyboardInterrupt), match=r"No space left on device|^$"):
        run_group(tmp_path, seeds=(1, 2))
    assert not list((tmp_path / "runs").iterdir())


def test_runs_of_different_data_are_not_averaged(tmp_path: Path) -> None:
    run_group(tmp_path, seeds=(1, 2))
    group = RunGroup.open(tmp_path / "runs" / "tiny")
    meta = group.members[0].run.path / "meta.json"
    digest = json.loads(meta.read_text())["dataset"]["digest"]
    meta.write_text(meta.read_text().replace(digest, "0" * 64))
    with pytest.raises(UserError, match="trained on different data: seed 1 and seed 2"):
        summarize_group(group)


def test_a_group_is_one_row_of_the_list_and_its_runs_come_with_all(tmp_path: Path) -> None:
    summary = run_group(tmp_path, seeds=(1, 2))
    ((_, row),) = list_runs(tmp_path / "runs").runs
    assert (row.name, row.status, row.epochs, row.planned_epochs) == ("tiny", "2 seeds", 4, 4)
    assert summary.interval is not None
    assert (row.test, row.test_deviation) == (summary.interval.mean, summary.interval.deviation)
    names = [each.name for _, each in list_runs(tmp_path / "runs", everything=True).runs]
    assert sorted(names) == ["tiny", "tiny/seed-1", "tiny/seed-2"]


def compared(tmp_path: Path, names: list[str], **how: Any) -> GroupComparison:
    found = compare_runs(names, tmp_path / "runs", **how)
    assert isinstance(found, GroupComparison)
    return found


def rewrite_scores(path: Path, scores: dict[int, float]) -> None:
    for seed, score in scores.items():
        metrics = path / f"seed-{seed}" / "metrics.jsonl"
        kept = [line for line in metrics.read_text().splitlines() if '"test"' not in line]
        kept.append(json.dumps({"record": "test", "epoch": 1, "test_loss": 1.0, "test_accuracy": score}))
        metrics.write_text("\n".join(kept) + "\n")


def test_no_interval_of_an_accuracy_passes_0_or_100_per_cent(tmp_path: Path) -> None:
    run_group(tmp_path, seeds=(1, 2, 3))
    run_group(tmp_path, seeds=(1, 2, 3), l2=0.01)
    runs = tmp_path / "runs"
    rewrite_scores(runs / "tiny", {1: 0.9, 2: 0.98, 3: 1.0})
    rewrite_scores(runs / "tiny-2", {1: 0.0, 2: 0.9, 3: 0.1})
    found = compared(tmp_path, ["tiny", "tiny-2"])
    (_, high), (_, low) = found.groups
    assert high.headline() == "test 96.0 ± 5.3 % (3 seeds, 95 % interval 82.9 to 100.0)"
    assert high.to_dict()["high"] == 1
    assert low.to_dict()["low"] == 0
    assert "82.9 to 100.0" in found.to_text()
    assert found.to_dict()["differences"][0]["interval"]["low"] == -1


def test_no_interval_of_a_loss_reaches_below_0(tmp_path: Path) -> None:
    """Of a validation loss that is 0.1, 0.9 and 0.2 a mean below 0 is nothing that other seeds could come to."""
    data = {"dataset": {"name": "csv", "target": "y", "task": "regression"}, "path": str(tmp_path / "t.csv")}
    (tmp_path / "t.csv").write_text("a,y\n" + "".join(f"{a},{a * a}\n" for a in range(60)))
    split = {**data, "validation": 0.5}
    run_group(tmp_path, seeds=(1, 2, 3), data=split, model={"hidden_layers": []}, loss="mean_squared_error")
    for seed, loss in {1: 0.1, 2: 0.9, 3: 0.2}.items():
        metrics = tmp_path / "runs" / "tiny" / f"seed-{seed}" / "metrics.jsonl"
        lines = [json.loads(line) for line in metrics.read_text().splitlines()]
        lines = [line | {"val_loss": loss} for line in lines if line["record"] != "test"]
        metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    summary = summarize_group(RunGroup.open(tmp_path / "runs" / "tiny"))
    assert summary.metric == "loss"
    assert summary.interval is not None
    assert summary.interval.mean == pytest.approx(0.4)
    assert summary.interval.low == 0


def test_groups_whose_figures_are_all_alike_have_no_interval_and_say_so(tmp_path: Path) -> None:
    run_group(tmp_path, seeds=(1, 2, 3))
    run_group(tmp_path, seeds=(1, 2, 3), l2=0.01)
    runs = tmp_path / "runs"
    rewrite_scores(runs / "tiny", {1: 0.99, 2: 0.99, 3: 0.99})
    rewrite_scores(runs / "tiny-2", {1: 1.0, 2: 1.0, 3: 1.0})
    found = compared(tmp_path, ["tiny", "tiny-2"])
    (_, alike), _ = found.groups
    assert alike.headline() == "test 99.00 % (3 seeds, no interval: all 3 are alike)"
    assert "±" not in alike.to_text()
    assert (alike.to_dict()["no_interval"], "low" in alike.to_dict()) == ("all 3 are alike", False)
    assert "tiny-2 - tiny: +1 points (3 pairs): no interval, all 3 are alike" in found.to_text()
    (difference,) = found.to_dict()["differences"]
    assert (difference["no_interval"], difference["interval"]["low"]) == ("all 3 are alike", None)


def test_two_groups_are_compared_in_pairs_of_one_seed(tmp_path: Path) -> None:
    run_group(tmp_path, seeds=(1, 2, 3))
    run_group(tmp_path, seeds=(3, 1, 2), l2=0.01)
    runs = tmp_path / "runs"
    rewrite_scores(runs / "tiny", {1: 0.50, 2: 0.60, 3: 0.70})
    rewrite_scores(runs / "tiny-2", {1: 0.52, 2: 0.63, 3: 0.72})
    found = compared(tmp_path, ["tiny", "tiny-2"])
    (difference,) = found.found
    assert difference.interval is not None
    assert difference.interval.mean == pytest.approx(0.07 / 3)
    assert difference.interval.is_clear  # although both spread over twenty points
    assert "+2.3 points (paired by seed, 3 pairs" in difference.to_text()
    assert difference.to_text().endswith("tiny-2 is better")
    assert found.picture is not None
    assert found.picture.read_bytes().startswith(b"\x89PNG")
    rewrite_scores(runs / "tiny-2", {1: 0.52, 2: 0.63, 3: 0.69})
    unclear = compared(tmp_path, ["tiny", "tiny-2"]).found[0]
    assert unclear.interval is not None
    assert not unclear.interval.is_clear
    # A deviation of 2.08 points for 1.33 points: (t_0.975 + t_0.8) / sqrt(n) <= 0.64 from n = 22 on.
    assert "not clear; about 22 seeds would show such a difference" in unclear.to_text()


def test_groups_without_a_seed_in_common_have_no_interval_and_say_why(tmp_path: Path) -> None:
    run_group(tmp_path, seeds=(1, 2))
    run_group(tmp_path, seeds=(3, 4), l2=0.01)
    (difference,) = compared(tmp_path, ["tiny", "tiny-2"]).found
    assert "no interval, they have 0 seeds in common" in difference.to_text()


@pytest.mark.parametrize(
    ("format", "line"),
    [
        ("markdown", "|---|---|---:|---|---:|---:|---:|"),
        ("latex", r"\begin{tabular}{llrlrrr}"),
        ("csv", "group,data,parameters,runs,test,95 % interval,time"),
    ],
)
def test_a_table_to_paste_is_the_figures_alone(format: str, line: str, tmp_path: Path) -> None:
    run_group(tmp_path, seeds=(1, 2))
    found = compared(tmp_path, ["tiny"], format=format)
    assert line in found.to_text().splitlines()
    assert found.picture is None
    assert "picture" not in found.to_text()


@pytest.mark.parametrize("text", ["42", "42,42", "1,01", "1,x", "1,-2", "", f"1,{2**63}", f"1,{'9' * 5000}"])
def test_seeds_that_repeat_nothing_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--seeds"):
        parse_seeds(text)


def test_the_largest_seed_of_a_config_is_one_of_seeds_too() -> None:
    assert parse_seeds(f"1,{2**63 - 1}") == (1, 2**63 - 1)


def test_a_seed_beside_seeds_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tiny.yaml").write_text(config_from_mapping(SETTINGS).to_yaml())
    for seed in ("seed=9", "--seed=9"):
        with pytest.raises(SystemExit) as ended:
            main(["train", str(tmp_path / "tiny.yaml"), "--seeds", "1,2", seed, "--runs-dir", str(tmp_path / "runs")])
        assert ended.value.code == 2
        assert "cannot be given with --seeds" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_group_named_in_place_of_a_run_is_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_group(tmp_path, seeds=(1, 2))
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", "tiny", "--runs-dir", str(tmp_path / "runs")])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert "tiny is a group of runs, not one" in told
    assert "tiny/seed-1" in told


def test_resume_goes_on_with_a_group(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_group(tmp_path, seeds=(1, 2))
    shutil.rmtree(tmp_path / "runs" / "tiny" / "seed-2")
    capsys.readouterr()
    main(["train", "--resume", str(tmp_path / "runs" / "tiny"), "--threads", "1", "--no-plots", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert [run["label"] for run in told["runs"]] == ["seed 1", "seed 2"]
    assert told["count"] == 2


def test_a_group_goes_on_with_the_data_of_its_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NNSCRATCH_DATA_DIR", raising=False)
    run_group(tmp_path, seeds=(1, 2))
    seen: list[Path] = []

    def see(group: RunGroup, how: How, workplace: Workplace, display: Display) -> None:
        seen.append(workplace.data_dir)
        raise UserError("seen")

    monkeypatch.setattr("nnscratch.experiment.repeats.go_on", see)
    meta = tmp_path / "runs" / "tiny" / "seed-1" / "meta.json"
    (own := tmp_path / "their own").mkdir()
    meta.write_text(json.dumps(json.loads(meta.read_text()) | {"data_dir": str(own)}))
    for words in ([], ["--data-dir", str(tmp_path)]):
        with pytest.raises(SystemExit):
            main(["train", "--resume", str(tmp_path / "runs" / "tiny"), *words])
    assert seen == [own, tmp_path]


def test_a_group_of_regressions_says_how_much_of_the_variance_they_predict(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [f"{a:.3f},{2 * a + rng.normal():.3f}" for a in rng.normal(size=60)]
    (tmp_path / "t.csv").write_text("\n".join(["a,y", *rows]) + "\n")
    data = {"dataset": {"name": "csv", "target": "y", "task": "regression"}, "path": str(tmp_path / "t.csv")}
    summary = run_group(tmp_path, seeds=(1, 2), data=data, model={"hidden_layers": []}, loss="mean_squared_error")
    assert summary.headline().startswith("test R2 ")
    r2 = [
        run.read_test()["test_r2"] for run in (RunDirectory(tmp_path / "runs" / "tiny" / f"seed-{k}") for k in (1, 2))
    ]
    found = summary.interval
    assert found is not None
    assert (found.mean, found.deviation) == pytest.approx((np.mean(r2), np.std(r2, ddof=1)))
    assert found.high is not None
    assert found.high <= 1
    assert summary.to_dict()["metric"] == "r2"
    line = runs_table([summary.as_row("tiny")]).rows[0]
    assert line[6] == labelled("R2", found.mean, found.deviation)
    assert all(row[3].startswith("R2 ") for row in summary.table().rows)
    assert "%" not in summary.headline().partition("(")[0]


def test_folds_of_a_table_keep_its_groups_and_tell_of_rows_they_do_not_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    rows = [f"p{row // 4},{a:.3f},{'yes' if a > 0 else 'no'}" for row, a in enumerate(rng.normal(size=120))]
    (tmp_path / "t.csv").write_text("\n".join(["patient,a,sick", *rows]) + "\n")
    data = {"dataset": {"name": "csv", "target": "sick", "split_by": "patient"}, "path": str(tmp_path / "t.csv")}
    config = {"name": "t", "data": data, "model": {"hidden_layers": []}, "training": {"epochs": 1}}
    workplace = Workplace(tmp_path / "data", tmp_path / "runs", threads=1, plots=False)
    summary = repeat(config_from_mapping(config), (), 3, How(), workplace, Display())
    assert "24 rows are held out as a test split that folds do not use: data.dataset.test=0" in capsys.readouterr().out
    patients: list[set[int]] = []
    for member in RunGroup.open(summary.path).members:
        prepared = prepare(load_config(member.run.config), workplace, Display(quiet=True))
        assert prepared.splits.test is not None
        file_rows = prepared.dataset.origins["train"].rows[prepared.splits.test.rows]
        patients.append({row // 4 for row in file_rows.tolist()})
    assert sum(map(len, patients)) == len(set.union(*patients)) == 24


def test_a_group_that_is_being_trained_is_not_changed_by_a_command_that_is_refused(tmp_path: Path) -> None:
    run_group(tmp_path, seeds=(1, 2))
    group = tmp_path / "runs" / "tiny"
    before = (group / "group.json").read_text()
    with RunDirectory(group).locked(), pytest.raises(UserError, match="being trained by another process"):
        run_group(tmp_path, seeds=(3, 4))
    assert (group / "group.json").read_text() == before
    run_group(tmp_path, seeds=(2, 3))
    assert json.loads((group / "group.json").read_text())["seeds"] == [1, 2, 3]


def test_a_run_that_cannot_go_on_keeps_no_other_of_its_group_from_being_trained(tmp_path: Path) -> None:
    run_group(tmp_path, seeds=(1, 2))
    group = tmp_path / "runs" / "tiny"
    meta = json.loads((group / "seed-1" / "meta.json").read_text())
    (group / "seed-1" / "meta.json").write_text(json.dumps(meta | {"status": "interrupted", "result": None}))
    (group / "seed-1" / "checkpoints" / "last.npz").write_bytes(b"damaged")
    shutil.rmtree(group / "seed-2")
    summary = run_group(tmp_path, seeds=(1, 2))
    assert summary.failure is not None
    assert "last.npz" in str(summary.failure)
    assert RunDirectory(group / "seed-2").read_meta().status == "completed"


@pytest.mark.parametrize(("metric", "better"), [("accuracy", "b"), ("R2", "b"), ("loss", "a")])
def test_which_group_is_better_depends_on_what_is_compared(metric: str, better: str) -> None:
    rises = Difference("b", "a", "seeds", metric, interval([0.10, 0.11, 0.12]), None)
    assert rises.to_text().endswith(f"{better} is better")
