"""A sweep's name is a folder's, by the same rule as a run's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nnscratch.errors import ConfigError, UsageError
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.sweeps.command_line import SweepOptions, sweep
from nnscratch.sweeps.sweep_file import load_sweep

WriteSweep = Callable[..., Path]


@pytest.mark.parametrize("name", ["a/b", "", "a\n", "a.", "-x", "x" * 101])
def test_a_bad_name_is_refused_in_the_file_and_on_the_command_line(
    name: str, write_sweep: WriteSweep, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="name: must be usable as a folder name"):
        load_sweep(write_sweep(tmp_path, name=name))
    with pytest.raises(UsageError, match="must be usable as a folder name"):
        sweep(write_sweep(tmp_path), SweepOptions(name=name), Workplace(tmp_path, tmp_path / "runs"), Display())
    assert not (tmp_path / "runs").exists()


def test_a_sweep_without_a_name_whose_file_has_a_long_one_is_named_by_its_beginning(
    write_sweep: WriteSweep, tmp_path: Path
) -> None:
    file = write_sweep(tmp_path, name=None).rename(tmp_path / f"{'x' * 250}.yaml")
    assert load_sweep(file).name == "x" * 100
