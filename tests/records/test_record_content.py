"""What the output index knows records by is a stable format: these tests also hold the bytes of a few."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
import uuid
from typing import Any, NamedTuple

import apache_beam as beam
import pytest
from apache_beam.io.gcp.pubsub import PubsubMessage
from hypothesis import example, given
from hypothesis import strategies as st

from beam_obs.records.record_content import output_digest, record_content


class Trip(NamedTuple):
    name: str
    length: float


@dataclasses.dataclass
class Ride:
    name: str
    length: float


scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text())
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), values, max_size=5))
def test_a_record_has_the_content_of_the_one_read_back_from_json(record: dict[str, Any]) -> None:
    read_back = json.loads(json.dumps(dict(reversed(record.items()))))

    assert record_content(read_back) == record_content(record)


class Level(enum.IntEnum):
    LOW = 1


class Name(str):
    pass


any_value = st.one_of(
    st.floats(),
    st.floats(1e-6, 1e-3),
    st.floats(1e15, 1e17),
    st.integers(),
    st.text(st.characters(exclude_categories=())),
    st.sampled_from([Level.LOW, Name("a"), datetime.datetime(2013, 1, 1), uuid.UUID(int=1), Trip("a", 1.5)]),
    values,
)


@example({"small": 5e-5, "large": 1e16, "none": float("nan"), "infinite": float("-inf"), "zero": -0.0})
@example({"half of a pair": "\ud800", "controls": "\x00\x1f\x7f\u2028"})
@example({"long": 2**64, Name("b"): True})
@given(st.dictionaries(st.text(st.characters(exclude_categories=())), any_value, max_size=5))
def test_a_record_has_the_bytes_that_json_writes(record: dict[str, Any]) -> None:
    written = json.dumps(record, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)

    assert record_content(record) == written.encode("utf-8", "surrogatepass")


def test_a_record_within_itself_is_text() -> None:
    record: dict[str, Any] = {"a": [1]}
    record["a"].append(record)

    assert record_content(record) == str(record).encode()


def test_a_deep_record_has_the_bytes_that_json_writes() -> None:
    record: dict[str, Any] = {"é": 5e-5}
    for _ in range(300):
        record = {"b": (1, [record]), "a": None}

    assert (
        record_content(record)
        == json.dumps(record, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    )


@given(st.binary())
def test_bytes_are_their_own_content(content: bytes) -> None:
    assert record_content(content) == record_content(bytearray(content)) == content


@given(st.text())
def test_text_has_the_content_of_its_bytes(text: str) -> None:
    assert record_content(text) == text.encode()


@pytest.mark.parametrize(
    "record", [Trip("a", 1.5), Ride("a", 1.5), beam.Row(length=1.5, name="a"), {"length": 1.5, "name": "a"}]
)
def test_records_of_every_kind_have_the_content_of_their_fields(record: Any) -> None:
    assert record_content(record) == b'{"length":1.5,"name":"a"}'


def test_a_message_has_the_content_of_its_data() -> None:
    assert record_content(PubsubMessage(b"x", {"a": "1"})) == b"x"


@pytest.mark.parametrize(
    ("value", "content"),
    [
        (7, b"7"),
        (("a", 1), b"('a', 1)"),
        ({"at": {"b", "a"}}, b'{"at":["a","b"]}'),
        ({"inner": Ride("a", 1)}, b'{"inner":{"length":1,"name":"a"}}'),
        ({1: "a", "b": 2}, b"{1: 'a', 'b': 2}"),
        ({"bytes": b"x"}, b'{"bytes":"b\'x\'"}'),
    ],
)
def test_what_json_has_no_form_for_is_text(value: Any, content: bytes) -> None:
    assert record_content(value) == content


def test_the_digest_does_not_change() -> None:
    assert output_digest(b"hello").hex() == "3fc4e12082f2b573"
