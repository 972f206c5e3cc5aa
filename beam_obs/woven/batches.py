"""Batches of woven elements: batches stay batches, with the provenances of their elements beside them.

What `process_batch` gives may come from any element of its batch: each element of an output batch has
the origin of the whole batch it came from, a superset. A batch of one is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from apache_beam.pvalue import TaggedOutput
from apache_beam.typehints.batch import BatchConverter
from apache_beam.utils.windowed_value import WindowedBatch

from beam_obs.records.contributors import UNKNOWN, gather
from beam_obs.records.lineage_rows import BUNDLE
from beam_obs.woven.superset import superset
from beam_obs.wrapper.element_forms import ROWS, pack, unpack
from beam_obs.wrapper.woven_step import WovenStep


class WovenBatch:
    """A batch and the provenances of its elements."""

    __slots__ = ("provenances", "values")

    def __init__(self, provenances: list[bytes], values: Any) -> None:
        self.provenances = provenances
        self.values = values


class RowBatch:
    """Rows of evidence that leave by an operation whose outputs are all batches."""

    __slots__ = ("rows",)

    def __init__(self, rows: list[bytes]) -> None:
        self.rows = rows


class WovenBatchConverter(BatchConverter):
    """Makes batches of woven elements, and takes them apart.

    Args:
      inner: the user's, for the values.
      form: of the elements.
    """

    def __init__(self, inner: BatchConverter, form: str) -> None:
        super().__init__(inner.batch_type, inner.element_type)
        self._inner = inner
        self._form = form

    def produce_batch(self, elements: Sequence[Any]) -> WovenBatch:
        pairs = [unpack(self._form, element) for element in elements]
        values = self._inner.produce_batch([value for _, value in pairs])
        return WovenBatch([provenance for provenance, _ in pairs], values)

    def explode_batch(self, batch: Any) -> Iterator[Any]:
        if isinstance(batch, RowBatch):
            yield from batch.rows
            return
        for provenance, value in zip(batch.provenances, self._inner.explode_batch(batch.values), strict=True):
            yield pack(self._form, provenance, value)

    def combine_batches(self, batches: Sequence[Any]) -> WovenBatch:
        values = self._inner.combine_batches([batch.values for batch in batches])
        return WovenBatch([provenance for batch in batches for provenance in batch.provenances], values)

    def get_length(self, batch: Any) -> int:
        return len(batch.rows) if isinstance(batch, RowBatch) else len(batch.provenances)

    def estimate_byte_size(self, batch: Any) -> int:
        if isinstance(batch, RowBatch):
            return sum(map(len, batch.rows))
        return int(self._inner.estimate_byte_size(batch.values)) + 17 * len(batch.provenances)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WovenBatchConverter):
            return False
        return self._form == other._form and bool(self._inner == other._inner)

    def __hash__(self) -> int:
        return hash((self._form, self._inner))


def batch_process(
    function: Callable[..., Any],
    step: WovenStep,
    limit: int | None,
    gives_batches: bool,
    converter: BatchConverter | None,
) -> Callable[..., Any]:
    """Returns the `process_batch` of a woven step.

    Args:
      function: the user's.
      step: of the function.
      limit: of contributors.
      gives_batches: whether it gives batches, not elements.
      converter: of its output batches.
    """
    note = step.note

    def woven_process(batch: WovenBatch, *args: Any, **kwargs: Any) -> Any:
        return woven_results(batch, args, kwargs)

    def woven_results(batch: WovenBatch, args: Any, kwargs: Any) -> Iterator[Any]:
        found = gather(batch.provenances, limit)
        provenance, row = superset(found, step.label, BUNDLE)
        try:
            results = step.call_for_batch(function, batch.provenances)(batch.values, *args, **kwargs)
            step.note_gathered(provenance, found)
            for result in results or ():
                if row is not None:
                    yield TaggedOutput(ROWS, RowBatch([row]) if gives_batches else row)
                    row = None
                if gives_batches:
                    assert converter is not None
                    yield woven_batch(provenance, result, converter)
                else:
                    yield step.pack(provenance, result)
        except Exception as error:
            note(error, provenance)
            raise error

    # As Beam's decorators mark a user's function.
    woven_process._beam_yields_elements = not gives_batches  # type: ignore[attr-defined]
    return woven_process


def woven_batch(provenance: bytes, result: Any, converter: BatchConverter) -> Any:
    """Returns a user's batch, in any of Beam's wrappers, with one provenance for all of its elements."""
    if isinstance(result, TaggedOutput):
        return TaggedOutput(result.tag, woven_batch(provenance, result.value, converter))
    if isinstance(result, WindowedBatch):
        return result.with_values(woven_batch(provenance, result.values, converter))
    return WovenBatch([provenance or UNKNOWN] * converter.get_length(result), result)


def yielding_batches(
    function: Callable[..., Any], step: WovenStep, converter: BatchConverter
) -> Callable[..., Any]:
    """Returns the process function of a step that takes elements and gives batches."""
    note = step.note
    call_for = step.call_for(function)

    def woven_process(element: Any, *args: Any, **kwargs: Any) -> Any:
        provenance, value = unpack(step.takes, element)
        return woven_results(provenance, value, args, kwargs)

    def woven_results(provenance: bytes, value: Any, args: Any, kwargs: Any) -> Iterator[Any]:
        try:
            for result in call_for(provenance)(value, *args, **kwargs) or ():
                yield woven_batch(provenance, result, converter)
        except Exception as error:
            note(error, provenance)
            raise error

    woven_process._beam_yields_batches = True  # type: ignore[attr-defined]
    return woven_process
