"""What a command returns is printed in one place, which also ends the command."""

from __future__ import annotations

import errno
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from nnscratch.cli.result import finish, stream_out
from nnscratch.errors import DataError, UserError


@dataclass
class Found:
    text: str = "three cats"
    failure: UserError | None = None

    def to_text(self) -> str:
        return self.text

    def to_dict(self) -> dict[str, Any]:
        return {"cats": 3}


def test_a_result_is_text_or_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    finish(Found())
    assert capsys.readouterr().out == "three cats\n"
    finish(Found(), json=True)
    assert json.loads(capsys.readouterr().out) == {"cats": 3}


def test_a_result_that_has_nothing_more_to_say_prints_no_empty_line(capsys: pytest.CaptureFixture[str]) -> None:
    finish(Found(text=""))
    assert capsys.readouterr().out == ""


def test_no_character_of_a_result_controls_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    finish(Found(text="a\x1b[31mb\nc\x07\x9b2J \u202egpj.exe"))
    assert capsys.readouterr().out == "a [31mb\nc  2J  gpj.exe\n"
    stream_out(Found(), ["piece\x1b]0;title\x07\n", "1,\x1b[2J\n"])
    assert capsys.readouterr().out == "piece ]0;title \n1, [2J\n"


@pytest.mark.parametrize("as_json", [False, True])
def test_a_failure_ends_the_command_after_its_output(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    failure = DataError("damaged")
    with pytest.raises(DataError) as caught:
        finish(Found(failure=failure), as_json)
    assert caught.value is failure
    assert capsys.readouterr().out == ('{"cats": 3}\n' if as_json else "three cats\n")


def test_whether_a_stream_failed_is_asked_when_it_is_over(capsys: pytest.CaptureFixture[str]) -> None:
    found = Found()

    def pieces() -> Iterator[str]:
        yield "one, "
        found.failure = UserError("the second is missing")
        yield "-\n"

    with pytest.raises(UserError, match="the second is missing"):
        stream_out(found, pieces())
    assert capsys.readouterr().out == "one, -\n"


def test_a_reader_that_has_gone_ends_the_output_not_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    class Closed(io.TextIOWrapper):
        def flush(self) -> None:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    with Closed((tmp_path / "pipe").open("wb")) as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        with pytest.raises(UserError, match="damaged"):
            finish(Found(failure=UserError("damaged")))
        closed.flush = lambda: None  # type: ignore[method-assign]  # a stream that never writes
