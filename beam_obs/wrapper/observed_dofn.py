"""The DoFn of a stage: it refuses, counts and times the elements of the user's."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import WindowFn

from beam_obs.wrapper.calls import GuardedCalls
from beam_obs.wrapper.guard import GuardSettings
from beam_obs.wrapper.stand_in_dofn import StandInDoFn
from beam_obs.wrapper.woven_step import Process


class ObservedDoFn(StandInDoFn):
    """Does what `dofn` does; refuses, counts and times its elements.

    Args:
      dofn: the user's DoFn.
      settings: how the stage treats its elements.
      has_arguments: whether Beam is given more arguments than the element, e.g. side inputs.
      window_fn: of the stage's input, to place what fails without an element.
    """

    _calls: GuardedCalls

    def __init__(
        self,
        dofn: beam.DoFn,
        settings: GuardSettings,
        has_arguments: bool = False,
        window_fn: WindowFn | None = None,
    ) -> None:
        self._has_arguments = has_arguments
        super().__init__(GuardedCalls(dofn, settings, window_fn))

    @property
    def calls(self) -> GuardedCalls:
        """How the user's DoFn is called, for a DoFn that takes the place of this one."""
        return self._calls

    def users_parts(self) -> tuple[Any, ...]:
        """Returns what it holds of the user's."""
        return self._dofn, self._calls.settings.redaction

    def make_process(self) -> Process:
        """Returns the process function of a step that is not woven."""
        return self._calls.plain(self._called, self.takes_arguments(self._has_arguments))
