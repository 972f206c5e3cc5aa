"""A step that is told in which windows each of its elements is, for the ledger.

Beam is asked for it by one more argument, unless the user's function asks for the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from apache_beam.transforms import core

from beam_obs.woven.plain_arguments import Placeholders, behind_the_element
from beam_obs.wrapper.dofn_parameters import asks_for

WINDOWED = "beam_obs_windowed"
WINDOWED_PARAM = type(core.DoFn.WindowedValueParam)(core.DoFn.WindowedValueParam.param_id)
"""Asks for what `core.DoFn.WindowedValueParam` does, and is told from that of a user's."""


def noting_windows(
    process: Callable[..., Any],
    note: Callable[[Any], None],
    placeholders: Placeholders,
    element_at: int,
    takes_arguments: bool,
) -> Callable[..., Any]:
    """Returns a process function that tells the windows of each element before it does what the other does.

    Args:
      process: takes the element first.
      note: is told the windows.
      placeholders: of the arguments, one of which is a windowed value.
      element_at: position of the element among them.
      takes_arguments: whether the user's function takes more than the element.
    """
    ((position, parameter),) = [one for one in placeholders if asks_for(one[1], core.DoFn.WindowedValueParam)]
    at = behind_the_element(position, element_at)

    def process_told(element: Any, *args: Any, **kwargs: Any) -> Any:
        note(args[at].windows)
        return process(element, *args, **kwargs)

    def process_ours(element: Any, *args: Any, **kwargs: Any) -> Any:
        note(args[at].windows)
        return process(element, *args[:at], *args[at + 1 :], **kwargs)

    def process_element(element: Any, windowed: Any) -> Any:
        note(windowed.windows)
        return process(element)

    if parameter is not WINDOWED_PARAM:
        return process_told
    return process_ours if takes_arguments else process_element
