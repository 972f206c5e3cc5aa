"""From a store to exporters: what a look finds that is new is sent; a store that is away is said once."""

from __future__ import annotations

import dataclasses
import logging

from beam_obs.exporters.exporter_group import ExporterGroup
from beam_obs.exporters.stored_numbers import StoredNumbers
from beam_obs.records.errors import BeamObsError

_LOGGER = logging.getLogger(__name__)


class Bridge:
    """Sends the numbers of a store.

    Args:
      numbers: of the store.
      exporters: what sends them.
    """

    def __init__(self, numbers: StoredNumbers, exporters: ExporterGroup) -> None:
        self._numbers = numbers
        self._exporters = exporters
        self._is_away = False
        self._found_first: set[str] | None = None
        """The runs that were there when the store was looked at first."""

    def look(self) -> None:
        """Looks at the store once, and gives what it finds to the exporters.

        Raises:
          BeamObsError, OSError: the store cannot be read.
        """
        found = self._numbers.look()
        if self._found_first is None:
            self._found_first = {numbers.run for numbers in found}
        for numbers in found:
            is_taken_over = numbers.run in self._found_first
            self._exporters.export(dataclasses.replace(numbers, is_taken_over=is_taken_over))
        self._exporters.expect({numbers.pipeline for numbers in self._numbers.all()})

    def look_again(self) -> None:
        """Does the same, but for that a store which cannot be read is said, once until it can be again."""
        try:
            self.look()
        except (BeamObsError, OSError) as error:
            self._exporters.expect(None)
            if not self._is_away:
                _LOGGER.warning("the store cannot be read, and is looked at again: %s", error)
            self._is_away = True
        else:
            if self._is_away:
                _LOGGER.info("the store can be read again")
            self._is_away = False
