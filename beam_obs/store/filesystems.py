"""Beam's filesystems, for what is read without a pipeline whose options would lead to them."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from beam_obs.records.errors import UsageError
from beam_obs.store.configuration import find_configuration
from beam_obs.store.s3_settings import S3Settings, settings_of_arguments

EMULATOR_VARIABLE = "STORAGE_EMULATOR_HOST"
"""Where Google's client finds an emulator of Cloud Storage, in place of the service."""

_ARGUMENTS: list[str] = []
_OURS: list[Any] = []
"""The options that Beam's filesystems have from here, if they do."""


def reach_filesystems_by(arguments: Sequence[str]) -> None:
    """Sets options of filesystems for this process, besides those of ``beam_obs.toml``.

    Args:
      arguments: as on a pipeline's command line: ``["--s3_endpoint_url=http://localhost:9000"]``.
    """
    _ARGUMENTS[:] = arguments
    if _OURS:
        from apache_beam.io.filesystems import FileSystems

        if FileSystems._pipeline_options is _OURS.pop():
            FileSystems.set_options(None)


def filesystems() -> Any:
    """Returns Beam's `FileSystems`; where no pipeline of this process gave them options, with those that
    the command or the file of settings says.

    Raises:
      UsageError: ``beam_obs.toml`` has something wrong, or there is no such option.
    """
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.options.pipeline_options import PipelineOptions

    if FileSystems._pipeline_options is None:
        _check_names("", (one[2:].partition("=")[0] for one in _ARGUMENTS if one.startswith("--")))
        options = PipelineOptions([*configured_arguments(), *_ARGUMENTS])
        FileSystems.set_options(options)  # without options Beam's filesystem of Azure fails
        _OURS[:] = [options]
        if asks_without_credentials(options):
            _ask_without_credentials()
    return FileSystems


def options_already_set() -> Any:
    """Returns the options that someone in this process gave Beam's filesystems, or None; imports no Beam."""
    of_beam: Any = sys.modules.get("apache_beam.io.filesystems")
    return getattr(getattr(of_beam, "FileSystems", None), "_pipeline_options", None)


def s3_settings() -> S3Settings | None:
    """Returns what the command and the file of settings say of S3; None where they say more of filesystems.

    Raises:
      UsageError: ``beam_obs.toml`` has something wrong.
    """
    return settings_of_arguments((*find_configuration().filesystem_arguments, *_ARGUMENTS))


def configured_arguments() -> list[str]:
    """Returns what the file of settings says of filesystems, as on a command line.

    Raises:
      UsageError: the file has something wrong, or an option that no filesystem has.
    """
    configuration = find_configuration()
    _check_names(f"{configuration.path}: ", configuration.filesystem)
    return configuration.filesystem_arguments


def _check_names(where: str, names: Iterable[str]) -> None:
    from apache_beam.options.pipeline_options import PipelineOptions

    given = sorted(names)
    known = PipelineOptions([]).get_all_options() if given else {}
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise UsageError(f"{where}there is no option {name!r}{meant}")


def asks_without_credentials(options: Any) -> bool:
    """Returns whether Google Cloud Storage is asked as nobody: by ``--no_auth``, or of an emulator.

    Args:
      options: of a pipeline.
    """
    from apache_beam.options.pipeline_options import GoogleCloudOptions

    return bool(options.view_as(GoogleCloudOptions).no_auth or os.environ.get(EMULATOR_VARIABLE))


def _ask_without_credentials() -> None:
    """Lets Beam look for no credentials of Google's; where there are none, that takes it half a minute.

    Beam keeps what it found for the process. It does not follow ``--no_auth`` itself.
    """
    from apache_beam.internal.gcp import auth

    found = getattr(auth, "_Credentials", None)
    if found is not None:
        found._credentials_init = True
