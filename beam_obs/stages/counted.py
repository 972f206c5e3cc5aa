"""Elements counted as they pass: what a source gave, what enters a sink."""

from __future__ import annotations

import collections
import dataclasses
import pickle
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
from apache_beam.coders import Coder

from beam_obs.metrics import live
from beam_obs.metrics.tally import Counts, Tally
from beam_obs.records.lineage_attributes import LINEAGE_FIELD, Attributes, LineageAttributes
from beam_obs.records.origin import Partition, unlocated_origin
from beam_obs.records.run_context import RunContext
from beam_obs.wrapper.current_origin import current_origin
from beam_obs.wrapper.untyped import Untyped


class CountElements(Untyped, beam.DoFn):
    """Passes elements on as they are.

    Args:
      stage: full label of the step that they are counted for.
      context: the run.
    """

    def __init__(self, stage: str, context: RunContext) -> None:
        self._stage = stage
        self._context = context

    def setup(self) -> None:
        """Makes the counts."""
        self._passed = 0
        self._tally = Tally(lambda: Counts(taken=self._passed, out=self._passed))
        live.register(self._context.run, self._stage, self._tally)

    def process(self, element: Any) -> Iterable[Any]:
        """Gives the element."""
        self._passed += 1
        return (element,)

    def finish_bundle(self) -> None:
        """Adds to Beam's counters."""
        self._tally.flush()

    def teardown(self) -> None:
        """Lets go of the counts."""
        live.retire(self._context.run, self._stage, self._tally)


class StampUnlocated(CountElements):
    """Gives records their lineage attributes, with origins that name no place where the weave knows none.

    Such an origin is a hash of the record and of how many equal ones came before it in the bundle. Records
    are dicts, or dataclasses with a field ``_lineage``; others pass as they are.

    Args:
      stage: full label of the source.
      context: the run.
      dataset: name of the dataset.
      coder: coder of the records.
    """

    def __init__(self, stage: str, context: RunContext, dataset: str, coder: Coder) -> None:
        super().__init__(stage, context)
        self._partition = Partition(dataset, "", located=False)
        self._coder = coder
        self._attributes = Attributes(context)

    def start_bundle(self) -> None:
        """Begins to count equal records."""
        self._seen: collections.Counter[bytes] = collections.Counter()

    def process(self, element: Any) -> Iterable[Any]:
        """Gives the record with its attributes."""
        self._passed += 1
        if isinstance(element, dict):
            bare = {name: value for name, value in element.items() if name != LINEAGE_FIELD}
            return (bare | {LINEAGE_FIELD: self._lineage(bare)},)
        if hasattr(element, LINEAGE_FIELD) and dataclasses.is_dataclass(type(element)):
            record: Any = dataclasses.replace(element, **{LINEAGE_FIELD: None})
            return (dataclasses.replace(record, **{LINEAGE_FIELD: self._lineage(record)}),)
        return (element,)

    def _lineage(self, record: Any) -> LineageAttributes:
        origin = current_origin() or self._unlocated(record)
        attributes = self._attributes.of(origin)
        if attributes["source_uri"] is None:
            attributes["source_uri"], attributes["source_version"] = self._partition.name, ""
        return attributes

    def _unlocated(self, record: Any) -> bytes:
        try:
            content = self._coder.encode(record)
        except Exception:
            content = pickle.dumps(record, protocol=4)
        origin = unlocated_origin(self._partition, content, 0)
        occurrence = self._seen[origin]
        self._seen[origin] += 1
        return unlocated_origin(self._partition, content, occurrence) if occurrence else origin
