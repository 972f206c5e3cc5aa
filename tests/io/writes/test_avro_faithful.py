"""What a write to Avro takes comes back equal; what would not is refused, and costs no neighbour."""

from __future__ import annotations

import datetime
import decimal
import glob
import io
import math
import struct
import uuid
from typing import Any

import apache_beam as beam
import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import beam_obs as obs
from beam_obs.io.writes.avro_sink import AvroEncoder
from tests.io.pipelines import Keeper
from tests.running import run

REFUSED = object()
UTC = datetime.timezone.utc


class Case:
    """An Avro type, a value to write, and what must be read back, or REFUSED."""

    def __init__(self, schema: Any, value: Any, back: Any) -> None:
        self.schema, self.value, self.back = schema, value, back

    def __repr__(self) -> str:
        back = "REFUSED" if self.back is REFUSED else repr(self.back)
        return f"{self.schema}: {self.value!r} -> {back}"


def _logical(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "logicalType": name, **more}


def _float32(value: float) -> Any:
    if math.isinf(value) or math.isnan(value):
        return value
    try:
        return struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return REFUSED


def _cases(schema: Any, values: st.SearchStrategy[Any], back: Any = lambda value: value) -> Any:
    return values.map(lambda value: Case(schema, value, back(value)))


def _refused(schema: Any, *values: Any) -> Any:
    return st.sampled_from(values).map(lambda value: Case(schema, value, REFUSED))


_ints = st.integers(-(2**31), 2**31 - 1)
_texts = st.text(max_size=5)
_aware = st.datetimes(timezones=st.sampled_from([UTC, datetime.timezone(datetime.timedelta(hours=5))]))
_decimals = st.decimals(-999, 999, places=2)
_DECIMAL = _logical("bytes", "decimal", precision=5, scale=2)
_FIXED_DECIMAL = {**_logical("fixed", "decimal", precision=4, scale=2), "name": "D", "size": 2}


def _in_utc(time: datetime.datetime) -> Any:
    try:
        return time.astimezone(UTC)
    except OverflowError:
        return REFUSED


def _in_two_bytes(value: decimal.Decimal) -> Any:
    return value if abs(value) < 100 else REFUSED


leaves = st.one_of(
    _cases("null", st.none()),
    _refused("null", 0, ""),
    _cases("boolean", st.booleans()),
    _refused("boolean", "false", "", 2, None),
    _cases("int", _ints),
    _refused("int", 2**31, -(2**31) - 1, 1.5, "1", None, float("nan")),
    _cases("long", st.integers(-(2**63), 2**63 - 1)),
    _refused("long", 2**63, 0.5, None),
    _cases("float", st.floats(), _float32),
    _refused("float", "1.5", None, 2**200, b"a"),
    _cases("double", st.floats()),
    _refused("double", "NaN", 2**60 + 1, None),
    _cases("string", st.text(max_size=5).filter(lambda text: text.isprintable())),
    _refused("string", "\ud800", b"bytes", 1, None),
    _cases("bytes", st.binary(max_size=5)),
    _refused("bytes", "text", None),
    _cases({"type": "enum", "name": "E", "symbols": ["A", "B"]}, st.sampled_from(["A", "B"])),
    _refused({"type": "enum", "name": "E", "symbols": ["A", "B"]}, "C", 0, None),
    _cases({"type": "fixed", "name": "F", "size": 2}, st.binary(min_size=2, max_size=2)),
    _refused({"type": "fixed", "name": "F", "size": 2}, b"a", b"abc", "ab"),
    _cases(_logical("string", "uuid"), st.uuids()),
    _cases(_logical("string", "uuid"), st.uuids().map(str), uuid.UUID),
    _refused(_logical("string", "uuid"), "n/a", "", "0000", None),
    _cases(_logical("int", "date"), st.dates()),
    _refused(_logical("int", "date"), 2**31 - 1, 1.5, "Monday", None),
    _cases(_logical("int", "time-millis"), st.times().map(lambda time: time.replace(microsecond=7000))),
    _refused(_logical("int", "time-millis"), 86_400_000, -1, datetime.time(1, tzinfo=UTC)),
    _cases(_logical("long", "time-micros"), st.times()),
    _cases(_logical("long", "timestamp-micros"), _aware, _in_utc),
    _refused(_logical("long", "timestamp-micros"), 2**62, 1.5, "now"),
    _cases(
        _logical("long", "timestamp-millis"), _aware.map(lambda time: time.replace(microsecond=7000)), _in_utc
    ),
    _cases(_logical("long", "local-timestamp-micros"), st.datetimes()),
    _refused(_logical("long", "local-timestamp-micros"), 2**62),
    _cases(_DECIMAL, _decimals),
    _refused(_DECIMAL, decimal.Decimal("1234567"), decimal.Decimal("0.001"), b"\x7f\xff\xff\xff"),
    _cases(_FIXED_DECIMAL, _decimals, _in_two_bytes),
    _cases("string", _texts),
)


def _of_all(schema: Any, values: Any, backs: Any) -> Case:
    inside = backs.values() if isinstance(backs, dict) else backs
    return Case(schema, values, REFUSED if any(back is REFUSED for back in inside) else backs)


def _array(of: Case) -> Case:
    return _of_all({"type": "array", "items": of.schema}, [of.value] * 2, [of.back] * 2)


