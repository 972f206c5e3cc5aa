"""What a step is to know so that its records are traced: pickled with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Container

from beam_obs.records.trace_settings import TraceSettings
from beam_obs.traces.incoming import INCOMING
from beam_obs.traces.sampling import least_sampled

MET_SOURCE = "beam_obs:source"
"""Stands in ids of spans for the label of a source whose records meet those of others: behind there it is not
known which it was, and the id is to follow from the origin."""
_ABOVE_ALL = b"\xff" * 8
LookedAt = tuple[int, Container[bytes]]
NONE_SAMPLED: LookedAt = (256, ())
"""What `TracedStep.looked_at` is where no record is traced."""


@dataclasses.dataclass(frozen=True)
class TracedStep:
    """A step whose records are traced.

    Args:
      label: full label of the step.
      settings: of the run.
      before: labels of the steps that its elements come from.
      sources: labels of the sources that they come from.
      common: label of the last step or source that all of its elements have passed and that has one span of
        each origin, as ids have it; empty for none. Of a source its own.
      continues: whether its records may have come with a trace.
      function: full name of what it calls, of the user's; empty where nobody knows.
      has_many: whether several of its elements may have one origin.
    """

    label: str
    settings: TraceSettings
    before: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    common: str = ""
    continues: bool = False
    function: str = ""
    has_many: bool = False

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

    @property
    def looked_at(self) -> LookedAt:
        """By what it is seen of most origins that they are not sampled, at the price of a compare: the least
        that byte 9 of a sampled one is, and those that came with a trace."""
        least = self.least
        if least is None:
            return NONE_SAMPLED
        return least[0], INCOMING if self.continues else ()
