"""The dead letter's record, in Avro and JSON."""

from __future__ import annotations

import io
import json
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_obs.records.dead_letter import DEAD_LETTER_SCHEMA, DeadLetter, dead_letter_key

TEXT = st.text()
LONG = st.integers(-(2**63), 2**63 - 1)
VALUES = {
    "string": TEXT,
    "long": LONG,
    "int": st.integers(-(2**31), 2**31 - 1),
    "bytes": st.binary(),
    "boolean": st.booleans(),
}


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    if isinstance(kind, list):
        return st.none() | values_of(kind[1])
    return VALUES[kind]


LETTERS = st.builds(
    DeadLetter, **{field["name"]: values_of(field["type"]) for field in DEAD_LETTER_SCHEMA["fields"]}
)


def test_schema_and_record_have_the_same_fields_in_the_same_order() -> None:
    assert [field["name"] for field in DEAD_LETTER_SCHEMA["fields"]] == list(DeadLetter._fields)


def test_fields_that_may_be_missing_are_those_with_a_default_of_null() -> None:
    optional = [field["name"] for field in DEAD_LETTER_SCHEMA["fields"] if isinstance(field["type"], list)]
    assert optional == ["origin", "source_uri", "position", "traceparent"]


@given(LETTERS)
def test_avro_keeps_every_field(letter: DeadLetter) -> None:
    file = io.BytesIO()
    fastavro.writer(file, DEAD_LETTER_SCHEMA, [letter._asdict()])
    file.seek(0)
    assert [DeadLetter(**record) for record in fastavro.reader(file)] == [letter]


@given(LETTERS)
def test_json_keeps_every_field_on_one_line(letter: DeadLetter) -> None:
    text = letter.to_json()
    assert "\n" not in text
    assert DeadLetter.from_json(text) == letter
    assert json.loads(text)["id"] == letter.id


@pytest.mark.parametrize(
    "other",
    [
        ("q", "s", "o", b"x"),
        ("p", "t", "o", b"x"),
        ("p", "s", None, b"x"),
        ("p", "s", "o", b"y"),
        ("ps", "", "o", b"x"),
    ],
)
def test_keys_tell_pipeline_stage_origin_and_payload_apart(other: Any) -> None:
    assert dead_letter_key("p", "s", "o", b"x") != dead_letter_key(*other)


def test_a_key_is_the_same_in_every_process_and_version() -> None:
    assert dead_letter_key("flights", "parse", None, b"row") == "9c278e000906bc3b18031f5a732c1868"
