"""What is assumed of a flight. One that breaks an assumption raises, and becomes a dead letter.

Each assumption has an error of its own, so that a run's report counts them apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pipelines.flights.records import Flight

EARLIEST = -180
"""Least delay believed, in minutes: nothing leaves three hours early."""

LATEST = 48 * 60
"""Greatest delay believed, in minutes: two days."""


class ImpossibleTime(ValueError):
    """A time of day that no clock shows."""


class ImpossibleDelay(ValueError):
    """A delay out of bounds."""


class UnknownCarrier(ValueError):
    """A carrier that is not in the list of carriers."""


class UnknownAirport(ValueError):
    """An airport that is not in the list of airports."""


class DuplicateFlight(ValueError):
    """A flight that is there already."""


def check_flight(flight: Flight, carriers: Mapping[str, str], airports: Mapping[str, str]) -> Flight:
    """Returns the flight as it is, if it can be believed.

    Args:
      flight: to be checked.
      carriers: names by code.
      airports: names by code.

    Raises:
      ImpossibleTime, ImpossibleDelay, UnknownCarrier, UnknownAirport: the first assumption that fails.
    """
    for time in (flight.scheduled_departure, flight.departure, flight.scheduled_arrival, flight.arrival):
        if time is not None and not is_time_of_day(time):
            raise ImpossibleTime(f"{time} is no time of day, expected hhmm from 0 to 2400")
    for delay in (flight.departure_delay, flight.arrival_delay):
        if delay is not None and not EARLIEST <= delay <= LATEST:
            raise ImpossibleDelay(f"a delay of {delay} minutes, expected {EARLIEST} to {LATEST}")
    if flight.carrier not in carriers:
        raise UnknownCarrier(f"carrier {flight.carrier!r} is not in the list of carriers")
    for airport in (flight.origin, flight.destination):
        if airport not in airports:
            raise UnknownAirport(f"airport {airport!r} is not in the list of airports")
    return flight


def is_time_of_day(time: int) -> bool:
    """Returns whether a clock shows `time`, given as ``hhmm``; midnight may be 0 or 2400.

    >>> [is_time_of_day(time) for time in (0, 517, 2400, 1175, 2401, -5)]
    [True, True, True, False, False, False]
    """
    return 0 <= time <= 2400 and time % 100 < 60


def by_name(flight: Flight) -> tuple[str, Flight]:
    """Returns the flight keyed by what tells it from every other."""
    return flight.name, flight


def number_copies(name_and_flights: tuple[str, Iterable[Flight]]) -> list[tuple[int, Flight]]:
    """Returns all flights of one name, numbered from 0, in an order that does not depend on the run."""
    flights = list(name_and_flights[1])
    if len(flights) > 1:
        flights.sort(key=repr)
    return list(enumerate(flights))


def first_copy(copy: int, flight: Flight) -> Flight:
    """Returns the flight if it is the first of its name.

    Raises:
      DuplicateFlight: it is a further one.
    """
    if copy:
        raise DuplicateFlight(f"copy {copy} of flight {flight.name}")
    return flight
