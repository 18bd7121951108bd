"""Every failure of a command: `error: ...` on standard error, its exit code, no traceback on the screen, none lost."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest

from nnscratch import cpu
from nnscratch.cli import main
from nnscratch.cli.errors import as_meant
from nnscratch.errors import listed
from nnscratch.experiment import train as training
from nnscratch.training.step import TrainingStep

TINY = {
    "name": "tiny",
    "data": {"dataset": {"name": "shapes", "train": 40, "test": 20}},
    "model": {"hidden_layers": [4]},
    "training": {"epochs": 1, "batch_size": 10},
}


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    (tmp_path / "tiny.yaml").write_text(json.dumps(TINY))
    runs = str(tmp_path / "runs")
    return ["train", str(tmp_path / "tiny.yaml"), "--runs-dir", runs, "--threads", "1", "--no-plots", "--quiet"]


def fail(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and standard error."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert isinstance(caught.value.code, int)
    return caught.value.code, capsys.readouterr().err


def raising(error: BaseException) -> Any:
    def function(*_: object, **__: object) -> NoReturn:
        raise error

    return function


def test_a_long_list_ends_with_how_many_are_left() -> None:
    assert listed(["a", "b"], 2) == "a, b"
    assert listed(map(repr, "abc"), 2) == "'a', 'b' and 1 more"
    assert listed(range(2001), 1) == "0 and 2,000 more"


def test_a_fault_of_ours_in_a_run_says_where_its_traceback_is_and_marks_the_run(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(TrainingStep, "__call__", raising(KeyError("lost")))
    code, error = fail(command, capsys)
    run = tmp_path / "runs" / "tiny"
    assert code == 1
    assert error == (
        "error: unexpected KeyError: 'lost'\n"
        f"  this is a fault in nnscratch; its traceback is in {run}/logs/traceback.txt\n"
    )
    assert "KeyError: 'lost'" in (run / "logs" / "traceback.txt").read_text()
    meta = json.loads((run / "meta.json").read_text())
    assert (meta["status"], meta["error"]) == ("failed", "KeyError: 'lost'")
    assert "failed: KeyError: 'lost'" in (run / "logs" / "train.log").read_text()


def test_a_fault_of_ours_outside_a_run_keeps_its_traceback_too(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(training, "prepare_start", raising(ZeroDivisionError("by zero")))
    code, error = fail(command, capsys)
    assert code == 1
    assert error.startswith("error: unexpected ZeroDivisionError: by zero\n  this is a fault in nnscratch; ")
    place = re.search(r"its traceback is in (\S+)", error)
    assert place is not None
    file = Path(place.group(1))
    assert "ZeroDivisionError: by zero" in file.read_text()
    file.unlink()


@pytest.mark.parametrize("code", [0, 3, None])
def test_a_library_that_wants_to_end_the_process_is_an_error_like_any_other(
    code: int | None, command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(training, "prepare_start", raising(SystemExit(code)))
    ended, error = fail(command, capsys)
    assert ended == 1
    assert error.startswith("error: unexpected SystemExit")


def test_a_library_that_is_missing_is_named_and_a_password_is_not(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = ImportError("no x in it, at https://me:S3CRET@host", name="matplotlib.x")
    monkeypatch.setattr(training, "prepare_start", raising(broken))
    _, error = fail(command, capsys)
    assert "this is a fault in matplotlib, how it is installed, or how nnscratch uses it; its traceback is in" in error
    place = re.search(r"its traceback is in (\S+)", error)
    assert place is not None
    file = Path(place.group(1))
    assert "S3CRET" not in error + file.read_text()
    file.unlink()


def test_a_traceback_that_cannot_be_written_is_printed(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(training, "prepare_start", raising(ZeroDivisionError("by zero")))
    monkeypatch.setattr("tempfile.NamedTemporaryFile", raising(OSError("no room")))
    code, error = fail(command, capsys)
    assert code == 1
    assert "Traceback (most recent call last)" in error


def test_a_failing_disk_is_one_line(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(training, "prepare_start", raising(OSError(5, "Input/output error", "/data/x")))
    assert fail(command, capsys) == (1, "error: /data/x: Input/output error\n")


def test_too_little_memory_is_one_line_with_advice(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(training, "prepare_start", raising(MemoryError("9 TB")))
    code, error = fail(command, capsys)
    assert (code, error) == (1, "error: not enough memory: 9 TB\n  make the network or the batch smaller\n")


def test_control_characters_in_an_error_do_not_reach_the_terminal(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, error = fail([*command, "data.path=\x1b[2J\x07evil", "data.dataset=csv"], capsys)
    assert code in (2, 4)
    assert "\x1b" not in error
    assert "\x07" not in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tain"], "no such command 'tain'; did you mean 'train'?\n  `nnscratch --help` shows how it is used"),
        (["evaluate"], "missing argument 'run'\n  `nnscratch evaluate --help` shows how it is used"),
        (["evaluate", "x", "--slit", "val"], "no such option: --slit; did you mean --split?\n"),
        (["data", "verify", "--jsn"], "no such option: --jsn; did you mean --json?\n"),
        (["train", "my.yaml", "-epochs", "3"], "no such option: -epochs; did you mean --epochs?"),
        (["train", "my.yaml", "-epochs=3"], "no such option: -epochs; did you mean --epochs=3?"),
        (["train", "my.yaml", "-data.validation=0.2"], "no such option: -data.validation; did you mean --data."),
        (["train", "my.yaml", "--lr", "0.1"], "no such option: --lr; did you mean optimizer.learning_rate=VALUE?"),
        (["train", "my.yaml", "--batch-size=8"], "no such option: --batch-size; did you mean training.batch_size=8?"),
        (
            ["train", "my.yaml", "training.epochs", "5"],
            "`training.epochs` is not an override\n  write training.",
        ),
        (["train", "my.yaml", "seed.x", "=", "5"], "`seed.x` is not an override\n  write seed.x=5, after one config"),
        (["explain", "my.yaml", "-threads", "3"], "no such option: -threads; did you mean --threads?"),
        (["evaluate", "x", "--data", ""], "the argument behind --data is empty\n  a variable of the shell"),
        (["evaluate", "x", "--data="], "the argument behind --data is empty\n"),
        (["data", "describe", " "], "the argument behind describe is empty\n"),
        (["evaluate", "x", "--by", "-column"], "x is not a run"),
        (["train", "--epochs"], "option '--epochs' requires an argument\n"),
        (["predict", "x", "y", "--top", "a"], "invalid value for '--top': "),
    ],
)
def test_a_mistake_in_the_command_line_looks_like_every_other_error(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, error = fail(arguments, capsys)
    assert code == 2
    assert error.startswith(f"error: {message}")


@pytest.mark.parametrize("group", [[], ["data"], ["runs"]])
def test_a_group_of_commands_alone_shows_its_help(group: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, error = fail(group, capsys)
    assert code == 2
    assert error.startswith("Usage: ")
    assert "error:" not in error


def test_a_missing_run_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, error = fail(["train", "--resume", str(tmp_path / "none")], capsys)
    assert code == 2
    assert error.startswith(f"error: {tmp_path}/none is not a run")


@pytest.mark.parametrize("seed", ["1", "0"])
def test_resuming_takes_no_seed(seed: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, error = fail(["train", "--resume", "runs/x", "--seed", seed], capsys)
    assert code == 2
    assert "; --seed cannot be given with it" in error


def test_resuming_takes_no_config(command: list[str], shapes_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, error = fail([*command, "--resume", str(shapes_run)], capsys)
    assert code == 2
    assert "a config cannot be given with it" in error


@pytest.mark.parametrize("override", ["name=other", "--seed=4"])
def test_resuming_takes_neither_name_nor_seed_as_an_override(
    override: str, shapes_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, error = fail(["train", "--resume", str(shapes_run), override], capsys)
    assert code == 2
    assert "cannot be given with it" in error


def test_last_is_the_run_that_was_worked_on_last_and_overrides_of_it_are_taken(
    shapes_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    older = Path(shutil.copytree(shapes_run, shapes_run.with_name("older")))
    os.utime(older / "meta.json", ns=(1, 1))
    runs = ["--runs-dir", str(shapes_run.parent), "--threads", "1", "--no-plots"]
    main(["train", "--resume", "last", "training.epochs=4", *runs])
    assert f"results in {shapes_run}\n" in capsys.readouterr().out
    main(["train", "--resume", "older", "--training.epochs=4", *runs])
    main(["train", "--resume", "last", *runs])
    assert f"{older} already has its 4 epochs" in capsys.readouterr().out


def test_a_reader_that_has_gone_does_not_stop_a_training(command: list[str], tmp_path: Path) -> None:
    loud = [argument for argument in command if argument != "--quiet"]
    process = subprocess.Popen(
        [sys.executable, "-m", "nnscratch", *loud],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        error = process.stderr.read().decode()
    assert process.returncode == 0, error
    assert "Broken" not in error
    assert json.loads((tmp_path / "runs" / "tiny" / "meta.json").read_text())["status"] == "completed"


def test_a_terminal_that_knows_ascii_alone_gets_the_message(tmp_path: Path) -> None:
    pty = pytest.importorskip("pty", reason="needs a terminal")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "NO_COLOR": "1"}
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as screen:
        command = [sys.executable, "-m", "nnscratch", "train", "größe.yaml"]
        result = subprocess.run(command, stderr=theirs, env=environment, cwd=tmp_path, check=False)
        os.close(theirs)
        assert screen.read(200).startswith(b"error: gr\\xf6\\xdfe.yaml  no such file")
    assert result.returncode == 2


def restored(tmp_path: Path, recorded: dict[str, str] | None, environment: dict[str, str]) -> str:
    """OPENBLAS_CORETYPE after a resume has looked at a run that recorded these variables."""
    meta = {} if recorded is None else {"machine": {"blas_environment": recorded}}
    (tmp_path / "meta.json").write_text(json.dumps(meta))
    script = (
        "import os, sys; from pathlib import Path; from nnscratch import cpu\n"
        "cpu.cpu_flags = lambda: cpu.AVX512_FLAGS if 'avx512' in sys.argv else frozenset()\n"
        "cpu.use_kernel_of(Path(sys.argv[1])); print(os.environ.get('OPENBLAS_CORETYPE', 'none'))"
    )
    clean = {key: value for key, value in os.environ.items() if not key.startswith("OPENBLAS_CORETYPE")}
    capable = ["avx512"] if environment.pop("flags", "") else []
    command = [sys.executable, "-c", script, str(tmp_path), *capable]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=clean | environment).stdout.strip()


def test_the_blas_kernel_of_a_run_is_restored_where_the_cpu_has_it(tmp_path: Path) -> None:
    assert restored(tmp_path, {"OPENBLAS_CORETYPE": "SkylakeX"}, {"flags": "avx512"}) == "SkylakeX"
    assert restored(tmp_path, {}, {"flags": "avx512"}) == "none"


def test_no_cpu_is_told_to_use_a_kernel_it_does_not_have(tmp_path: Path) -> None:
    untouched = cpu.choose(cpu.cpu_flags(), {}, False).environment.get("OPENBLAS_CORETYPE", "none")
    assert restored(tmp_path, {"OPENBLAS_CORETYPE": "SkylakeX"}, {}) == untouched
    assert restored(tmp_path, {"OPENBLAS_CORETYPE": "Haswell; rm"}, {"flags": "avx512"}) == untouched
    assert restored(tmp_path, None, {"flags": "avx512"}) == untouched


def test_a_kernel_that_the_user_has_set_stays(tmp_path: Path) -> None:
    environment = {"OPENBLAS_CORETYPE": "Sandybridge", "flags": "avx512"}
    assert restored(tmp_path, {"OPENBLAS_CORETYPE": "SkylakeX"}, environment) == "Sandybridge"


@pytest.mark.parametrize("name", ["train", "gradcheck", "explain", "preflight"])
def test_a_sweep_given_to_a_command_that_takes_a_config_is_called_one(
    name: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, error = fail([name, str(root / "configs" / "sweep_smoke.yaml")], capsys)
    assert code == 2
    assert "is a sweep, not a config" in error
    assert "`nnscratch sweep FILE` runs it" in error


@pytest.mark.parametrize("given", ["nan", "inf", "0", "-1"])
@pytest.mark.parametrize("arguments", [["gradcheck", "--tolerance"], ["sweep", "--lease"]])
def test_an_option_that_is_a_number_takes_a_finite_one_greater_than_0(
    arguments: list[str], given: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = "sweep_smoke.yaml" if arguments[0] == "sweep" else "smoke.yaml"
    code, error = fail([arguments[0], str(root / "configs" / file), f"{arguments[1]}={given}"], capsys)
    assert code == 2
    assert f"{arguments[1]} {float(given)}: expected a finite number greater than 0" in error


def test_ctrl_c_ends_a_command_with_130_and_a_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nnscratch.setup.doctor.examine", raising(KeyboardInterrupt()))
    assert fail(["doctor"], capsys) == (130, "error: interrupted\n")


def test_ctrl_c_while_the_command_line_is_imported_is_no_traceback_either(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupts:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "nnscratch.cli.app":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "nnscratch.cli.app")
    monkeypatch.setattr(sys, "meta_path", [Interrupts(), *sys.meta_path])
    assert fail(["--help"], capsys) == (130, "error: interrupted\n")


@pytest.mark.parametrize("arguments", [["train", "a.yaml"], ["explain", "a.yaml"]])
def test_a_link_that_leads_to_itself_is_named_as_one(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").symlink_to("a.yaml")
    _, error = fail(arguments, capsys)
    assert "lead back to themselves; `ls -l` shows them" in error


def test_the_home_folder_is_meant_behind_an_equals_sign_too_and_a_plus_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("USERPROFILE", "/home/ada")

    words = ["--runs-dir=~/r", "data.path=~/a=~/b.csv", "~/c.yaml", "name=~x", "schedule=~", "+seed=5", "++a.b=+1"]
    assert as_meant(words) == [
        "--runs-dir=/home/ada/r",
        "data.path=/home/ada/a=~/b.csv",
        "~/c.yaml",
        "name=~x",
        "schedule=~",
        "seed=5",
        "a.b=+1",
    ]


def test_a_folder_in_the_home_folder_is_found_behind_an_equals_sign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    main(["runs", "list", "--runs-dir=~/"])
    assert "no runs" in capsys.readouterr().out
