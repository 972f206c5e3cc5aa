"""All exporters of one process: they are given the same numbers, and closed together."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from beam_obs.exporters.exporter import Exporter
from beam_obs.exporters.targets import TARGETS
from beam_obs.metrics import own_families as own
from beam_obs.metrics.families import Sample
from beam_obs.metrics.run_numbers import RunNumbers
from beam_obs.records.secrets import redact_text

_LOGGER = logging.getLogger(__name__)

CLOSE_SECONDS = 12.0
"""How long the end of a run waits for targets that do not answer."""


class NamedExporter(Exporter, Protocol):
    """An exporter that says what it is and what it lost.

    Args:
      name: that of its target.
    """

    name: str

    def expect_no_more(self) -> None:
        """Hears that no numbers follow, so that those that wait can be sent at once."""

    def expect(self, pipelines: Collection[str] | None) -> None:
        """Hears which pipelines there are, so that no others are shown; None: nobody knows just now."""

    def dropped(self, run: str) -> int:
        """Returns how many times numbers of a run were not sent and are lost."""


class ExporterGroup:
    """Exporters that are given the same numbers.

    Args:
      exporters: each with its name and what it dropped.
    """

    def __init__(self, exporters: Iterable[NamedExporter] = ()) -> None:
        self._exporters = tuple(exporters)

    def __bool__(self) -> bool:
        return bool(self._exporters)

    def export(self, numbers: RunNumbers) -> None:
        """Gives all of them the newest numbers of a run, with what was dropped so far; raises nothing."""
        dropped = [
            Sample("", {"exporter": one.name}, value=one.dropped(numbers.run)) for one in self._exporters
        ]
        families = (*numbers.families, own.own_family(own.EXPORTER_DROPPED, dropped))
        numbers = dataclasses.replace(numbers, families=families)
        for exporter in self._exporters:
            exporter.export(numbers)

    def expect(self, pipelines: Collection[str] | None) -> None:
        """Tells all of them which pipelines there are; None: nobody knows just now."""
        for exporter in self._exporters:
            exporter.expect(pipelines)

    def close(self, timeout: float = CLOSE_SECONDS) -> bool:
        """Sends what was not sent yet and ends; returns whether all was.

        Args:
          timeout: seconds that all of them together may take.
        """
        until = time.monotonic() + timeout
        for exporter in self._exporters:
            exporter.expect_no_more()
        closed = [one.close(max(0.0, until - time.monotonic())) for one in self._exporters]
        return all(closed)


def make_exporters(targets: Mapping[str, str]) -> ExporterGroup:
    """Returns the exporters to targets.

    Args:
      targets: by name, as in `TARGETS`, the text that says where each is, checked.

    Raises:
      BeamObsError: one of them cannot begin, as where its port is taken.
    """
    return ExporterGroup([TARGETS[name].load()(text) for name, text in targets.items()])


def make_exporters_that_work(targets: Mapping[str, str]) -> ExporterGroup:
    """Returns the exporters to those of the targets that can begin; of the others it is logged.

    Args:
      targets: as of `make_exporters`.
    """
    return ExporterGroup(filter(None, (_made(name, text) for name, text in targets.items())))


def _made(name: str, text: str) -> NamedExporter | None:
    try:
        return TARGETS[name].load()(text)
    except Exception as error:
        _LOGGER.error("nothing is exported to %s=%s: %s", name, redact_text(text), error)
        return None
