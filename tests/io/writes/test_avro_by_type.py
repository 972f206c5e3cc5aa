"""Records encoded by the types of their values: bytes are fastavro's, what is not sure is left to it."""

from __future__ import annotations

import io
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings

from beam_obs.io.writes.avro_by_type import encoder_by_type
from beam_obs.io.writes.avro_same import named_types
from tests.io.writes.test_avro_faithful import Case, cases

TRIP = {
    "type": "record",
    "name": "Trip",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "note", "type": ["string", "null"], "default": "none"},
        {"name": "legs", "type": {"type": "array", "items": "int"}, "default": []},
        {
            "name": "from",
            "type": [
                "null",
                {"type": "record", "name": "Place", "fields": [{"name": "code", "type": "string"}]},
            ],
        },
        {"name": "to", "type": ["null", "Place"], "default": None},
    ],
}


def _encoded(schema: Any, value: Any) -> bytes | None:
    parsed = fastavro.parse_schema(schema)
    return encoder_by_type(parsed, named_types(parsed))(value)


def _by_fastavro(schema: Any, value: Any) -> bytes:
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(schema), value)
    return buffer.getvalue()


@settings(deadline=None, max_examples=200)
@given(cases)
def test_what_is_encoded_is_what_fastavro_makes_of_it(case: Case) -> None:
    schema = {"type": "record", "name": "R", "fields": [{"name": "x", "type": case.schema}]}
    encoded = _encoded(schema, {"x": case.value})

    assert encoded is None or encoded == _by_fastavro(schema, {"x": case.value})


@pytest.mark.parametrize(
    "trip",
    [
        {"id": 1, "note": "é", "legs": [1, -64, 2**31 - 1], "from": {"code": "JFK"}, "to": {"code": "IAH"}},
        {"id": -(2**63), "note": None, "legs": [], "from": None, "to": None},
        {"id": 2**63 - 1, "from": None},
        {"id": 1, "from": {"code": "JFK", "name": "left out"}, "name": "left out"},
    ],
)
def test_records_of_sure_types_are_encoded(trip: dict[str, Any]) -> None:
    assert _encoded(TRIP, trip) == _by_fastavro(TRIP, trip)


@pytest.mark.parametrize(
    "trip",
    [
        {"id": 1.0, "from": None},
        {"id": True, "from": None},
        {"id": 2**63, "from": None},
        {"id": 1, "from": None, "legs": [2**31]},
        {"id": 1, "from": None, "legs": (1, 2)},
        {"id": 1, "from": None, "note": "\ud800"},
        {"id": 1, "from": {}},
        {"id": 1, "from": {"code": "JFK", "-type": "Place"}},
        {"id": 1, "from": None, 1: "a", "1": "b"},
        {"id": 1},
        ["id"],
    ],
)
def test_of_others_nothing_is_said(trip: Any) -> None:
    assert _encoded(TRIP, trip) is None


@pytest.mark.parametrize("schema", [["int", "string"], {"type": "int", "logicalType": "unheard-of"}])
def test_numbers_are_encoded_by_plain_types_alone(schema: Any) -> None:
    assert _encoded(schema, 1) == (None if isinstance(schema, list) else b"\2")


def test_many_distinct_numbers_are_encoded_alike() -> None:
    numbers = list(range(-30_000, 30_000, 7))
    schema = {"type": "array", "items": "long"}

    assert _encoded(schema, numbers) == _by_fastavro(schema, numbers)
