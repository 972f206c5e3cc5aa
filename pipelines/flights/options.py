"""The pipeline's own options, beside Beam's."""

from __future__ import annotations

import argparse

from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.flights.reference import DATA
from pipelines.options import FilesOptions, options_with


# Beam asks direct subclasses only, so this one is both.
class FlightsOptions(FilesOptions, PipelineOptions):
    """What to read and where to write; shown by `--help`."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--reference",
            help="Folder of airlines.csv, airports*.csv, planes.csv and weather.csv (default: the program's "
            "own data).",
        )

    @property
    def reference_folder(self) -> str:
        """The folder of the reference tables, without a slash at its end."""
        return str(self.reference or DATA).rstrip("/")


def flights_options(argv: list[str] | None = None) -> FlightsOptions:
    """Returns the options of a command line.

    Args:
      argv: its arguments; those of this process by default.

    Raises:
      SystemExit: with 2, as every wrong command line: `--input` or `--output` is not given.
    """
    return options_with(FlightsOptions, ("input", "output"), argv)
