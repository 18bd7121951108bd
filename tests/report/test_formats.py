from __future__ import annotations

import pytest

from nnscratch.report.formats import (
    count,
    counted,
    decimal,
    decimals,
    duration,
    metric_value,
    percent,
    printable,
    setting,
    shorten,
    told_apart,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (0.0184, "18 ms"),
        (0.0949, "95 ms"),
        (0.0951, "0.1 s"),
        (0.44, "0.4 s"),
        (9.94, "9.9 s"),
        (9.97, "10 s"),
        (59.4, "59 s"),
        (59.7, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.6, "1 h 00 min"),
        (7620, "2 h 07 min"),
        (None, "-"),
        (float("nan"), "-"),
    ],
)
def test_durations_read_as_people_say_them(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_numbers_read_as_people_write_them() -> None:
    assert percent(0.5713) == "57.13 %"
    assert percent(1.0, 0) == "100 %"
    assert percent(None) == percent(float("inf")) == "-"
    assert count(1707274) == "1,707,274"
    assert [counted(number, "example") for number in (1, 1200)] == ["1 example", "1,200 examples"]
    assert [decimal(value) for value in (1.24149, 9999.4, 60321.7, -1234567, 2e7, 1e-5)] == [
        "1.241", "9999", "60,322", "-1,234,567", "2e+07", "1e-05"
    ]  # fmt: skip
    assert metric_value("val_accuracy", 0.5) == "50.00 %"
    assert metric_value("val_loss", 0.5) == "0.5"


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ((0.0, 12345.6, 2e7), ["0", "12,346", "2e+07"]),
        ((1699999779.0, 1700000238.0), ["1699999779", "1700000238"]),
        ((12345.6, 12345.7), ["12345.6", "12345.7"]),
        ((1.23e-9, 1.230001e-9), ["1.23e-09", "1.230001e-09"]),
        ((1e20, 1e20 + 16384.0), ["1e+20", "1.0000000000000002e+20"]),
        ((5.0, 5.0, float("inf")), ["5", "5", "inf"]),
    ],
)
def test_different_numbers_side_by_side_look_different(values: tuple[float, ...], shown: list[str]) -> None:
    assert decimals(values) == shown


def test_settings_are_written_as_in_yaml() -> None:
    values = [None, True, 0.001, [512, 256], ("he", None), "adam", 1e-05]
    assert list(map(setting, values)) == ["null", "true", "0.001", "[512, 256]", "[he, null]", "adam", "1e-05"]


def test_control_characters_cannot_reach_the_terminal() -> None:
    assert printable("a\x1b[31mred\n\tb") == "a [31mred  b"


def test_long_names_end_in_an_ellipsis() -> None:
    assert shorten("automobile", 10) == "automobile"
    assert shorten("automobile", 9) == "automobi…"


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [(9999.6, 4, "10,000"), (999.7, 3, "1,000"), (9999.4, 4, "9999"), (12345.6, 4, "12,346")],
)
def test_no_digit_of_a_whole_part_is_lost_by_rounding(value: float, digits: int, shown: str) -> None:
    assert decimal(value, digits) == shown


@pytest.mark.parametrize("metric", ["val_accuracy", "val_macro_f1", "val_loss"])
@pytest.mark.parametrize("span", [0.5, 1e-3, 1e-6])
def test_labels_along_an_axis_are_told_apart(metric: str, span: float) -> None:
    shown = told_apart(metric, [0.999 - span * place / 4 for place in range(5)])
    assert len(set(shown)) == 5
    assert all(each.endswith(" %") == (metric != "val_loss") for each in shown)
