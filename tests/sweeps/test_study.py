"""Who may work on which trial: claims, leases, and what a crash leaves in a journal."""

from __future__ import annotations

import errno
import json
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nnscratch.errors import UsageError, UserError
from nnscratch.sweeps import lease as lease_module
from nnscratch.sweeps import study as study_module
from nnscratch.sweeps.journal import drop_torn_line
from nnscratch.sweeps.lease import Lease, LeaseLostError
from nnscratch.sweeps.sampling import as_the_sampler_sees_it
from nnscratch.sweeps.storage import open_storage
from nnscratch.sweeps.study import Study
from nnscratch.sweeps.sweep_file import load_sweep

WriteSweep = Callable[..., Path]


class Clock:
    """Stands for the clock of the study: moves when a test says so, however busy the machine is."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(study_module, "time", SimpleNamespace(monotonic=lambda: self.now))


def open_study(file: Path, lease_seconds: float = 60.0, seed: int = 1, extend: bool = False) -> Study:
    definition = load_sweep(file)
    shared = open_storage(None, file.parent, definition.name)
    return Study(shared, definition, seed, lease_seconds, extend)


def work_off(study: Study) -> None:
    """Completes every trial there is to take."""
    while (trial := study.claim()) is not None:
        study.finish(trial.number, "completed", float(trial.number))


def test_eight_workers_at_once_claim_every_trial_exactly_once(write_sweep: WriteSweep, tmp_path: Path) -> None:
    file = write_sweep(tmp_path, run_cap=16)
    claimed: list[int] = []

    def work() -> None:
        own = open_study(file)
        while (trial := own.claim()) is not None:
            claimed.append(trial.number)
            own.finish(trial.number, "completed", 0.5)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == list(range(16))


def test_a_silent_worker_loses_its_trial_and_is_told_so(
    write_sweep: WriteSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_sweep(tmp_path, run_cap=1)
    monkeypatch.setattr(lease_module, "_host", lambda: "another machine")
    elsewhere = open_study(file)
    trial = elsewhere.claim()
    assert trial is not None
    monkeypatch.undo()
    clock = Clock(monkeypatch)
    here = open_study(file, lease_seconds=30)
    assert here.claim() is None  # whether it is alive is not known yet
    elsewhere.beat(0)
    assert here.claim() is None
    clock.now += 31
    taken = here.claim()
    assert taken is not None
    assert (taken.number, taken.parameters) == (0, trial.parameters)
    with pytest.raises(LeaseLostError):
        elsewhere.report(0, 1, 0.5)
    with pytest.raises(LeaseLostError):
        elsewhere.finish(0, "completed", 0.9)
    here.finish(0, "completed", 0.4)
    assert [row.value for row in elsewhere.trials()] == [0.4]


def test_a_worker_that_beats_keeps_its_trial(
    write_sweep: WriteSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_sweep(tmp_path, run_cap=1)
    monkeypatch.setattr(lease_module, "_host", lambda: "another machine")
    elsewhere = open_study(file)
    assert elsewhere.claim() is not None
    monkeypatch.undo()
    clock = Clock(monkeypatch)
    here = open_study(file, lease_seconds=30)
    for _ in range(8):
        assert here.claim() is None
        elsewhere.beat(0)
        clock.now += 20


def test_a_trial_of_a_process_that_is_gone_is_free_at_once(
    write_sweep: WriteSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_sweep(tmp_path, run_cap=1)
    gone = open_study(file)
    monkeypatch.setattr(gone, "_me", replace(gone._me, pid=2**22 + 1, started="1"))
    assert gone.claim() is not None
    here = open_study(file)
    assert [row.status for row in here.trials()] == ["interrupted"]
    taken = here.claim()
    assert taken is not None
    assert taken.deaths == 1


def test_a_trial_that_kills_every_process_fails_in_the_end(
    write_sweep: WriteSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_sweep(tmp_path, run_cap=1)
    victim = open_study(file)
    monkeypatch.setattr(victim, "_me", replace(victim._me, pid=2**22 + 1, started="1"))
    claims = 0
    while victim.claim() is not None:
        claims += 1
    assert claims == 1 + study_module.MOST_DEATHS
    (row,) = victim.trials()
    assert (row.status, "10 times, and it got no further" in row.note) == ("failed", True)
    assert victim.is_over(victim.trials())


@pytest.mark.parametrize("is_death", [True, False])
def test_a_trial_for_which_memory_never_suffices_fails_in_the_end_but_not_one_for_which_the_disk_is_full(
    is_death: bool, write_sweep: WriteSweep, tmp_path: Path
) -> None:
    study = open_study(write_sweep(tmp_path, run_cap=1))
    for _ in range(study_module.MOST_DEATHS):
        assert study.claim() is not None
        study.leave_open(0, "no room", is_death)
    assert (study.claim() is None) == is_death
    assert [row.status for row in study.trials()] == ["failed" if is_death else "running"]


def test_a_trial_that_gets_on_between_kills_is_never_given_up(
    write_sweep: WriteSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_sweep(tmp_path, run_cap=1)
    victim = open_study(file)
    monkeypatch.setattr(victim, "_me", replace(victim._me, pid=2**22 + 1, started="1"))
    for life in range(3 * study_module.MOST_DEATHS):
        trial = victim.claim()
        assert trial is not None
        victim.begin(0, tmp_path, 9, updates=life // 5)  # every fifth life begins further on
    here = open_study(file)
    trial = here.claim()
    assert trial is not None
    assert trial.deaths <= 6
    for _ in range(2 * study_module.MOST_DEATHS):  # it gets no further from here on
        victim.begin(0, tmp_path, 9, updates=5) if victim.claim() is not None else None
    assert [row.status for row in victim.trials()] == ["running"]  # a living process holds it


def test_progress_grows_with_epochs_saved_updates_and_finished_trials_alone(
    write_sweep: WriteSweep, tmp_path: Path
) -> None:
    study = open_study(write_sweep(tmp_path))
    seen = [study.progress()]
    study.claim()
    seen.append(study.progress())
    study.begin(0, tmp_path, 9, updates=0)
    study.beat(0)
    seen.append(study.progress())
    assert len(set(seen)) == 1
    study.report(0, 1, 0.5)
    seen.append(study.progress())
    study.report(0, 1, 0.5)
    assert study.progress() == seen[-1]
    study.begin(0, tmp_path, 9, updates=7)
    seen.append(study.progress())
    study.finish(0, "completed", 0.5)
    seen.append(study.progress())
    assert seen[2] < seen[3] < seen[4] < seen[5]


def test_that_a_trial_is_to_stop_at_a_band_is_known_to_who_takes_it_up(write_sweep: WriteSweep, tmp_path: Path) -> None:
    file = write_sweep(tmp_path, early_terminate={"type": "hyperband", "min_iter": 1, "eta": 2})
    study = open_study(file)
    for number, values in enumerate([(0.9, 0.9), (0.1, 0.2)]):
        assert study.claim() is not None
        due = [study.report(number, epoch, value) for epoch, value in enumerate(values, 1)]
        assert due == [number == 1] * 2
    study.finish(1, "interrupted", None)
    again = open_study(file).claim()
    assert again is not None
    assert (again.number, again.due) == (1, 2)


def test_an_epoch_that_is_told_late_is_judged_by_what_was_known_of_the_trial_then(
    write_sweep: WriteSweep, tmp_path: Path
) -> None:
    band = {"type": "hyperband", "min_iter": 2, "eta": 3, "strict": True}
    study = open_study(write_sweep(tmp_path, early_terminate=band))
    for _ in range(2):
        study.claim()
    for epoch in (1, 2, 3):
        study.report(0, epoch, 0.9)
        study.report(1, 4 - epoch, 0.1)  # the last first
    assert study.trials()[1].due == 2


def test_an_interrupted_trial_is_taken_up_before_a_new_one(write_sweep: WriteSweep, tmp_path: Path) -> None:
    file = write_sweep(tmp_path, run_cap=3)
    first = open_study(file)
    assert first.claim() is not None
    first.finish(0, "interrupted", None)
    again = open_study(file).claim()
    assert again is not None
    assert again.number == 0


def test_a_target_that_is_reached_ends_the_sweep(write_sweep: WriteSweep, tmp_path: Path) -> None:
    metric = {"name": "val_accuracy", "goal": "maximize", "target": 0.8}
    study = open_study(write_sweep(tmp_path, metric=metric))
    assert study.claim() is not None
    study.finish(0, "completed", 0.8)
    assert study.claim() is None
    assert study.is_over(study.trials())


def test_another_sweep_under_the_same_name_is_refused_by_the_keys_that_differ(
    write_sweep: WriteSweep, tmp_path: Path
) -> None:
    rate = {"distribution": "log_uniform_values", "min": 0.001, "max": 0.1}
    old = {"optimizer.learning_rate": rate, "model.hidden_layers": {"values": [[8], [16, 8]]}}
    open_study(write_sweep(tmp_path))
    open_study(write_sweep(tmp_path, run_cap=9))  # more trials of the same
    open_study(write_sweep(tmp_path, parameters={"model.hidden_layers": old["model.hidden_layers"],
                                                 "optimizer": {"parameters": {"learning_rate": rate}}}))  # fmt: skip

    def refusal(config: dict[str, Any] | None = None, seed: int = 1, **changes: Any) -> str:
        with pytest.raises(UserError) as caught:
            open_study(write_sweep(tmp_path, config, **changes), seed=seed)
        return str(caught.value)

    wider = refusal(parameters={**old, "optimizer.learning_rate": {**rate, "max": 0.2}})
    was, now = ("a number from 0.001 to 0.1, logarithmic", "a number from 0.001 to 0.2, logarithmic")
    assert f"tiny is another sweep:\n  parameters.optimizer.learning_rate: was {was}, is now {now}\n" in wider
    assert "  config.training.epochs: was 3, is now 5\n" in refusal({"training": {"epochs": 5, "batch_size": 20}})
    assert "  config.training.checkpoint_every.minutes: was null, is now 2\n" in refusal(
        {"training": {"epochs": 3, "batch_size": 20, "checkpoint_every": {"epochs": 1, "minutes": 2}}}
    )
    assert "  seed: was 1, is now 2\n" in refusal(seed=2)
    assert "  metric: was maximize val_accuracy, is now minimize val_loss\n" in refusal(
        metric={"name": "val_loss", "goal": "minimize"}
    )
    gone = refusal(parameters={"l2": {"value": 0.1}})
    assert "parameters.model.hidden_layers: was one of [8], [16, 8], is gone; --extend wants it to stay" in gone
    assert "parameters.l2: was not there, is now 0.1" in gone
    assert "by --extend" not in gone
    assert "by --extend" in refusal(parameters={**old, "l2": {"value": 0.1}})


def test_extend_keeps_the_old_trials_and_the_model_learns_from_those_of_their_values_that_still_stand(
    write_sweep: WriteSweep, tmp_path: Path
) -> None:
    old = {"l2": {"min": 0.0, "max": 1.0}, "model.hidden_layers": {"values": [[8], [16, 8]]}}
    before = open_study(write_sweep(tmp_path, run_cap=6, parameters=old))
    work_off(before)
    new = {
        "l2": {"min": 0.0, "max": 0.5},
        "model.hidden_layers": {"values": [[8], [4]]},
        "optimizer.name": {"values": ["sgd", "adam"]},
    }
    file = write_sweep(tmp_path, method="bayes", run_cap=12, parameters=new)
    with pytest.raises(UserError, match="by --extend"):
        open_study(file)
    after = open_study(file, extend=True)
    work_off(after)
    assert [trial.parameters for trial in after.trials()[:6]] == [trial.parameters for trial in before.trials()[:6]]
    added = [trial.parameters for trial in after.trials()[6:]]
    assert len(added) == 6
    assert all(float(str(values["l2"])) <= 0.5 and values["model.hidden_layers"] in ([8], [4]) for values in added)
    seen = [as_the_sampler_sees_it(after.definition, frozen).params for frozen in after.frozen_trials()[:6]]
    for trial, params in zip(after.trials(), seen, strict=False):
        assert ("l2" in params) == (float(str(trial.parameters["l2"])) <= 0.5)
        assert ("model.hidden_layers" in params) == (trial.parameters["model.hidden_layers"] == [8])
    assert 0 < sum("l2" in params for params in seen) < 6
    open_study(file)  # it is that sweep from now on


@pytest.mark.parametrize("change", ["metric", "config", "seed"])
def test_extend_refuses_what_makes_old_trials_incomparable(
    change: str, write_sweep: WriteSweep, tmp_path: Path
) -> None:
    open_study(write_sweep(tmp_path))
    config = {"training": {"epochs": 5, "batch_size": 20}} if change == "config" else None
    metric = {"metric": {"name": "val_loss", "goal": "minimize"}} if change == "metric" else {}
    with pytest.raises(UserError, match=f"is another sweep:\n  {change}"):
        open_study(write_sweep(tmp_path, config, **metric), seed=2 if change == "seed" else 1, extend=True)


def test_a_grid_that_is_extended_tries_the_new_combinations_alone(write_sweep: WriteSweep, tmp_path: Path) -> None:
    def grid(*batch_sizes: int) -> Path:
        parameters = {"training.batch_size": {"values": list(batch_sizes)}, "l2": {"values": [0.0, 0.1]}}
        return write_sweep(tmp_path, method="grid", run_cap=None, parameters=parameters)

    work_off(open_study(grid(4, 5)))
    study = open_study(grid(5, 6), extend=True)
    work_off(study)
    assert [list(trial.parameters.values()) for trial in study.trials()] == [
        *([4, 0.0], [4, 0.1], [5, 0.0], [5, 0.1]),
        *([6, 0.0], [6, 0.1]),
    ]
    assert study.total == 6
    assert study.is_over(study.trials())


def search(folder: Path, write_sweep: WriteSweep, **changes: Any) -> Path:
    return write_sweep(folder, **{"method": "random", "run_cap": 2, **changes})


def test_a_grid_that_follows_a_search_with_equal_draws_still_tries_every_combination(
    write_sweep: WriteSweep, tmp_path: Path
) -> None:
    one = {"l2": {"values": [0]}}
    work_off(open_study(search(tmp_path, write_sweep, parameters=one, run_cap=3)))
    grid = open_study(
        search(tmp_path, write_sweep, parameters={"l2": {"values": [0.0, 1.0, 2]}}, method="grid", run_cap=None),
        extend=True,
    )
    work_off(grid)
    assert [trial.parameters["l2"] for trial in grid.trials()[3:]] == [1.0, 2]
    assert grid.total == 5
    assert grid.is_over(grid.trials())


def test_a_grid_knows_a_value_that_was_tried_however_it_is_written(write_sweep: WriteSweep, tmp_path: Path) -> None:
    before = {"l2": {"values": [0, 1]}, "model.activation": {"values": ["relu"]}}
    after = {"l2": {"values": [0.0, 1.0, 2.0]}, "model.activation": {"values": [{"name": "relu"}, "tanh"]}}
    work_off(open_study(search(tmp_path, write_sweep, parameters=before, method="grid", run_cap=None)))
    study = open_study(search(tmp_path, write_sweep, parameters=after, method="grid", run_cap=None), extend=True)
    work_off(study)
    assert [(trial.parameters["l2"], trial.parameters["model.activation"]) for trial in study.trials()[2:]] == [
        (0.0, "tanh"), (1.0, "tanh"), (2.0, {"name": "relu"}), (2.0, "tanh"),
    ]  # fmt: skip


def test_a_constant_that_was_another_before_the_search_was_extended_is_a_column(
    write_sweep: WriteSweep, tmp_path: Path
) -> None:
    def grid(epochs: int, *batch_sizes: int) -> Path:
        parameters = {
            "training.batch_size": {"values": list(batch_sizes)},
            "training.epochs": {"value": epochs},
            "optimizer.name": {"values": ["adam", "sgd"]},
            "optimizer.momentum": {"value": 0.5},
        }
        return write_sweep(tmp_path, method="grid", run_cap=None, parameters=parameters)

    study = open_study(grid(2, 4))
    work_off(study)
    assert study.unlike == {}
    assert study.varied == ["training.batch_size", "optimizer.name"]
    extended = open_study(grid(3, 4, 5), extend=True)
    assert extended.unlike == {"training.epochs": [0, 1]}
    assert extended.varied == ["training.batch_size", "training.epochs", "optimizer.name"]


@pytest.mark.parametrize(("l2", "unlike"), [(0, {}), ({"strength": 0.0}, {}), (0.5, {"l2": [0, 1, 2, 3]})])
def test_a_constant_that_is_new_is_a_column_where_the_config_had_another(
    l2: Any, unlike: dict[str, list[int]], write_sweep: WriteSweep, tmp_path: Path
) -> None:
    sizes = {"training.batch_size": {"values": [4, 5]}}
    work_off(open_study(write_sweep(tmp_path, parameters=sizes)))
    file = write_sweep(tmp_path, parameters={**sizes, "l2": {"value": l2}, "optimizer.beta1": {"value": 0.9}})
    assert open_study(file, extend=True).unlike == unlike


def test_a_sweep_of_before_goes_on_with_what_it_was_started_with(write_sweep: WriteSweep, tmp_path: Path) -> None:
    file = write_sweep(tmp_path, metric={"name": "val_loss", "goal": "minimize"})
    assert open_study(file).definition.monitor == "val_loss"
    journal = tmp_path / "study.journal"
    journal.write_text(journal.read_text().replace(',"monitor":"val_loss"', ""))
    study = open_study(file)
    assert study.definition.monitor is None
    assert "the weights they keep are those that training.monitor calls best" in study.definition.notes[-1]
    assert open_study(file).definition.monitor is None


def test_a_study_of_an_earlier_version_is_refused_in_one_line(write_sweep: WriteSweep, tmp_path: Path) -> None:
    file = write_sweep(tmp_path)
    study = open_study(file)
    study.claim()
    journal = tmp_path / "study.journal"
    lines = [line for line in journal.read_text().splitlines(True) if '"user_attr":{"sweep"' not in line]
    journal.write_text("".join(lines))
    with pytest.raises(UserError, match="earlier version"):
        open_study(file)


def test_a_journal_cut_off_in_the_middle_of_a_line_goes_on_without_it(write_sweep: WriteSweep, tmp_path: Path) -> None:
    file = write_sweep(tmp_path)
    before = open_study(file)
    assert before.claim() is not None
    before.finish(0, "completed", 0.5)
    journal = tmp_path / "study.journal"
    with journal.open("ab") as handle:
        handle.write(b'{"op_code":4,"worker_id":"x","study_id":0,"datet')
    after = open_study(file)
    trial = after.claim()
    assert trial is not None
    assert [row.number for row in open_study(file).trials()] == [0, 1]


@pytest.mark.parametrize(
    "line",
    ["}{{", "[1]", "7", '"text"', "null", "{}", '{"op_code":"x"}', '{"op_code":0}', '{"op_code":99}', "[" * 999],
)
@pytest.mark.parametrize("at", [0, 2, -1])
def test_a_whole_line_of_a_journal_that_is_no_entry_is_named_with_its_number(
    at: int, line: str, write_sweep: WriteSweep, tmp_path: Path
) -> None:
    file = write_sweep(tmp_path)
    open_study(file).claim()
    journal = tmp_path / "study.journal"
    lines = journal.read_text().splitlines()
    lines.insert(len(lines) if at == -1 else at, line)
    journal.write_text("".join(f"{each}\n" for each in lines))
    size = journal.stat().st_size
    with pytest.raises(UserError, match=f"study.journal:{lines.index(line) + 1} is damaged"):
        open_study(file)
    assert journal.stat().st_size == size


@pytest.mark.parametrize("word", ["x", 7, None])
def test_a_status_that_no_trial_can_have_is_damage_and_not_waited_for(
    word: object, write_sweep: WriteSweep, tmp_path: Path
) -> None:
    file = write_sweep(tmp_path)
    study = open_study(file)
    claimed = study.claim()
    assert claimed is not None
    study.finish(claimed.number, "completed", 0.5)
    journal = tmp_path / "study.journal"
    changed = journal.read_text().replace('"status":"completed"', f'"status":{json.dumps(word)}')
    journal.write_text(changed)
    with pytest.raises(UserError, match=f"damaged: trial 0 has the status '{word}'"):
        open_study(file).trials()


def test_a_full_disk_names_the_journal(
    write_sweep: WriteSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = open_study(write_sweep(tmp_path))

    def no_space(number: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("nnscratch.sweeps.journal.os.fsync", no_space)
    with pytest.raises(OSError, match=r"No space left on device: '.*study\.journal'"):
        study.claim()


def test_a_journal_that_is_damaged_while_a_sweep_runs_is_named_too(write_sweep: WriteSweep, tmp_path: Path) -> None:
    study = open_study(write_sweep(tmp_path))
    with (tmp_path / "study.journal").open("a") as journal:
        journal.write("}{{\n")
    with pytest.raises(UserError, match="is damaged"):
        study.trials()


def test_dropping_a_torn_line_leaves_whole_lines_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    for content, left in (
        (b"", b""),
        (b"a\nb\n", b"a\nb\n"),
        (b"a\nb", b"a\n"),
        (b"a", b""),
        (b"a\n" + b"b" * 3_000_000, b"a\n"),
    ):
        path.write_bytes(content)
        drop_torn_line(path)
        assert path.read_bytes() == left


def test_windows_is_never_asked_by_a_signal_whether_a_process_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[int] = []
    monkeypatch.setattr(lease_module, "Path", lambda _: tmp_path / "no such file")  # there is no /proc
    monkeypatch.setattr(os, "kill", lambda pid, _: ended.append(pid))
    monkeypatch.setattr(sys, "platform", "win32")
    assert not replace(Lease.of_this_process(), pid=1).process_is_gone()
    assert ended == []


@pytest.mark.parametrize("url", ["mysql://me:secret@host/x", "redis://secret@host", "sqlite:///x.db?a=secret"])
def test_a_storage_that_is_not_supported_is_refused_without_its_password(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not supported") as caught:
        open_storage(url, tmp_path, "x")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:pa@S3CRET@host/x",
        "postgresql://me:S3CRET/x@host/x",
        "postgresql://me:1#S3CRET@host/x",
        "postgresql://me:1?S3CRET@host/x",
        "postgresql://host/x;password=S3CRET",
        "postgresql:me:S3CRET@host/x",
        "host=here password=S3CRET",
        "password='S3 CRET' dbname=x",
        "Server=here;Pwd=S3CRET",
        "postgresql://me@server:S3CRET@host/x",
        "postgresql://me:pa S3CRET@host/x",
        "postgresql://m e:S3CRET@host/x",
        "postgresql://me:S3CRET",
        "postgresql://me:a%00S3CRET@host/x",
        "postgresql://me:secret@host/x#S3CRET",
        "postgresql://me:se[S3CRET@host/x",
        "postgresql//me:S3CRET@host/x",
        "mysql:me:S3CRET@host/x",
        "//me:S3CRET@host/x",
        "me:S3CRET@host/x",
    ],
)
def test_what_is_no_well_formed_url_is_no_storage_and_is_refused_without_its_password(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="neither a URL nor the path of a journal file") as caught:
        open_storage(url, tmp_path, "x")
    assert "S3" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_is_not_there_is_said_in_one_line_without_its_password(tmp_path: Path) -> None:
    pytest.importorskip("psycopg2", reason="needs psycopg2: pip install -e '.[postgresql]'")
    with pytest.raises(UserError, match="cannot use the database") as caught:
        open_storage("postgresql://me:secret@127.0.0.1:9/x", tmp_path, "x")
    assert "secret" not in str(caught.value)
    assert "refused" in str(caught.value)


@pytest.mark.parametrize("text", ["hello\nworld\n", '{"precious": 1}', "one line without its end", "\n"])
def test_a_file_that_is_no_journal_is_refused_and_left_as_it_is(text: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text(text)
    with pytest.raises(UserError, match=r"notes.txt:1 is damaged, or the file is not a journal"):
        open_storage(str(tmp_path / "notes.txt"), tmp_path, "x")
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("notes.txt", text)]


def test_a_journal_whose_first_line_a_crash_cut_off_begins_anew(write_sweep: WriteSweep, tmp_path: Path) -> None:
    file = write_sweep(tmp_path)
    for left in ("", '{"op', '{"op_code":0,"worker'):
        (tmp_path / "study.journal").write_text(left)
        assert open_study(file).trials() == []