def _map(of: Case) -> Case:
    return _of_all({"type": "map", "values": of.schema}, {"k": of.value}, {"k": of.back})


def _optional(of: Case) -> Case:
    if of.schema == "null":
        return of
    return Case(["null", of.schema], of.value, of.value if of.value is None else of.back)


def _tuple(of: Case) -> Case:
    return _of_all({"type": "array", "items": of.schema}, (of.value,), [of.back])


cases = st.recursive(
    leaves,
    lambda inner: st.one_of(
        # Of a tuple a union takes the first for the name of a branch.
        inner.filter(lambda case: not isinstance(case.schema, list) and "(" not in repr(case.value)).map(
            _optional
        ),
        inner.map(_array),
        inner.map(_map),
        inner.map(_tuple),
    ),
    max_leaves=3,
)


def _record(case: Case) -> dict[str, Any]:
    fields = [{"name": "n", "type": "int"}, {"name": "x", "type": case.schema}]
    return {"type": "record", "name": "R", "fields": fields}


def _is_equal(given: Any, back: Any) -> bool:
    if isinstance(given, float) and math.isnan(given):
        return isinstance(back, float) and math.isnan(back)
    if isinstance(given, list):
        return len(given) == len(back) and all(map(_is_equal, given, back))
    if isinstance(given, dict):
        return given.keys() == back.keys() and all(_is_equal(given[key], back[key]) for key in given)
    return type(given) is type(back) and given == back


@settings(deadline=None, max_examples=200)
@given(cases)
def test_what_is_taken_comes_back_equal_and_the_rest_is_refused(case: Case) -> None:
    schema = _record(case)
    encode = AvroEncoder(schema)

    try:
        encoded = encode({"n": 1, "x": case.value, "not in the schema": 1})
    except Exception:
        assert case.back is REFUSED
        return

    assert case.back is not REFUSED
    back = fastavro.schemaless_reader(io.BytesIO(encoded), fastavro.parse_schema(schema))
    assert _is_equal({"n": 1, "x": case.back}, back)


@pytest.mark.parametrize(
    ("schema", "given", "back"),
    [
        (_logical("long", "timestamp-millis"), 7, datetime.datetime(1970, 1, 1, 0, 0, 0, 7000, UTC)),
        (
            _logical("long", "timestamp-millis"),
            datetime.datetime(2013, 1, 1, 0, 0, 0, 7001, UTC),
            datetime.datetime(2013, 1, 1, 0, 0, 0, 7000, UTC),
        ),
        (_logical("int", "date"), "2013-01-01", datetime.date(2013, 1, 1)),
        (_logical("int", "date"), datetime.datetime(2013, 1, 1, 12), datetime.date(2013, 1, 1)),
        (_DECIMAL, b"\x01", decimal.Decimal("0.01")),
        ("boolean", 1, True),
        (["null", "string", "long"], 7, 7),
        (["int", "string"], ("string", "x"), "x"),
        ({"type": "array", "items": "float"}, (1, 2), [1.0, 2.0]),
        ("bytes", bytearray(b"x"), b"x"),
    ],
)
def test_other_forms_of_a_value_are_taken(schema: Any, given: Any, back: Any) -> None:
    record = _record(Case(schema, given, back))

    encoded = AvroEncoder(record)({"n": 1, "x": given})

    assert fastavro.schemaless_reader(io.BytesIO(encoded), fastavro.parse_schema(record))["x"] == back


def test_records_inside_themselves_are_held_against_what_comes_back() -> None:
    fields = [{"name": "n", "type": "int"}, {"name": "next", "type": {"type": "array", "items": "Link"}}]
    encode = AvroEncoder({"type": "record", "name": "Link", "fields": fields})

    assert encode({"n": 1, "next": [{"n": 2, "next": []}]})
    with pytest.raises(ValueError, match=r"field 'next\.0\.n' is 1\.5, which would come back from Avro as 1"):
        encode({"n": 1, "next": [{"n": 1.5, "next": []}]})


def test_a_record_that_would_not_come_back_is_a_dead_letter_and_costs_no_other() -> None:
    schema = {
        "type": "record",
        "name": "Event",
        "fields": [
            {"name": "n", "type": "int"},
            {"name": "id", "type": _logical("string", "uuid")},
            {"name": "xs", "type": {"type": "array", "items": "float"}},
        ],
    }
    rows = [{"n": n, "id": str(uuid.UUID(int=n)), "xs": [0.5]} for n in range(100)]
    rows[10]["id"] = "n/a"
    rows[20]["n"] = 1.5
    rows[30]["xs"] = b"ab"
    found = Keeper()

    outcome = run(
        lambda p: (
            p
            | beam.Create(rows)
            | "write" >> obs.WriteToAvro("out", schema, file_name_suffix=".avro").with_dead_letters()
        )
    )

    for name in glob.glob("out*.avro"):
        with open(name, "rb") as file:
            for record in fastavro.reader(file):
                found(record["n"])
    assert found.elements == [n for n in range(100) if n not in (10, 20, 30)]
    assert sorted(letter.error_message.partition(": ValueError")[0] for letter in outcome.letters) == [
        "field 'id' is 'n/a', which cannot be read back from Avro",
        "field 'n' is 1.5, which would come back from Avro as 1",
        "field 'xs' is b'ab', which would come back from Avro as [97.0, 98.0]",
    ]
