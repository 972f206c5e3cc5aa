"""The flights pipeline without beam_obs: the same steps and functions, Beam's own reads and writes.

The benchmark of what observing costs compares `batch.py` with this. It is what one would write by hand:
a bad record fails it, and what it did is not recorded.
"""

from __future__ import annotations

import csv
import json
from typing import Any

import apache_beam as beam

from pipelines.flights import checks, enrich, parse, statistics
from pipelines.flights.options import FlightsOptions, flights_options
from pipelines.flights.reference import AIRLINES, PLANES, WEATHER

AIRLINE_COLUMNS = ["carrier", "name"]
AIRPORT_COLUMNS = "faa,name,lat,lon,alt,tz,dst,tzone".split(",")
PLANE_COLUMNS = "tailnum,year,type,manufacturer,model,engines,seats,speed,engine".split(",")
WEATHER_COLUMNS = (
    "origin,year,month,day,hour,temp,dewp,humid,wind_dir,wind_speed,wind_gust,precip,pressure,visib,time_hour"
).split(",")


def to_row(line: str, columns: list[str]) -> dict[str, str]:
    """Returns a line of a CSV file as texts by column."""
    return dict(zip(columns, next(csv.reader([line])), strict=True))


def read_csv(pipeline: beam.Pipeline, name: str, pattern: str, columns: list[str]) -> Any:
    """Returns the rows of the files as a PCollection of dicts."""
    return (
        pipeline
        | f"read {name}" >> beam.io.ReadFromText(pattern, skip_header_lines=1)
        | f"split {name}" >> beam.Map(to_row, columns)
    )


def build(pipeline: beam.Pipeline, options: FlightsOptions) -> None:
    """Adds the steps to `pipeline`."""
    folder = options.reference_folder
    airlines = read_csv(pipeline, "airlines", f"{folder}/{AIRLINES}", AIRLINE_COLUMNS)
    airports = read_csv(pipeline, "airports", f"{folder}/airports*.csv", AIRPORT_COLUMNS)
    planes = read_csv(pipeline, "planes", f"{folder}/{PLANES}", PLANE_COLUMNS)
    weather = read_csv(pipeline, "weather", f"{folder}/{WEATHER}", WEATHER_COLUMNS)
    carriers = beam.pvalue.AsDict(airlines | "parse airlines" >> beam.Map(parse.parse_carrier))

    enriched = (
        read_csv(pipeline, "flights", options.input, parse.FLIGHT_COLUMNS)
        | "parse" >> beam.Map(parse.parse_flight)
        | "check"
        >> beam.Map(
            checks.check_flight,
            carriers=carriers,
            airports=beam.pvalue.AsDict(airports | "parse airports" >> beam.Map(parse.parse_airport)),
        )
        | "key by name" >> beam.Map(checks.by_name)
        | "group copies" >> beam.GroupByKey()
        | "number copies" >> beam.FlatMap(checks.number_copies)
        | "refuse copies" >> beam.MapTuple(checks.first_copy)
        | "enrich"
        >> beam.Map(
            enrich.enrich_flight,
            carriers=carriers,
            planes=beam.pvalue.AsDict(
                planes
                | "parse planes" >> beam.Map(parse.parse_plane)
                | "key planes" >> beam.Map(enrich.by_tail_number)
            ),
            weather=beam.pvalue.AsDict(
                weather
                | "parse weather" >> beam.Map(parse.parse_weather)
                | "key weather" >> beam.Map(enrich.by_airport_and_hour)
            ),
        )
    )
    days = (
        enriched
        | "key by carrier and day" >> beam.Map(statistics.by_carrier_and_day)
        | "combine" >> beam.CombinePerKey(statistics.CombineFlights())
        | "statistics" >> beam.MapTuple(statistics.to_statistics)
        | "statistics as dicts" >> beam.Map(statistics.statistics_to_dict)
    )
    (
        enriched
        | "flights as dicts" >> beam.Map(enrich.enriched_to_dict)
        | "write flights"
        >> beam.io.WriteToAvro(f"{options.output}-flights", enrich.ENRICHED_SCHEMA, file_name_suffix=".avro")
    )
    days | "write statistics" >> beam.io.WriteToAvro(
        f"{options.output}-statistics", statistics.STATISTICS_SCHEMA, file_name_suffix=".avro"
    )
    (
        days
        | "statistics as JSON" >> beam.Map(json.dumps)
        | "write JSON" >> beam.io.WriteToText(f"{options.output}-statistics", file_name_suffix=".jsonl")
    )


def main(argv: list[str] | None = None) -> None:
    """Runs the pipeline with the options of the command line."""
    options = flights_options(argv)
    with beam.Pipeline(options=options) as pipeline:
        build(pipeline, options)


if __name__ == "__main__":
    main()
