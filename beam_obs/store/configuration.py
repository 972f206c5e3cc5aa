"""`beam_obs.toml`: where the store is and how its filesystem is reached, for launches and commands alike.

It is looked for in the working folder and those above it, as is ``[tool.beam_obs]`` of ``pyproject.toml``;
the first that is found holds. Options and the variable go before it. Reading it needs neither Beam nor a
store.
"""

from __future__ import annotations

import difflib
import functools
import os
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from beam_obs.records.errors import UsageError
from beam_obs.store.schedule import Schedule, schedule_of_settings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = "beam_obs.toml"
_OF_TOOLS = "pyproject.toml"
_IN_TABLES = {"filesystem": "options", "schedules": "pipelines", "exporters": "targets"}


class Configuration(NamedTuple):
    """What a file of settings says.

    Args:
      path: the file; None where there is none.
      trace_url: of a trace in a backend, with ``{trace_id}`` in it.
      store: root of the store; a relative folder is taken from the file's own.
      shared: whether all workers see the store's folder, though it is one of this machine.
      filesystem: options of filesystems by name, as of a pipeline: ``{"s3_endpoint_url": "http://..."}``.
      schedules: when runs are to start, by name of the pipeline.
      exporters: where numbers of runs are sent, by name of the target: ``{"prometheus_port": 9464}``.
    """

    path: str | None = None
    store: str | None = None
    shared: bool = False
    filesystem: Mapping[str, str | int | bool] = {}
    schedules: Mapping[str, Schedule] = {}
    exporters: Mapping[str, str | int] = {}
    trace_url: str | None = None

    @property
    def filesystem_arguments(self) -> list[str]:
        """The options of filesystems as on a command line.

        >>> Configuration(filesystem={"s3_region_name": "eu", "s3_verify": False}).filesystem_arguments
        ['--s3_region_name=eu']
        """
        return [
            f"--{name}" if value is True else f"--{name}={value}"
            for name, value in self.filesystem.items()
            if value is not False
        ]


def find_configuration(folder: str | None = None) -> Configuration:
    """Returns the settings that hold in a folder.

    Args:
      folder: where the search begins; by default the working folder.

    Raises:
      UsageError: a file is no TOML, or has a setting that does not exist or has a wrong type.
    """
    here = os.path.abspath(folder or os.curdir)
    while True:
        for name in (FILE, _OF_TOOLS):
            path = os.path.join(here, name)
            settings = _read(path)
            if name == _OF_TOOLS and settings is not None:
                settings = settings.get("tool", {}).get("beam_obs")
            if settings is not None:
                return _checked(settings, path)
        above = os.path.dirname(here)
        if above == here:
            return Configuration()
        here = above


def usable_schedules() -> Mapping[str, Schedule]:
    """Returns the schedules that hold in the working folder, by name of the pipeline.

    Raises:
      UsageError: a file of settings, or one of its schedules, has something wrong.
      MissingExtra: there are some, and the ``watching`` extra is not installed.
    """
    schedules = find_configuration().schedules
    for schedule in schedules.values():
        schedule.check()
    return schedules


def check_trace_url(template: str, where: str) -> None:
    """Refuses what is no URL of a trace.

    Raises:
      UsageError: it does not begin as one, or has no place for the id.

    >>> check_trace_url("http://localhost:16686/trace/{trace_id}", "--trace-url")
    """
    if not template.startswith(("http://", "https://")) or "{trace_id}" not in template:
        raise UsageError(
            f"{where} is {template!r}; give an address with {{trace_id}} in it, "
            "e.g. http://localhost:16686/trace/{trace_id}"
        )


def _read(path: str) -> dict[str, Any] | None:
    try:
        with open(path, "rb") as file:
            content = file.read()
    except (FileNotFoundError, NotADirectoryError, PermissionError, IsADirectoryError):
        return None
    return _parsed(path, content)


# A launch asks several times, and to parse a project's file takes 4 ms (`benchmarks/start.py`).
@functools.lru_cache(maxsize=8)
def _parsed(path: str, content: bytes) -> dict[str, Any]:
    try:
        settings: dict[str, Any] = tomllib.loads(content.decode())
        return settings
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no TOML: {error}") from None


def _checked(settings: Any, path: str) -> Configuration:
    if not isinstance(settings, dict):
        raise UsageError(f"{path}: tool.beam_obs is no table of settings")
    expected = {
        "store": str,
        "shared": bool,
        "filesystem": dict,
        "schedules": dict,
        "exporters": dict,
        "trace_url": str,
    }
    for name, value in settings.items():
        if name not in expected:
            near = difflib.get_close_matches(name, expected, 1)
            meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(expected)}"
            raise UsageError(f"{path} has a setting {name!r}, which does not exist; {meant}")
        if type(value) is not expected[name]:
            wanted = {str: "a text", bool: "true or false"}.get(expected[name])
            raise UsageError(
                f"{path}: {name} is {value!r}; give {wanted or f'a table of {_IN_TABLES[name]}'}"
            )
    filesystem, exporters = settings.get("filesystem", {}), settings.get("exporters", {})
    for name, value in filesystem.items():
        if not isinstance(value, (str, int, bool)):
            raise UsageError(
                f"{path}: filesystem.{name} is {value!r}; give a text, a whole number, true or false"
            )
    for name, value in exporters.items():
        if type(value) not in (str, int):
            raise UsageError(f"{path}: exporters.{name} is {value!r}; give a text or a whole number")
    schedules = {
        name: schedule_of_settings(name, table, path) for name, table in settings.get("schedules", {}).items()
    }
    trace_url = settings.get("trace_url")
    if trace_url is not None:
        check_trace_url(trace_url, f"{path}: trace_url")
    store = settings.get("store")
    if store and "://" not in store:
        store = os.path.join(os.path.dirname(path), os.path.expanduser(store))
    shared = settings.get("shared", False)
    return Configuration(path, store or None, shared, filesystem, schedules, exporters, trace_url)
