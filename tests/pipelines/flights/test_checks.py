"""What is assumed of a flight."""

from __future__ import annotations

import pytest

from pipelines.flights import checks
from pipelines.flights.records import Flight

FLIGHT = Flight(
    day="2013-01-01",
    carrier="UA",
    number=1545,
    tail_number="N14228",
    origin="EWR",
    destination="IAH",
    scheduled_departure=515,
    departure=517,
    departure_delay=2,
    scheduled_arrival=819,
    arrival=830,
    arrival_delay=11,
    air_time=227,
    distance=1400,
    hour="2013-01-01T10:00:00Z",
)
CARRIERS = {"UA": "United Air Lines Inc."}
AIRPORTS = {"EWR": "Newark Liberty Intl", "IAH": "George Bush Intercontinental"}


def check(flight: Flight) -> Flight:
    return checks.check_flight(flight, CARRIERS, AIRPORTS)


def test_a_flight_that_can_be_believed_passes_as_it_is() -> None:
    assert check(FLIGHT) is FLIGHT


def test_a_cancelled_flight_passes() -> None:
    nothing = dict.fromkeys(("departure", "departure_delay", "arrival", "arrival_delay", "air_time"))
    cancelled = FLIGHT._replace(**nothing)
    assert check(cancelled) is cancelled


@pytest.mark.parametrize("field", ["scheduled_departure", "departure", "scheduled_arrival", "arrival"])
@pytest.mark.parametrize("time", [-1, 1175, 2401, 2575])
def test_a_time_that_no_clock_shows_is_refused(field: str, time: int) -> None:
    with pytest.raises(checks.ImpossibleTime, match=str(time)):
        check(FLIGHT._replace(**{field: time}))


@pytest.mark.parametrize("delay", [checks.EARLIEST - 1, checks.LATEST + 1])
def test_a_delay_out_of_bounds_is_refused(delay: int) -> None:
    with pytest.raises(checks.ImpossibleDelay, match=str(delay)):
        check(FLIGHT._replace(arrival_delay=delay))


def test_an_unknown_carrier_is_refused() -> None:
    with pytest.raises(checks.UnknownCarrier, match="'ZZ'"):
        check(FLIGHT._replace(carrier="ZZ"))


@pytest.mark.parametrize("field", ["origin", "destination"])
def test_an_unknown_airport_is_refused(field: str) -> None:
    with pytest.raises(checks.UnknownAirport, match="'XXX'"):
        check(FLIGHT._replace(**{field: "XXX"}))


def test_the_first_of_equal_flights_is_the_same_in_any_order() -> None:
    other = FLIGHT._replace(distance=1)
    orders = ([FLIGHT, other], [other, FLIGHT])
    assert checks.number_copies(("name", orders[0])) == checks.number_copies(("name", orders[1]))


def test_a_further_copy_is_refused() -> None:
    assert checks.first_copy(0, FLIGHT) is FLIGHT
    with pytest.raises(checks.DuplicateFlight, match="copy 1 of flight UA1545"):
        checks.first_copy(1, FLIGHT)
