"""A ParDo whose DoFn gives its elements in windows itself."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
from apache_beam.transforms.core import Windowing


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
