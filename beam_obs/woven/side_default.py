"""The default of a CombineGlobally: its output comes from the side input, not from its element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from beam_obs.records.contributors import NO_SOURCE
from beam_obs.wrapper.element_forms import unpack
from beam_obs.wrapper.woven_step import WovenStep


def process_from_side(function: Callable[..., Any], step: WovenStep) -> Callable[..., Any]:
    """Returns the process function of the step that puts in the default, whose side input is woven.

    Args:
      function: Beam's, of any number of results.
      step: of the function.
    """

    def process(element: Any, side: Any) -> Any:
        _, value = unpack(step.takes, element)
        combined = list(side)
        origin = combined[0][0] if combined else NO_SOURCE
        return [step.pack(origin, result) for result in function(value, [value for _, value in combined])]

    return process
