"""Rows to typed records."""

from __future__ import annotations

import csv

import pytest

from pipelines.flights import parse
from pipelines.flights.reference import DATA


@pytest.fixture
def row() -> dict[str, str]:
    with (DATA / "flights-2013-01.csv").open(newline="") as file:
        return next(csv.DictReader(file))


def test_a_row_becomes_a_typed_flight(row: dict[str, str]) -> None:
    flight = parse.parse_flight(row)
    assert flight.day == "2013-01-01"
    assert (flight.carrier, flight.number, flight.departure, flight.departure_delay) == ("UA", 1545, 517, 2)
    assert flight.name == "UA1545/2013-01-01T10:00:00Z"
    assert not flight.is_cancelled


def test_a_flight_without_times_is_cancelled(row: dict[str, str]) -> None:
    missing = ("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "tailnum")
    flight = parse.parse_flight(row | dict.fromkeys(missing, "NA"))
    assert flight.is_cancelled
    assert flight.tail_number is None


def test_a_text_in_place_of_a_number_is_refused_with_its_column(row: dict[str, str]) -> None:
    with pytest.raises(parse.NotANumber, match="arr_delay is 'UA', expected a whole number"):
        parse.parse_flight(row | {"arr_delay": "UA"})


def test_a_missing_column_is_named(row: dict[str, str]) -> None:
    del row["dest"]
    with pytest.raises(parse.MissingColumn, match="no column 'dest'"):
        parse.parse_flight(row)
