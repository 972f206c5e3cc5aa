"""What a step is to know so that its records are traced: pickled with it."""

from __future__ import annotations

import dataclasses

from beam_obs.records.trace_settings import TraceSettings
from beam_obs.traces.sampling import least_sampled

_ABOVE_ALL = b"\xff" * 8


@dataclasses.dataclass(frozen=True)
class TracedStep:
    """A step whose records are traced.

    Args:
      label: full label of the step.
      settings: of the run.
      before: labels of the steps that its elements come from.
      sources: labels of the sources that they come from.
      common: label of the last step or source that all of its elements have passed; empty for none.
      continues: whether its records may have come with a trace.
      function: full name of what it calls, of the user's; empty where nobody knows.
    """

    label: str
    settings: TraceSettings
    before: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    common: str = ""
    continues: bool = False
    function: str = ""

    @property
    def threshold(self) -> int:
        """The threshold of the low 56 bits of the origins that are sampled here."""
        return self.settings.threshold_at(self.label)

    @property
    def least(self) -> bytes | None:
        """The least that the last 7 bytes of a sampled origin are; None where nothing is to be looked at.

        Where records may have come with a trace they are looked at, though no bytes are as large as this.
        """
        return least_sampled(self.threshold) or (_ABOVE_ALL if self.continues else None)
