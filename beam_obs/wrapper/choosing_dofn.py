"""A DoFn behind a GroupByKey each output of which stands for one value of the group, not for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apache_beam as beam

from beam_obs.records.contributors import UNKNOWN
from beam_obs.wrapper.untyped import Untyped
from beam_obs.wrapper.woven_step import WovenStep

Member = tuple[Any, Any]
"""A value of a group with its provenance, or a result with the provenance of the value that it stands for."""


class ChoosingDoFn(Untyped, beam.DoFn):
    """Gives results for single values of a group, by `choose`; when woven each has its value's origin.

    Nothing of a group is held but what `choose` holds: it may be larger than memory.
    """

    def process(self, group: tuple[Any, Iterable[Any]], window: Any = beam.DoFn.WindowParam) -> Iterator[Any]:
        """Gives the results of a group without provenances."""
        key, values = group
        for _, result in self.choose(key, ((UNKNOWN, value) for value in values), window):
            yield result

    def choose(self, key: Any, members: Iterable[Member], window: Any) -> Iterator[Member]:
        """Gives results, each with the provenance of the value that it stands for.

        Args:
          key: of the group.
          members: pairs of a provenance, to be passed on as it is, and a value.
          window: of the group.
        """
        raise NotImplementedError


def choosing_process(choose: Callable[..., Iterator[Member]], step: WovenStep) -> Callable[..., Any]:
    """Returns the process function of a woven `ChoosingDoFn`, which takes groups of woven values.

    Args:
      choose: of the DoFn.
      step: of the function.
    """
    note = step.note

    def woven_process(group: tuple[Any, Iterable[Member]], window: Any) -> Iterator[Any]:
        provenance = UNKNOWN
        try:
            for provenance, result in choose(*group, window):
                yield step.pack(provenance, result)
        except Exception as error:
            note(error, provenance)
            raise error

    return woven_process
