"""A folder of deep pictures, from training to prediction: what was guessed for one holds for the other."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nnscratch.cli import main


def test_twelve_bit_pictures_are_predicted_one_by_one_as_they_were_evaluated_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 3), ("test", 3)):
        for name, brightest in (("dark", 200), ("bright", 4095)):  # alone, a dark one would count as 8 bits
            (tmp_path / "mine" / split / name).mkdir(parents=True)
            for index in range(count):
                pixels = rng.integers(0, brightest + 1, (8, 8), dtype=np.uint16)
                Image.fromarray(pixels).save(tmp_path / "mine" / split / name / f"{index}.png")
    config = {
        "name": "deep",
        "data": {"dataset": {"name": "image_folder", "size": 8, "mode": "grey"}, "path": "mine"},
        "model": {"hidden_layers": [4]},
        "training": {"epochs": 2},
    }
    Path("c.yaml").write_text(json.dumps(config))
    main(["train", "c.yaml", "--no-plots", "--threads", "1"])
    main(["evaluate", "runs/deep", "--no-plots"])
    told = capsys.readouterr().out
    assert "24 training, 6 validation, 6 test examples" in told
    with Path("runs/deep/evaluation/test/predictions.csv").open() as file:
        evaluated = {row["file"]: (row["predicted"], float(row["probability"])) for row in csv.DictReader(file)}
    assert list(evaluated)[:2] == ["test/bright/0.png", "test/bright/1.png"]
    main(["predict", "runs/deep", "mine/test", "--json"])
    for row in json.loads(capsys.readouterr().out):
        label, probability = evaluated[str(Path(row["input"]).relative_to("mine"))]
        assert row["label"] == label
        assert row["probability"] == pytest.approx(probability, abs=2e-6)
