"""The interface as an OpenAPI 3.1 document, made from the network and the limits that are served."""

from __future__ import annotations

from typing import Any

from nnscratch.serve.description import Description, schemas_of
from nnscratch.serve.inputs import TEXT
from nnscratch.serve.limits import Limits
from nnscratch.version import VERSION

REFUSALS = {
    "413": "the body is too large, or holds too many rows or files",
    "422": "nothing in it can be read as an input of this network",
    "429": "too many rows wait already; `Retry-After` says for how many seconds to wait",
    "503": "it took too long, or the server is stopping",
    "500": "a fault of the server",
}
"""What each status of `POST /predict` means, besides 200."""


def openapi(described: Description, limits: Limits) -> dict[str, Any]:
    """The document: its paths, what each takes and gives, and every status."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": described.name,
            "version": VERSION,
            "description": f"{described.in_words}; weights of epoch {described.epoch}",
        },
        "paths": {
            "/predict": {"post": _predict(described, limits)},
            "/health": {"get": _get("whether it answers, and what it has done", "Health")},
            "/openapi.json": {"get": {"summary": "this document", "responses": {"200": _content("it", {})}}},
            "/": {
                "get": {
                    "summary": "a page for people",
                    "responses": {"200": {"description": "the page", "content": {"text/html": {}}}},
                }
            },
        },
        "components": {"schemas": _schemas(described, limits)},
    }


def _predict(described: Description, limits: Limits) -> dict[str, Any]:
    return {
        "summary": "what the network says of each input",
        "description": f"At most {limits.size:,} bytes, {limits.rows:,} rows or files and, of pictures, "
        f"{limits.pixels:,} pixels; an answer takes at most {limits.seconds:g} s. A row in error spoils no other: the "
        "status is 200 when at least one has an answer.",
        "parameters": [
            {
                "name": "top",
                "in": "query",
                "description": "how many classes to tell for each input",
                "schema": {"type": "integer", "minimum": 1, "default": 3},
            }
        ],
        "requestBody": {"required": True, "content": _takes(described)},
        "responses": {
            "200": _content("a prediction for each input, in order", _reference("Predictions")),
            **{status: _content(meaning, _reference("Error")) for status, meaning in REFUSALS.items()},
        },
    }


def _takes(described: Description) -> dict[str, Any]:
    """The media types of a request, each with its schema."""
    file: dict[str, Any] = {"type": "string", "contentMediaType": "application/octet-stream"}
    content: dict[str, Any] = {
        "application/json": {"schema": _reference("Rows")},
        "application/x-ndjson": {},
        "text/csv": {},
        "multipart/form-data": {"schema": {"type": "object", "additionalProperties": file}},
    }
    assert set(TEXT) < set(content)
    return {"image/*": {}, **content} if described.takes == "pictures" else content


def _schemas(described: Description, limits: Limits) -> dict[str, Any]:
    number: dict[str, Any] = {"type": "number"}
    numbers: dict[str, Any] = {"type": "array", "items": {"anyOf": [number, {"type": "array"}]}}
    row = numbers
    if described.fields:
        columns = dict(schemas_of(described.fields))
        named = {"type": "object", "properties": columns, "required": list(columns)}
        row = {"anyOf": [named, numbers]}
    label = {"type": "string", "enum": list(described.classes or ())}
    share = {"type": "number", "minimum": 0, "maximum": 1}
    top = {"type": "array", "items": _object(label=label, probability=share)}
    answer = (
        _object(input={"type": "string"}, label=label, probability=share, top=top)
        if described.classes
        else _object(input={"type": "string"}, values=_object(**dict.fromkeys(described.targets, number)))
    )
    answer["properties"]["note"] = {"type": "string", "description": "what training never saw, and was taken for"}
    failed = _object(input={"type": "string"}, error={"type": "string"})
    count = {"type": "integer", "minimum": 0}
    return {
        "Rows": {"anyOf": [row, {"type": "array", "items": row, "maxItems": limits.rows}]},
        "Prediction": {"anyOf": [answer, failed]},
        "Predictions": _object(predictions={"type": "array", "items": _reference("Prediction")}, errors=count),
        "Error": _object(error={"type": "string", "description": "one line"}),
        "Health": _object(
            status={"type": "string", "const": "ok"}, run={"type": "string"}, epoch=count, requests=count, rows=count,
            batches=count, waiting=count,
        ),
    }  # fmt: skip


def _get(summary: str, schema: str) -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": _content(summary, _reference(schema))}}


def _content(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
