"""Waiting for what others do: no longer than it takes, and as long as it may take on a busy machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE_SECONDS = 300.0
"""After which it is taken for granted that something will not be."""

_Found = TypeVar("_Found")


def wait_until(what: str, found: Callable[[], _Found], every: float = 0.05) -> _Found:
    """Returns what is found, once it is something that counts as true.

    Args:
      what: is waited for, as a failure says it.
      found: looks for it.
      every: seconds between two looks.
    """
    until = time.monotonic() + PATIENCE_SECONDS
    while not (last := found()):
        assert time.monotonic() < until, f"after {PATIENCE_SECONDS:g} s it is not {what}: {last!r}"
        time.sleep(every)
    return last


def eventually(check: Callable[[], _Found]) -> _Found:
    """Returns what a check returns once it no longer fails by an assertion."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return check()
        except AssertionError:
            if time.monotonic() > until:
                raise
        time.sleep(0.2)
