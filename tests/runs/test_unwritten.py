"""The run as those processes have it that only take part: whatever is to be written, nothing is."""

from __future__ import annotations

from pathlib import Path

from nnscratch.runs.looks import Look, note_look
from nnscratch.runs.meta import Meta
from nnscratch.runs.unwritten import UnwrittenRun


def test_a_process_that_only_takes_part_writes_nothing_of_what_a_training_notes(tmp_path: Path) -> None:
    run = UnwrittenRun(tmp_path)
    run.record({"record": "epoch", "epoch": 1})
    note_look(run, Look("test", "training"))
    run.write_meta(Meta())
    run.write_metrics_table([{"epoch": 1}])
    run.write_text("report.html", "text")
    run.remove_leftovers()
    assert list(tmp_path.rglob("*")) == []
