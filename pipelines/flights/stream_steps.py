"""The steps of the stream of flights: a message to a flight, copies refused, a pane to statistics."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.coders import BooleanCoder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Duration, Timestamp
from apache_beam.utils.windowed_value import PaneInfoTiming

from pipelines.flights.checks import DuplicateFlight
from pipelines.flights.parse import Row
from pipelines.flights.records import AirportStatistics, Flight
from pipelines.flights.statistics import CombineFlights, Delays, add_flight, mean, percentile_90

REMEMBERED_SECONDS = 600
"""How long a flight is known, by event time: a copy that comes later is taken for another."""


def row_at_its_time(line: str) -> TimestampedValue:
    """Returns the row of a line of JSON, at the time at which its flight left.

    Raises:
      ValueError: it is no JSON, or has no `event_time`.
    """
    row: Row = json.loads(line)
    if "event_time" not in row:
        raise ValueError("no event_time")
    return TimestampedValue(row, Timestamp.from_rfc3339(row["event_time"]))


class FirstOfName(beam.DoFn):
    """Gives the first flight of each name, and raises on the others."""

    remembers = False  # its state holds no record, only that there was one

    FORGET = TimerSpec("forget", TimeDomain.WATERMARK)
    seen_param = beam.DoFn.StateParam(ReadModifyWriteStateSpec("seen", BooleanCoder()))
    forget_param = beam.DoFn.TimerParam(FORGET)

    def process(
        self,
        named: tuple[str, Flight],
        time: Any = beam.DoFn.TimestampParam,
        seen: Any = seen_param,
        forget: Any = forget_param,
    ) -> Iterator[Flight]:
        """Gives the flight.

        Raises:
          DuplicateFlight: one of its name was there.
        """
        name, flight = named
        if seen.read():
            raise DuplicateFlight(f"flight {name} was there already")
        seen.write(True)
        forget.set(time + Duration(REMEMBERED_SECONDS))
        yield flight

    @on_timer(FORGET)
    def forget(self, seen: Any = seen_param) -> None:
        """Lets go of a name."""
        seen.clear()


class CombineDepartures(CombineFlights):
    """Counts an airport's flights and gathers their delays."""

    def add_input(self, accumulator: Delays, flight: Any) -> Delays:
        return add_flight(accumulator, flight, plane_is_unknown=True)


def by_airport(flight: Flight) -> tuple[str, Flight]:
    """Returns the flight keyed by the airport that it leaves from."""
    return flight.origin, flight


def to_airport_statistics(
    airport_and_delays: tuple[str, Delays],
    windows: str,
    window: Any = beam.DoFn.WindowParam,
    pane: Any = beam.DoFn.PaneInfoParam,
) -> AirportStatistics:
    """Returns the statistics of one pane.

    Args:
      airport_and_delays: the airport, and what `CombineDepartures` gathered.
      windows: what kind the window is of.
      window: that it is in.
      pane: which of the window's.
    """
    airport, delays = airport_and_delays
    return AirportStatistics(
        airport=airport,
        windows=windows,
        begin=window.start.to_rfc3339(),
        end=window.end.to_rfc3339(),
        pane=PaneInfoTiming.to_string(pane.timing).lower().replace("_", " "),
        pane_index=pane.index,
        flights=delays.flights,
        cancelled=delays.cancelled,
        mean_departure_delay=mean(delays.departure),
        p90_departure_delay=percentile_90(delays.departure),
    )


def to_json(record: AirportStatistics) -> bytes:
    """Returns the statistics as a message."""
    return json.dumps(record._asdict()).encode()


AIRPORT_SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "AirportStatistics",
    "namespace": "flights",
    "fields": [
        {"name": "airport", "type": "string"},
        {"name": "windows", "type": "string"},
        {"name": "begin", "type": "string"},
        {"name": "end", "type": "string"},
        {"name": "pane", "type": "string"},
        {"name": "pane_index", "type": "int"},
        {"name": "flights", "type": "int"},
        {"name": "cancelled", "type": "int"},
        {"name": "mean_departure_delay", "type": ["null", "double"], "default": None},
        {"name": "p90_departure_delay", "type": ["null", "int"], "default": None},
    ],
}
"""Avro schema of the statistics."""
