"""The steps that a weave puts in between two forms of an element, and behind what holds elements back.

Those behind aggregates are in `aggregate_origins`, those before sinks in `output_index`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apache_beam as beam

from beam_obs.records.contributors import ORIGIN_BYTES, UNKNOWN, gather, in_order
from beam_obs.records.lineage_rows import BATCH
from beam_obs.woven.superset import superset
from beam_obs.woven.written_rows import WritingRows
from beam_obs.wrapper.element_forms import LISTED, PLAIN, WOVEN, Ends, pack, unpack
from beam_obs.wrapper.stateless_dofn import StatelessDoFn


class ConvertDoFn(StatelessDoFn):
    """Takes elements in one form and gives them in another.

    Args:
      takes: the form.
      gives: the other.
      provenance: of plain elements.
    """

    def __init__(self, takes: str, gives: str, provenance: bytes = UNKNOWN) -> None:
        self._settings = (takes, gives, provenance)
        self.process = _converting(*self._settings)

    def __reduce__(self) -> Any:
        return (ConvertDoFn, self._settings)

    @property
    def ends(self) -> Ends:
        """The forms of what it takes and gives."""
        takes, gives, _ = self._settings
        return Ends(takes, gives)


def _converting(takes: str, gives: str, provenance: bytes) -> Callable[[Any], Any]:
    def from_plain(element: Any) -> Any:
        return (pack(gives, provenance, element),)

    def to_plain(element: Any) -> Any:
        return (element[1],)

    def process(element: Any) -> Any:
        return (pack(gives, *unpack(takes, element)),)

    if takes == PLAIN:
        return from_plain
    return to_plain if takes == WOVEN and gives == PLAIN else process


class BatchedDoFn(WritingRows, StatelessDoFn):
    """Behind a step that makes lists of woven elements: gives each list with a provenance of its own.

    Args:
      step: label of the step.
      gives: form of the output.
      takes: form of the elements in the lists.
      limit: of contributors; None for all.
      keeps_order: whether the step behind wants the origin of each element.
    """

    def __init__(
        self, step: str, gives: str, takes: str, limit: int | None, keeps_order: bool = False
    ) -> None:
        self._step = step
        self._gives = gives
        self._takes = takes
        self._limit = limit
        self._keeps_order = keeps_order

    @property
    def ends(self) -> Ends:
        """The forms of what it takes and gives."""
        return Ends(LISTED, self._gives)

    def process(self, batch: Any) -> Any:
        pairs = [unpack(self._takes, element) for element in batch]
        if self.tally is not None:
            self.tally.took_each(provenance for provenance, _ in pairs)
        if self._keeps_order:
            listed = in_order([provenance for provenance, _ in pairs])
            if listed is not None:
                if self.tally is not None:
                    self.tally.gave(listed)
                return [pack(self._gives, listed, [value for _, value in pairs])]
        found = gather((provenance for provenance, _ in pairs), self._limit)
        origin, row = superset(found, self._step, BATCH)
        if self.tracer is not None and not self._keeps_order:
            self.tracer.aggregated(origin, found.origins if row is not None else (), found.count)
        if self.tally is not None:
            self.tally.gave(origin)
        packed = pack(self._gives, origin, [value for _, value in pairs])
        return self.with_row(row, packed)


class SupersetDoFn(WritingRows, StatelessDoFn):
    """Behind a step that holds elements back: gives what carries a summary an origin.

    Args:
      step: label of the step.
      kind: of the derivation.
      form: of the elements.
      limit: of contributors; None for all.
    """

    def __init__(self, step: str, kind: str, form: str, limit: int | None) -> None:
        self._step = step
        self._kind = kind
        self._form = form
        self._limit = limit
        self._last = (UNKNOWN, UNKNOWN)

    @property
    def ends(self) -> Ends:
        """The forms of what it takes and gives."""
        return Ends(self._form, self._form)

    def start_bundle(self) -> None:
        super().start_bundle()
        self._last = (UNKNOWN, UNKNOWN)

    def process(self, element: Any) -> Any:
        provenance, value = unpack(self._form, element)
        if len(provenance) <= ORIGIN_BYTES:
            self._note(provenance)
            return [element]
        summary, origin = self._last
        if provenance == summary:
            # What one call gives has the same history, and the row is there.
            self._note(origin)
            return [pack(self._form, origin, value)]
        found = gather((provenance,), self._limit)
        origin, row = superset(found, self._step, self._kind)
        if self.tracer is not None:
            self.tracer.gathered(origin, found)
        self._last = (provenance, origin)
        self._note(origin)
        packed = pack(self._form, origin, value)
        return self.with_row(row, packed)

    def _note(self, origin: bytes) -> None:
        if self.tally is not None:
            self.tally.gave(origin)


class WindowedSupersetDoFn(SupersetDoFn):
    """The same where elements are counted by window."""

    def process(self, element: Any, windowed: Any = beam.DoFn.WindowedValueParam) -> Any:
        if self.tally is not None:
            self.tally.came_in(windowed.windows)
        return super().process(element)


class OfWoven:
    """A function of a value, applied to the value of a woven element.

    Args:
      function: the user's.
      takes: form of the elements.
    """

    def __init__(self, function: Callable[[Any], Any], takes: str) -> None:
        self._function = function
        self._takes = takes

    def __call__(self, element: Any) -> Any:
        return self._function(unpack(self._takes, element)[1])
