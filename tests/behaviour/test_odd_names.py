"""Names that are no text, and names that a shell takes apart."""

from __future__ import annotations

import os
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

from nnscratch.cli import main
from nnscratch.errors import UserError
from nnscratch.runs.checkpoint import damaged
from nnscratch.runs.loaded import load_run
from nnscratch.setup.starter import write_starter


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has names of any bytes")
def test_a_class_whose_name_is_no_utf8_is_shown_with_its_bytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "pictures"
    for name in (b"caf\xe9", b"caf\xe8"):
        inside = Path(os.fsdecode(os.fsencode(folder) + b"/" + name))
        inside.mkdir(parents=True)
        for number in range(10):
            Image.new("RGB", (4, 4), (number, 0, 0)).save(inside / f"{number}.png")
    config = tmp_path / "folder.yaml"
    config.write_text(
        f"data: {{dataset: image_folder, path: {folder}}}\nmodel: {{hidden_layers: [2]}}\n"
        "training: {epochs: 1, batch_size: 4}\n"
    )
    main(["train", str(config), "--runs-dir", str(tmp_path), "--threads", "1", "--quiet", "--no-plots"])
    main(["evaluate", str(tmp_path / "folder"), "--no-plots"])
    assert r"caf\xe8" in capsys.readouterr().out
    predictions = tmp_path / "folder" / "evaluation" / "test" / "predictions.csv"
    assert r"caf\xe9" in predictions.read_text("utf-8")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has names of any bytes")
def test_runs_groups_sweeps_and_exports_are_made_in_a_folder_whose_name_is_no_utf8(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/b\xff"))
    config = tmp_path / "a.yaml"
    config.write_text(
        "name: a\ndata: {dataset: {name: shapes, train: 100, test: 50}, validation: 0.2}\n"
        "model: {hidden_layers: [2]}\ntraining: {epochs: 1, batch_size: 50}\n"
    )
    sweep = folder / "s.yaml"
    folder.mkdir()
    sweep.write_text(
        "name: s\nmethod: grid\nmetric: {name: val_accuracy, goal: maximize}\nparameters: {seed: {values: [1]}}\n"
        f'command: ["${{env}}", nnscratch, train, {config}, "${{args_no_hyphens}}"]\n'
    )
    quick = ("--runs-dir", str(folder), "--threads", "1", "--quiet", "--no-plots")
    main(["train", str(config), *quick, "--seeds", "1,2"])
    main(["train", str(config), *quick, "--name", "b"])
    main(["sweep", str(sweep), *quick])
    main(["export", str(folder / "b"), "--to", "numpy"])
    if find_spec("onnxruntime") is not None:
        main(["export", str(folder / "b"), "--to", "onnx"])
        assert (folder / "b" / "export" / "model.onnx").exists()
    assert (folder / "a" / "group.json").exists()
    assert (folder / "sweeps" / "s" / "best.yaml").exists()


def test_a_command_to_copy_names_a_path_with_a_space_as_a_shell_takes_it(shapes_run: Path, tmp_path: Path) -> None:
    config = tmp_path / "my house.yaml"
    assert shlex.split(write_starter(config).to_text().partition("with: ")[2]) == ["nnscratch", "train", str(config)]
    run = shapes_run.rename(tmp_path / "my house")
    last = run / "checkpoints" / "last.npz"
    hint = damaged(run / "checkpoints" / "best.npz", "cut").hint
    assert hint is not None
    assert shlex.split(hint.partition(": ")[2]) == ["nnscratch", "train", "--resume", str(last)]
    for file in (run / "checkpoints").iterdir():
        file.unlink()
    with pytest.raises(UserError) as caught:
        load_run(run)
    assert shlex.split(str(caught.value.hint).partition(": ")[2]) == ["nnscratch", "train", str(run / "config.yaml")]
