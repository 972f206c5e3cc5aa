"""What a user gave as an argument, held against what it has to be when the pipeline is built."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from beam_obs.records.errors import UsageError


def given_path(given: Any, argument: str, example: str, what: str = "a path") -> str:
    """Returns a path as text.

    Args:
      given: text, or anything that `os.fspath` makes text of.
      argument: its name.
      example: what to write.
      what: what it has to be.

    Raises:
      UsageError: it is no path, or an empty one.

    >>> import pathlib
    >>> given_path(pathlib.Path("data"), "folder", "'gs://bucket/dead'")
    'data'
    """
    path = os.fspath(given) if isinstance(given, os.PathLike) else given
    if not isinstance(path, str) or not path.strip():
        raise UsageError(f"{argument}={given!r}: give {what}, e.g. {example}")
    return path


def is_known_later(given: Any) -> bool:
    """Whether an argument is a `ValueProvider`: it is known only when the job runs."""
    return hasattr(given, "get") and hasattr(given, "is_accessible")


def given_number(given: Any, argument: str, least: int = 0) -> int:
    """Returns a whole number.

    Raises:
      UsageError: it is none, or less than `least`.

    >>> given_number(3, "num_shards")
    3
    """
    if not isinstance(given, int) or isinstance(given, bool) or given < least:
        raise UsageError(f"{argument}={given!r}: give a whole number, {least} or more")
    return given


def given_flag(given: Any, argument: str) -> bool:
    """Returns what is either so or not.

    Raises:
      UsageError: it is neither True nor False: the text "no" would count as true.

    >>> given_flag(False, "stamp")
    False
    """
    if not isinstance(given, bool):
        raise UsageError(f"{argument}={given!r}: give True or False")
    return given


def given_names(
    given: Any, argument: str, example: str = "['carrier', 'day']", what: str = "names"
) -> tuple[str, ...]:
    """Returns names, or other texts, as a tuple.

    Raises:
      UsageError: they are no list of texts.

    >>> given_names(["carrier", "day"], "columns")
    ('carrier', 'day')
    """
    if not isinstance(given, str) and isinstance(given, Iterable):
        names = tuple(given)
        if all(isinstance(name, str) for name in names):
            return names
    raise UsageError(f"{argument}={given!r}: give a list of {what}, e.g. {example}")
