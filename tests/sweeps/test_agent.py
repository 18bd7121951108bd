"""W&B's agent and engine: command lines as an agent builds them, and `--engine wandb` against a wandb of our own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nnscratch.cli import main
from nnscratch.config.config import load_config
from nnscratch.errors import UsageError
from nnscratch.sweeps.agent import as_overrides

WriteSweep = Callable[..., Path]
AGENT = {"WANDB_SWEEP_ID": "abc"}
VALUES = {
    "optimizer.learning_rate": 1e-05,
    "model.hidden_layers": [6, 5],
    "model.activation": "tanh",
    "training.clip_norm": None,
    "l2.divide_by_batch": True,
    "l2": {"strength": 0.5},
}
MACROS = ("args", "args_no_equals", "args_no_hyphens", "args_no_boolean_flags", "args_json", "args_json_file",
          "args_append_hydra", "args_override_hydra")  # fmt: skip


def as_an_agent(command: list[str], values: dict[str, Any], folder: Path) -> list[str]:
    """The command line that wandb's agent makes of a sweep's command, by its own code as far as it is a function."""
    from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

    forms = create_sweep_command_args({"args": {path: {"value": value} for path, value in values.items()}})
    file = folder / "sweep-args.json"
    file.write_text(forms["args_json"][0])
    forms |= {"env": [], "args_json_file": [str(file)]}
    words: list[str] = []
    for word in create_sweep_command(command):
        known = word.startswith("${") and word.endswith("}") and word[2:-1] in forms
        words += forms[word[2:-1]] if known else [word]
    return words


@pytest.mark.parametrize("macro", MACROS)
def test_every_form_of_an_agents_command_line_trains_the_same_config(
    macro: str, write_sweep: WriteSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"training": {"epochs": 1, "clip_norm": 3.0}}
    base = write_sweep(tmp_path, config).parent / "base.yaml"
    words = as_an_agent(["${env}", "nnscratch", "train", str(base), f"${{{macro}}}"], VALUES, tmp_path)
    monkeypatch.setenv("WANDB_SWEEP_ID", "abc")
    more = ["--runs-dir", str(tmp_path / "runs"), "--threads", "1", "--no-plots", "--wandb", "off"]
    main([*words[1:], *more])
    trained = load_config(tmp_path / "runs" / "base" / "config.yaml").to_dict()
    assert trained["optimizer"]["learning_rate"] == 1e-05  # type: ignore[index, call-overload]  # JSON
    assert trained["model"]["hidden_layers"] == [6, 5]  # type: ignore[index, call-overload]  # JSON
    assert trained["model"]["activation"] == {"name": "tanh"}  # type: ignore[index, call-overload]  # JSON
    assert trained["training"]["clip_norm"] is None  # type: ignore[index, call-overload]  # JSON
    assert trained["l2"] == {"strength": 0.5, "divide_by_batch": True}


def test_under_an_agent_a_field_that_the_chosen_component_lacks_is_left_out(
    write_sweep: WriteSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    base = write_sweep(tmp_path, {"training": {"epochs": 1}}).parent / "base.yaml"
    monkeypatch.setenv("WANDB_SWEEP_ID", "abc")
    changes = ["optimizer.name=adam", "optimizer.momentum=0.9"]
    main(["train", str(base), *changes, "--dry-run", "--data-dir", str(tmp_path)])
    assert "optimizer.momentum is left out: adam has no momentum" in capsys.readouterr().out
    monkeypatch.delenv("WANDB_SWEEP_ID")
    with pytest.raises(SystemExit):
        main(["train", str(base), *changes, "--dry-run", "--data-dir", str(tmp_path)])


def test_under_an_agent_the_mirror_is_on_and_uses_the_agents_run(write_sweep: WriteSweep, tmp_path: Path) -> None:
    base = write_sweep(tmp_path).parent / "base.yaml"
    command = [sys.executable, "-m", "nnscratch", "train", str(base), "${args_no_hyphens}"]
    words = as_an_agent(command, {"training.epochs": 1}, tmp_path)
    environment = {**os.environ, **AGENT, "WANDB_RUN_ID": "run7", "WANDB_MODE": "offline", "HOME": str(tmp_path)}
    more = ["--runs-dir", str(tmp_path / "runs"), "--threads", "1", "--no-plots"]
    subprocess.run([*words, *more], env=environment, check=True, timeout=120, capture_output=True)
    run = tmp_path / "runs" / "base"
    assert json.loads((run / "wandb.json").read_text())["id"] == "run7"
    assert list(run.glob("wandb/offline-run-*-run7/run-run7.wandb"))


@pytest.mark.parametrize(
    ("arguments", "overrides"),
    [
        (["c.yaml", "a.b=None"], ["c.yaml", "a.b=null"]),
        (["c.yaml", "--a.b=[1, None]"], ["c.yaml", "--a.b=[1, null]"]),
        (["c.yaml", "a={'b': {'c': 1}, 'd': True}"], ["c.yaml", "a.b.c=1", "a.d=true"]),
        (["c.yaml", "a={'name': 'x', 'c': 1}"], ["c.yaml", 'a={"name": "x", "c": 1}']),
        (["c.yaml", "--a.b", "--c.d", "x"], ["c.yaml", "--a.b=true", "--c.d=x"]),
        (["c.yaml", "--a.b", "-1", "--c.d"], ["c.yaml", "--a.b=-1", "--c.d=true"]),
        (["c.yaml", "--l2", "{'strength': 1}"], ["c.yaml", "--l2.strength=1"]),
    ],
)
def test_what_an_agent_passes_becomes_overrides(arguments: list[str], overrides: list[str]) -> None:
    assert as_overrides(arguments, AGENT) == overrides


def test_outside_an_agent_only_json_is_rewritten() -> None:
    arguments = ["c.yaml", "a.b=None", "--a.b", "--c.d", "x"]
    assert as_overrides(arguments, {}) == arguments
    assert as_overrides(["c.yaml", '{"a.b": 1}'], {}) == ["c.yaml", "a.b=1"]


@pytest.mark.parametrize("text", ["{not json", '{"a": 1', '{"a": ' * 20_000])
def test_json_that_is_none_is_a_usage_error(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not JSON"):
        as_overrides(["c.yaml", text], {})
    (tmp_path / "values.json").write_bytes(text.encode() + b"\xff\xfe")
    with pytest.raises(UsageError, match=r"values\.json is not JSON"):
        as_overrides(["c.yaml", str(tmp_path / "values.json")], {})


WANDB = """
import json, os
class api:
    api_key = os.environ.get("FAKE_KEY")
