"""Lines in a terminal: broken between words at any width, coloured where colour is wanted, and left alone elsewhere."""

from __future__ import annotations

import io
import re

import pytest

from nnscratch.host.display import Display, for_terminal

EPOCH = "epoch 1/50  train_loss 1.532  train_accuracy 46.78 %  val_loss 0.949  val_accuracy 64.90 %  3.8 s  best"


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


@pytest.mark.parametrize("columns", [40, 80])
def test_an_epochs_line_is_broken_between_its_figures(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = re.sub(r"\x1b\[\d+m", "", for_terminal(EPOCH, Tty()))
    rows = shown.split("\n")
    assert len(rows) > 1
    assert max(map(len, rows)) <= columns
    parts = EPOCH.split("  ")
    assert [part for row in rows for part in row.strip().split("  ")] == parts


def test_what_matters_has_a_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert for_terminal("error: no such file", Tty()) == "\x1b[31merror:\x1b[0m no such file"
    assert for_terminal("warning: odd", Tty()) == "\x1b[33mwarning:\x1b[0m odd"
    assert for_terminal(EPOCH, Tty()).endswith("\x1b[32mbest\x1b[0m")
    assert for_terminal("epochs are best", Tty()) == "epochs are best"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_there_is_no_colour_where_none_is_wanted(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv(name, value)
    assert for_terminal("error: x", Tty()) == "error: x"


def test_a_dumb_terminal_gets_lines_and_nothing_that_is_written_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", Tty())
    assert Display().live
    monkeypatch.setenv("TERM", "dumb")
    assert not Display().live


def test_a_pipe_gets_the_text_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert for_terminal(EPOCH, io.StringIO()) == EPOCH


@pytest.mark.parametrize("columns", [40, 80])
def test_progress_is_whole_with_the_time_left_at_any_width(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    terminal = Tty()
    monkeypatch.setattr("sys.stdout", terminal)
    display = Display()
    display.start_progress("epoch 100/200  loss 0.001", 100)
    display.show_progress("epoch 100/200  loss 0.001", 50)
    display.end_progress()
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    (last,) = {row.strip() for row in re.split(r"[\r\n]", shown) if " 50 %" in row}
    assert re.fullmatch(r"epoch 100/200  loss 0\.001 .*50 % .*(\d+:\d\d|-:--)(:--)?", last)
    assert len(last) <= columns
