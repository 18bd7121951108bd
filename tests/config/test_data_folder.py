"""Which data folder a command uses, and what it never does to it: nothing here may reach the network."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest

from nnscratch.cli import main
from nnscratch.datasets.sources import cifar10, fashion_mnist
from nnscratch.results.report_page import repeating_command
from nnscratch.runs.loaded import load_run

CONFIG = "name: clothes\ndata: {dataset: fashion_mnist}\nmodel: {hidden_layers: [4]}\n"


@pytest.fixture(autouse=True)
def no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **more: object) -> NoReturn:
        raise AssertionError("a download was attempted")

    monkeypatch.setattr(fashion_mnist, "fetch", refuse)
    monkeypatch.setattr(cifar10, "fetch", refuse)


def failure(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    with pytest.raises(SystemExit) as exit:
        main([str(each) for each in arguments])
    assert exit.value.code == 4
    return capsys.readouterr().err


def config(tmp_path: Path) -> Path:
    path = tmp_path / "clothes.yaml"
    path.write_text(CONFIG)
    return path


def test_a_dry_run_downloads_nothing_and_creates_no_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NNSCRATCH_DATA_DIR", raising=False)
    said = failure(capsys, "train", config(tmp_path), "--dry-run")
    assert "there is no Fashion-MNIST in data" in said
    assert "nnscratch data fetch fashion_mnist" in said
    assert [path.name for path in tmp_path.iterdir()] == ["clothes.yaml"]


def test_a_dry_run_unpacks_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = tmp_path / "archives" / cifar10.BINARY_ARCHIVE
    archive.parent.mkdir()
    archive.touch()
    said = failure(capsys, "train", config(tmp_path), "data.dataset=cifar10", "--dry-run", "--data-dir", tmp_path)
    assert "does not unpack it" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archives", "clothes.yaml"]


def test_a_mistyped_data_folder_is_named_before_any_download(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "datasets").mkdir()
    said = failure(capsys, "train", config(tmp_path), "--data-dir", tmp_path / "datasest" / "images")
    assert f"there is no datasest in {tmp_path}; did you mean datasets?" in said
    assert not (tmp_path / "datasest").exists()


def test_a_mistyped_data_folder_in_the_environment_is_named_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NNSCRATCH_DATA_DIR", str(tmp_path / "dta"))
    assert f"the data folder {tmp_path / 'dta'} does not exist" in failure(capsys, "train", config(tmp_path))


@pytest.mark.parametrize(
    ("typed", "repeated"),
    [([], "--data-dir {environment}"), (["--data-dir", "mine"], "--data-dir mine"), (["--data-dir=m"], "--data-dir m")],
)
def test_repeating_a_run_names_the_data_folder_that_the_environment_gave_unless_one_was_typed(
    typed: list[str], repeated: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(
        "data: {dataset: {name: shapes, train: 40, test: 20}}\nmodel: {hidden_layers: []}\ntraining: {batch_size: 10}\n"
    )
    command = ["train", str(path), "--runs-dir", str(tmp_path / "runs"), "--threads", "1", "--epochs", "0", "--quiet"]
    monkeypatch.setenv("NNSCRATCH_DATA_DIR", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["nnscratch", *command, *typed])
    main([*command, *typed])
    monkeypatch.delenv("NNSCRATCH_DATA_DIR")
    loaded = load_run(tmp_path / "runs" / "tiny")
    words = repeating_command(loaded, loaded.run.read_meta())
    expected = repeated.replace("{environment}", str(tmp_path))
    assert words == f"nnscratch train {loaded.run.config} --threads 1 {expected}"
