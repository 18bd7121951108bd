"""`init --data` and `data describe`: a file of one's own is reported, and trained by the config that is written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nnscratch.cli import app
from nnscratch.config.config import flatten, load_config
from nnscratch.host.display import Display
from nnscratch.setup.fitted_starter import write_fitted
from nnscratch.setup.own_data import read_own_data

QUIET = Display(quiet=True)
RNG = np.random.default_rng(3)


def command(words: list[str]) -> int:
    """The exit code of `nnscratch WORDS`."""
    try:
        app.main(words)
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def houses(folder: Path, rows: int = 60) -> Path:
    """A table with an id, a number, a category with a gap, and a price that follows from them."""
    rng = np.random.default_rng(3)  # its own: the rows do not depend on which tests ran before
    size, garden = rng.uniform(40, 200, rows), rng.integers(0, 2, rows)
    price = 3 * size + 100 * garden + rng.normal(0, 10, rows)
    gardens = ["small" if each == 0 else "large" for each in garden]
    gardens[5] = ""
    cells = zip(range(1, rows + 1), size.round(1), gardens, price.round(2), strict=True)
    lines = ["id,size,garden,price", *(",".join(map(str, row)) for row in cells)]
    path = folder / "houses.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_block_of_a_description_reads_the_data_again(tmp_path: Path) -> None:
    own = read_own_data(houses(tmp_path), ["price"], tmp_path, QUIET)
    assert own.section == {
        "path": str(tmp_path / "houses.csv"),
        "dataset": {"name": "csv", "target": "price", "task": "regression", "columns": {"id": "ignore"}},
    }
    (tmp_path / "pasted.yaml").write_text(
        f"{own.block}\nmodel: {{hidden_layers: []}}\nloss: mean_squared_error\ntraining: {{epochs: 1}}\n"
    )
    assert load_config(tmp_path / "pasted.yaml").data.path == own.section["path"]
    assert own.block in own.to_text()
    report = own.to_text().split("\n\n")[0].replace(str(tmp_path), "data")  # a path is as long as it is
    assert max(map(len, report.splitlines())) <= 80


def test_a_table_of_numbers_to_predict_is_learned_as_well_as_by_least_squares(tmp_path: Path) -> None:
    config = tmp_path / "houses.yaml"
    write_fitted(config, houses(tmp_path), ["price"], tmp_path, QUIET)
    run = ["--runs-dir", str(tmp_path / "runs"), "--threads", "1", "--no-plots", "--quiet"]
    assert command(["train", str(config), *run]) == 0
    assert command(["evaluate", str(tmp_path / "runs" / "houses"), "--threads", "1", "--no-plots"]) == 0
    measured = json.loads((tmp_path / "runs" / "houses" / "evaluation" / "test" / "metrics.json").read_text())
    assert measured["r2"] > 0.97  # of the noise's variance alone 0.995 is left


def test_every_setting_of_a_written_config_has_a_reason_and_fits_the_terminal(tmp_path: Path) -> None:
    write_fitted(tmp_path / "my.yaml", houses(tmp_path), [], tmp_path, QUIET)
    text = (tmp_path / "my.yaml").read_text()
    config = load_config(tmp_path / "my.yaml")
    assert config.loss.name == "mean_squared_error"
    assert config.training.model_fields_set >= {"epochs", "batch_size"}
    assert "#   garden: category" in text
    after = text[text.index("validation") :]
    assert [line for line in after.splitlines() if ": " in line.partition("#")[0] and "#" not in line] == [
        "  name: adam"
    ]
    assert max(map(len, text.replace(str(tmp_path), "data").splitlines())) <= 120


def test_how_the_data_is_read_can_be_said_beside_it_and_stands_in_the_written_config(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["age;size;y", *(f"{20 + n};{n},5;{'ab'[n % 2]}" for n in range(40)), "12 or so;3,5;a"]
    (tmp_path / "people.csv").write_text("\n".join(lines))
    config = tmp_path / "people.yaml"
    begin = ["init", str(config), "--data", str(tmp_path / "people.csv")]
    assert command(begin) == 4
    assert "data.dataset.columns: {age: category}" in capsys.readouterr().err
    assert command([*begin, "data.dataset.columns={age: ignore}", "data.dataset.decimal=,"]) == 0
    dataset = flatten(load_config(config))
    assert dataset["data.dataset.columns.age"] == "ignore"
    assert (dataset["data.dataset.decimal"], dataset["data.dataset.target"]) == (",", "y")


def test_pictures_beside_a_table_are_read_where_it_is_said_and_what_is_written_is_a_config(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "mine" / name).mkdir(parents=True)
        for number in range(6):
            picture = Image.fromarray(RNG.integers(0, 255, (8, 8, 3), np.uint8))
            picture.save(tmp_path / "mine" / name / f"{number}.png")
    (tmp_path / "mine" / "train.csv").write_text("file,age,label\n0.png,3,cat\n")
    begin = ["init", str(tmp_path / "mine.yaml"), "--data", str(tmp_path / "mine")]
    assert command(begin) == 4
    assert command([*begin, "data.dataset.name=image_folder"]) == 0
    assert flatten(load_config(tmp_path / "mine.yaml"))["data.dataset.name"] == "image_folder"


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ("data.dataset.colums={}", "data.dataset.colums: unknown field; did you mean columns?"),
        ("training.epochs=3", "`training.epochs=3` is no field of the data"),
    ],
)
def test_a_field_that_is_none_of_the_data_is_refused_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], field: str, told: str
) -> None:
    (tmp_path / "my.csv").write_text("a,y\n1,2\n2,4\n3,6\n4,8\n")
    assert command(["init", str(tmp_path / "my.yaml"), field, "--data", str(tmp_path / "my.csv")]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "my.yaml").exists()
    assert command(["init", str(tmp_path / "my.yaml"), field]) == 2


def test_a_file_that_exists_is_left_as_it_is_and_no_data_is_read_for_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my.yaml").write_text("mine\n")
    assert command(["init", str(tmp_path / "my.yaml"), "--data", str(tmp_path / "nowhere.csv")]) == 2
    assert "exists already and is left as it is" in capsys.readouterr().err
    assert (tmp_path / "my.yaml").read_text() == "mine\n"


def test_a_target_that_is_no_column_is_refused_with_the_nearest_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["init", str(tmp_path / "my.yaml"), "--data", str(houses(tmp_path)), "--target", "prise"]) == 4
    assert "did you mean price?" in capsys.readouterr().err
    assert not (tmp_path / "my.yaml").exists()


def test_a_target_without_a_table_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["init", str(tmp_path / "my.yaml"), "--target", "price"]) == 2
    np.savez(tmp_path / "a.npz", x=RNG.normal(size=(20, 3)), y=np.arange(20) % 2)
    assert command(["data", "describe", str(tmp_path / "a.npz"), "--target", "y"]) == 2
    assert "is read as npz" in capsys.readouterr().err


def test_a_folder_with_a_test_file_is_described_with_both_splits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = houses(tmp_path).read_text().splitlines()
    (tmp_path / "both").mkdir()
    (tmp_path / "both" / "train.csv").write_text("\n".join(lines[:41]) + "\n")
    (tmp_path / "both" / "test.csv").write_text("\n".join([lines[0], *lines[41:], lines[1]]) + "\n")
    assert command(["data", "describe", str(tmp_path / "both"), "--target", "price", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["examples"] == {"training": 40, "test": 21}
    assert told["shared"][0]["count"] == 1
    assert any("1 input is in training and in test" in warning for warning in told["description"]["warnings"])


def test_pictures_get_convolutions(tmp_path: Path) -> None:
    images = RNG.integers(0, 255, (40, 12, 12), np.uint8)
    np.savez(tmp_path / "a.npz", x=images, y=np.arange(40) % 2)
    write_fitted(tmp_path / "a.yaml", tmp_path / "a.npz", [], tmp_path, QUIET)
    names = [layer.name for layer in load_config(tmp_path / "a.yaml").model.layers or ()]
    assert names == ["conv", "batch_norm", "relu", "max_pool", "flatten", "dense", "relu", "dropout", "dense"]
    assert command(["train", str(tmp_path / "a.yaml"), "--dry-run", "--quiet"]) == 0


@pytest.mark.parametrize("name", ["price: in $", "yes", "null", "1e3", "- a", "{b}", "x # y", "it's", "größe", "a,b"])
def test_a_column_of_any_name_is_the_target_of_the_written_config(tmp_path: Path, name: str) -> None:
    rows = "".join(f"{number},{number / 7},{number % 5 + 0.5}\n" for number in range(30))
    (tmp_path / "odd.csv").write_text(f'"{name} id","{name}",other\n{rows}', encoding="utf-8")
    write_fitted(tmp_path / "odd.yaml", tmp_path / "odd.csv", [name], tmp_path, QUIET)
    dataset = load_config(tmp_path / "odd.yaml").data.dataset
    assert dataset.fields["target"] == name
    assert dataset.fields["columns"] == {f"{name} id": "ignore"}


def test_a_table_in_place_of_a_config_is_told_the_command_that_writes_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my.csv").write_text("a,y\n1,2\n")
    assert command(["train", str(tmp_path / "my.csv")]) == 2
    assert f"`nnscratch init my.yaml --data {tmp_path / 'my.csv'}` writes a config for it" in capsys.readouterr().err
