"""A batch pipeline that knows nothing of beam_obs; run it with `beam-obs run examples/batch.py`.

beam-obs run examples/batch.py
beam-obs why /tmp/departures:2     # the record of the output, and the lines of the file that it was made of
"""

import sys

import apache_beam as beam

FLIGHTS = "pipelines/flights/data/flights-2013-01.csv"


def main(output="/tmp/departures"):
    with beam.Pipeline("FnApiRunner") as p:
        (
            p
            | "read" >> beam.io.ReadFromText(FLIGHTS, skip_header_lines=1)
            | "first flights" >> beam.Filter(lambda line: line.startswith("2013,1,1,5"))
            | "carrier" >> beam.Map(lambda line: line.split(",")[9])
            | "count" >> beam.combiners.Count.PerElement()
            | "text" >> beam.MapTuple("{}: {}".format)
            | "write" >> beam.io.WriteToText(output, shard_name_template="")
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
