"""The step that leaves out the records of a source that a replay is not of."""

from __future__ import annotations

from typing import Any

from beam_obs.records.wanted_places import WantedPlaces
from beam_obs.wrapper.current_origin import current_origin
from beam_obs.wrapper.stateless_dofn import StatelessDoFn


class KeepWanted(StatelessDoFn):
    """Passes on the records that are wanted, by their origins.

    Args:
      wanted: which.
      source: label of the step that reads them.
    """

    def __init__(self, wanted: tuple[WantedPlaces, ...], source: str) -> None:
        self._wanted = wanted
        self._source = source

    def process(self, element: Any) -> list[Any]:
        """Gives the record, or nothing."""
        origin = current_origin()
        if origin is None:
            raise AssertionError(
                f"what {self._source!r} reads has no origins here: nobody knows which is wanted"
            )
        return [element] if any(one.holds(origin) for one in self._wanted) else []
