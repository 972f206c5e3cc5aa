"""The pipeline's own options, beside Beam's."""

from __future__ import annotations

import argparse

from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.options import FilesOptions, options_with


# Beam asks direct subclasses only, so this one is both.
class ScheduleOptions(FilesOptions, PipelineOptions):
    """What to read, where to write, and where to put it then; shown by `--help`."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--destination", help="Folder that the schedule is put into; it must be there.")


def schedule_options(argv: list[str] | None = None) -> ScheduleOptions:
    """Returns the options of a command line.

    Args:
      argv: its arguments; those of this process by default.

    Raises:
      SystemExit: with 2: one that must be given is not.
    """
    return options_with(ScheduleOptions, ("input", "output", "destination"), argv)
