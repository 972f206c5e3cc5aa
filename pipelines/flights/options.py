"""The pipeline's own options, beside Beam's."""

from __future__ import annotations

import argparse
import sys

from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.flights.reference import DATA


class FlightsOptions(PipelineOptions):
    """What to read and where to write; shown by `--help`."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        # Not `required=True`: Beam asks every subclass, for every pipeline of the process.
        parser.add_argument("--input", help="Files of flights: a path or a glob.")
        parser.add_argument("--output", help="Where to write: a prefix of file names.")
        parser.add_argument(
            "--reference",
            default=str(DATA),
            help="Folder of airlines.csv, airports*.csv, planes.csv and weather.csv (default: %(default)s).",
        )


def flights_options(argv: list[str] | None = None) -> FlightsOptions:
    """Returns the options of a command line.

    Args:
      argv: its arguments; those of this process by default.

    Raises:
      SystemExit: with 2, as every wrong command line: `--input` or `--output` is not given.
    """
    options: FlightsOptions = PipelineOptions(argv).view_as(FlightsOptions)
    missing = [f"--{name}" for name in ("input", "output") if not getattr(options, name)]
    if missing:
        print(f"error: {' and '.join(missing)} must be given; --help tells more", file=sys.stderr)
        raise SystemExit(2)
    return options
