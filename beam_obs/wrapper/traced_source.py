"""Origins of records where they come into being: behind an Impulse, or behind a source of Beam's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.coders import Coder
from apache_beam.internal import pickler
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.windowed_value import WindowedValue

from beam_obs.records.origin import Partition, unlocated_origin
from beam_obs.wrapper.traced_contributors import NO_SOURCE, UNKNOWN
from beam_obs.wrapper.traced_forms import pack

BY_INDEX = "index"
BY_CONTENT = "content"
NOT_A_SOURCE = "not a source"


class Source(NamedTuple):
    """How records get their origins.

    Args:
      kind: `BY_INDEX` for what one call gives in the same order each time, `BY_CONTENT`, or `NOT_A_SOURCE`.
      partition: the partition that they are of.
      coders: of the outputs, by tag, None for the main one.
    """

    kind: str
    partition: Partition
    coders: dict[str | None, Coder]


class Stamper:
    """Gives records their origins. One for a bundle, because occurrences are counted in it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._seen: dict[bytes, int] = {}
        self._index = 0

    def stamp(self, result: Any) -> bytes:
        """Returns the trace of the next result of a source's DoFn."""
        source = self._source
        if source.kind == BY_INDEX:
            self._index += 1
            return source.partition.origin(self._index - 1)
        if source.kind == NOT_A_SOURCE:
            return NO_SOURCE
        tag = None
        if isinstance(result, TaggedOutput):
            tag, result = result.tag, result.value
        if isinstance(result, (WindowedValue, TimestampedValue)):
            result = result.value
        coder = source.coders.get(tag)
        if coder is None:
            return UNKNOWN
        try:
            content = coder.encode(result)
        except Exception:
            try:
                content = pickler.dumps(result)
            except Exception:
                return UNKNOWN
        origin = unlocated_origin(source.partition, content, 0)
        occurrence = self._seen.get(origin, 0)
        self._seen[origin] = occurrence + 1
        return origin if occurrence == 0 else unlocated_origin(source.partition, content, occurrence)


class StampDoFn(beam.DoFn):
    """Stamps what leaves a source that is woven as a whole.

    Args:
      source: how.
      gives: form of the output.
    """

    def __init__(self, source: Source, gives: str) -> None:
        self._source = source
        self._gives = gives

    def start_bundle(self) -> None:
        self._stamper = Stamper(self._source)

    def process(self, element: Any) -> Any:
        return [pack(self._gives, self._stamper.stamp(element), element)]


def told_origins(element: Any) -> Iterator[bytes] | None:
    """Returns the origins that a block of records tells of them, in their order, or None where it tells none.

    A source that knows where its records lie gives them in blocks with an attribute ``origins``: an origin
    for each record that the step behind passes on by its main output.
    """
    origins = getattr(element, "origins", None)
    return iter(origins) if isinstance(origins, (list, tuple)) else None


def passes_seeds(dofn: Any) -> bool:
    """Returns whether a source's DoFn gives what is not yet a record, such as a file or a block of records.

    It says so by an attribute ``gives_records`` that is False.
    """
    return getattr(dofn, "gives_records", True) is False
