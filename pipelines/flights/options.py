"""The pipeline's own options, beside Beam's."""

from __future__ import annotations

import argparse

from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.flights.reference import DATA


class FlightsOptions(PipelineOptions):
    """What to read and where to write; shown by `--help`."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--input", required=True, help="Files of flights: a path or a glob.")
        parser.add_argument("--output", required=True, help="Where to write: a prefix of file names.")
        parser.add_argument(
            "--reference",
            default=str(DATA),
            help="Folder of airlines.csv, airports*.csv, planes.csv and weather.csv (default: %(default)s).",
        )
