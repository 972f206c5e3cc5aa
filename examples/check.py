"""What is assumed of records, said in one step; what is otherwise becomes a dead letter that says so.

python examples/check.py
"""

import sys

import apache_beam as beam

import beam_obs as obs

FLIGHTS = "pipelines/flights/data/flights-2013-01.csv"


def main(output="/tmp/checked-flights"):
    with obs.Pipeline("FnApiRunner", name="checked") as p:
        flights = p | "read" >> obs.ReadFromCsv(FLIGHTS)
        good, refused = (
            flights
            | "check"
            >> obs.Check(
                obs.one_of("origin", ["EWR", "JFK", "LGA"]),
                obs.matches("dep_time", "[0-9]{1,4}"),  # of a flight that was cancelled it is NA
            ).with_dead_letters()
        )
        good | "write" >> obs.WriteToJson(output)
        (
            refused
            | "kind" >> beam.Map(lambda letter: letter.error_message)
            | "count" >> beam.combiners.Count.PerElement()
            | "print" >> beam.Map(print)
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
