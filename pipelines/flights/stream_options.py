"""The stream's own options, beside Beam's."""

from __future__ import annotations

import argparse
import sys

from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.options import FilesOptions, options_with


# Beam asks direct subclasses only, so this one is both.
class StreamOptions(FilesOptions, PipelineOptions):
    """What to read, where to write, and how windows are; shown by `--help`."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--subscription", help="Read this subscription, and no --input.")
        parser.add_argument("--statistics_topic", help="Publish statistics to this topic too.")
        parser.add_argument("--dead_letters_topic", help="Publish dead letters to this topic too.")
        parser.add_argument(
            "--window_seconds",
            type=int,
            default=10,
            help="Size of fixed windows; sliding ones are twice as long, as often (default: %(default)s).",
        )
        parser.add_argument(
            "--early_seconds", type=int, default=3, help="Time between early panes (default: %(default)s)."
        )
        parser.add_argument(
            "--lateness_seconds",
            type=int,
            default=10,
            help="How long after its end a window takes what is late (default: %(default)s).",
        )
        parser.add_argument(
            "--stream_seconds", type=int, help="End the stream after so long (default: when interrupted)."
        )


def stream_options(argv: list[str] | None = None) -> StreamOptions:
    """Returns the options of a command line.

    Args:
      argv: its arguments; those of this process by default.

    Raises:
      SystemExit: with 2: it says nothing of what to read or where to write, or asks for a window of no time.
    """
    options = options_with(StreamOptions, ("output",), argv)
    if bool(options.input) == bool(options.subscription):
        _refuse("give one of --input and --subscription")
    for name in ("window_seconds", "early_seconds", "stream_seconds"):
        if (seconds := getattr(options, name)) is not None and seconds < 1:
            _refuse(f"--{name} is {seconds}: give 1 or more")
    if options.lateness_seconds < 0:
        _refuse(f"--lateness_seconds is {options.lateness_seconds}: give 0 or more")
    return options


def _refuse(what: str) -> None:
    print(f"error: {what}; --help tells more", file=sys.stderr)
    raise SystemExit(2)
