"""What a run says of itself, typed: written with a format number, and read whatever has become of it."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from inspect import getsource
from pathlib import Path
from typing import Any, get_args

import pytest

from nnscratch.cli import main
from nnscratch.component import catalogue
from nnscratch.datasets.dataset import Source
from nnscratch.datasets.sources.own_data import OWN_DATA
from nnscratch.host.machine import Machine, describe
from nnscratch.runs import layout
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.listing import list_runs
from nnscratch.runs.meta import FORMAT, Data, Meta, Outcome, Status

PACKAGE = Path(layout.__file__).resolve().parent.parent
WHOLE = Meta(
    format=FORMAT,
    name="a",
    status="completed",
    command=("nnscratch", "train", "a.yaml"),
    commands_before=(["nnscratch", "train"],),
    started="2026-01-01",
    seed=3,
    dataset=Data("shapes", "drawn", "0" * 64, 80, 20, 10),
    parameters=12,
    machine=Machine(
        numpy="2.4", threads=2, blas=({"version": None},), blas_environment={"OPENBLAS_CORETYPE": "Haswell"}
    ),
    plugins={"mine.py": "1" * 64},
    updated="2026-01-02",
    epochs=4,
    train_seconds=1.5,
    error="none",
    result=Outcome("runs/a", 4, {"epoch": 2, "val_loss": 0.5, "odd": None}, 0.25, 0.75, 12, 1.5, 320),
)


def run_that_says(folder: Path, meta: object) -> RunDirectory:
    run = RunDirectory.create(folder, "run")
    run.write_text("config.yaml", "name: run\n")
    (run.path / "meta.json").write_text(json.dumps(meta))
    return run


def test_what_is_written_is_read_again_with_its_format(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, "run")
    run.write_meta(WHOLE)
    assert json.loads((run.path / "meta.json").read_text())["format"] == FORMAT
    assert run.read_meta() == WHOLE


def test_of_this_machine_everything_is_kept(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, "run")
    run.write_meta(Meta(machine=describe(threads=2)))
    here = run.read_meta().machine
    assert here == json.loads(json.dumps(here.__dict__), object_hook=lambda _: here)
    assert (here.threads, here.kernel) == (2, describe(2).kernel)
    assert here.numpy is not None


@pytest.mark.parametrize("status", get_args(Status))
def test_every_status_is_read_and_no_other(status: str, tmp_path: Path) -> None:
    assert run_that_says(tmp_path, {"status": status}).read_meta().status == status
    assert run_that_says(tmp_path, {"status": f"{status}!"}).read_meta().status == "unknown"


ODD: list[Any] = [None, 3, -1, 1.5, True, "text", "", [], [1, [2]], {}, {"a": {"b": 1}}, 10**400, "\x1b[31m"]
NESTED: dict[str, Any] = {"dataset": Data, "machine": Machine, "result": Outcome}
FIELDS = [
    *Meta.__dataclass_fields__,
    *(f"{outer}.{inner}" for outer, record in NESTED.items() for inner in record.__dataclass_fields__),
]


@pytest.mark.parametrize("field", FIELDS)
def test_an_odd_value_is_not_known_and_leaves_the_others_as_they_are(field: str, tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, "run")
    run.write_text("config.yaml", "name: run\n")
    run.record({"record": "epoch", "epoch": 1, "train_loss": 0.5, "train_accuracy": 0.5, "train_seconds": 1.0})
    whole, (outer, _, inner) = WHOLE.to_dict(), field.partition(".")
    for odd in ODD:
        changed = {**whole, outer: {**whole[outer], inner: odd} if inner else odd}
        (run.path / "meta.json").write_text(json.dumps(changed))
        if field == "format" and isinstance(odd, int) and odd > FORMAT:
            continue  # that of a newer version
        read = run.read_meta()
        for name in Meta.__dataclass_fields__:
            assert name == outer or getattr(read, name) == getattr(WHOLE, name)
        if not inner:
            listing = list_runs(tmp_path)
            assert [row.epochs for _, row in listing.runs] == [1]
            assert listing.to_text().count("\n") == 1


def test_a_meta_json_of_a_newer_version_is_neither_understood_nor_written_over(
    shapes_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = shapes_run / "meta.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format": FORMAT + 1, "of_tomorrow": 1}))
    before = {path: path.read_bytes() for path in shapes_run.rglob("*") if path.is_file()}
    with pytest.raises(SystemExit) as ended:
        main(["train", "--resume", str(shapes_run), "--epochs", "5", "--no-plots"])
    assert ended.value.code == 1
    assert "meta.json was written by a newer version of nnscratch" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in shapes_run.rglob("*") if path.is_file()} == before
    (_, row) = list_runs(shapes_run.parent).runs[0]
    assert row.status.startswith("unreadable: ")


@pytest.mark.parametrize("text", ["", "null", "[]", '"x"', "{", "[" * 100_000, "\x00", "NaN"])
def test_a_meta_json_that_is_no_mapping_says_nothing(text: str, tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, "run")
    (run.path / "meta.json").write_text(text)
    assert run.read_meta() == Meta()


ROWS = [
    '{"record": "epoch", "epoch": 1, "train_loss": null, "train_accuracy": "x", "train_seconds": [], "val_loss": {}}',
    '{"record": "epoch", "epoch": "first", "train_loss": 1.0}',
    '{"record": "epoch"}',
    '{"record": "test", "test_accuracy": "high", "test_loss": null}',
    "3",
]


@pytest.mark.parametrize("row", ROWS)
def test_an_odd_row_of_metrics_breaks_no_listing_and_no_reading(row: str, tmp_path: Path) -> None:
    run = run_that_says(tmp_path, {"status": "completed", "machine": None})
    (run.path / "metrics.jsonl").write_text(row + "\n")
    ((_, summary),) = list_runs(tmp_path).runs
    assert (summary.status.partition(", but ")[0], summary.test, summary.validation) == ("completed", None, None)
    is_row = '"epoch": 1,' in row or '"test"' in row
    assert ("1 of 1 lines of metrics.jsonl cannot be read" in summary.status) == (not is_row)
    assert list_runs(tmp_path).to_text().splitlines()[1].split()[0] == "run"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("name", ["meta.json", "metrics.jsonl"])
def test_a_pipe_or_a_device_in_place_of_a_file_is_not_waited_for(name: str, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    for device in (False, True):
        file = run_that_says(tmp_path / "runs", {}).path / name
        file.unlink(missing_ok=True)
        if device:
            file.symlink_to("/dev/zero")
        else:
            os.mkfifo(file)
    assert len(list_runs(tmp_path / "runs").runs) == 2


@pytest.mark.parametrize("machine", [None, 3, {"threads": "two"}, {"threads": -1}, {"threads": 10**9}, {"blas": 1}])
def test_a_run_whose_machine_is_not_known_is_evaluated_and_goes_on(machine: object, shapes_run: Path) -> None:
    meta = json.loads((shapes_run / "meta.json").read_text())
    (shapes_run / "meta.json").write_text(json.dumps({**meta, "machine": machine}))
    main(["evaluate", str(shapes_run), "--no-plots", "--json"])
    main(["train", "--resume", str(shapes_run), "--no-plots", "--quiet"])


def test_a_run_whose_machine_is_not_known_is_drawn(shapes_run: Path) -> None:
    meta = json.loads((shapes_run / "meta.json").read_text())
    (shapes_run / "meta.json").write_text(json.dumps({**meta, "machine": {"threads": "two"}}))
    main(["plot", str(shapes_run), "--quiet"])
    assert (shapes_run / "report.html").is_file()


def test_the_names_that_are_read_before_numpy_are_those_that_are_written(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, "run")
    run.write_meta(Meta(machine=Machine(blas_environment={"OPENBLAS_CORETYPE": "SkylakeX"})))
    program = (
        "import os, sys; from pathlib import Path; from nnscratch import cpu\n"
        "cpu.cpu_flags = lambda: cpu.AVX512_FLAGS\n"
        "cpu.use_kernel_of(Path(sys.argv[1])); print(os.environ.get('OPENBLAS_CORETYPE'), 'numpy' in sys.modules)"
    )
    clean = {key: value for key, value in os.environ.items() if key != "OPENBLAS_CORETYPE"}
    for path in (run.path, run.last, run.last.name):
        done = subprocess.run(
            [sys.executable, "-c", program, path],
            capture_output=True, text=True, check=True, env=clean, cwd=run.checkpoints,
        )  # fmt: skip
        assert done.stdout == "SkylakeX False\n"
    assert layout.META in (PACKAGE / "cpu.py").read_text()


def test_only_runs_knows_what_is_called_how_inside_a_run() -> None:
    names = {
        layout.META, layout.METRICS, layout.METRICS_TABLE, layout.REPORT, layout.LOG, layout.TRACEBACK, layout.LOCK,
        layout.CHECKPOINTS, layout.LAST, layout.BEST, "last.npz", "best.npz",
    }  # fmt: skip
    spelled = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        constants = {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}
        if constants & names and path.parent.name != "runs":
            spelled[path.name] = constants & names
    assert spelled == {"cpu.py": {layout.META}}


def test_the_data_of_every_source_that_needs_a_path_is_called_by_its_file() -> None:
    needing = {
        name for name, kind in catalogue(Source).items() if "required_path(" in getsource(sys.modules[kind.__module__])
    }
    assert needing == set(OWN_DATA)
    assert {Data(name, "here/houses").label for name in needing} == {"houses"}
    assert Data("cifar10", "binary batches in data").label == "cifar10"
