"""Options that several pipelines have.

Beam asks every subclass of `PipelineOptions` in the process for its arguments, whatever pipeline runs:
two that name the same one exclude each other, and a required one breaks all others.
"""

from __future__ import annotations

import argparse
import sys
from typing import TypeVar

from apache_beam.options.pipeline_options import PipelineOptions

Options = TypeVar("Options", bound=PipelineOptions)


class FilesOptions(PipelineOptions):
    """What to read and where to write."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--input", help="Files to read: a path or a glob.")
        parser.add_argument("--output", help="Where to write: a prefix of file names.")


def options_with(kind: type[Options], names: tuple[str, ...], argv: list[str] | None = None) -> Options:
    """Returns the options of a command line.

    Args:
      kind: class of the options.
      names: those that must be given.
      argv: the arguments; those of this process by default.

    Raises:
      SystemExit: with 2, as every wrong command line: one of `names` is not given.
    """
    options: Options = kind(argv)
    missing = [f"--{name}" for name in names if not getattr(options, name)]
    if missing:
        print(f"error: {' and '.join(missing)} must be given; --help tells more", file=sys.stderr)
        raise SystemExit(2)
    return options
