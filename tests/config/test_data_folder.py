"""Which data folder a command uses, and what it never does to it: nothing here may reach the network."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from nnscratch.cli import main
from nnscratch.cli.options import workplace_of
from nnscratch.datasets.sources import cifar10, grey_images
from nnscratch.results.report_page import repeating_command
from nnscratch.runs.loaded import load_run

CONFIG = "name: clothes\ndata: {dataset: fashion_mnist}\nmodel: {hidden_layers: [4]}\n"


@pytest.fixture(autouse=True)
def no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **more: object) -> NoReturn:
        raise AssertionError("a download was attempted")

    monkeypatch.setattr(grey_images, "fetch", refuse)
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


TINY = "data: {dataset: {name: shapes, train: 40, test: 20}}\nmodel: {hidden_layers: []}\ntraining: {batch_size: 10}\n"


@pytest.mark.parametrize("typed", [[], ["--data-dir", "mine"], ["--data-dir=mine"]])
def test_repeating_a_run_names_the_data_folder_that_the_environment_gave_unless_one_was_typed(
    typed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NNSCRATCH_DATA_DIR", str(tmp_path))
    main(["train", str(path), "--threads", "1", "--epochs", "0", "--quiet", *typed])
    monkeypatch.delenv("NNSCRATCH_DATA_DIR")
    loaded = load_run(Path("runs/tiny"))
    words = repeating_command(loaded, loaded.run.read_meta())
    used = tmp_path / "mine" if typed else tmp_path
    assert words == f"nnscratch train {loaded.run.config} --threads 1 --data-dir {used}"


def write_clothes(folder: Path) -> None:
    """Fashion-MNIST, all of it black, in a folder of datasets."""
    for split, number in (("train", 60_000), ("t10k", 10_000)):
        labels = np.arange(number, dtype=np.uint8) % 10
        header = struct.pack(">II", 2049, number)
        (folder / f"{split}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())
        header = struct.pack(">IIII", 2051, number, 28, 28)
        (folder / f"{split}-images-idx3-ubyte").write_bytes(header + bytes(number * 28 * 28))


def test_a_run_remembers_its_data_folder_for_every_command_that_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there" / "fashion-mnist").mkdir(parents=True)
    write_clothes(tmp_path / "there" / "fashion-mnist")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NNSCRATCH_DATA_DIR", "there")
    few = ["data.limit=100", "training.batch_size=10", "training.epochs=1", "--threads", "1", "--quiet", "--no-plots"]
    main(["train", str(config(tmp_path)), *few])
    monkeypatch.delenv("NNSCRATCH_DATA_DIR")
    monkeypatch.chdir(tmp_path / "elsewhere")
    run = str(tmp_path / "runs" / "clothes")
    capsys.readouterr()
    main(["evaluate", run, "--no-plots"])
    main(["train", "--resume", run, "--epochs", "2", "--no-plots", "--quiet"])
    main(["plot", run])
    main(["gradcheck", run, "--samples", "2"])
    main(["diagnose", run])
    out, err = capsys.readouterr()
    assert "not on this machine" not in out + err
    assert "without the data" not in out + err
    assert "only what needs no data" not in out + err
    assert not Path("data").exists()
    (tmp_path / "there").rename(tmp_path / "moved")
    assert "--data-dir" in failure(capsys, "evaluate", run, "--data-dir", tmp_path / "there"), "what is named counts"
    main(["evaluate", run, "--no-plots", "--data-dir", str(tmp_path / "moved")])


def test_what_a_run_says_never_chooses_where_a_download_is_put(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(TINY)
    main(["train", "tiny.yaml", "--threads", "1", "--epochs", "0", "--quiet", "--no-plots"])
    run, target = tmp_path / "runs" / "tiny", tmp_path / "precious"
    target.mkdir()
    meta = json.loads((run / "meta.json").read_text())
    (run / "meta.json").write_text(json.dumps({**meta, "data_dir": str(target)}))
    workplace = workplace_of(run, None, None)
    assert (workplace.data_dir, workplace.download) == (target, False)
    assert workplace_of(run, tmp_path, None).download


@pytest.mark.parametrize(("place", "said"), [("configs", "it lies beside the config"), (".", "it lies in ..")])
def test_data_that_lies_beside_the_config_is_named_as_it_is_reached_from_here(
    place: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "here").mkdir()
    (tmp_path / place / "my data.csv").write_text("a,y\n1,2\n")
    (tmp_path / "configs" / "mine.yaml").write_text(
        "data: {dataset: csv, path: my data.csv}\nmodel: {hidden_layers: []}\ntraining: {batch_size: 1}\n"
    )
    monkeypatch.chdir(tmp_path / "here")
    told = failure(capsys, "train", "../configs/mine.yaml", "--dry-run")
    assert f"my data.csv does not exist in {tmp_path / 'here'}, where a relative path begins; {said}\n" in told
    assert f"data.path='../{place}/my data.csv'".replace("/./", "/") in told


def test_data_above_the_folder_of_the_config_is_found_as_that_of_a_run_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("runs/mine/checkpoints", "here"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "my.csv").write_text("a,y\n1,2\n")
    config = tmp_path / "runs" / "mine" / "checkpoints" / "mine.yaml"
    config.write_text("data: {dataset: csv, path: my.csv}\nmodel: {hidden_layers: []}\n")
    monkeypatch.chdir(tmp_path / "here")
    told = failure(capsys, "train", str(config), "--dry-run")
    assert f"{config}:1:28  data.path: my.csv does not exist in " in told
    assert f"it lies in {tmp_path}\n" in told
    assert f"go there, or name it from here: data.path={tmp_path / 'my.csv'}" in told


def test_what_is_done_with_a_run_elsewhere_is_told_where_to_go_and_no_settings_it_does_not_take(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "my.csv").write_text("a,y\n" + "".join(f"{row / 7},{row % 2}\n" for row in range(40)))
    (tmp_path / "mine.yaml").write_text(
        "name: mine\ndata: {dataset: csv, path: my.csv}\nmodel: {hidden_layers: []}\ntraining: {epochs: 0}\n"
    )
    monkeypatch.chdir(tmp_path)
    main(["train", "mine.yaml", "--quiet"])
    monkeypatch.chdir(tmp_path / "here")
    told = failure(capsys, "evaluate", "../runs/mine")
    assert f"my.csv does not exist in {tmp_path / 'here'}, where a relative path begins" in told
    assert f"it lies in {tmp_path}\n" in told
    assert "the run was trained with it: go where that was" in " ".join(told.split())
    assert "data.path=" not in told


@pytest.mark.parametrize(
    ("line", "place", "problem"),
    [
        (
            "data: {dataset: {csv: {target: siz}}, path: t.csv}",
            "1:32  data.dataset.target",
            "t.csv has no column 'siz'",
        ),
        ("data: {dataset: {csv: {weight: w}}, path: t.csv}", "1:32  data.dataset.weight", "t.csv has no column 'w'"),
        ("data: {dataset: csv, path: none.csv}", "1:28  data.path", "none.csv does not exist"),
        ("data: {dataset: csv, path: t.csv, validation: 0.99}", "1:47  data.validation", "holding out 0.99 of 8"),
        ("data: {dataset: {csv: {test: 0.001}}, path: t.csv}", "1:30  data.dataset.test", "holding out 0.001 of 10"),
        (
            "data: {dataset: csv, path: t.csv, fold: {number: 1, of: 11}}",
            "1:41  data.fold",
            "cannot be cut into 11 folds",
        ),
    ],
)
def test_what_the_data_does_not_have_is_told_with_the_place_of_who_asks_for_it(
    line: str,
    place: str,
    problem: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("size,kind\n" + "".join(f"{row / 7},{'ab'[row % 2]}\n" for row in range(10)))
    Path("mine.yaml").write_text(f"{line}\nmodel: {{hidden_layers: []}}\n")
    told = failure(capsys, "train", "mine.yaml", "--dry-run")
    assert f"mine.yaml:{place}: " in told
    assert problem in told
    assert f"    {line}\n" in told
