from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
from collections.abc import Callable
from typing import Any, NamedTuple, Optional

import pytest

import beam_obs as obs
from beam_obs.io.reads.typed_values import ValueMaker
from beam_obs.records.bad_input import ConversionError


class Carrier(enum.Enum):
    UNITED = "UA"
    DELTA = "DL"


class Leg(NamedTuple):
    origin: str
    miles: int


@dataclasses.dataclass
class Flight:
    carrier: Carrier
    legs: list[Leg]
    price: decimal.Decimal
    departed: datetime.datetime
    at: datetime.time
    delays: dict[str, float]
    notes: Optional[list[str]] = None  # noqa: UP045 - both spellings are read
    raw: bytes = b""
    anything: Any = None
    is_late: bool = False

    def __post_init__(self) -> None:
        if not self.legs:
            raise ValueError("no legs")


VALUES: dict[str, Any] = {
    "carrier": "UA",
    "legs": [{"origin": "EWR", "miles": 1400}],
    "price": 0.1,
    "departed": "2013-01-31T10:00:00Z",
    "at": datetime.time(10),
    "delays": {"late": 3},
}


def test_values_become_what_the_annotations_say() -> None:
    made = ValueMaker(Flight).make(VALUES | {"anything": {1}, "raw": b"x", "unknown": 1})

    assert made == Flight(
        Carrier.UNITED,
        [Leg("EWR", 1400)],
        decimal.Decimal("0.1"),
        datetime.datetime(2013, 1, 31, 10, tzinfo=datetime.timezone.utc),
        datetime.time(10),
        {"late": 3.0},
        None,
        b"x",
        {1},
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"carrier": "XX"}, "field 'carrier' is 'XX', expected one of UA, DL"),
        ({"legs": [{"origin": "EWR"}]}, "field 'legs': field 'miles' is absent"),
        (
            {"legs": {"origin": "EWR"}},
            "field 'legs' is {'origin': 'EWR'}, expected a list of an object for Leg",
        ),
        ({"legs": []}, "Flight refused the record: ValueError: no legs"),
        ({"price": "cheap"}, "field 'price' is 'cheap', expected a decimal number"),
        ({"price": True}, "field 'price' is True, expected a decimal number"),
        ({"delays": {"late": "3"}}, "field 'delays' is {'late': '3'}, expected an object of a number"),
        ({"notes": "n" * 300}, f"field 'notes' is '{'n' * 200}'..., expected a list of text or nothing"),
        ({"is_late": 1}, "field 'is_late' is 1, expected true or false"),
        ({"departed": None}, "field 'departed' is None, expected a time as 2013-01-31T10:00:00"),
    ],
)
def test_a_value_of_another_type_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ConversionError) as raised:
        ValueMaker(Flight).make(VALUES | changed)

    assert str(raised.value) == message


def test_a_field_of_another_type_is_refused_when_the_pipeline_is_built() -> None:
    class Odd(NamedTuple):
        name: Callable[[], None]

    with pytest.raises(obs.UsageError, match="field 'name' is"):
        ValueMaker(Odd)
    with pytest.raises(obs.UsageError, match="is not dict, a NamedTuple class or a dataclass"):
        ValueMaker(list)
