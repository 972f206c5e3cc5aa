"""Origins of what a DoFn gives that may hold elements back: anything that its bundle took may be in it.

To sum up all elements for each output would take time that grows with the square of a bundle. So elements are
taken in groups, each a sixteenth of all before it, and what is given while a group is open has one origin: it
stands for all up to the group's end, when its row is made. Up to 32 elements a group is one element.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

from beam_obs.records.contributors import UNKNOWN, Contributors, encode, gather
from beam_obs.records.lineage_rows import BUNDLE, derivation_row
from beam_obs.records.origin import derived_origin
from beam_obs.woven.superset import superset
from beam_obs.wrapper.element_forms import unpack
from beam_obs.wrapper.woven_step import WovenStep

_SHARE = 16
_HELD_MOST = 4096
"""Provenances that are held before they are summed up."""


class BundleOrigins:
    """The origins of one bundle's outputs, and their rows.

    Args:
      step: label of the step.
      limit: of contributors; None for all.

    Attributes:
      tell: told of each origin that is made, and of what there was to make it of.
    """

    def __init__(self, step: str, limit: int | None) -> None:
        self._step = step
        self._limit = limit
        self.tell: Callable[[bytes, Contributors], None] | None = None
        self.clear()

    def clear(self) -> None:
        """Begins a bundle."""
        self._held: list[bytes] = []
        self._taken = 0
        self._group_ends = 1
        self._origin: bytes | None = None
        self._is_open = False
        self._rows: list[bytes] = []

    def take(self, provenance: bytes) -> None:
        """Notes an element."""
        if self._taken == self._group_ends:
            self._end_group()
            self._group_ends += max(1, self._taken // _SHARE)
        self._taken += 1
        self._held.append(provenance)
        if len(self._held) > _HELD_MOST:
            self._sum_up()

    def origin(self) -> bytes:
        """Returns the origin of what is given now; nothing is known of it where no element has an origin."""
        if self._origin is None:
            found = self._sum_up()
            if not found.origins:
                return UNKNOWN
            self._is_open = self._taken < self._group_ends
            if self._is_open:
                # Two bundles may begin alike and go on otherwise, and what is to come is not known.
                self._origin = derived_origin(self._step, os.urandom(16), BUNDLE.encode(), 0)
            else:
                self._origin, row = superset(found, self._step, BUNDLE)
                if row is not None:
                    self._rows.append(row)
            if self.tell is not None:
                self.tell(self._origin, found)
        return self._origin

    def summary(self) -> bytes:
        """Returns what stands for all elements so far, on the way to an aggregate that they end in."""
        return encode(self._sum_up()) if self._taken else UNKNOWN

    def finish(self) -> None:
        """Notes that all elements were taken: what is given from now on comes from these."""
        self._group_ends = self._taken

    def rows(self) -> list[bytes]:
        """Returns the rows of the origins that were given, when the bundle ends."""
        self._end_group()
        return self._rows

    def _end_group(self) -> None:
        if self._is_open and self._origin is not None:
            self._rows.append(derivation_row(self._origin, BUNDLE, self._sum_up()))
        self._origin, self._is_open = None, False

    def _sum_up(self) -> Contributors:
        found = gather(self._held, self._limit)
        self._held = [encode(found)]
        return found


def holding_process(
    function: Callable[..., Any], bundle: BundleOrigins, step: WovenStep, refuse: Callable[[Any], None]
) -> Callable[..., Any]:
    """Returns the process function of a DoFn that holds elements back: each output may come from any of the
    bundle so far.

    Args:
      function: the user's, of any number of results.
      bundle: origins of the bundle.
      step: of the function.
      refuse: raises where the results are of a kind that Beam refuses.
    """
    note, tally = step.note, step.tally
    call_for = step.call_for(function)
    if tally is not None:
        tally.notes(taken=True, given=True, gives_given=True)

    def woven_process(element: Any, *args: Any, **kwargs: Any) -> Any:
        provenance, value = unpack(step.takes, element)
        if tally is not None:
            tally.took(provenance)
        bundle.take(provenance)
        try:
            results = call_for(provenance)(value, *args, **kwargs)
            refuse(results)
        except Exception as error:
            note(error, provenance)
            raise error
        return woven_results(provenance, results)

    def woven_results(provenance: bytes, results: Any) -> Iterator[Any]:
        try:
            for result in results if results is not None else ():
                origin = bundle.origin()
                if tally is not None:
                    tally.gave(origin)
                yield step.pack(origin, result)
        except Exception as error:
            note(error, provenance)
            raise error

    return woven_process


def noting_process(process: Callable[..., Any], bundle: BundleOrigins, step: WovenStep) -> Callable[..., Any]:
    """Returns a process function that notes each element for what is given when the bundle ends."""
    takes, take = step.takes, bundle.take

    def noting_element(element: Any, *args: Any, **kwargs: Any) -> Any:
        take(unpack(takes, element)[0])
        return process(element, *args, **kwargs)

    return noting_element
