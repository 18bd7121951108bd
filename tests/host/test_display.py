"""What is said where: terminal, standard error, log."""

from __future__ import annotations

from pathlib import Path

import pytest

from nnscratch.host.display import Display


def heard(display: Display, log: Path, capsys: pytest.CaptureFixture[str]) -> tuple[list[str], list[str], list[str]]:
    """What reaches standard output, standard error and the log when everything is said once."""
    display.attach_log(log)
    display.say("said")
    display.detail("detailed")
    display.note("noted")
    display.warn("warned")
    display.result("resulted")
    display.start_progress("working", 10)
    display.show_progress("working on", 5)
    display.end_progress()
    display.close()
    out, err = capsys.readouterr()
    return out.splitlines(), err.splitlines(), [line.split("  ", 1)[1] for line in log.read_text().splitlines()]


ALL = ["said", "detailed", "noted", "warning: warned", "resulted"]


@pytest.mark.parametrize(
    ("options", "out", "err"),
    [
        ({}, ["said", "resulted"], ["warning: warned"]),
        ({"quiet": True}, ["resulted"], ["warning: warned"]),
        ({"verbose": True}, ["said", "detailed", "resulted"], ["warning: warned"]),
        ({"quiet": True, "verbose": True}, ["resulted"], ["warning: warned"]),
        ({"json": True}, [], ["said", "warning: warned", "resulted"]),
    ],
)
def test_each_thing_reaches_whom_it_is_for_and_the_log_has_all(
    options: dict[str, bool], out: list[str], err: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert heard(Display(**options), tmp_path / "log", capsys) == (out, err, ALL)


def test_control_characters_do_not_reach_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Display().say("a\x1b[31mb\nc\x07")
    assert capsys.readouterr().out == "a [31mb\nc \n"
