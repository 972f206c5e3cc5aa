"""Adds to a flight what is known of its carrier, its plane and the weather, and lays it flat for Avro.

A plane that the registry does not have is a fact about the registry, not a bad record: it stays None
here and is counted in the statistics.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.flights.records import EnrichedFlight, Flight, Plane, Weather


def enrich_flight(
    flight: Flight,
    carriers: Mapping[str, str],
    planes: Mapping[str, Plane],
    weather: Mapping[tuple[str, str], Weather],
) -> EnrichedFlight:
    """Returns the flight with its carrier's name, its plane and its weather.

    Args:
      flight: a checked flight: its carrier is known.
      carriers: names by code.
      planes: by tail number.
      weather: by airport and hour.
    """
    return EnrichedFlight(
        flight=flight,
        carrier_name=carriers[flight.carrier],
        plane=planes.get(flight.tail_number) if flight.tail_number else None,
        weather=weather.get((flight.origin, flight.hour)),
    )


def by_tail_number(plane: Plane) -> tuple[str, Plane]:
    """Returns the plane keyed by its registration."""
    return plane.tail_number, plane


def by_airport_and_hour(weather: Weather) -> tuple[tuple[str, str], Weather]:
    """Returns the hour's weather keyed by where and when."""
    return (weather.airport, weather.hour), weather


def enriched_to_dict(enriched: EnrichedFlight) -> dict[str, Any]:
    """Returns the enriched flight as a record of `ENRICHED_SCHEMA`."""
    record = enriched.flight._asdict()
    record["carrier_name"] = enriched.carrier_name
    record["plane"] = None if enriched.plane is None else enriched.plane._asdict()
    record["weather"] = None if enriched.weather is None else enriched.weather._asdict()
    return record


def _optional(name: str, avro_type: str) -> dict[str, Any]:
    return {"name": name, "type": ["null", avro_type], "default": None}


ENRICHED_SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "EnrichedFlight",
    "namespace": "flights",
    "fields": [
        {"name": "day", "type": "string"},
        {"name": "carrier", "type": "string"},
        {"name": "number", "type": "int"},
        _optional("tail_number", "string"),
        {"name": "origin", "type": "string"},
        {"name": "destination", "type": "string"},
        {"name": "scheduled_departure", "type": "int"},
        _optional("departure", "int"),
        _optional("departure_delay", "int"),
        {"name": "scheduled_arrival", "type": "int"},
        _optional("arrival", "int"),
        _optional("arrival_delay", "int"),
        _optional("air_time", "int"),
        {"name": "distance", "type": "int"},
        {"name": "hour", "type": "string"},
        {"name": "carrier_name", "type": "string"},
        {
            "name": "plane",
            "type": [
                "null",
                {
                    "type": "record",
                    "name": "Plane",
                    "fields": [
                        {"name": "tail_number", "type": "string"},
                        _optional("year", "int"),
                        {"name": "manufacturer", "type": "string"},
                        {"name": "model", "type": "string"},
                        {"name": "seats", "type": "int"},
                    ],
                },
            ],
        },
        {
            "name": "weather",
            "type": [
                "null",
                {
                    "type": "record",
                    "name": "Weather",
                    "fields": [
                        {"name": "airport", "type": "string"},
                        {"name": "hour", "type": "string"},
                        _optional("temperature", "double"),
                        _optional("wind_speed", "double"),
                        _optional("precipitation", "double"),
                        _optional("visibility", "double"),
                    ],
                },
            ],
        },
    ],
}
"""Avro schema of the enriched flights."""