def sweep(config, entity=None, project=None):
    if os.environ.get("FAKE_ERROR"):
        raise RuntimeError("the server said no")
    with open(os.environ["FAKE_RECORD"], "w") as file:
        json.dump({"config": config, "entity": entity, "project": project}, file)
    print("Create sweep with ID: s1")
    return "s1"
"""
AGENT_MAIN = """
import json, os, sys
with open(os.environ["FAKE_RECORD"] + ".agent", "w") as file:
    json.dump(sys.argv[1:], file)
with open(os.environ["FAKE_RECORD"] + ".data", "w") as file:
    json.dump(os.environ.get("NNSCRATCH_DATA_DIR"), file)
sys.exit(int(os.environ.get("FAKE_EXIT", "0")))
"""


@pytest.fixture
def fake_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wandb that writes down what it is asked for."""
    package = tmp_path / "fake" / "wandb"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(WANDB)
    (package / "__main__.py").write_text(AGENT_MAIN)
    monkeypatch.syspath_prepend(str(tmp_path / "fake"))
    monkeypatch.setenv("FAKE_RECORD", str(tmp_path / "record"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    return tmp_path / "record"


def test_the_wandb_engine_creates_the_sweep_of_the_file_and_starts_an_agent(
    fake_wandb: Path,
    write_sweep: WriteSweep,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FAKE_KEY", "x")
    file = write_sweep(tmp_path, project="p", entity="e", run_cap=3)
    main(["sweep", str(file), "--engine", "wandb", "--json"])
    created = json.loads(fake_wandb.read_text())
    assert created == {"config": json.loads(file.read_text()), "entity": "e", "project": "p"}
    assert json.loads(Path(f"{fake_wandb}.agent").read_text()) == ["agent", "--count", "3", "e/p/s1"]
    assert json.loads(capsys.readouterr().out) == {"engine": "wandb", "sweep": "e/p/s1"}


def test_a_distribution_inside_values_is_not_sent_to_wandb(
    fake_wandb: Path, write_sweep: WriteSweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = [0, {"distribution": "log_uniform_values", "min": 0.001, "max": 0.1}]
    file = write_sweep(tmp_path, parameters={"l2": {"values": values}})
    with pytest.raises(SystemExit):
        main(["sweep", str(file), "--engine", "wandb"])
    assert "parameters.l2: W&B knows no distribution inside `values`" in capsys.readouterr().err
    assert not fake_wandb.exists()


def test_overrides_reach_wandbs_agents_behind_the_parameters(
    fake_wandb: Path, write_sweep: WriteSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_KEY", "x")
    file = write_sweep(tmp_path)
    main(["sweep", str(file), "training.epochs=2", "--engine", "wandb", "--json"])
    command = json.loads(fake_wandb.read_text())["config"]["command"]
    assert command[-2:] == ["${args_no_hyphens}", "training.epochs=2"]


def test_wandbs_engine_passes_on_what_has_a_meaning_there_and_refuses_the_rest(
    fake_wandb: Path,
    write_sweep: WriteSweep,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FAKE_KEY", "x")
    words = ["sweep", str(write_sweep(tmp_path)), "--engine", "wandb", "--json"]
    own = ["--threads", "2", "--runs-dir", "elsewhere", "--no-plots"]
    main([*words, "--name", "mine", *own, "--data-dir", str(tmp_path)])
    sent = json.loads(fake_wandb.read_text())["config"]
    assert sent["name"] == "mine"
    assert sent["command"][-6:] == ["${args_no_hyphens}", *own]
    assert json.loads(Path(f"{fake_wandb}.data").read_text()) == str(tmp_path)
    given = {"--seed": "7", "--workers": "2", "--storage": "x", "--lease": "5", "--wandb": "offline"}
    for option in ([*pair] for pair in (*given.items(), ("--extend",), ("--plots",))):
        with pytest.raises(SystemExit) as caught:
            main([*words, *option])
        assert caught.value.code == 2
        assert f"{option[0]} has no meaning with --engine wandb" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "not logged in to W&B"),
        ({"FAKE_KEY": "x", "FAKE_ERROR": "1"}, "the server said no"),
        ({"FAKE_KEY": "x", "FAKE_EXIT": "5"}, "failed with code 5"),
    ],
)
def test_the_wandb_engine_says_what_went_wrong(
    environment: dict[str, str],
    said: str,
    fake_wandb: Path,
    write_sweep: WriteSweep,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as caught:
        main(["sweep", str(write_sweep(tmp_path)), "--engine", "wandb"])
    assert caught.value.code == 1
    assert said in capsys.readouterr().err
    assert fake_wandb.parent.is_dir()
