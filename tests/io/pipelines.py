"""Small pipelines that the tests of this folder share."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
from apache_beam.metrics.metric import MetricsFilter

RUNNER = "FnApiRunner"


_KEPT: dict[int, list[Any]] = {}


class Keeper:
    """Keeps the elements it is called with, also when it was pickled in between."""

    def __init__(self) -> None:
        self._key = len(_KEPT)
        _KEPT[self._key] = []

    def __call__(self, element: Any) -> None:
        _KEPT[self._key].append(element)

    @property
    def elements(self) -> list[Any]:
        """What was kept."""
        return _KEPT[self._key]


def run_read(read: Any) -> list[Any]:
    """Returns what a read gives, in a plain pipeline."""
    found = Keeper()
    with beam.Pipeline(RUNNER) as p:
        _ = p | "read" >> read | beam.Map(found)
    return found.elements


def run_with_dead_letters(read: Any) -> tuple[list[Any], list[Any]]:
    """Returns what a read gives, and its dead letters by position."""
    found, dead = Keeper(), Keeper()
    with beam.Pipeline(RUNNER) as p:
        records, letters = p | "read" >> read.with_dead_letters()
        _ = records | "found" >> beam.Map(found)
        _ = letters | "dead" >> beam.Map(dead)
    return found.elements, sorted(dead.elements, key=lambda letter: (letter.source_uri, letter.position))


def run_write(write: Any, elements: list[Any], hint: Any = None) -> list[str]:
    """Returns the names of the files that a write gives, in a plain pipeline."""
    names = Keeper()
    with beam.Pipeline(RUNNER) as p:
        created = p | beam.Create(elements)
        if hint is not None:
            created = created | "typed" >> beam.Map(lambda element: element).with_output_types(hint)
        _ = created | "write" >> write | "names" >> beam.Map(names)
    return sorted(names.elements)


def counters(result: Any, step: str) -> dict[str, int]:
    """Returns our counters of one stage."""
    found: dict[str, int] = {}
    for counter in result.metrics().query(MetricsFilter().with_namespace("beam_obs"))["counters"]:
        if counter.key.step == step or counter.key.step.startswith(f"{step}/Observed"):
            found[counter.key.metric.name] = counter.committed
    return found
