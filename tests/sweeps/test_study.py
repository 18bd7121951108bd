"""Who may work on which trial: claims, leases, and what a crash leaves in a journal."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from nnscratch.errors import UsageError, UserError
from nnscratch.sweeps import study as study_module
from nnscratch.sweeps.definition import load_sweep
from nnscratch.sweeps.storage import drop_torn_line, open_storage
from nnscratch.sweeps.study import LeaseLostError, Study

WriteSweep = Callable[..., Path]


class Clock:
    """Stands for the clock of the study: moves when a test says so, however busy the machine is."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(study_module, "time", SimpleNamespace(monotonic=lambda: self.now))


def open_study(file: Path, lease_seconds: float = 60.0, seed: int = 1) -> Study:
    definition = load_sweep(file)
    shared = open_storage(None, file.parent, definition.name)
    return Study(shared, definition, seed, lease_seconds)


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
    monkeypatch.setattr(study_module, "_host", lambda: "another machine")
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
    monkeypatch.setattr(study_module, "_host", lambda: "another machine")
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
    assert (row.status, "died 10 times" in row.note) == ("failed", True)
    assert victim.is_over(victim.trials())


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


def test_another_sweep_under_the_same_name_is_refused(write_sweep: WriteSweep, tmp_path: Path) -> None:
    open_study(write_sweep(tmp_path))
    open_study(write_sweep(tmp_path, run_cap=9))  # more trials of the same
    with pytest.raises(UserError, match="another sweep named tiny"):
        open_study(write_sweep(tmp_path, parameters={"l2": {"value": 0.1}}))
    with pytest.raises(UserError, match="another sweep named tiny"):
        open_study(write_sweep(tmp_path), seed=2)


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


def test_dropping_a_torn_line_leaves_whole_lines_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    for content, left in ((b"", b""), (b"a\nb\n", b"a\nb\n"), (b"a\nb", b"a\n"), (b"a", b"")):
        path.write_bytes(content)
        drop_torn_line(path)
        assert path.read_bytes() == left


@pytest.mark.parametrize("url", ["mysql://me:secret@host/x", "sqlite:///x.db"])
def test_a_storage_that_is_not_supported_is_refused_without_its_password(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not supported") as caught:
        open_storage(url, tmp_path, "x")
    assert "secret" not in str(caught.value)


def test_a_database_that_is_not_there_is_said_in_one_line_without_its_password(tmp_path: Path) -> None:
    pytest.importorskip("psycopg2")
    with pytest.raises(UserError, match="cannot use the database") as caught:
        open_storage("postgresql://me:secret@127.0.0.1:9/x", tmp_path, "x")
    assert "secret" not in str(caught.value)
    assert "refused" in str(caught.value)


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello\nworld\n")
    with pytest.raises(UserError, match="not a journal"):
        open_storage(str(tmp_path / "notes.txt"), tmp_path, "x")
