"""The schedule pipeline, observed: `python -m pipelines.schedule.batch`, with the options below.

    --input FILES --output PREFIX --destination FOLDER

Reads the pages of a conference's site, lists their sessions, checks them, writes them to ``PREFIX.csv``
and puts that file into FOLDER. Nothing that a page can do stops it: what cannot be read is kept as a dead
letter of the run. A run that loses a quarter of the sessions that were listed, or does not get the file to
its place, counts as failed.
"""

from __future__ import annotations

import sys

import apache_beam as beam
from apache_beam.io import fileio
from apache_beam.io.fileio import EmptyMatchTreatment

import beam_obs as obs
from pipelines.schedule import listings, sessions
from pipelines.schedule.options import ScheduleOptions, schedule_options
from pipelines.schedule.upload import upload


def build(pipeline: beam.Pipeline, options: ScheduleOptions) -> None:
    """Adds the steps to `pipeline`.

    Args:
      pipeline: an observed one, for dead letters to be kept.
      options: what to read, where to write, and where to put it then.
    """
    (
        pipeline
        | "find pages" >> fileio.MatchFiles(options.input, EmptyMatchTreatment.DISALLOW)
        | "open pages" >> fileio.ReadMatches()
        | "read pages" >> obs.Stage(beam.Map(listings.read_page))
        | "list sessions" >> obs.Stage(beam.FlatMap(listings.list_sessions), partial=True)
        | "parse" >> obs.Stage(beam.Map(sessions.parse_listing), max_dead_rate=0.25, max_dead_minimum=20)
        | "check" >> obs.Check(*sessions.ASSUMPTIONS)
        | "as CSV" >> beam.Map(sessions.csv_line)
        | "write"
        >> obs.WriteToText(
            options.output,
            file_name_suffix=".csv",
            num_shards=1,
            shard_name_template="",
            header=",".join(sessions.COLUMNS),
        )
        | "upload" >> obs.Stage(beam.Map(upload, options.destination), max_dead_rate=0.0, max_dead_minimum=1)
    )


def run(argv: list[str] | None = None) -> None:
    """Runs the pipeline with the options of a command line.

    Raises:
      DeadRateExceeded: the run has ended, and refused too much; all of it is kept.
    """
    options = schedule_options(argv)
    with obs.Pipeline(options=options, name="schedule") as pipeline:
        build(pipeline, options)


def main() -> None:
    """Runs the pipeline with the options of the command line; exits with 1 where it refused too much."""
    try:
        run()
    except obs.DeadRateExceeded as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
