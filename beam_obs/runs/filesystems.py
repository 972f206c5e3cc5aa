"""Beam's filesystems, for what is read without a pipeline whose options would lead to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from beam_obs.runs.configuration import find_configuration

_ARGUMENTS: list[str] = []


def reach_filesystems_by(arguments: Sequence[str]) -> None:
    """Sets options of filesystems for this process, besides those of ``beam_obs.toml``.

    Args:
      arguments: as on a pipeline's command line: ``["--s3_endpoint_url=http://localhost:9000"]``.
    """
    _ARGUMENTS[:] = arguments


def filesystems() -> Any:
    """Returns Beam's `FileSystems`; where no pipeline of this process gave them options, with those that
    the command or the file of settings says.

    Raises:
      UsageError: ``beam_obs.toml`` has something wrong.
    """
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.options.pipeline_options import PipelineOptions

    if FileSystems._pipeline_options is None:
        arguments = [*find_configuration().filesystem_arguments, *_ARGUMENTS]
        if arguments:
            FileSystems.set_options(PipelineOptions(arguments))
    return FileSystems
