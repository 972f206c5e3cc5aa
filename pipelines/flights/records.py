"""The records that flow through the pipeline, from a row of a file to a row of statistics.

NamedTuples with Beam's `RowCoder`: compact between steps, readable by other languages, and a dead
letter of one can be decoded without this code. Times of day are local, as `hhmm` (517 is 5:17);
delays and durations are minutes, early is negative.
"""

from typing import NamedTuple, TypeVar

from apache_beam import coders

Record = TypeVar("Record", bound=type)


def _with_row_coder(record: Record) -> Record:
    coders.registry.register_coder(record, coders.RowCoder)
    return record


@_with_row_coder
class Flight(NamedTuple):
    """One scheduled flight. What a cancelled or diverted flight never had is None.

    Args:
      day: scheduled local date of departure, ISO 8601.
      carrier: two characters, e.g. ``UA``.
      number: flight number.
      tail_number: the plane's registration, where one was assigned.
      origin: FAA code of the airport it leaves from.
      destination: FAA code of the airport it goes to.
      scheduled_departure: local time, ``hhmm``.
      departure: local time, ``hhmm``; None for a cancelled flight.
      departure_delay: minutes; None for a cancelled flight.
      scheduled_arrival: local time, ``hhmm``.
      arrival: local time, ``hhmm``.
      arrival_delay: minutes.
      air_time: minutes.
      distance: miles.
      hour: scheduled hour of departure, UTC, ISO 8601: the hour of its weather.
    """

    day: str
    carrier: str
    number: int
    tail_number: str | None
    origin: str
    destination: str
    scheduled_departure: int
    departure: int | None
    departure_delay: int | None
    scheduled_arrival: int
    arrival: int | None
    arrival_delay: int | None
    air_time: int | None
    distance: int
    hour: str

    @property
    def is_cancelled(self) -> bool:
        """Whether it never departed."""
        return self.departure is None

    @property
    def name(self) -> str:
        """What tells this flight from every other: carrier, number and scheduled hour."""
        return f"{self.carrier}{self.number}/{self.hour}"


@_with_row_coder
class Plane(NamedTuple):
    """A plane of the FAA's registry.

    Args:
      tail_number: registration.
      year: of manufacture, where known.
      manufacturer: in capitals, as registered.
      model: as registered.
      seats: number of seats.
    """

    tail_number: str
    year: int | None
    manufacturer: str
    model: str
    seats: int


@_with_row_coder
class Weather(NamedTuple):
    """One hour's weather at an airport; what was not measured is None.

    Args:
      airport: FAA code.
      hour: UTC, ISO 8601.
      temperature: degrees Fahrenheit.
      wind_speed: miles per hour.
      precipitation: inches.
      visibility: miles.
    """

    airport: str
    hour: str
    temperature: float | None
    wind_speed: float | None
    precipitation: float | None
    visibility: float | None


@_with_row_coder
class EnrichedFlight(NamedTuple):
    """A flight with what is known about it elsewhere.

    Args:
      flight: the flight itself.
      carrier_name: the carrier's full name.
      plane: None where no tail number is given, or the registry does not have it.
      weather: at the origin, in the scheduled hour; None where there is no measurement.
    """

    flight: Flight
    carrier_name: str
    plane: Plane | None
    weather: Weather | None


@_with_row_coder
class DayStatistics(NamedTuple):
    """One carrier's day. Delays are in minutes, and None where no flight had one.

    Args:
      carrier: two characters.
      day: ISO 8601.
      flights: all scheduled flights.
      cancelled: those that never departed.
      unknown_planes: those whose plane is not in the registry, or not given.
      mean_departure_delay: arithmetic mean over the flights that departed.
      p90_departure_delay: nearest rank, see `statistics.percentile_90`.
      mean_arrival_delay: arithmetic mean over the flights that arrived where they should.
      p90_arrival_delay: nearest rank.
    """

    carrier: str
    day: str
    flights: int
    cancelled: int
    unknown_planes: int
    mean_departure_delay: float | None
    p90_departure_delay: int | None
    mean_arrival_delay: float | None
    p90_arrival_delay: int | None


@_with_row_coder
class AirportStatistics(NamedTuple):
    """What left an airport in one pane of a window: what came since the pane before it.

    Args:
      airport: FAA code.
      windows: ``fixed`` or ``sliding``.
      begin: of the window, UTC, ISO 8601.
      end: of the window.
      pane: ``early``, ``on time`` or ``late``; ``unknown`` where the runner does not tell.
      pane_index: 0 for the window's first.
      flights: all scheduled flights.
      cancelled: those that never departed.
      mean_departure_delay: minutes, over those that departed; None where none did.
      p90_departure_delay: nearest rank.
    """

    airport: str
    windows: str
    begin: str
    end: str
    pane: str
    pane_index: int
    flights: int
    cancelled: int
    mean_departure_delay: float | None
    p90_departure_delay: int | None
