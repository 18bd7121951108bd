from __future__ import annotations

import json
from pathlib import Path

import pytest

from nnscratch.cli import main
from nnscratch.datasets.sources.fashion_mnist import IDX_FOLDER
from nnscratch.datasets.sources.grey_images import IDX_FILES


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A data folder in which Fashion-MNIST's files hold something else."""
    (tmp_path / IDX_FOLDER).mkdir()
    for name in IDX_FILES:
        (tmp_path / IDX_FOLDER / f"{name}.gz").write_bytes(b"nonsense")
    return tmp_path


@pytest.mark.parametrize("as_json", [False, True])
def test_damaged_data_is_told_and_ends_with_its_exit_code(
    as_json: bool, damaged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["data", "verify", "fashion_mnist", "--data-dir", str(damaged), *["--json"] * as_json])
    out, err = capsys.readouterr()
    assert caught.value.code == 4
    told = json.loads(out)["copies"][0]["problem"] if as_json else out
    assert "wrong magic number" in told
    assert err == (
        f"error: fashion_mnist is damaged in {damaged / IDX_FOLDER}\n"
        "  remove it, then: nnscratch data fetch fashion_mnist\n"
    )


def test_the_list_says_of_damaged_files_only_where_they_are(damaged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["data", "list", "--data-dir", str(damaged), "--json"])
    listed = {each["name"]: each for each in json.loads(capsys.readouterr().out)["datasets"]}
    assert listed["fashion_mnist"]["found"] == [
        {"format": "IDX files", "folder": str(damaged / IDX_FOLDER), "bytes": 4 * len(b"nonsense")}
    ]
    assert not listed["cifar10"]["available"]
