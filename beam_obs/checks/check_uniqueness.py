"""Which records of a window have the same values as others: a composite step before `obs.Check` looks.

Gives each record with `KEPT`, `COPY` or `NOT_COMPARABLE`, in its own window and at its own time. In
batch the copies meet at a GroupByKey, and the data decides which is kept; in a stream each record is
judged when it comes, by a bit of state for each key and window.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam import coders
from apache_beam.transforms.core import Windowing
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec
from apache_beam.transforms.window import GlobalWindows
from apache_beam.typehints import Iterable as IterableHint
from apache_beam.typehints import Tuple
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from beam_obs.checks.assumption import Assumption, Unique
from beam_obs.checks.check_records import COPY, KEPT, NOT_COMPARABLE, all_breaks
from beam_obs.checks.field_path import MISSING
from beam_obs.records.errors import UsageError
from beam_obs.wrapper.choosing_dofn import ChoosingDoFn, Member
from beam_obs.wrapper.role import ObservesItsInside
from beam_obs.wrapper.untyped import Untyped

_SEEN = ReadModifyWriteStateSpec("seen", coders.BooleanCoder())
_SEEN_STATE = beam.DoFn.StateParam(_SEEN)

_COMPARED, _ALONE, _OPAQUE = b"=", b"-", b"?"
"""First byte of a key: to be compared; None or missing, so alone; without a deterministic encoding."""


class LookForCopies(ObservesItsInside):
    """Gives pairs of what is known of a record's uniqueness and the record.

    Args:
      unique: the fields that are to be unique.
      others: the other assumptions of the Check: a record that breaks one never takes the place of one
        that does not.

    Raises:
      UsageError: copies cannot be found in these windows.
    """

    def __init__(self, unique: Unique, others: Sequence[Assumption]) -> None:
        super().__init__()
        self._unique = unique
        self._others = tuple(others)

    def expand(self, records: Any) -> Any:
        """Takes the records."""
        record_type, windowing = records.element_type, records.windowing
        if windowing.windowfn.is_merging():
            raise UsageError(
                f"unique() cannot look for copies in windows that merge ({windowing.windowfn}): "
                "put the Check before these windows, or window otherwise"
            )
        timed = records | "Key" >> beam.ParDo(_Key(self._unique)).with_output_types(
            Tuple[bytes, Tuple[Timestamp, record_type]]
        )
        if not records.is_bounded:
            if isinstance(windowing.windowfn, GlobalWindows):
                raise UsageError(
                    "unique() on a stream in the global window would remember every value for ever: "
                    "put a WindowInto before the Check"
                )
            arrivals = beam.ParDo(_NumberArrivals(self._others))
            return timed | "Arrivals" >> arrivals.with_output_types(Tuple[int, record_type])
        timed._windowing = Windowing(windowing.windowfn)  # whatever triggers there are, all copies must meet
        numbered = (
            timed
            | "Group" >> beam.GroupByKey()
            | "Choose"
            >> beam.ParDo(_Choose(self._others, coders.registry.get_coder(record_type)))
            .with_input_types(Tuple[bytes, IterableHint[Tuple[Timestamp, record_type]]])
            .with_output_types(Tuple[int, record_type])
        )
        numbered._windowing = windowing
        return numbered


class _Key(Untyped, beam.DoFn):
    """Gives (key, (event time, record))."""

    def __init__(self, unique: Unique) -> None:
        self._unique = unique
        self._coder = coders.FastPrimitivesCoder().as_deterministic_coder("unique")

    def users_parts(self) -> tuple[Any, ...]:
        """Returns what it holds of the user's."""
        return (self._unique,)

    def process(self, record: Any, timestamp: Any = beam.DoFn.TimestampParam) -> Iterable[Any]:
        return [(self._key(record), (timestamp, record))]

    def _key(self, record: Any) -> bytes:
        try:
            values = tuple(path.of(record) for path in self._unique.paths)
            if any(value is None or value is MISSING for value in values):
                return _ALONE + os.urandom(8)
            return _COMPARED + bytes(self._coder.encode(values))
        except Exception:
            return _OPAQUE + os.urandom(8)


class _Choose(ChoosingDoFn):
    """Keeps one record of those with one key; which one does not depend on their order."""

    def __init__(self, others: Sequence[Assumption], coder: coders.Coder) -> None:
        self._others = others
        self._coder = coder

    def choose(self, key: bytes, members: Iterable[Member], window: Any) -> Iterator[Member]:
        remaining = iter(members)
        kept = next(remaining)
        rank: Any = None
        # Only the best so far is held: a value may have more copies than fit in memory.
        for other in remaining:
            if rank is None:
                rank = self._rank(*kept[1])
            rank_of_other = self._rank(*other[1])
            if rank_of_other < rank:
                rank, kept, other = rank_of_other, other, kept
            yield _judged(other, COPY, window)
        yield _judged(kept, NOT_COMPARABLE if key.startswith(_OPAQUE) else KEPT, window)

    def _rank(self, timestamp: Any, record: Any) -> tuple[bool, int, bytes]:
        try:
            encoded = self._coder.encode(record)
        except Exception:
            encoded = b""
        return bool(all_breaks(self._others, record)), timestamp.micros, encoded


def _judged(member: Member, seen: int, window: Any) -> Member:
    provenance, (timestamp, record) = member
    # A TimestampedValue would be put into all windows of its time again.
    return provenance, WindowedValue((seen, record), timestamp, (window,))


class _NumberArrivals(Untyped, beam.DoFn):
    """Keeps the first record of a key to arrive."""

    remembers = False
    """For the weave: no record is in its state."""

    def __init__(self, others: Sequence[Assumption]) -> None:
        self._others = others

    def process(
        self, keyed: tuple[bytes, tuple[Any, Any]], seen: Any = _SEEN_STATE
    ) -> Iterable[tuple[int, Any]]:
        key, (_, record) = keyed
        if key.startswith(_OPAQUE):
            return [(NOT_COMPARABLE, record)]
        if key.startswith(_ALONE) or all_breaks(self._others, record):
            return [(KEPT, record)]
        if seen.read():
            return [(COPY, record)]
        seen.write(True)
        return [(KEPT, record)]
