"""`nnscratch schema`: what editors complete and check configs with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nnscratch.config.schema import json_schema
from nnscratch.host.json_text import json_text


@dataclass(frozen=True)
class EditorSchema:
    """The JSON Schema of configs."""

    schema: dict[str, Any]
    failure = None

    def to_dict(self) -> dict[str, Any]:
        return self.schema

    def to_text(self) -> str:
        return json_text(self.schema, indent=2)


def editor_schema() -> EditorSchema:
    """The schema of every config field and of every component there is, plugins apart."""
    return EditorSchema(json_schema())
