"""Tables in JSON: a list of objects, or an object in each line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from nnscratch.errors import DataError

EXACT_DIGITS = 15
"""Characters of a number that a float64 has all digits of."""
LONGEST_EXPONENT = 9
"""Characters: with more, a number is infinite or 0."""


class Digits(str):
    """A JSON number as it is written: no digit is lost."""

    def without_mark(self) -> str:
        """The same number without a point, which text of some countries has for thousands: 15e-1 for 1.5."""
        number, _, exponent = self.lower().partition("e")
        before, _, behind = number.partition(".")
        if not behind or len(exponent) > LONGEST_EXPONENT:
            return self
        return f"{before}{behind}e{int(exponent or 0) - len(behind)}"


def json_object(text: str) -> dict[str, Any]:
    """The object in a JSON text, its numbers as text with all their digits. Raises ValueError when it is no object."""
    try:
        value = json.loads(text, parse_float=Digits, parse_int=Digits)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def json_records(path: Path, text: bytes) -> list[tuple[int, dict[str, Any]]] | None:
    """The objects of a JSON list, or of JSON lines; None when the text is no JSON, whatever it begins with."""
    hint = "a table in JSON is a list of objects, [{...}, {...}], or an object in each line"
    try:
        whole = json.loads(text, parse_float=Digits, parse_int=Digits)
    except (ValueError, RecursionError) as error:
        found: list[tuple[int, dict[str, Any]]] = []
        is_deep = isinstance(error, RecursionError)
        for number, line in enumerate(text.decode().split("\n"), start=1):
            try:
                found += [(number, json_object(line))] if line.strip() else []
            except ValueError:
                if found:
                    raise DataError(f"{path}:{number}: no JSON object", hint) from error
                if is_deep or re.match(rb"\s*[\[{]\s*[\"{]", text):
                    reason = "nested too deeply" if is_deep else error
                    raise DataError(f"{path}: damaged JSON: {reason}", hint) from error
                return None
        whole = [record for _, record in found]
        if any(whole):
            return found
    if isinstance(whole, dict) and not any(isinstance(each, dict | list) for each in whole.values()):
        whole = [whole]
    if isinstance(whole, list) and any(whole) and all(isinstance(each, dict) for each in whole):
        return list(enumerate(whole, start=1))
    raise DataError(f"{path} is JSON, but no table", hint)


def half_character(record: dict[str, Any]) -> str | None:
    """Which column's name or text holds half of a character, as \\ud800 is, which UTF-8 has no bytes for; or None."""
    for name, value in record.items():
        try:
            f"{name}{json_cell(value)}".encode()
        except UnicodeEncodeError:
            return f"column {name!a} holds half of a character: {ascii(value)[:40]}"
    return None


def json_cell(value: object) -> str:
    """What a CSV file would have in the place of a value of JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False) if not isinstance(value, bool) else str(value).lower()
