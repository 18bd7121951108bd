"""/openapi.json is true: its addresses are those that answer, and what they take and give fits its schemas."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
from starlette.routing import Route

from nnscratch.results.model import Model
from nnscratch.runs.loaded import load_run
from nnscratch.serve.app import Application, Service
from nnscratch.serve.limits import Limits
from nnscratch.serve.openapi import REFUSALS
from tests.serve.clients import Server
from tests.serve.conftest import ask, in_process
from tests.serve.test_predictions import ROW, png


def fits(value: Any, document: dict[str, Any], name: str) -> bool:
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    jsonschema.Draft202012Validator.check_schema(schema)
    return bool(jsonschema.Draft202012Validator(schema).is_valid(value))


def document_of(port: int) -> dict[str, Any]:
    document: dict[str, Any] = ask(port, path="/openapi.json", method="GET")[1]
    return document


def test_its_addresses_are_those_of_the_service(table_model: Model, table_server: Server) -> None:
    service = Service(table_model, Limits(), 1)
    served = {
        (route.path, method.lower())
        for route in Application(service).routes
        if isinstance(route, Route)
        for method in route.methods or ()
        if method != "HEAD"
    }
    service.close()
    told = {(path, method) for path, item in document_of(table_server.port)["paths"].items() for method in item}
    assert served - told == {("/page.css", "get"), ("/page.js", "get")}, "which belong to the page"
    assert told <= served


def test_answers_fit_its_schemas(table_server: Server, pictures_server: Server, regression_run: Path) -> None:
    picture = png(np.zeros((32, 32, 3), np.uint8))
    with in_process(Model(load_run(regression_run)), Limits()) as regression:
        bodies: list[tuple[int, Any]] = [
            (table_server.port, json.dumps([ROW, {}, ROW | {"age": "x"}, ROW | {"city": "Rome"}])),
            (pictures_server.port, picture),
            (regression, "a,b\n1,2\nx,2\n"),
        ]
        for port, body in bodies:
            document = document_of(port)
            status, found = ask(port, body)
            assert status == 200
            assert fits(found, document, "Predictions")
            assert not fits(found | {"more": 1}, document, "Predictions")
            assert not fits(
                {"predictions": [{"input": "a", "label": "none of these"}], "errors": 0}, document, "Predictions"
            )
            assert fits(ask(port, "")[1], document, "Error")
            assert fits(ask(port, path="/health", method="GET")[1], document, "Health")


def test_a_request_fits_its_schema_exactly_when_it_is_answered(table_server: Server) -> None:
    document = document_of(table_server.port)
    lacking = {name: value for name, value in ROW.items() if name != "city"}
    bodies: list[tuple[Any, bool]] = [
        (ROW, True),
        ([ROW, ROW], True),
        (ROW | {"age": None}, True),
        (ROW | {"more": 3}, True),
        (lacking, False),
        (ROW | {"age": [3]}, False),
        ("text", False),
        (3, False),
    ]
    for body, is_good in bodies:
        assert fits(body, document, "Rows") == is_good, body
        assert (ask(table_server.port, json.dumps(body))[0] == 200) == is_good, body


def test_every_status_that_it_tells_has_a_meaning_and_every_refusal_is_told(table_server: Server) -> None:
    told = document_of(table_server.port)["paths"]["/predict"]["post"]["responses"]
    assert set(told) == {"200", *REFUSALS}
    sources = (Path(__file__).parents[2] / "nnscratch" / "serve").glob("*.py")
    raised = {status for file in sources for status in re.findall(r"Refusal\((\d+)", file.read_text())}
    assert raised | {"500"} == set(REFUSALS)


def test_the_limits_that_it_tells_are_those_that_hold(table_model: Model) -> None:
    with in_process(table_model, Limits(rows=2, size=300)) as port:
        document = document_of(port)
        assert "300 bytes, 2 rows" in document["paths"]["/predict"]["post"]["description"]
        assert fits([ROW] * 2, document, "Rows")
        assert not fits([ROW] * 3, document, "Rows")
        assert ask(port, json.dumps([ROW] * 2))[0] == 200
        assert ask(port, json.dumps([ROW] * 3))[0] == 413
        assert ask(port, " " * 301)[0] == 413
