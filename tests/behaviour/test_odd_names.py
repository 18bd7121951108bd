"""Names that are no text."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from nnscratch.cli import main


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
