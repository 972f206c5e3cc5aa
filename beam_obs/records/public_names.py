"""Names of our classes as stores keep them: those of the public module, wherever in the package they stand.

Files of the package move, and stores outlive them. So an error of ours is kept as ``beam_obs.TornRow``, and a
record of ours that is pickled names its class so. What earlier releases kept by the name of a module is read
as the same; how, is written here and nowhere else.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Iterator
from typing import TypeVar

PACKAGE = "beam_obs"

_Class = TypeVar("_Class", bound=type)

_FORMER_HOMES = ("beam_obs.io.whole_files", "beam_obs.records.dead_letter")
"""Modules by which earlier releases pickled records of ours: `File` and `DeadLetter`."""


def public_type(name: str) -> str:
    """Returns the full name of an error's class as stores keep it: one of ours without the module it is in.

    >>> public_type("beam_obs.io.bad_input.TornRow"), public_type("app.errors.BadRow")
    ('beam_obs.TornRow', 'app.errors.BadRow')
    """
    package, dot, rest = name.partition(".")
    return f"{package}.{rest.rpartition('.')[2]}" if dot and package == PACKAGE else name


def known_by_public_name(kind: _Class) -> _Class:
    """Decorates a class of ours that users meet: pickles, tracebacks and help name no module of ours.

    The public module has to have the class.
    """
    kind.__module__ = PACKAGE
    return kind


def is_public(kind: type) -> bool:
    """Returns whether a class is one of ours that the public module has."""
    return kind.__module__.partition(".")[0] == PACKAGE and kind.__name__ in sys.modules[PACKAGE].__all__


@contextlib.contextmanager
def former_homes() -> Iterator[None]:
    """Finds classes that an earlier release pickled by a module which is no more, while it is entered."""
    gone = [name for name in _FORMER_HOMES if _is_gone(name)]
    for name in gone:
        sys.modules[name] = sys.modules[PACKAGE]
    try:
        yield
    finally:
        for name in gone:
            sys.modules.pop(name, None)


def _is_gone(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is None
    except ModuleNotFoundError:  # what it was in is gone, too
        return True
