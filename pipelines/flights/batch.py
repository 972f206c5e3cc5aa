"""The flights pipeline, observed: `python -m pipelines.flights.batch --input FILES --output PREFIX`.

Reads flights, checks them, adds what is known of their carrier, plane and weather, and sums them up per
carrier and day. Every step where a record can be bad is a Stage: what it refuses is kept as a dead letter
of the run, and the rest goes on.
"""

from __future__ import annotations

from typing import Any

import apache_beam as beam

import beam_obs as obs
from pipelines.flights import checks, enrich, parse, statistics
from pipelines.flights.options import FlightsOptions, flights_options
from pipelines.flights.reference import AIRLINES, PLANES, WEATHER


def build(pipeline: beam.Pipeline, options: FlightsOptions) -> None:
    """Adds the steps to `pipeline`.

    Args:
      pipeline: an observed one, for dead letters to be kept.
      options: what to read and where to write.
    """
    carriers, airports, planes, weather = read_reference(pipeline, options.reference_folder)

    enriched = (
        pipeline
        | "read flights" >> obs.ReadFromCsv(options.input, columns=parse.FLIGHT_COLUMNS)
        | "parse" >> obs.Stage(beam.Map(parse.parse_flight))
        | "check" >> obs.Stage(beam.Map(checks.check_flight, carriers=carriers, airports=airports))
        | "key by name" >> beam.Map(checks.by_name)
        | "group copies" >> beam.GroupByKey()
        | "number copies" >> beam.FlatMap(checks.number_copies)
        | "refuse copies" >> obs.Stage(beam.MapTuple(checks.first_copy))
        | "enrich"
        >> obs.Stage(beam.Map(enrich.enrich_flight, carriers=carriers, planes=planes, weather=weather))
    )
    days = (
        enriched
        | "key by carrier and day" >> beam.Map(statistics.by_carrier_and_day)
        | "combine" >> beam.CombinePerKey(statistics.CombineFlights())
        | "statistics" >> obs.Stage(beam.MapTuple(statistics.to_statistics))
        | "statistics as dicts" >> beam.Map(statistics.statistics_to_dict)
    )

    (
        enriched
        | "flights as dicts" >> beam.Map(enrich.enriched_to_dict)
        | "write flights"
        >> obs.WriteToAvro(
            f"{options.output}-flights", schema=enrich.ENRICHED_SCHEMA, file_name_suffix=".avro"
        )
    )
    days | "write statistics" >> obs.WriteToAvro(
        f"{options.output}-statistics", schema=statistics.STATISTICS_SCHEMA, file_name_suffix=".avro"
    )
    days | "write JSON" >> obs.WriteToJson(f"{options.output}-statistics", file_name_suffix=".jsonl")


def read_reference(pipeline: beam.Pipeline, folder: str) -> tuple[Any, Any, Any, Any]:
    """Returns the reference tables as side inputs: carriers, airports, planes, weather.

    Args:
      pipeline: that they are read in.
      folder: that they are in, on any Beam filesystem.
    """
    carriers = (
        pipeline
        | "read airlines" >> obs.ReadFromCsv(f"{folder}/{AIRLINES}")
        | "parse airlines" >> obs.Stage(beam.Map(parse.parse_carrier))
    )
    airports = (
        pipeline
        | "read airports" >> obs.ReadFromCsv(f"{folder}/airports*.csv")
        | "parse airports" >> obs.Stage(beam.Map(parse.parse_airport))
    )
    planes = (
        pipeline
        | "read planes" >> obs.ReadFromCsv(f"{folder}/{PLANES}")
        | "parse planes" >> obs.Stage(beam.Map(parse.parse_plane))
        | "key planes" >> beam.Map(enrich.by_tail_number)
    )
    weather = (
        pipeline
        | "read weather" >> obs.ReadFromCsv(f"{folder}/{WEATHER}")
        | "parse weather" >> obs.Stage(beam.Map(parse.parse_weather))
        | "key weather" >> beam.Map(enrich.by_airport_and_hour)
    )
    as_dict = beam.pvalue.AsDict
    return as_dict(carriers), as_dict(airports), as_dict(planes), as_dict(weather)


def main(argv: list[str] | None = None) -> None:
    """Runs the pipeline with the options of the command line."""
    options = flights_options(argv)
    with obs.Pipeline(options=options, name="flights") as pipeline:
        build(pipeline, options)


if __name__ == "__main__":
    main()
