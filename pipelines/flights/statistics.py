"""Statistics per carrier and day, as a `CombineFn`: exact, whatever the order and the sharding.

Delays are kept as they come until the end; a carrier has at most a few hundred flights a day.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import apache_beam as beam

from pipelines.flights.records import DayStatistics, EnrichedFlight, Flight

CarrierAndDay = tuple[str, str]


class Delays(NamedTuple):
    """What has been gathered of one carrier's day so far.

    Args:
      flights: number of flights.
      cancelled: number of cancelled flights.
      unknown_planes: number of flights without a known plane.
      departure: delays of those that departed, in minutes.
      arrival: delays of those that arrived, in minutes.
    """

    flights: int
    cancelled: int
    unknown_planes: int
    departure: list[int]
    arrival: list[int]


def by_carrier_and_day(enriched: EnrichedFlight) -> tuple[CarrierAndDay, EnrichedFlight]:
    """Returns the flight keyed by its carrier and day."""
    return (enriched.flight.carrier, enriched.flight.day), enriched


def add_flight(delays: Delays, flight: Flight, plane_is_unknown: bool) -> Delays:
    """Returns what has been gathered with one flight more; its lists are those of `delays`."""
    if flight.departure_delay is not None:
        delays.departure.append(flight.departure_delay)
    if flight.arrival_delay is not None:
        delays.arrival.append(flight.arrival_delay)
    return Delays(
        delays.flights + 1,
        delays.cancelled + flight.is_cancelled,
        delays.unknown_planes + plane_is_unknown,
        delays.departure,
        delays.arrival,
    )


class CombineFlights(beam.CombineFn):
    """Counts a group's flights and gathers their delays."""

    def create_accumulator(self) -> Delays:
        return Delays(0, 0, 0, [], [])

    def add_input(self, accumulator: Delays, enriched: EnrichedFlight) -> Delays:
        return add_flight(accumulator, enriched.flight, enriched.plane is None)

    def merge_accumulators(self, accumulators: Iterable[Delays]) -> Delays:
        merged = self.create_accumulator()
        for delays in accumulators:
            merged.departure.extend(delays.departure)
            merged.arrival.extend(delays.arrival)
            merged = Delays(
                merged.flights + delays.flights,
                merged.cancelled + delays.cancelled,
                merged.unknown_planes + delays.unknown_planes,
                merged.departure,
                merged.arrival,
            )
        return merged

    def extract_output(self, accumulator: Delays) -> Delays:
        return accumulator


def to_statistics(carrier_and_day: CarrierAndDay, delays: Delays) -> DayStatistics:
    """Returns the statistics of one carrier's day.

    Args:
      carrier_and_day: the group.
      delays: what `CombineFlights` gathered of it.
    """
    carrier, day = carrier_and_day
    return DayStatistics(
        carrier=carrier,
        day=day,
        flights=delays.flights,
        cancelled=delays.cancelled,
        unknown_planes=delays.unknown_planes,
        mean_departure_delay=mean(delays.departure),
        p90_departure_delay=percentile_90(delays.departure),
        mean_arrival_delay=mean(delays.arrival),
        p90_arrival_delay=percentile_90(delays.arrival),
    )


def mean(values: Sequence[int]) -> float | None:
    """Returns the arithmetic mean, None of nothing: the same for any order of the values.

    >>> mean([3, -1, 7])
    3.0
    """
    return sum(values) / len(values) if values else None


def percentile_90(values: Sequence[int]) -> int | None:
    """Returns the 90th percentile by nearest rank, None of nothing.

    That is the least of the values that at least nine in ten of them do not exceed (definition 1 of
    Hyndman and Fan, 1996): always one of the values, and exact.

    >>> percentile_90([5, 1, 4, 2, 3, 10, 9, 8, 7, 6])
    9
    >>> percentile_90([12])
    12
    """
    if not values:
        return None
    rank = -(-9 * len(values) // 10)
    return sorted(values)[rank - 1]


def statistics_to_dict(statistics: DayStatistics) -> dict[str, Any]:
    """Returns the statistics as a record of `STATISTICS_SCHEMA`."""
    return statistics._asdict()


STATISTICS_SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "DayStatistics",
    "namespace": "flights",
    "fields": [
        {"name": "carrier", "type": "string"},
        {"name": "day", "type": "string"},
        {"name": "flights", "type": "int"},
        {"name": "cancelled", "type": "int"},
        {"name": "unknown_planes", "type": "int"},
        {"name": "mean_departure_delay", "type": ["null", "double"], "default": None},
        {"name": "p90_departure_delay", "type": ["null", "int"], "default": None},
        {"name": "mean_arrival_delay", "type": ["null", "double"], "default": None},
        {"name": "p90_arrival_delay", "type": ["null", "int"], "default": None},
    ],
}
"""Avro schema of the statistics."""
