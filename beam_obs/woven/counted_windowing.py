"""What stands for a WindowInto: it puts elements into windows as Beam does, and counts them by both.

Elements are in other windows before it than behind it; what knows both is this step alone.
"""

from __future__ import annotations

from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import WindowFn
from apache_beam.utils.windowed_value import WindowedValue

from beam_obs.woven.tallying import Tallying
from beam_obs.wrapper.element_forms import Ends, unpack
from beam_obs.wrapper.stateless_dofn import StatelessDoFn


class WindowIntoDoFn(Tallying, StatelessDoFn):
    """Puts elements into windows.

    Args:
      window_fn: says in which.
      form: of the elements.
    """

    def __init__(self, window_fn: WindowFn, form: str) -> None:
        self._window_fn = window_fn
        self._form = form

    @property
    def ends(self) -> Ends:
        """The forms of what it takes and gives."""
        return Ends(self._form, self._form)

    def process(
        self, element: Any, timestamp: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
    ) -> Any:
        context = WindowFn.AssignContext(timestamp, element=element, window=window)
        windows = self._window_fn.assign(context)
        tally = self.tally
        if tally is not None:
            provenance = unpack(self._form, element)[0]
            tally.came_in((window,))
            tally.took(provenance)
            tally.came_in(windows)
            tally.gave(provenance)
        return (WindowedValue(element, timestamp, windows),)
