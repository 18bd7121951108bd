"""JSON that every reader takes, whatever the numbers."""

from __future__ import annotations

import json
import math
from typing import NoReturn

import numpy as np
import pytest

from nnscratch.cli.result import finish
from nnscratch.host.json_text import json_text
from nnscratch.results.predict import Prediction, Predictions


def strictly(text: str) -> object:
    """The value of a JSON text; fails for NaN and Infinity, which json.loads would take."""

    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_numbers_that_are_not_finite_are_null_wherever_they_are() -> None:
    value = {"a": [1.5, math.nan, (math.inf, -math.inf)], "b": {"c": np.float64("nan"), "d": 2}, "e": "NaN", "f": True}
    expected = {"a": [1.5, None, [None, None]], "b": {"c": None, "d": 2}, "e": "NaN", "f": True}
    assert strictly(json_text(value)) == strictly(json_text(value, indent=2)) == expected


@pytest.mark.parametrize(
    "kind", [np.float16, np.float32, np.float64, np.longdouble, np.int8, np.uint8, np.int64, np.uint64, np.bool_]
)
def test_numpys_scalars_and_arrays_are_plain_values(kind: type[np.generic]) -> None:
    value = {"one": kind(1), "many": np.array([[0, 1]], kind), "in": [(kind(0),)]}
    assert strictly(json_text(value)) == {"one": 1, "many": [[0, 1]], "in": [[0]]}
    assert strictly(json_text({"a": np.float32("nan"), "b": np.array([np.inf, 1.0]), "c": np.str_("word")})) == {
        "a": None,
        "b": [None, 1.0],
        "c": "word",
    }


def test_what_a_command_prints_with_json_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    class Found:
        failure = None

        def to_text(self) -> str:
            return ""

        def to_dict(self) -> dict[str, object]:
            return {"loss": math.nan, "epochs": 3}

    finish(Found(), json=True)
    assert strictly(capsys.readouterr().out) == {"loss": None, "epochs": 3}


def test_a_prediction_that_overflows_is_null() -> None:
    predictions = iter([Prediction("a", values={"y": math.inf}), Prediction("b", values={"y": 2.0})])
    text = "".join(Predictions(predictions, ("y",), 0).to_json())
    assert strictly(text) == [{"input": "a", "values": {"y": None}}, {"input": "b", "values": {"y": 2.0}}]
