"""Names that are no text, and names that a shell takes apart."""

from __future__ import annotations

import os
import shlex
import sys
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
