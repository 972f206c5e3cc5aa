"""A ParDo whose DoFn gives its elements in windows itself, and windows of which an element is in one."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
from apache_beam.transforms.core import Windowing
from apache_beam.transforms.window import FixedWindows, GlobalWindows, Sessions

_ONE_WINDOW = frozenset({GlobalWindows, FixedWindows, Sessions})
"""Functions that put an element into one window."""


def is_in_one_window(windowing: Windowing) -> bool:
    """Returns whether each element is known to be in one window.

    >>> from apache_beam.transforms.window import SlidingWindows
    >>> is_in_one_window(Windowing(FixedWindows(10))), is_in_one_window(Windowing(SlidingWindows(10, 5)))
    (True, False)
    """
    return type(windowing.windowfn) in _ONE_WINDOW


class WindowingParDo(beam.ParDo):  # type: ignore[misc, unused-ignore]
    """A ParDo that says in which windows its DoFn gives elements: a WindowInto would be one step more.

    Args:
      dofn: gives windowed values.
      windowing: that they have.
    """

    def __init__(self, dofn: beam.DoFn, windowing: Windowing) -> None:
        super().__init__(dofn)
        self._windowing = windowing

    def get_windowing(self, inputs: Any) -> Windowing:
        """Returns the windowing that was given, whatever the inputs have."""
        return self._windowing
